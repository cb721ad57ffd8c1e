# ruff: noqa: ANN401 -- JSON holds values of several types
"""The model as JSON and back: the standard's element names as keys, absent facts left out.

Dates are ``yyyy-MM-dd``, times RFC 3339 in UTC; when read, the standard's own spelling is taken as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final

from adapters.edxml import values
from adapters.edxml.content import Content
from adapters.edxml.model import (
    Attachment,
    Document,
    MessageHeader,
    Package,
    Reference,
    StatusHeader,
    StatusMessage,
    TraceHeaderList,
)
from adapters.edxml.rules import Shape, Slot, Value, shape_of
from relay.errors import Code, RefusedError
from relay.model.times import rfc3339

_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


def as_json(package: Package) -> dict[str, Any]:
    """Return a package as an object: its parts under their names; attachments without their bytes."""
    header = package.message_header
    parts: dict[str, Any] = {"MessageHeader": _object(header, shape_of(type(header)))}
    if isinstance(package, Document):
        trace = package.trace_header_list
        if trace is not None:
            parts["TraceHeaderList"] = _object(trace, shape_of(TraceHeaderList))
        parts["Reference"] = [_object(one, shape_of(Reference)) for one in package.references]
        parts["Attachment"] = [_object(one, shape_of(Attachment)) for one in package.attachments]
    return parts


def _object(value: Any, shape: Shape) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for slot in shape.slots:
        held = getattr(value, slot.name)
        if held is None or (isinstance(held, str | tuple) and not held):
            continue
        name = slot.rule.within or slot.rule.tag
        result[name] = [_plain(one, slot) for one in held] if slot.rule.many else _plain(held, slot)
    return result


def _plain(value: Any, slot: Slot) -> Any:
    if slot.shape is not None:
        return _object(value, slot.shape)
    if isinstance(value, datetime):
        return rfc3339(value)
    return value.isoformat() if isinstance(value, date) else value


def from_json(raw: Any, content_of: Callable[[str], Content]) -> Package:
    """Return the package that an object tells of.

    Args:
        raw: as ``as_json`` gives it; an ``Attachment`` names its ``File``, ids and manifest may be left out.
        content_of: gives the bytes of a file by the name that stands in ``File``.

    Raises:
        RefusedError: BAD-VALUE or MISSING-VALUE with the place: an unknown name, a value of the wrong sort; what
            ``content_of`` raises.
    """
    parts = _known(raw, "", {"MessageHeader", "TraceHeaderList", "Reference", "Attachment"})
    header = _known(parts.get("MessageHeader"), "MessageHeader", None)
    if "StatusCode" in header:
        _known(raw, "", {"MessageHeader"})
        return StatusMessage(message_header=_built(header, shape_of(StatusHeader), "MessageHeader"))
    trace = parts.get("TraceHeaderList")
    attachments = [
        _attachment(one, index, content_of)
        for index, one in enumerate(_listed(parts.get("Attachment", []), "Attachment"), 1)
    ]
    references = [
        _built(one, shape_of(Reference), f"Reference[{index}]")
        for index, one in enumerate(_listed(parts.get("Reference", []), "Reference"), 1)
    ]
    return Document(
        message_header=_built(header, shape_of(MessageHeader), "MessageHeader"),
        trace_header_list=None
        if trace is None
        else _built(trace, shape_of(TraceHeaderList), "TraceHeaderList"),
        references=tuple(references or listed_of(attachments)),
        attachments=tuple(attachments),
    )


def listed_of(attachments: list[Attachment]) -> list[Reference]:
    """Return the manifest of attachments."""
    return [
        Reference(
            content_id=one.content_id,
            content_type=one.content_type,
            description=one.description,
            attachment_name=one.attachment_name,
        )
        for one in attachments
    ]


def _attachment(raw: Any, index: int, content_of: Callable[[str], Content]) -> Attachment:
    path = f"Attachment[{index}]"
    known = _known(raw, path, None)
    file = known.get("File")
    if not isinstance(file, str) or not file:
        raise RefusedError(Code.MISSING_VALUE, f"{path}: File names no file to attach")
    facts = {name: value for name, value in known.items() if name != "File"}
    built: Attachment = _built(facts, shape_of(Attachment), path)
    return replace(
        built,
        content_id=built.content_id or f"cid:attachment-{index}",
        attachment_name=built.attachment_name or file.replace("\\", "/").rpartition("/")[2],
        content_type=built.content_type or "application/octet-stream",
        content=content_of(file),
    )


def _built(raw: Any, shape: Shape, path: str) -> Any:
    known = _known(raw, path, set(shape.by_name))
    found: dict[str, Any] = {}
    for slot in shape.slots:
        name = slot.rule.within or slot.rule.tag
        if name not in known:
            continue
        here = f"{path}/{name}"
        if slot.rule.many:
            found[slot.name] = tuple(
                _value(one, slot, f"{here}[{index}]")
                for index, one in enumerate(_listed(known[name], here), 1)
            )
        else:
            found[slot.name] = _value(known[name], slot, here)
    return shape.cls(**found)


def _value(raw: Any, slot: Slot, path: str) -> Any:
    if slot.shape is not None:
        return _built(raw, slot.shape, path)
    kind = slot.rule.value
    if kind in {Value.BOOLEAN, Value.FLAG}:
        if isinstance(raw, bool):
            return raw
    elif kind is Value.NUMBER:
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
    elif isinstance(raw, str):
        if kind not in {Value.DATE, Value.TIME}:
            return raw
        value = _day(raw) if kind is Value.DATE else _moment(raw)
        if value is not None:
            return value
    raise RefusedError(Code.BAD_VALUE, f"{path}: no {kind.value}")


def _day(text: str) -> date | None:
    match = _DAY.fullmatch(text)
    value, oddity = values.read_date(text.replace("-", "/") if match else text)
    return value if oddity is None else None


def _moment(text: str) -> datetime | None:
    value, oddity = values.read_time(text)
    if oddity is None:
        return value
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo is not None else None


def _known(raw: Any, path: str, names: set[str] | None) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise RefusedError(
            Code.MISSING_VALUE if raw is None else Code.BAD_VALUE, f"{path or 'package'}: no object"
        )
    strange = sorted(str(name) for name in raw if names is not None and name not in names)
    if strange:
        raise RefusedError(Code.BAD_VALUE, f"{path or 'package'}: unknown {', '.join(strange)[:200]}")
    return raw


def _listed(raw: Any, path: str) -> list[Any]:
    if not isinstance(raw, list):
        raise RefusedError(Code.BAD_VALUE, f"{path}: no list")
    return raw
