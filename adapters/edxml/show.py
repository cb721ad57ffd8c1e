"""Plain facts of a package for people: `truc verify`, the listing of an inbox. Display only; nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.edxml import names
from adapters.edxml.names import q
from relay.model.verdict import Node, SignedView

_LONGEST: Final = 300
_BYTES_OF_FOUR: Final = 3
_NAME: Final = q("OrganName")

STATUS_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "01": ("Đã đến", "arrived"),
    "02": ("Từ chối tiếp nhận", "refused"),
    "03": ("Đã tiếp nhận", "accepted"),
    "04": ("Phân công xử lý", "assigned"),
    "05": ("Đang xử lý", "being processed"),
    "06": ("Hoàn thành", "finished"),
    "13": ("Yêu cầu lấy lại", "asked to give it back"),
    "15": ("Đồng ý lấy lại hoặc cập nhật", "agreed to the take-back or change"),
    "16": ("Từ chối lấy lại hoặc cập nhật", "declined the take-back or change"),
}
PRIORITY_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "0": ("Thường", "normal"),
    "1": ("Khẩn", "urgent"),
    "2": ("Thượng khẩn", "very urgent"),
    "3": ("Hỏa tốc", "express"),
    "4": ("Hỏa tốc hẹn giờ", "express, timed"),
}


@dataclass(frozen=True, slots=True)
class ShownFile:
    """An attachment as declared. ``payload_bytes`` is what the base64 holds, None where the view left it out."""

    name: str
    content_type: str
    payload_bytes: int | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What people want to see of a package, as written, folded to one line and cut to a bearable length."""

    sender: str
    sender_name: str
    recipients: tuple[tuple[str, str], ...]  # code and name; of a status the one addressee
    document_id: str  # of a status: of the document that it is about
    number: str  # "number/notation"
    promulgation_date: str
    type_name: str
    subject: str
    signer: str
    priority: str
    status_code: str
    reason: str
    timestamp: str
    files: tuple[ShownFile, ...]


def shown(view: SignedView) -> Shown:
    """Return the facts of any edXML view, also of one that the relay would refuse; what is absent is empty."""
    header = view.root.first(names.ENVELOPE, names.HEADER, names.MESSAGE_HEADER) or _EMPTY
    is_status = header.first(q("StatusCode")) is not None
    about = (header.first(q("ResponseFor")) or _EMPTY) if is_status else header
    recipients = [about] if is_status else list(header.all(q("To")))
    signer = header.first(q("SignerInfo"))
    return Shown(
        sender=_text(header, "From", "OrganId"),
        sender_name=_text(header, "From", "OrganName"),
        recipients=tuple((_text(party, "OrganId"), _text(party, "OrganName")) for party in recipients),
        document_id=_text(about, "DocumentId"),
        number=_text(about, "Code")
        if is_status
        else "/".join(
            filter(None, (_text(header, "Code", "CodeNumber"), _text(header, "Code", "CodeNotation")))
        ),
        promulgation_date=_text(about, "PromulgationDate")
        if is_status
        else _text(header, "PromulgationInfo", "PromulgationDate"),
        type_name=_text(header, "DocumentType", "TypeName"),
        subject=_text(header, "Subject"),
        signer=" ".join(
            filter(None, (_text(signer, name) for name in ("Competence", "Position", "FullName")))
        ),
        priority=_text(header, "OtherInfo", "Priority"),
        status_code=_text(header, "StatusCode"),
        reason=_text(header, "Description"),
        timestamp=_text(header, "Timestamp"),
        files=tuple(
            _file(node)
            for holder in view.root.all(names.ATTACHMENTS)
            for node in holder.all(names.ATTACHMENT)
        ),
    )


_EMPTY: Final = Node(tag="", text=None, attributes=(), children=())


def _text(node: Node | None, *path: str) -> str:
    found = None if node is None else node.first(*(q(name) for name in path))
    return "" if found is None else one_line(found.text or "")


def one_line(text: str) -> str:
    """Return a text for one line of a terminal: no control or direction characters, white space folded, cut."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    folded = " ".join(plain.split())
    return folded if len(folded) <= _LONGEST else folded[: _LONGEST - 1] + "…"


def _file(node: Node) -> ShownFile:
    payload = node.first(names.PAYLOAD)
    size = None
    if payload is not None and payload.text is not None:
        characters = sum(not character.isspace() and character != "=" for character in payload.text)
        size = characters * _BYTES_OF_FOUR // 4
    return ShownFile(_text(node, "AttachmentName"), _text(node, "ContentType"), size)
