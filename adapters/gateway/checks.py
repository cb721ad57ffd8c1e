"""What a gateway checks before it stores: the list of the broker contract, in that order, and nothing softer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from adapters.gateway.ports import Arrived
from relay.broker import names
from relay.errors import Code, RefusedError
from relay.model.envelope import Envelope
from relay.model.message import Incoming, Kind
from relay.model.ports import Directory, PackageFormat, Verifier
from relay.model.times import vietnam_day

KEPT = timedelta(days=90)
"""How long a delivery id is remembered at least, and how old an acceptance may be."""

_SKEW = timedelta(minutes=5)


def check(
    message: Incoming,
    *,
    serves: Callable[[str], bool],
    directory: Directory,
    verifier: Verifier,
    package_format: PackageFormat,
    now: datetime,
) -> Arrived:
    """Return the document or status in ``message`` as what may be stored.

    ``serves`` tells whether mail for a normal code is ours. Signature and codes are judged as of the relay's
    acceptance, so that what was valid then does not turn bad on the way.

    Raises:
        RefusedError: it breaks a rule; it belongs in quarantine.
    """
    headers = message.properties.headers
    kind = Kind(_required(message.properties.type, "type"))
    transport_id = _required(message.properties.message_id, "message_id")
    if message.properties.content_type != package_format.content_type:
        raise RefusedError(Code.WRONG_CONTENT_TYPE, message.properties.content_type or "none")
    delivery_id, sender, recipient, sha256, accepted_at = (
        _header(headers, name)
        for name in (
            names.H_DELIVERY_ID,
            names.H_SENDER,
            names.H_RECIPIENT,
            names.H_SHA256,
            names.H_ACCEPTED_AT,
        )
    )
    if hashlib.sha256(message.body).hexdigest() != sha256:
        raise RefusedError(Code.DIGEST_MISMATCH, "the body is not the one that truc-sha256 names")
    if not serves(recipient):
        raise RefusedError(Code.NO_RECIPIENT, f"truc-recipient {recipient} is not ours")
    at = _as_of(accepted_at, now)
    verification = verifier.verify(message.body, package_format.place(kind), at)
    verdict = verification.verdict
    if not verdict.accepted or verification.view is None:
        raise RefusedError(verdict.reason, verdict.detail)
    if verdict.certificate_sha256 not in {
        item.sha256 for item in directory.signers(sender) if item.signs_at(at)
    }:
        raise RefusedError(
            Code.WRONG_SIGNER, f"certificate {verdict.certificate_sha256[:16]} is not one of {sender}"
        )
    envelope = package_format.read(verification.view, kind)
    if envelope.sender != sender:
        raise RefusedError(Code.WRONG_SIGNER, f"signed From is {envelope.sender}, truc-sender {sender}")
    if not addressed_to(envelope, recipient, directory, at):
        raise RefusedError(Code.NO_RECIPIENT, f"{recipient} is not among the signed recipients")
    reference = envelope.refers_to if kind is Kind.STATUS else None
    return Arrived(
        delivery_id=delivery_id,
        kind=kind,
        agency=recipient,
        sender=sender,
        sender_written=envelope.sender_written,
        transport_id=transport_id,
        sha256=sha256,
        accepted_at=accepted_at,
        received_at=now,
        document_id=reference.document_id if reference else envelope.document_id,
        code=reference.code if reference else document_code(envelope),
        promulgation_date=reference.promulgation_date if reference else envelope.promulgation_date,
        subject=envelope.subject,
        business_type=envelope.business_type,
        priority=envelope.priority,
        body=message.body,
        recipients=tuple(one.written for one in envelope.recipients),
        refers_to=_text(headers.get(names.H_REFERS_TO)),
        status_code=envelope.status_code,
        description=envelope.description,
    )


def document_code(envelope: Envelope) -> str:
    """Return "number/notation" of a document; empty when both are."""
    parts = (envelope.code_number, envelope.code_notation)
    return "/".join(parts) if any(parts) else ""


def addressed_to(envelope: Envelope, recipient: str, directory: Directory, at: datetime) -> bool:
    """Whether ``recipient`` stands in the signed To, under any of its codes, or follows one who does."""
    day = vietnam_day(at)
    for one in envelope.recipients:
        if one.code == recipient or directory.successor_of(recipient, one.code, day):
            return True
        found = directory.resolve(one.written, day).agency
        if found is not None and found.code == recipient:
            return True
    return False


def _as_of(accepted_at: str, now: datetime) -> datetime:
    """Return the time of acceptance, which only the relay writes, or now where it cannot be meant."""
    try:
        at = datetime.fromisoformat(accepted_at)
    except ValueError:
        raise RefusedError(Code.MISSING_VALUE, "truc-accepted-at is not RFC 3339") from None
    if at.tzinfo is None:
        raise RefusedError(Code.MISSING_VALUE, "truc-accepted-at has no offset")
    return at if now - KEPT <= at <= now + _SKEW else now


def _header(headers: Mapping[str, object], name: str) -> str:
    return _required(_text(headers.get(name)), name)


def _required(value: str | None, name: str) -> str:
    if not value:
        raise RefusedError(Code.MISSING_VALUE, f"{name} is missing")
    return value


def _text(value: object) -> str:
    return (
        value.decode("utf-8", "replace")
        if isinstance(value, bytes)
        else value
        if isinstance(value, str)
        else ""
    )
