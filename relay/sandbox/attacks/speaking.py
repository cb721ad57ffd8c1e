"""Who says it, for whom, when, and whether it was said before: what signature and chain alone do not decide."""

# ruff: noqa: PLW0108 -- builders stand below what names them

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from relay.errors import Code
from relay.evidence.receipts import write
from relay.model.delivery import delivery_id
from relay.model.receipt import LineState, Receipt, ReceiptKind, RecipientLine
from relay.model.times import rfc3339
from relay.sandbox.attacks.case import Family, Outcome, Shot, Where
from relay.sandbox.attacks.forge import (
    RECIPIENT,
    SENDER,
    SUSPENDED,
    THIRD,
    Forge,
    Letter,
    between,
    replaced,
)
from relay.sandbox.attacks.papers import DAY, Signer
from relay.trust.sign import ReceiptSealer

SPEAKING: Final = Family("speaking for another", "docs/protocol.md, Sending")
STATUSES: Final = Family("statuses", "docs/protocol.md, Statuses and take-back")
REPLAY: Final = Family(
    "replay", "docs/protocol.md, Sending again; Syverson, A Taxonomy of Replay Attacks (1994)"
)
RECEIPTS: Final = Family("receipts", "docs/protocol.md, What a receipt says")
READER: Final = Family("receipts at their reader", "docs/protocol.md, What a receipt says")
TIME: Final = Family("time", "RFC 5280, section 4.1.2.5; docs/protocol.md, Sending")
DOORS: Final = Family("the broker's doors", "docs/protocol.md, Connecting; docs/topology.md")


# --- speaking for another

_WRONG: Final = Code.WRONG_SIGNER


def _named_by_another(forge: Forge) -> bytes:
    return forge.sign(forge.unsigned(), forge.signer(THIRD))


SPEAKING.add("another agency's certificate, its own key", _WRONG, "verify._speaker_fault", "an agency that signs in another's name", _named_by_another)  # fmt: skip
SPEAKING.add("another agency's good document under one's own user", Code.SENDER_NOT_ALLOWED, "verify._speaker_fault", "a document that was overheard, published anew", lambda forge: Shot(forge.good(), user=THIRD))  # fmt: skip
SPEAKING.add("another agency's good document under one's own user, with its key", Code.SENDER_NOT_ALLOWED, "verify._speaker_fault", "a document that was overheard, published anew where the broker lets a gateway use many codes", lambda forge: Shot(forge.good(), user=THIRD, code=SENDER), where=Where.INSIDE)  # fmt: skip
SPEAKING.add("a certificate that no directory lists", _WRONG, "verify._speaker_fault", "a certificate of the right authority for another use", lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(enrol=False)))  # fmt: skip
SPEAKING.add("a certificate that bears another's name", _WRONG, "verify._speaker_fault", "readers that believe the subject's name", lambda forge: Shot(forge.sign(forge.unsigned(Letter(sender=RECIPIENT, to=(THIRD,))), forge.papers.signer(code=RECIPIENT, enrol=False)), user=RECIPIENT), source="docs/directory.md")  # fmt: skip
SPEAKING.add("a sender whom nobody knows", Code.UNKNOWN_SENDER, "verify._speaker_fault", "an agency that does not exist", lambda forge: forge.sign(forge.unsigned(Letter(sender="H96"))))  # fmt: skip
SPEAKING.add("a sender in the older form of another's code", _WRONG, "verify._speaker_fault", "readers that know one of the two forms", lambda forge: forge.sign(forge.unsigned(Letter(sender="000.00.00." + RECIPIENT))), source="docs/directory.md")  # fmt: skip
SPEAKING.add("the other's certificate added as a second", _WRONG, "verify._speaker_fault", "readers that take any of the certificates for the signer's", lambda forge: forge.sign(forge.unsigned(Letter(sender=RECIPIENT, to=(THIRD,))), Signer(forge.signer(THIRD).key, (*forge.signer(THIRD).chain, forge.signer(RECIPIENT).chain[0]))))  # fmt: skip
SPEAKING.add("another's code in the routing key", Code.BAD_ROUTING_KEY, "verify.judge", "lanes and rights of another agency", lambda forge: Shot(forge.good(), code=THIRD), where=Where.INSIDE)  # fmt: skip
SPEAKING.add("a document in the urgent lane that is not urgent", Code.WRONG_LANE, "route.route", "going before everybody else", lambda forge: Shot(forge.good(), lane="urgent"))  # fmt: skip
SPEAKING.add("a document in the lane of statuses", Code.WRONG_LANE, "accept._refusal", "documents without a deadline and a receipt", lambda forge: Shot(forge.good(), lane="status"))  # fmt: skip
SPEAKING.add("an agency that is suspended", Code.SENDER_SUSPENDED, "admission.may_send", "an agency that has lost its right to send", lambda forge: Shot(forge.sign(forge.unsigned(Letter(sender=SUSPENDED)), forge.papers.signer(code=SUSPENDED)), user=SUSPENDED), where=Where.INSIDE)  # fmt: skip
SPEAKING.add("a retry that the relay never made", Code.NO_USER, "accept._from_due", "a document that the relay believes to have judged before", lambda forge: Shot(forge.good(), key="due", headers={"truc-user": SENDER, "truc-lane": "normal", "truc-attempt": "1", "truc-first-seen": rfc3339(forge.now)}), where=Where.INSIDE)  # fmt: skip
SPEAKING.add("a message that the broker vouches for nobody", Code.NO_USER, "accept.accept", "a document without anybody to answer for it", lambda forge: Shot(forge.good(), nameless=True), where=Where.INSIDE)  # fmt: skip
SPEAKING.add("no transport id", Code.MISSING_TRANSPORT_ID, "accept.transport_id_fault", "a document that cannot be told from its repetition", lambda forge: Shot(forge.good(), transport_id=""))  # fmt: skip
SPEAKING.add("a transport id in capitals", Code.BAD_TRANSPORT_ID, "accept.transport_id_fault", "one id in two spellings", lambda forge: Shot(forge.good(), transport_id=str(uuid.uuid4()).upper()), source="docs/protocol.md, Sending")  # fmt: skip
SPEAKING.add("headers of the relay's own", Code.FORBIDDEN_HEADER, "accept._header_fault", "a delivery id or user that the relay believes", lambda forge: Shot(forge.good(), headers={"truc-user": THIRD, "truc-attempt": "1"}))  # fmt: skip
SPEAKING.add("copies to other queues", Code.CC_FORBIDDEN, "accept._header_fault", "RabbitMQ's sender-selected distribution", lambda forge: Shot(forge.good(), headers={"CC": [f"status.{SENDER}"]}), source="RabbitMQ, Sender-selected Distribution")  # fmt: skip


