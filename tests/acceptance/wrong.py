"""Wrong submissions, each by its name and with the code that answers it; built with a stranger's tools."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from relay.sandbox.ca import DevelopmentCa
from tests.acceptance.conftest import BODY_LIMIT, Axis
from tests.support.stranger_xml import (
    ENVELOPED,
    EXC_C14N,
    SHA1_DIGEST,
    SHA1_METHOD,
    Facts,
    Recipe,
    Signer,
    document,
    sign,
    signature,
    spliced,
    status,
)

FROM, TO = "H53", "G22"


@dataclass(frozen=True)
class Try:
    """One submission: who publishes what, and how it differs from a good one."""

    body: bytes
    user: str = FROM
    kind: str = "edoc"
    key: str | None = None
    message_id: str | None = field(default_factory=lambda: str(uuid.uuid4()))
    headers: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Desk:
    """What the builders need: the sandbox, its CA, and a document that was accepted before."""

    axis: Axis
    known: Facts  # from FROM to TO

    def signer(self, code: str = FROM) -> Signer:
        return self.axis.gateway(code).signer()

    def good(self, **facts: Any) -> bytes:
        return sign(document(Facts(FROM, (TO,), **facts)), self.signer())

    def unsigned(self, **facts: Any) -> bytes:
        return document(Facts(FROM, (TO,), **facts))

    def issued(self, begin: datetime, end: datetime) -> Signer:
        """Return a signer in the name of FROM, issued by the sandbox's own authority."""
        folder = self.axis.home / "ca"
        issuer = x509.load_pem_x509_certificate((folder / "issuing.pem").read_bytes())
        authority = load_pem_private_key((folder / "issuing.key").read_bytes(), None)
        assert isinstance(authority, ec.EllipticCurvePrivateKey)
        return Signer(*_certificate(issuer, authority, begin, end))

    def revoked(self) -> Signer:
        now = datetime.now(UTC)
        signer = self.issued(now - timedelta(days=1), now + timedelta(days=1))
        DevelopmentCa(self.axis.home / "ca").revoke(signer.chain[0], now, now - timedelta(hours=1))
        return signer


def _certificate(
    issuer: x509.Certificate | None, authority: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> tuple[ec.EllipticCurvePrivateKey, tuple[x509.Certificate, ...]]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{FROM} (mẫu)")])
    stranger = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Another authority (mẫu)")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer else stranger)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(authority, hashes.SHA256())
    )
    return key, (leaf, issuer) if issuer else (leaf,)


Builder = Callable[[Desk], Try]
CASES: Final[dict[str, tuple[str, Builder]]] = {}


def case(name: str, code: str) -> Callable[[Builder], Builder]:
    def note(builder: Builder) -> Builder:
        assert name not in CASES
        CASES[name] = code, builder
        return builder

    return note


def _of(name: str, code: str, build: Callable[[Desk], bytes], **how: Any) -> None:
    """Note a case whose body alone, or whose one property, is wrong."""
    case(name, code)(lambda desk: Try(build(desk), **how))


def _inserted(body: bytes, before: bytes, what: bytes) -> bytes:
    at = body.index(before)
    return body[:at] + what + body[at:]


def _replaced(body: bytes, old: bytes, new: bytes) -> bytes:
    assert old in body
    return body.replace(old, new, 1)


# --- the bytes ---------------------------------------------------------------------------------------------------------

_of("not XML", "NOT-XML", lambda desk: "Kính gửi: Văn phòng".encode())
_of("XML that breaks off", "NOT-XML", lambda desk: desk.good()[:-20])
_of(
    "wrong root",
    "WRONG-ROOT",
    lambda desk: b'<?xml version="1.0" encoding="UTF-8"?><edXML xmlns="urn:other"/>',
)
_of("empty", "EMPTY-BODY", lambda desk: b"")
_of("over the size limit", "TOO-LARGE", lambda desk: desk.good() + b" " * BODY_LIMIT)
_of(
    "DTD",
    "DTD-FORBIDDEN",
    lambda desk: _inserted(desk.good(), b"<edXML ", b'<!DOCTYPE edXML SYSTEM "edxml.dtd">'),
)
_of(
    "entity bomb",
    "ENTITY-FORBIDDEN",
    lambda desk: _inserted(
        _replaced(desk.good(), "Nơi ban hành".encode(), b"&h;"),
        b"<edXML ",
        b'<!DOCTYPE edXML [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(
            b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10)
            for letter in range(ord("b"), ord("i"))
        )
        + b"]>",
    ),
)
_of(
    "too deep",
    "TOO-DEEP",
    lambda desk: sign(
        _inserted(desk.unsigned(), b"<edXML:TraceHeaderList>", b"<edXML:A>" * 40 + b"</edXML:A>" * 40),
        desk.signer(),
    ),
)
_of(
    "deeper than any parser likes",
    "TOO-DEEP",
    lambda desk: _inserted(
        desk.good(), b"<edXML:TraceHeaderList>", b"<edXML:A>" * 9000 + b"</edXML:A>" * 9000
    ),
)
_of(
    "too many elements",
    "TOO-COMPLEX",
    lambda desk: _inserted(desk.good(), b"<edXML:TraceHeaderList>", b"<edXML:A/>" * 90_000),
)
_of("not UTF-8", "NOT-UTF8", lambda desk: _replaced(desk.good(), "Nơi".encode(), b"\xff\xfe"))
_of(
    "processing instruction",
    "PI-FORBIDDEN",
    lambda desk: sign(_inserted(desk.unsigned(), b"<edXML:TraceHeaderList>", b"<?x y?>"), desk.signer()),
)
_of(
    "a comment that splits a code",
    "COMMENT-IN-TEXT",
    lambda desk: sign(
        _replaced(desk.unsigned(), b"<edXML:OrganId>H53<", b"<edXML:OrganId>H5<!-- -->3<"), desk.signer()
    ),
)


