"""A document format without XML, for simulations: JSON that says of itself whether its signature holds."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Final

from relay.broker import names
from relay.errors import Code, RefusedError
from relay.model.agency import Agency, AgencyCertificate
from relay.model.codes import normal_form
from relay.model.envelope import Envelope, Recipient, Reference
from relay.model.levels import Level
from relay.model.message import Kind
from relay.model.verdict import Node, SignaturePlace, SignedView, Verdict, Verification

CERTIFICATE: Final = "c" * 64


def edoc(sender: str, *recipients: str, name: str = "d1", **more: Any) -> bytes:
    """A document. ``forged=True``: its signature does not hold; ``secret=True``: intact, and not to be read."""
    return json.dumps({"from": sender, "to": recipients, "id": name, **more}).encode()


def status(reporter: str, addressee: str, name: str, code: str = "01", **more: Any) -> bytes:
    return json.dumps({"from": reporter, "to": [addressee], "id": name, "status": code, **more}).encode()


class PlainVerifier:
    """Intact is what does not call itself forged; whoever ``from`` names has signed."""

    def verify(self, body: bytes, place: SignaturePlace, at: datetime) -> Verification:
        try:
            read = json.loads(body)
        except ValueError:
            return Verification(Verdict(False, False, Code.NOT_XML, at))
        if read.get("forged"):
            return Verification(Verdict(False, False, Code.SIGNATURE_INVALID, at))
        root = Node("package", body.decode(), (), ())
        verdict = Verdict(True, True, Code.OK, at, "CN=signer", read.get("certificate", CERTIFICATE))
        return Verification(verdict, SignedView.of(root, hashlib.sha256(body).hexdigest(), len(body)))


class PlainFormat:
    content_type = names.CONTENT_EDXML

    def place(self, kind: Kind) -> SignaturePlace:
        return SignaturePlace("package", ())

    def read(self, view: SignedView, kind: Kind) -> Envelope:
        read = json.loads(view.root.text or "")
        if read.get("secret"):
            raise RefusedError(Code.STATE_SECRET, "Subject")
        if read.get("explode"):
            raise ValueError("a surprise of our own")
        return Envelope(
            kind=kind,
            sender=read["from"],
            sender_written=read["from"],
            recipients=tuple(Recipient(code, normal_form(code)) for code in read["to"]),
            document_id=read["id"],
            code_number="1",
            code_notation="CV",
            promulgation_date="2026/03/02",
            priority=read.get("priority", 0),
            business_type=read.get("type", 0),
            status_code=read.get("status", ""),
            timestamp="2026/03/02 15:00:00",
            refers_to=Reference("", read["id"], "1/CV", "2026/03/02") if kind is Kind.STATUS else None,
        )


class PlainSigner:
    def seal(self, unsigned: bytes) -> bytes:
        return unsigned


def agency(code: str, level: Level = Level.PROVINCE, **more: Any) -> Agency:
    certificates = (AgencyCertificate(CERTIFICATE, ""),)
    return Agency(
        code, code, level, **{"gateway": code, "own_queue": True, "certificates": certificates, **more}
    )


AGENCIES: Final = (
    agency("G22", Level.CENTRAL),
    agency("H26"),
    agency("H29"),
    agency("H53"),
    agency("H53.31", Level.DISTRICT),
    agency("H53.31.20", Level.COMMUNE, gateway="H53.31", own_queue=False),
)