# --- statuses


def _told(
    reporter: str,
    code: str,
    *,
    user: str = "",
    signer: str = "",
    **how: Any,  # noqa: ANN401
) -> Callable[[Forge], tuple[Shot, ...]]:
    """A good document from sender to recipient, then a status about it."""

    def build(forge: Forge) -> tuple[Shot, ...]:
        letter = Letter()
        first = Shot(forge.good(letter))
        status = forge.sign(forge.status(letter, code, reporter, **how), forge.signer(signer or reporter))
        return first, Shot(status, user=user or reporter, kind="status", about=first.transport_id)

    return build


def _changed(code: str, old: str, new: str) -> Callable[[Forge], tuple[Shot, ...]]:
    def build(forge: Forge) -> tuple[Shot, ...]:
        letter = Letter()
        first = Shot(forge.good(letter))
        status = forge.sign(
            replaced(forge.status(letter, code, RECIPIENT), old, new), forge.signer(RECIPIENT)
        )
        return first, Shot(status, user=RECIPIENT, kind="status", about=first.transport_id)

    return build


def _about_nothing(forge: Forge) -> Shot:
    body = forge.status(Letter(document_id=""), "01", RECIPIENT)
    for start, end in ((b"<edXML:Code>", b"</edXML:Code>"), (b"<edXML:DocumentId>", b"</edXML:DocumentId>")):
        if start in body:
            body = replaced(body, between(body, start, end), b"")
    return Shot(forge.sign(body, forge.signer(RECIPIENT)), user=RECIPIENT, kind="status")


