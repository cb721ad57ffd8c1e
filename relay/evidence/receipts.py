"""Receipts as bytes: written in canonical form, sealed, read back and verified (``schemas/receipt.xsd``).

The writer makes exclusive canonical XML by construction (attributes in alphabetical order, no empty-element tags), so
that the digest of a receipt is the hash of its bytes and nothing is parsed to sign one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from relay.errors import Code, RefusedError
from relay.errors.catalogue import entry
from relay.evidence import attachments
from relay.model.inspection import AttachmentVerdict
from relay.model.ports import ReceiptSigner
from relay.model.receipt import LineState, Receipt, ReceiptKind, RecipientLine, SignedReceipt
from relay.model.times import rfc3339
from relay.model.verdict import Node, ParseLimits, SignaturePlace, Verdict
from relay.trust.chain import Purpose, TrustStore
from relay.trust.verifier import DocumentVerifier
from relay.trust.view import unverified

NAMESPACE: Final = "urn:truc:receipt:1"
PLACE: Final = SignaturePlace(root=f"{{{NAMESPACE}}}receipt", path=())
# One line for each of a thousand recipients, each with two messages at most.
LIMITS: Final = ParseLimits(max_bytes=4 * 1024 * 1024)

_XML_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_PLAIN: Final = re.compile(r"[ !#-%'-;=-~]*").fullmatch
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_ATTRIBUTE: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"}
)
_IN_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})


# --- writing ---------------------------------------------------------------------------------------------------------


def write(receipt: Receipt) -> bytes:
    """Return the receipt unsigned, in exclusive canonical form. Characters that XML forbids become U+FFFD."""
    parts = [
        f'<receipt xmlns="{NAMESPACE}"',
        _attributes(
            at=_time(receipt.at),
            code=receipt.code or "",
            kind=receipt.kind.value,
            number=receipt.number,
            relay=receipt.relay,
            result="accepted" if receipt.accepted else "refused",
        ),
        "><document",
        _attributes(
            bytes=str(receipt.body_bytes),
            document_id=receipt.document_id,
            sender=receipt.sender,
            sha256=receipt.body_sha256,
            transport_id=receipt.transport_id,
            type=receipt.document_kind,
        ),
        "></document>",
    ]
    if receipt.verdict is not None:
        parts += _verdict(receipt.verdict)
    for line in receipt.recipients:
        parts += _recipient(line)
    for attachment in receipt.attachments:
        parts += _attachment(attachment)
    if receipt.code is not None:
        known = entry(receipt.code)
        parts += [
            "<error",
            _attributes(code=known.code, owner=known.owner, retryable=_boolean(known.retryable)),
            ">",
            *_messages(receipt.code, receipt.detail),
            "</error>",
        ]
    parts.append("</receipt>")
    return "".join(parts).encode()


def _verdict(verdict: Verdict) -> list[str]:
    return [
        "<verdict",
        _attributes(
            certificate_sha256=verdict.certificate_sha256,
            intact=_boolean(verdict.intact),
            reason=verdict.reason,
            signer=verdict.signer,
            trusted=_boolean(verdict.trusted),
        ),
        "></verdict>",
    ]


def _recipient(line: RecipientLine) -> list[str]:
    parts = [
        "<recipient",
        _attributes(
            at=_time(line.at),
            code=line.code,
            delivery_id=line.delivery_id,
            outcome_code=line.outcome_code or "",
            resolved=line.resolved,
            state=line.state.value,
        ),
        ">",
    ]
    if line.outcome_code is not None and line.detail:
        parts += _messages(line.outcome_code, line.detail)
    parts.append("</recipient>")
    return parts


def _attachment(verdict: AttachmentVerdict) -> list[str]:
    parts = ["<attachment", _attributes(**attachments.attributes(verdict)), ">"]
    parts += [
        _message(language, attachments.of_attachment(verdict, language)) for language in attachments.LANGUAGES
    ]
    for one in verdict.signatures:
        parts += ["<signature", _attributes(**attachments.signature_attributes(one)), ">"]
        parts += [
            _message(language, attachments.of_signature(one, language)) for language in attachments.LANGUAGES
        ]
        parts.append("</signature>")
    parts.append("</attachment>")
    return parts


def _message(language: str, text: str) -> str:
    return f'<message xml:lang="{language}">{_allowed(text).translate(_IN_TEXT)}</message>'


def _messages(code: Code, detail: str) -> Iterable[str]:
    texts = entry(code).message
    for language in ("vi", "en"):
        text = f"{texts[language]} ({detail})" if detail else texts[language]
        yield _message(language, text)


def _attributes(**values: str) -> str:
    """Write attributes; the caller names them in the order of the canonical form."""
    return "".join([f' {name.replace("_", "-")}="{_attribute(value)}"' for name, value in values.items()])


def _attribute(value: str) -> str:
    # most values are codes, ids and times, in which there is nothing to escape
    return value if _PLAIN(value) else _allowed(value).translate(_IN_ATTRIBUTE)


def _allowed(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _time(moment: datetime) -> str:
    return rfc3339(moment)


def sign(
    receipt: Receipt, signer: ReceiptSigner, to: str, correlation_id: str | None, message_id: str
) -> SignedReceipt:
    """Write and seal a receipt.

    Args:
        receipt: what to say.
        signer: the relay's key.
        to: agency or gateway code whose queue it goes to.
        correlation_id: transport id of the submission as sent; None if it had none.
        message_id: the receipt's own AMQP message id.
    """
    return SignedReceipt(
        number=receipt.number,
        kind=receipt.kind,
        accepted=receipt.accepted,
        code=receipt.code or "",
        to=to,
        correlation_id=correlation_id,
        body=signer.seal(write(receipt)),
        message_id=message_id,
        at=receipt.at,
    )


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadLine:
    """What a receipt says of one recipient. Codes are strings: a later relay may know more of them."""

    code: str
    resolved: str
    state: LineState
    outcome_code: str
    delivery_id: str
    at: datetime
    messages: dict[str, str]  # by language; empty unless there is a detail


@dataclass(frozen=True, slots=True)
class ReadVerdict:
    """What a receipt says of the document's signature."""

    intact: bool
    trusted: bool
    signer: str
    certificate_sha256: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadError:
    """Why, who can mend it, and whether the same submission may succeed later."""

    code: str
    owner: str
    retryable: bool
    messages: dict[str, str]  # by language


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """A receipt as read from its bytes."""

    kind: ReceiptKind
    accepted: bool
    relay: str
    number: str
    at: datetime
    code: str
    transport_id: str
    sender: str
    document_kind: str
    body_sha256: str
    body_bytes: int
    document_id: str
    verdict: ReadVerdict | None
    recipients: tuple[ReadLine, ...]
    error: ReadError | None
    attachments: tuple[AttachmentVerdict, ...] = ()