def _twice(desk: Desk) -> bytes:
    body = desk.unsigned()
    return spliced(spliced(body, signature(body, desk.signer())), signature(body, desk.signer()))


def _pair(desk: Desk, before: bytes) -> tuple[bytes, bytes, bytes]:
    body = desk.unsigned()
    return body, before, signature(body, desk.signer())


def _other_value(body: bytes) -> bytes:
    start = body.index(b"<SignatureValue>") + len(b"<SignatureValue>")
    old = body[start : start + 1]
    return body[:start] + (b"A" if old != b"A" else b"B") + body[start + 1 :]


def _other_info(desk: Desk) -> bytes:
    """A digest that fits the altered content, under the old signature value."""
    facts = Facts(FROM, (TO,))
    first, second = document(facts), document(replace(facts, subject="Về việc khác"))
    elements = [signature(body, desk.signer()) for body in (first, second)]
    values = [
        element[element.index(b"<SignatureValue>") : element.index(b"<KeyInfo>")] for element in elements
    ]
    return spliced(second, _replaced(elements[1], values[1], values[0]))


def _with(desk: Desk, **recipe: Any) -> bytes:
    return sign(desk.unsigned(), desk.signer(), Recipe(**recipe))


def _envelope(body: bytes) -> bytes:
    return body[body.index(b"<edXML:edXMLEnvelope") : body.index(b"</edXML:edXMLEnvelope>") + 22]


def _second_envelope(desk: Desk) -> bytes:
    evil = _envelope(desk.unsigned(subject="Nội dung khác"))
    return _inserted(desk.good(), b"<edXML:edXMLEnvelope", evil)


def _inside_another(desk: Desk) -> bytes:
    """The signed document whole inside an unsigned one, where a careless reader finds a signature that holds."""
    signed = desk.good()
    return _inserted(
        desk.unsigned(subject="Nội dung khác"), b"<AttachmentEncoded>", signed[signed.index(b"<edXML ") :]
    )


# --- the signature -------------------------------------------------------------------------------------------------------