STATUSES.add("a third agency says that it was received", Code.STATUS_NOT_A_PARTY, "statuses.decide", "a document that is told as delivered and was not", _told(THIRD, "01"))  # fmt: skip
STATUSES.add("a third agency refuses it", Code.STATUS_NOT_A_PARTY, "statuses.decide", "a document that is told as refused", _told(THIRD, "02"))  # fmt: skip
STATUSES.add("the sender says that it was received", Code.STATUS_NOT_A_PARTY, "statuses.decide", "proof of a delivery that never was", _told(SENDER, "01", addressee=SENDER))  # fmt: skip
STATUSES.add("in the recipient's name by a third", _WRONG, "verify._speaker_fault", "a document that is told as delivered and was not", _told(RECIPIENT, "01", user=THIRD, signer=THIRD))  # fmt: skip
STATUSES.add("the recipient's own, published by a third", Code.SENDER_NOT_ALLOWED, "verify._speaker_fault", "a status that was overheard, told anew", _told(RECIPIENT, "03", user=THIRD))  # fmt: skip
STATUSES.add("a take-back by a third", Code.TAKE_BACK_NOT_YOURS, "statuses.decide", "documents of others, called back", _told(THIRD, "13", addressee=RECIPIENT, description="gửi nhầm"))  # fmt: skip
STATUSES.add("consent to a take-back that nobody asked for", Code.STATUS_WITHOUT_REQUEST, "statuses.decide", "a document that is told as withdrawn", _told(RECIPIENT, "15"))  # fmt: skip
STATUSES.add("with a To", Code.STATUS_HAS_TO, "format._status", "a status that reaches others", _changed("01", "<edXML:ResponseFor>", f"<edXML:To><edXML:OrganId>{THIRD}</edXML:OrganId></edXML:To><edXML:ResponseFor>"))  # fmt: skip
STATUSES.add("two status codes", Code.DUPLICATE_VALUE, "fields.check_single", "which of them is meant", _changed("01", "<edXML:StatusCode>", "<edXML:StatusCode>02</edXML:StatusCode><edXML:StatusCode>"))  # fmt: skip
STATUSES.add("a status code that there is not", Code.BAD_STATUS_CODE, "format._status", "readers that take it for something", _told(RECIPIENT, "99"))  # fmt: skip
STATUSES.add("a status said to be a document", Code.TYPE_MISMATCH, "format._document", "a status that gets a deadline, and goes where To says", lambda forge: Shot(forge.sign(forge.status(Letter(), "01", SENDER), forge.signer(SENDER))))  # fmt: skip
STATUSES.add("a document said to be a status", Code.TYPE_MISMATCH, "format._status", "a document without a deadline", lambda forge: Shot(forge.good(), kind="status"))  # fmt: skip
STATUSES.add("about no document", Code.MISSING_VALUE, "format._status", "a status that fits any document", lambda forge: _about_nothing(forge))  # fmt: skip
STATUSES.add("without a status code", Code.MISSING_VALUE, "format._status", "a status that says nothing", _changed("01", "<edXML:StatusCode>01</edXML:StatusCode>", ""))  # fmt: skip
STATUSES.add("with an attachment", Code.TYPE_MISMATCH, "format._status", "a document that goes as a status", _changed("01", "</edXML:edXMLEnvelope>", "</edXML:edXMLEnvelope><AttachmentEncoded><Attachment></Attachment></AttachmentEncoded>"))  # fmt: skip
STATUSES.add("a look-alike StatusCode in another namespace", Code.DUPLICATE_VALUE, "fields.check_single", "readers that look at local names", _changed("01", "<edXML:StatusCode>", '<x:StatusCode xmlns:x="urn:x">02</x:StatusCode><edXML:StatusCode>'))  # fmt: skip


# --- replay


def _again(**changes: Any) -> Callable[[Forge], tuple[Shot, ...]]:  # noqa: ANN401
    def build(forge: Forge) -> tuple[Shot, ...]:
        first = Shot(forge.good())
        return first, replace(first, **changes)

    return build


def _other_bytes(forge: Forge) -> tuple[Shot, ...]:
    first = Shot(forge.good())
    return first, replace(first, body=forge.good(subject="Nội dung khác"))


def _same_but_signature(forge: Forge) -> tuple[Shot, ...]:
    """The same content with another value of the same key: ECDSA has as many as one likes."""
    body = forge.unsigned()
    first = Shot(forge.sign(body))
    return first, replace(first, body=forge.sign(body))