def read(body: bytes) -> ReadReceipt:
    """Read a receipt without checking its signature (for what the registry has stored; else ``verify_receipt``).

    Raises:
        RefusedError: RECEIPT-INVALID: no receipt of this version, or one that says less than it must; or what the
            hardened parser refuses.
    """
    return from_view(unverified(body, PLACE, LIMITS).root)


def from_view(root: Node) -> ReadReceipt:
    """Read a receipt from its (signed) view. Raises ``RefusedError`` RECEIPT-INVALID."""
    try:
        return _read(root)
    except (KeyError, ValueError) as error:
        raise RefusedError(Code.RECEIPT_INVALID, f"not a receipt of version 1: {error}") from error


def _read(root: Node) -> ReadReceipt:
    top = dict(root.attributes)
    documents = list(root.all(_tag("document")))
    verdicts = list(root.all(_tag("verdict")))
    errors = list(root.all(_tag("error")))
    if root.tag != PLACE.root or len(documents) != 1 or len(verdicts) > 1 or len(errors) > 1:
        raise ValueError("wrong elements")
    document = dict(documents[0].attributes)
    return ReadReceipt(
        kind=ReceiptKind(top["kind"]),
        accepted=_choice(top["result"], "accepted", "refused"),
        relay=top["relay"],
        number=top["number"],
        at=_moment(top["at"]),
        code=top["code"],
        transport_id=document["transport-id"],
        sender=document["sender"],
        document_kind=document["type"],
        body_sha256=document["sha256"],
        body_bytes=int(document["bytes"]),
        document_id=document["document-id"],
        verdict=_read_verdict(verdicts[0]) if verdicts else None,
        recipients=tuple(_read_line(node) for node in root.all(_tag("recipient"))),
        error=_read_error(errors[0]) if errors else None,
        attachments=tuple(attachments.read(node, _tag("signature")) for node in root.all(_tag("attachment"))),
    )