_of("unsigned", "UNSIGNED", Desk.unsigned)
_of("two signatures", "MANY-SIGNATURES", _twice)
_of(
    "signature inside MessageHeader",
    "SIGNATURE-MISPLACED",
    lambda desk: _inserted(*_pair(desk, b"</edXML:MessageHeader>")),
)
_of("signature last in the root", "SIGNATURE-MISPLACED", lambda desk: _inserted(*_pair(desk, b"</edXML>")))
_of(
    "signature before the trace",
    "SIGNATURE-MISPLACED",
    lambda desk: _inserted(*_pair(desk, b"<edXML:TraceHeaderList>")),
)
_of(
    "altered text",
    "DIGEST-MISMATCH",
    lambda desk: _replaced(desk.good(), "phối hợp".encode(), "phối hợp,".encode()),
)
_of("altered recipient", "DIGEST-MISMATCH", lambda desk: _replaced(desk.good(), b">G22<", b">H26<"))
_of(
    "altered attachment",
    "DIGEST-MISMATCH",
    lambda desk: _replaced(
        desk.good(files=(("a.bin", b"0123456789"),)),
        base64.b64encode(b"0123456789"),
        base64.b64encode(b"0123456780"),
    ),
)
_of("altered signature value", "SIGNATURE-INVALID", lambda desk: _other_value(desk.good()))
_of("altered SignedInfo", "SIGNATURE-INVALID", _other_info)
_of("weak signature algorithm", "WEAK-ALGORITHM", lambda desk: _with(desk, method=SHA1_METHOD))
_of("weak digest algorithm", "WEAK-ALGORITHM", lambda desk: _with(desk, digest=SHA1_DIGEST))
_of(
    "foreign transform",
    "FOREIGN-TRANSFORM",
    lambda desk: _with(desk, transforms=(ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116")),
)
_of("no canonicalisation", "FOREIGN-TRANSFORM", lambda desk: _with(desk, transforms=(ENVELOPED,)))
_of(
    "one transform more",
    "FOREIGN-TRANSFORM",
    lambda desk: _with(desk, transforms=(ENVELOPED, EXC_C14N, EXC_C14N)),
)
_of("reference to a part", "FOREIGN-REFERENCE", lambda desk: _with(desk, uri="#envelope"))
_of("reference to the network", "FOREIGN-REFERENCE", lambda desk: _with(desk, uri="http://127.0.0.1:9/"))
_of("wrapped content: a second envelope", "SIGNATURE-MISPLACED", _second_envelope)
_of("wrapped content: a document inside another", "SIGNATURE-MISPLACED", _inside_another)
_of(
    "no certificate",
    "KEYINFO-MALFORMED",
    lambda desk: _replaced(desk.good(), b"<X509Data>", b"<KeyName>H53</KeyName><X509Data>"),
)

# --- the signer ----------------------------------------------------------------------------------------------------------


@case("certificate of another agency", "WRONG-SIGNER")
def _another_agency(desk: Desk) -> Try:
    return Try(sign(desk.unsigned(), desk.signer("H29")))


@case("certificate that no directory knows", "WRONG-SIGNER")
def _unlisted(desk: Desk) -> Try:
    now = datetime.now(UTC)
    return Try(sign(desk.unsigned(), desk.issued(now - timedelta(days=1), now + timedelta(days=1))))


@case("certificate expired", "CERTIFICATE-EXPIRED")
def _expired(desk: Desk) -> Try:
    now = datetime.now(UTC)
    return Try(sign(desk.unsigned(), desk.issued(now - timedelta(seconds=1800), now - timedelta(seconds=5))))


@case("certificate not yet valid", "CERTIFICATE-NOT-YET-VALID")
def _too_early(desk: Desk) -> Try:
    now = datetime.now(UTC)
    return Try(sign(desk.unsigned(), desk.issued(now + timedelta(days=1), now + timedelta(days=2))))


@case("unknown CA", "UNKNOWN-CA")
def _unknown_ca(desk: Desk) -> Try:
    now = datetime.now(UTC)
    authority = ec.generate_private_key(ec.SECP256R1())
    return Try(
        sign(
            desk.unsigned(),
            Signer(*_certificate(None, authority, now - timedelta(days=1), now + timedelta(days=1))),
        )
    )


@case("sender not the broker's user's", "SENDER-NOT-ALLOWED")
def _not_yours(desk: Desk) -> Try:
    return Try(desk.good(), user="H26", key="normal.H26")


@case("unknown sender", "UNKNOWN-SENDER")
def _unknown_sender(desk: Desk) -> Try:
    return Try(sign(document(Facts("H99", (TO,))), desk.signer()))


@case("another of the gateway's codes in the key", "BAD-ROUTING-KEY")
def _other_key(desk: Desk) -> Try:
    gateway = desk.axis.gateway("H30")
    return Try(gateway.paper(Facts("H30.10", (TO,))), user="H30", key="normal.H30")


@case("a status by one who is no party", "STATUS-NOT-A-PARTY")
def _no_party(desk: Desk) -> Try:
    return Try(sign(status(desk.known, "H29", "01"), desk.signer("H29")), user="H29", kind="status")


@case("take-back by a stranger", "TAKE-BACK-NOT-YOURS")
def _take_back(desk: Desk) -> Try:
    body = status(desk.known, "H29", "13", addressee=TO, description="gửi nhầm")
    return Try(sign(body, desk.signer("H29")), user="H29", kind="status")


# --- what the package says -----------------------------------------------------------------------------------------------

_of("no recipient", "NO-RECIPIENT", lambda desk: sign(document(Facts(FROM, ())), desk.signer()))
_of(
    "unknown recipient alone",
    "UNKNOWN-RECIPIENT",
    lambda desk: sign(document(Facts(FROM, ("H99",))), desk.signer()),
)
_of(
    "suspended recipient",
    "RECIPIENT-SUSPENDED",
    lambda desk: sign(document(Facts(FROM, ("H26.16",))), desk.signer()),
)
_of(
    "closed recipient with two successors",
    "RECIPIENT-CLOSED",
    lambda desk: sign(document(Facts(FROM, ("H53.32",))), desk.signer()),
)
_of(
    "a code that stands twice",
    "DUPLICATE-VALUE",
    lambda desk: sign(
        _replaced(
            desk.unsigned(), b"<edXML:OrganId>H53<", b"<edXML:OrganId>H26</edXML:OrganId><edXML:OrganId>H53<"
        ),
        desk.signer(),
    ),
)
_of("lower-case code", "BAD-CODE", lambda desk: sign(document(Facts(FROM, ("g22",))), desk.signer()))
_of("code with white space", "BAD-CODE", lambda desk: sign(document(Facts(FROM, (" G22",))), desk.signer()))
_of("empty DocumentId", "EMPTY-DOCUMENT-ID", lambda desk: desk.good(document_id=""))
_of("odd BussinessDocType", "BAD-DOCUMENT-TYPE", lambda desk: desk.good(business="9"))
_of("a state secret", "STATE-SECRET", lambda desk: desk.good(subject="[Tuyệt mật] Về phương án X"))
_of(
    "a state secret by its attachment",
    "STATE-SECRET",
    lambda desk: desk.good(files=(("(Mật) sơ đồ.pdf", b"%PDF"),)),
)
_of(
    "status about nothing",
    "STATUS-UNKNOWN-DOCUMENT",
    lambda desk: sign(status(Facts("H29", (FROM,)), FROM, "01"), desk.signer()),
    kind="status",
)
_of(
    "status with a To",
    "STATUS-HAS-TO",
    lambda desk: sign(
        _inserted(
            status(desk.known, TO, "01"),
            b"<edXML:ResponseFor>",
            b"<edXML:To><edXML:OrganId>H26</edXML:OrganId></edXML:To>",
        ),
        desk.signer(TO),
    ),
    kind="status",
    user=TO,
)
_of(
    "unknown StatusCode",
    "BAD-STATUS-CODE",
    lambda desk: sign(status(desk.known, TO, "07"), desk.signer(TO)),
    kind="status",
    user=TO,
)
_of(
    "StatusCode twice",
    "DUPLICATE-VALUE",
    lambda desk: sign(
        _inserted(
            status(desk.known, TO, "01"), b"<edXML:StatusCode>", b"<edXML:StatusCode>06</edXML:StatusCode>"
        ),
        desk.signer(TO),
    ),
    kind="status",
    user=TO,
)
_of(
    "a status said to be a document",
    "TYPE-MISMATCH",
    lambda desk: sign(status(desk.known, FROM, "01"), desk.signer()),
)

# --- the message -----------------------------------------------------------------------------------------------------------


def _property(name: str, code: str, **how: Any) -> None:
    _of(name, code, Desk.good, **how)


_property("missing message id", "MISSING-TRANSPORT-ID", message_id=None)
_property("upper-case message id", "BAD-TRANSPORT-ID", message_id="A3C5F0B2-0000-4000-8000-00000000ABCD")
_property("nil message id", "BAD-TRANSPORT-ID", message_id=str(uuid.UUID(int=0)))
_property("wrong content type", "WRONG-CONTENT-TYPE", properties={"content_type": "text/xml"})
_property("no content type", "WRONG-CONTENT-TYPE", properties={"content_type": None})
_property("wrong type", "WRONG-TYPE", kind="letter", key=f"normal.{FROM}")
_property("not persistent", "NOT-PERSISTENT", properties={"delivery_mode": 1})
_property("no delivery mode", "NOT-PERSISTENT", properties={"delivery_mode": None})
_property("CC", "CC-FORBIDDEN", headers={"CC": [f"urgent.{FROM}", f"status.{FROM}", "normal.H29"]})
_property("expiration", "EXPIRATION-FORBIDDEN", properties={"expiration": "600000"})
_property("reply_to", "REPLY-TO-FORBIDDEN", properties={"reply_to": "agency.H29"})
_property("content_encoding", "CONTENT-ENCODING-FORBIDDEN", properties={"content_encoding": "gzip"})
_property("a truc- header of its own", "FORBIDDEN-HEADER", headers={"truc-delivery-id": str(uuid.uuid4())})
_property("a truc- header in capitals", "FORBIDDEN-HEADER", headers={"Truc-User": "H29"})
_property("an x- header", "FORBIDDEN-HEADER", headers={"x-delay": 5})
_property("a deadline in the past", "BAD-DEADLINE", headers={"truc-deadline": "2020-01-01T00:00:00Z"})
_property("a deadline that is no time", "BAD-DEADLINE", headers={"truc-deadline": "tomorrow"})
_property("an ordinary document in the urgent lane", "WRONG-LANE", key=f"urgent.{FROM}")
_property("a document in the status lane", "WRONG-LANE", key=f"status.{FROM}")
