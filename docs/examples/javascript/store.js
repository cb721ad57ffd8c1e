// What a gateway keeps: for each delivery a folder with the document and the 01 that answers it, both or neither.
import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, mkdtempSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Keep both durably; return false if the delivery was kept before. */
export function keep(folder, deliveryId, document, answer) {
  if (!/^[0-9a-f-]{36}$/.test(deliveryId)) throw new Error("no delivery id");
  const place = join(folder, deliveryId);
  if (existsSync(place)) return false;
  const draft = mkdtempSync(join(folder, "draft-"));
  durable(join(draft, "document.edxml"), document);
  durable(join(draft, "01.edxml"), answer);
  renameSync(draft, place);
  return true;
}

/** Return the stored 01. */
export function answerTo(folder, deliveryId) {
  return readFileSync(join(folder, deliveryId, "01.edxml"));
}

/** Return the transport id of that 01: it follows from the delivery, so that it stays over retries. */
export function answerId(deliveryId) {
  const hex = createHash("sha256").update(`${deliveryId} 01`).digest("hex");
  const groups = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`];
  return [...groups, hex.slice(20, 32)].join("-");
}

function durable(file, content) {
  const open = openSync(file, "wx");
  writeSync(open, content);
  fsyncSync(open);
  closeSync(open);
}