def _read_verdict(node: Node) -> ReadVerdict:
    values = dict(node.attributes)
    return ReadVerdict(
        intact=_choice(values["intact"], "true", "false"),
        trusted=_choice(values["trusted"], "true", "false"),
        signer=values["signer"],
        certificate_sha256=values["certificate-sha256"],
        reason=values["reason"],
    )


def _read_line(node: Node) -> ReadLine:
    values = dict(node.attributes)
    return ReadLine(
        code=values["code"],
        resolved=values["resolved"],
        state=LineState(values["state"]),
        outcome_code=values["outcome-code"],
        delivery_id=values["delivery-id"],
        at=_moment(values["at"]),
        messages=_read_messages(node),
    )


def _read_error(node: Node) -> ReadError:
    values = dict(node.attributes)
    return ReadError(
        code=values["code"],
        owner=values["owner"],
        retryable=_choice(values["retryable"], "true", "false"),
        messages=_read_messages(node),
    )


def _read_messages(node: Node) -> dict[str, str]:
    return {message.attribute(_XML_LANG) or "": message.text or "" for message in node.all(_tag("message"))}


def _tag(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def _choice(value: str, yes: str, no: str) -> bool:
    if value not in (yes, no):
        raise ValueError(f"neither {yes} nor {no}")
    return value == yes


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment.astimezone(UTC)


# --- verifying -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReceiptVerification:
    """The verdict on a receipt, and what it says if (and only if) its signature is intact."""

    verdict: Verdict
    receipt: ReadReceipt | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receipt is what a relay that is trusted said."""
        return self.verdict.accepted and self.receipt is not None


class ReceiptVerifier:
    """Verifies receipts against anchors and lists. Safe to use from several threads.

    Raises:
        ConfigurationError: LIBXML-MISMATCH, when made.
    """

    def __init__(self, store: TrustStore) -> None:
        self._verifier = DocumentVerifier(store, LIMITS, purpose=Purpose.RECEIPT)

    def verify(self, body: bytes, at: datetime, relay_name: str | None = None) -> ReceiptVerification:
        """Judge a receipt at a moment (aware). Never raises on any bytes.

        The relay that the receipt names must be the one in the certificate (``urn:truc:relay:<name>``) and, where
        ``relay_name`` is given, that one: else RECEIPT-INVALID. A receipt's own time is what the relay says; nothing
        here vouches for it.
        """
        result, chain = self._verifier.judge(body, PLACE, at)
        if result.view is None or chain is None:
            return ReceiptVerification(result.verdict)
        try:
            receipt = from_view(result.view.root)
        except RefusedError as error:
            return ReceiptVerification(_invalid(result.verdict, error.detail))
        if result.verdict.accepted:
            if receipt.relay != chain.relay:
                return ReceiptVerification(_invalid(result.verdict, "signed by another relay"), receipt)
            if relay_name is not None and receipt.relay != relay_name:
                return ReceiptVerification(
                    _invalid(result.verdict, f"not of the relay {relay_name}"), receipt
                )
        return ReceiptVerification(result.verdict, receipt)


def _invalid(verdict: Verdict, detail: str) -> Verdict:
    if not verdict.accepted:
        return verdict
    return replace(verdict, trusted=False, reason=Code.RECEIPT_INVALID, detail=detail)


def verify_receipt(
    body: bytes, trust_store: TrustStore, at: datetime, relay_name: str | None = None
) -> ReceiptVerification:
    """Verify one receipt; see ``ReceiptVerifier`` (which keeps what it learnt, for many)."""
    return ReceiptVerifier(trust_store).verify(body, at, relay_name)