def _other_high(forge: Forge) -> tuple[Shot, ...]:
    """N - s for s: anybody can write this second value, without the key."""
    body = forge.unsigned()
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    kept: list[bytes] = []

    def remember(key: Any, octets: bytes, name: str) -> bytes:  # noqa: ANN401
        from relay.sandbox.attacks.forge import value_of

        kept.append(value_of(key, octets, name))
        return kept[0]

    def other(_key: Any, _octets: bytes, _name: str) -> bytes:  # noqa: ANN401
        return kept[0][:32] + (order - int.from_bytes(kept[0][32:], "big")).to_bytes(32, "big")

    first = Shot(forge.sign(body, value=remember))
    return first, replace(first, body=forge.sign(body, value=other))


def _status_again(forge: Forge) -> tuple[Shot, ...]:
    letter = Letter()
    first = Shot(forge.good(letter))
    status = forge.sign(forge.status(letter, "03", RECIPIENT), forge.signer(RECIPIENT))
    told = Shot(status, user=RECIPIENT, kind="status", about=first.transport_id)
    return (
        first,
        told,
        replace(told, body=forge.sign(forge.status(letter, "04", RECIPIENT), forge.signer(RECIPIENT))),
    )


REPLAY.add("the same bytes under another id", Code.SAME_CONTENT, "registry: the unique key", "a second delivery", _again(transport_id=str(uuid.uuid4())), outcome=Outcome.REPEATED)  # fmt: skip
REPLAY.add(
    "the same bytes under the same id",
    "",
    "registry: the unique key",
    "a second delivery",
    _again(),
    outcome=Outcome.REPEATED,
)
REPLAY.add("other bytes under the same id", Code.ID_REUSED, "registry: the unique key", "a document put in the place of another", _other_bytes)  # fmt: skip
REPLAY.add("another value of the same signature under the same id", Code.ID_REUSED, "registry: the unique key", "a document put in the place of another", _same_but_signature)  # fmt: skip
REPLAY.add("the other s of the same signature under the same id", Code.ID_REUSED, "registry: the unique key", "a value that anybody can make of the first, without the key", _other_high, source="BIP 62; SEC 1, section 4.1.4")  # fmt: skip
REPLAY.add("the same bytes by another user", Code.SENDER_NOT_ALLOWED, "verify._speaker_fault", "a document that was overheard, published anew", _again(user=THIRD))  # fmt: skip
REPLAY.add("the same bytes by another user under another id", Code.SENDER_NOT_ALLOWED, "verify._speaker_fault", "a document that was overheard, published anew", _again(user=THIRD, transport_id=str(uuid.uuid4())))  # fmt: skip
REPLAY.add("a document as the status that answers it", Code.TYPE_MISMATCH, "format._status", "a message reflected to who sent it", _again(kind="status", transport_id=str(uuid.uuid4())))  # fmt: skip
REPLAY.add("another status under the id of the first", Code.ID_REUSED, "registry: the unique key", "a status put in the place of another", _status_again)  # fmt: skip


# --- receipts


def _receipt(forge: Forge) -> Receipt:
    digest = "ab" * 32
    return Receipt(
        kind=ReceiptKind.ACKNOWLEDGEMENT,
        accepted=True,
        relay="truc-dev",
        number="w1-1",
        at=forge.now,
        code=None,
        transport_id=str(uuid.UUID(int=7)),
        sender=SENDER,
        document_kind="edoc",
        body_sha256=digest,
        body_bytes=1,
        document_id="x",
        verdict=None,
        recipients=(
            RecipientLine(
                RECIPIENT,
                RECIPIENT,
                LineState.QUEUED,
                None,
                delivery_id(SENDER, digest, RECIPIENT),
                forge.now,
            ),
        ),
    )


def _pem(chain: tuple[bytes, ...]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in chain)


def _relays(forge: Forge, *, key: Any = None) -> Signer:  # noqa: ANN401
    """A relay's certificate, right in all but that it is not this relay's; listed for the sender even."""
    names = [x509.UniformResourceIdentifier("urn:truc:relay:truc-dev")]
    return forge.papers.signer(key=key, extra=[(x509.SubjectAlternativeName(names), False)])


def _sealed(forge: Forge, *, by_relay: bool) -> bytes:
    signer = _relays(forge) if by_relay else forge.signer()
    return ReceiptSealer(signer.key, _pem(signer.chain)).seal(write(_receipt(forge)))


