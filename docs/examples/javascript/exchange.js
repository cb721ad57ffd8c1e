// One document to two recipients, over the real relay. Usage: exchange.js SANDBOX.JSON FOLDER [SENDER RECIPIENT...]
// Each recipient dies once between storing and acknowledging, drops the duplicate that follows, and answers 01.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { RECEIPT, need } from "./edxml.js";
import { Gateway } from "./gateway.js";

const [sandbox, folder, ...codes] = process.argv.slice(2);
if (!codes.length) codes.push("H26", "H53", "G22");
const [sender, ...recipients] = codes.map((code) => new Gateway(sandbox, code, join(folder, code)));
const id = randomUUID();

const to = recipients.map((each) => `<To><OrganId>${each.code}</OrganId></To>`).join("");
const day = new Date().toISOString().slice(0, 10).replaceAll("-", "/");
const number = `${sender.code},${day},${id.slice(0, 8)}/CV-${sender.code}`;
const document = sender.sign(`<From><OrganId>${sender.code}</OrganId></From>${to}<DocumentId>${number}</DocumentId>`);
await sender.publish("normal", "edoc", document, id);
console.log(sender.code, "sent", id);

await told("acknowledgement", "queued");
for (const each of recipients) {
  await each.read(() => false, id);
  await each.read((properties) => properties.messageId === id);
}
await told("outcome", "delivered");

/** Wait for a receipt; its signature was checked when it was read. */
async function told(kind, state) {
  const ours = (properties, root) => properties.correlationId === id && root.getAttribute("kind") === kind;
  const receipt = await sender.read(ours);
  const lines = Array.from(receipt.getElementsByTagNameNS(RECEIPT, "recipient"));
  const states = lines.map((each) => `${each.getAttribute("code")}=${each.getAttribute("state")}`);
  console.log(sender.code, "is told:", kind, receipt.getAttribute("result"), ...states);
  need(lines.length && lines.every((each) => each.getAttribute("state") === state), `not all are ${state}`);
}
