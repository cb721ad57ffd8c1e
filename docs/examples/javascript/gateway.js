// A gateway with amqplib: publishes with a confirm, reads with every check, answers 01, by docs/protocol.md.
import { X509Certificate, createHash } from "node:crypto";
import { EventEmitter, on } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import amqp from "amqplib";
import { Directory } from "./directory.js";
import { arrived, need, signed, texts, verified } from "./edxml.js";
import { answerId, answerTo, keep } from "./store.js";

export class Gateway {
  constructor(sandbox, code, store) {
    this.code = code;
    this.box = JSON.parse(readFileSync(sandbox, "utf8"));
    this.agency = this.box.agencies[code];
    this.anchor = new X509Certificate(readFileSync(this.box.ca_cert));
    this.directory = new Directory(this.box.directory);
    this.store = store;
    mkdirSync(store, { recursive: true });
  }

  connect() {
    const url = new URL(this.box.amqp_url);
    const tls = url.protocol === "amqps:" ? { ca: [readFileSync(this.box.tls_ca_cert)] } : {};
    const { user: username, password } = this.agency;
    const place = { protocol: url.protocol.slice(0, -1), hostname: url.hostname, port: Number(url.port) };
    return amqp.connect({ ...place, vhost: url.pathname.slice(1), username, password, heartbeat: 30 }, tls);
  }

  sign(message) {
    return signed(message, readFileSync(this.agency.key, "utf8"), readFileSync(this.agency.cert, "utf8"));
  }

  /** Return once the broker keeps it. Whatever is thrown instead: send the same id and the same bytes again. */
  async publish(lane, type, body, messageId, correlationId) {
    const connection = await this.connect();
    try {
      const channel = await connection.createConfirmChannel();
      const returned = [];
      channel.on("return", (message) => returned.push(message));
      const said = { type, messageId, correlationId, userId: this.agency.user, contentType: "application/edxml+xml" };
      channel.publish("ingress", `${lane}.${this.code}`, body, { ...said, persistent: true, mandatory: true });
      await channel.waitForConfirms();
      need(!returned.length, "no queue took it");
    } finally {
      await connection.close();
    }
  }

  /** Take messages until one is what was waited for, and return its signed root. */
  async read(until, dies) {
    const connection = await this.connect();
    try {
      const channel = await connection.createChannel();
      const arrivals = new EventEmitter();
      const messages = on(arrivals, "message", { signal: AbortSignal.timeout(60_000) });
      await channel.prefetch(20);
      await channel.consume(`agency.${this.code}`, (message) => arrivals.emit("message", message));
      for await (const [message] of messages) {
        const { properties, content } = message;
        let root;
        try {
          root = this.checked(properties, content);
        } catch (fault) {
          console.log(`${this.code} rejects ${properties.messageId}: ${fault}`);
          channel.nack(message, false, false);
          continue;
        }
        const delivery = properties.type === "edoc" ? properties.headers["truc-delivery-id"] : undefined;
        if (delivery) {
          const fresh = keep(this.store, delivery, content, this.sign(arrived(this.code, root)));
          console.log(this.code, fresh ? "stores" : "drops a duplicate of", properties.messageId);
        }
        if (properties.messageId === dies) return root; // before the broker hears of it: it will deliver once more
        channel.ack(message);
        if (delivery) {
          const answer = answerTo(this.store, delivery);
          await this.publish("status", "status", answer, answerId(delivery), properties.messageId);
        }
        if (until(properties, root)) return root;
      }
    } finally {
      await connection.close();
    }
  }

  /** Return the signed root of what arrived, or throw what stands against it. */
  checked({ type, headers }, body) {
    if (type === "receipt") {
      const { root, signer } = verified(body, "/receipt", this.anchor, new Date());
      const uris = signer.subjectAltName.split(", ").filter((each) => each.startsWith("URI:"));
      need(uris.join() === `URI:urn:truc:relay:${root.getAttribute("relay")}`, "not signed by the relay that it names");
      return root;
    }
    need(createHash("sha256").update(body).digest("hex") === headers["truc-sha256"], "not what the relay took");
    const at = new Date(headers["truc-accepted-at"]);
    const { root, signer } = verified(body, "/edXML/edXMLEnvelope/edXMLHeader", this.anchor, at);
    const sender = this.directory.entry(texts(root, "From", "OrganId")[0], at);
    need(sender.code === headers["truc-sender"], "another sender than the relay says");
    const known = this.directory.signers(sender, at).map((each) => each.fingerprint256);
    need(known.includes(signer.fingerprint256), "signed by somebody else");
    const to = texts(root, type === "edoc" ? "To" : "ResponseFor", "OrganId");
    const named = to.some((each) => this.directory.entry(each, at).code === this.code);
    need(named && headers["truc-recipient"] === this.code, "not for us");
    return root;
  }
}