RECEIPTS.add("a receipt published as a document", Code.WRONG_ROOT, "parse.check_root", "a receipt that is passed on as if it were mail", lambda forge: _sealed(forge, by_relay=True))  # fmt: skip
RECEIPTS.add("a receipt published as a status", Code.WRONG_ROOT, "parse.check_root", "a receipt reflected to who sent it", lambda forge: Shot(_sealed(forge, by_relay=True), kind="status"))  # fmt: skip
RECEIPTS.add("a receipt published as a receipt", Code.WRONG_TYPE, "accept._refusal", "a receipt that reaches another gateway through the relay", lambda forge: Shot(_sealed(forge, by_relay=True), kind="receipt", lane="normal"))  # fmt: skip
RECEIPTS.add("a receipt that an agency made", Code.WRONG_ROOT, "parse.check_root", "a forged receipt that is passed on", lambda forge: _sealed(forge, by_relay=False))  # fmt: skip
RECEIPTS.add("a document that the relay's key signed", Code.BAD_CERTIFICATE, "path.check_relay", "the relay's key used to speak for an agency", lambda forge: forge.sign(forge.unsigned(), _relays(forge)))  # fmt: skip
RECEIPTS.add("a receipt inside a document, signed along", Code.MANY_SIGNATURES, "signature.check_one_signature", "readers that find a receipt anywhere", lambda forge: forge.with_insert("<edXML:TraceHeaderList>", _sealed(forge, by_relay=True)))  # fmt: skip


def _forged(**how: Any) -> Callable[[Forge], Shot]:  # noqa: ANN401
    """A receipt that somebody puts before a gateway: what its reader has to refuse."""

    def build(forge: Forge) -> Shot:
        body = write(_receipt(forge))
        signer = how["signer"](forge) if "signer" in how else _relays(forge)
        sealed = ReceiptSealer(signer.key, _pem(signer.chain)).seal(body)
        change = how.get("change")
        return Shot(change(sealed) if change else sealed, kind="receipt", exchange="receipts", key=SENDER)

    return build


def _named(*urns: str) -> Callable[[Forge], Signer]:
    names = [x509.UniformResourceIdentifier(urn) for urn in urns]
    return lambda forge: forge.papers.signer(extra=[(x509.SubjectAlternativeName(names), False)])


_READ: Final = "a sender who believes to be answered"
READER.add("signed by an agency", Code.BAD_CERTIFICATE, "path.check_relay", _READ, _forged(signer=lambda forge: forge.signer(THIRD)), where=Where.INSIDE)  # fmt: skip
READER.add("signed by another relay", Code.RECEIPT_INVALID, "receipts.ReceiptVerifier.verify", _READ, _forged(signer=_named("urn:truc:relay:other")), where=Where.INSIDE)  # fmt: skip
READER.add("signed by one who is two relays", Code.BAD_CERTIFICATE, "certificate.relay_name", _READ, _forged(signer=_named("urn:truc:relay:truc-dev", "urn:truc:relay:other")), where=Where.INSIDE)  # fmt: skip
READER.add("signed by nobody whom anybody knows", Code.UNKNOWN_CA, "path._Builder.paths", _READ, _forged(signer=lambda forge: _stranger(forge)), where=Where.INSIDE)  # fmt: skip
READER.add("refused turned into accepted", Code.DIGEST_MISMATCH, "verifier.check_digest", _READ, _forged(change=lambda body: replaced(body, 'result="accepted"', 'result="refused"')), where=Where.INSIDE)  # fmt: skip
READER.add("the transport id of another document", Code.DIGEST_MISMATCH, "verifier.check_digest", _READ, _forged(change=lambda body: replaced(body, str(uuid.UUID(int=7)), str(uuid.UUID(int=8)))), where=Where.INSIDE)  # fmt: skip
READER.add("a false one around the true one", Code.MANY_SIGNATURES, "signature.check_one_signature", _READ, _forged(change=lambda body: replaced(body, "<document ", body + b"<document ")), where=Where.INSIDE, source="McIntosh and Austel (2005)")  # fmt: skip
READER.add("without a signature", Code.UNSIGNED, "signature.check_signed", _READ, _forged(change=lambda body: replaced(body, between(body, b"<Signature ", b"</Signature>"), b"")), where=Where.INSIDE)  # fmt: skip


