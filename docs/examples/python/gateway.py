"""A gateway in plain pika: publishes with a confirm, reads with every check, answers 01, by docs/protocol.md."""

import hashlib
import json
import sqlite3
import ssl
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import pika
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from directory import Directory
from edxml import HEADER, NS, need, signed, verified


class Gateway:
    def __init__(self, sandbox, code, store):
        self.code, self.box = code, json.loads(Path(sandbox).read_text("utf-8"))
        self.agency = self.box["agencies"][code]
        self.anchor = x509.load_pem_x509_certificate(Path(self.box["ca_cert"]).read_bytes())
        self.directory = Directory(self.box["directory"])
        self.store = sqlite3.connect(store)
        self.store.execute("create table if not exists inbox (delivery_id primary key, document, answer)")

    def connect(self):
        url, tls = urlsplit(self.box["amqp_url"]), None
        if url.scheme == "amqps":
            tls = pika.SSLOptions(ssl.create_default_context(cafile=self.box["tls_ca_cert"]), url.hostname)
        where = {"host": url.hostname, "port": url.port, "virtual_host": url.path[1:], "heartbeat": 30}
        login = pika.PlainCredentials(self.agency["user"], self.agency["password"])
        return pika.BlockingConnection(pika.ConnectionParameters(**where, credentials=login, ssl_options=tls))

    def sign(self, message):
        chain = x509.load_pem_x509_certificates(Path(self.agency["cert"]).read_bytes())
        return signed(message, load_pem_private_key(Path(self.agency["key"]).read_bytes(), None), chain)

    def publish(self, lane, kind, body, transport_id, refers_to=None):
        """Return once the broker keeps it. Whatever is raised instead: send the same id and the same bytes again."""
        said = {"type": kind, "content_type": "application/edxml+xml", "delivery_mode": 2}
        said |= {"user_id": self.agency["user"], "message_id": transport_id, "correlation_id": refers_to}
        properties = pika.BasicProperties(**said)
        with self.connect() as connection, connection.channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish("ingress", f"{lane}.{self.code}", body, properties, mandatory=True)

    def read(self, until, dies=None):
        """Take messages until one is what was waited for, and return its signed root."""
        with self.connect() as connection, connection.channel() as channel:
            channel.basic_qos(prefetch_count=20)
            for method, properties, body in channel.consume("agency." + self.code, inactivity_timeout=60):
                need(method is not None, f"{self.code}: nothing came within a minute")
                try:
                    root = self.checked(properties, body)
                except Exception as fault:
                    print(self.code, "rejects", properties.message_id, repr(fault))
                    channel.basic_reject(method.delivery_tag, requeue=False)
                    continue
                if properties.type == "edoc":
                    self.keep(properties, body, root)
                    if properties.message_id == dies:
                        return root  # before the broker hears of it: it will deliver once more
                channel.basic_ack(method.delivery_tag)
                if properties.type == "edoc":
                    self.answer(properties)
                if until(properties, root):
                    return root
        raise ConnectionError("the broker ended the reading")

    def checked(self, properties, body):
        """Return the signed root of what arrived, or raise what stands against it."""
        told = properties.headers
        if properties.type == "receipt":
            root, leaf = verified(body, ".", self.anchor, datetime.now(UTC))
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
            need(uris == ["urn:truc:relay:" + root.get("relay")], "not signed by the relay that it names")
            return root
        need(hashlib.sha256(body).hexdigest() == told["truc-sha256"], "not the bytes that the relay took")
        at = datetime.fromisoformat(told["truc-accepted-at"])
        root, leaf = verified(body, HEADER, self.anchor, at)
        sender = self.directory.entry(root.findtext(".//e:From/e:OrganId", None, NS), at)
        need(sender["code"] == told["truc-sender"], "another sender than the relay says")
        need(leaf in self.directory.signers(sender, at), "signed by somebody else")
        to = root.iterfind(f".//e:{'To' if properties.type == 'edoc' else 'ResponseFor'}/e:OrganId", NS)
        need(told["truc-recipient"] == self.code, "not for us")
        need(
            self.code in [self.directory.entry(each.text, at)["code"] for each in to],
            "not named by its sender",
        )
        return root

    def keep(self, properties, body, root):
        """Store the document and the 01 that answers it in one commit, unless it is there already."""
        sender, number = (
            root.findtext(f".//e:{path}", None, NS) for path in ("From/e:OrganId", "DocumentId")
        )
        answer = self.sign(
            f"<From><OrganId>{self.code}</OrganId></From><ResponseFor><OrganId>{sender}</OrganId>"
            f"<DocumentId>{escape(number)}</DocumentId></ResponseFor><StatusCode>01</StatusCode>"
            f"<Timestamp>{datetime.now(UTC) + timedelta(hours=7):%Y/%m/%d %H:%M:%S}</Timestamp>"
        )
        row = (properties.headers["truc-delivery-id"], body, answer)
        with self.store:
            new = self.store.execute("insert or ignore into inbox values (?, ?, ?)", row).rowcount
        print(self.code, "stores" if new else "drops a duplicate of", properties.message_id)

    def answer(self, properties):
        """Send the stored 01; its id follows from the delivery, so that it stays over retries."""
        delivery_id = properties.headers["truc-delivery-id"]
        rows = self.store.execute("select answer from inbox where delivery_id = ?", (delivery_id,))
        status_id = str(uuid.uuid5(uuid.UUID(delivery_id), "01"))
        self.publish("status", "status", rows.fetchone()[0], status_id, properties.message_id)