def _stranger(forge: Forge) -> Signer:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:truc:relay:truc-dev")])
    return forge.papers.signer(forge.papers.authority("Stranger", listed=False), extra=[(names, False)])


# --- time


def _dated(begin: timedelta, end: timedelta) -> Callable[[Forge], bytes]:
    return lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(begin=begin, end=end))


def _due(written: Callable[[Forge], str]) -> Callable[[Forge], Shot]:
    return lambda forge: Shot(forge.good(), headers={"truc-deadline": written(forge)})


TIME.add("a certificate that has ended", Code.CERTIFICATE_EXPIRED, "path.Path.at", "a key that is no longer looked after", _dated(-20 * DAY, -timedelta(seconds=5)))  # fmt: skip
TIME.add("a certificate of tomorrow", Code.CERTIFICATE_NOT_YET_VALID, "path.Path.at", "a clock that is put forward", _dated(DAY, 30 * DAY))  # fmt: skip
TIME.add("a certificate that ended long ago, in a document dated then", Code.CERTIFICATE_EXPIRED, "path.Path.at", "dates that the signer writes himself", lambda forge: forge.sign(replaced(forge.unsigned(), "2026/03/02", "2019/03/02"), forge.papers.signer(begin=-4000 * DAY, end=-3000 * DAY)))  # fmt: skip
TIME.add("a signing time of the signer's own", Code.SIGNATURE_MALFORMED, "signature.check_children", "readers that believe XAdES SigningTime", lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(begin=-20 * DAY, end=-DAY), more_children=f'<Object><QualifyingProperties xmlns="http://uri.etsi.org/01903/v1.3.2#"><SigningTime>{rfc3339(forge.now - 10 * DAY)}</SigningTime></QualifyingProperties></Object>'), source="ETSI EN 319 132-1, section 5.2.1")  # fmt: skip
TIME.add("a deadline in the past", Code.BAD_DEADLINE, "accept.accept", "notices without end", _due(lambda forge: rfc3339(forge.now - DAY)))  # fmt: skip
TIME.add("a deadline in a hundred years", Code.BAD_DEADLINE, "accept.accept", "rows that nobody ever sweeps", _due(lambda forge: rfc3339(forge.now + 36_500 * DAY)))  # fmt: skip
TIME.add("a deadline in a minute", Code.BAD_DEADLINE, "accept.accept", "notices without a cause", _due(lambda forge: rfc3339(forge.now + timedelta(minutes=1))))  # fmt: skip
TIME.add("a deadline without an offset", Code.BAD_DEADLINE, "accept.accept", "hours that differ between two readers", _due(lambda _forge: "2099-01-01T00:00:00"), source="RFC 3339, section 4.4")  # fmt: skip


# --- the broker's doors: what no worker ever sees

DOORS.add("another's user id", "406", "broker: user id", "a message that the broker vouches for in another's name", lambda forge: Shot(forge.good(), claims=THIRD), where=Where.OUTSIDE, outcome=Outcome.CLOSED, source="RabbitMQ, Validated User-ID")  # fmt: skip
DOORS.add("another's routing key", "403", "broker: topic permission", "lanes and rights of another agency", lambda forge: Shot(forge.good(), code=THIRD), where=Where.OUTSIDE, outcome=Outcome.CLOSED)  # fmt: skip
DOORS.add("straight to the recipients' exchange", "403", "broker: permission", "a delivery that no relay has seen", lambda forge: Shot(forge.good(), exchange="level.province", key=RECIPIENT), where=Where.OUTSIDE, outcome=Outcome.CLOSED)  # fmt: skip
DOORS.add("straight to the exchange of receipts", "403", "broker: permission", "a forged receipt in another's queue", lambda forge: Shot(_sealed(forge, by_relay=True), kind="receipt", exchange="receipts", key=RECIPIENT), where=Where.OUTSIDE, outcome=Outcome.CLOSED)  # fmt: skip
DOORS.add("straight to the relay's own retries", "403", "broker: permission", "a document that the relay believes to have judged before", lambda forge: Shot(forge.good(), exchange="due", key="x", headers={"truc-user": THIRD}), where=Where.OUTSIDE, outcome=Outcome.CLOSED)  # fmt: skip
