# ruff: noqa: ANN401 -- values of the model and of JSON are of several types
"""A checked package as facts for programs and as lines for people, in Vietnamese and English."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from adapters.edxml.check import Checked, CheckedFile
from adapters.edxml.codelists import meaning
from adapters.edxml.diff import UNREADABLE, Difference
from adapters.edxml.jsonform import as_json
from adapters.edxml.model import Document, Package, SignatureKind
from adapters.edxml.oddities import Fault, Finding, Oddity, oddities
from adapters.edxml.repair import SIGNATURE, Action, Change
from adapters.edxml.rules import Shape, Value, shape_of
from adapters.edxml.schema import SchemaFault
from adapters.edxml.show import one_line
from adapters.edxml.walker import written
from adapters.edxml.wording import objection, vietnamese
from relay.errors import Code, RefusedError
from relay.errors.catalogue import Language, entry

_OWNERS: Final[dict[str, tuple[str, str]]] = {
    "sender": ("đơn vị gửi", "the sending agency"),
    "recipient": ("đơn vị nhận", "the receiving agency"),
    "gateway": ("phần mềm của điểm kết nối", "the gateway's software"),
    "relay": ("trục", "the relay"),
    "operator": ("người vận hành", "the operator"),
}
_SIGNATURES: Final[dict[SignatureKind, tuple[str, str]]] = {
    SignatureKind.NONE: ("không có", "none"),
    SignatureKind.XMLDSIG: (
        "có, chưa kiểm tra ở đây (xem truc verify)",
        "there, not verified here (see truc verify)",
    ),
    SignatureKind.STUB: (
        "chỉ có khung trong không gian tên edXML, không kiểm tra được",
        "a stub in the namespace of edXML, which nobody can verify",
    ),
}
_REWRITE: Final = (
    "viết lại những chỗ này theo docs/edxml.md; truc package repair đề xuất bản đúng",
    "write these places as docs/edxml.md has them; truc package repair proposes a right one",
)
_SIGN_ANEW: Final = (
    "Gói tin viết lại thì chữ ký cũ không còn đúng: phải ký lại.",
    "What is written anew has to be signed anew: the old signature would not hold.",
)
_ACTIONS: Final[dict[Action, tuple[str, str]]] = {
    Action.REWRITTEN: ("viết lại", "rewritten"),
    Action.LEFT_OUT: ("bỏ đi", "left out"),
    Action.ADDED: ("thêm vào", "added"),
}


def two(lang: Language, vi: str, en: str) -> str:
    """Return the text of the language."""
    return vi if lang == "vi" else en


# for programs


def facts(checked: Checked) -> dict[str, Any]:
    """Return all that is known of a package; ``schemas/package-show.schema.json`` describes it."""
    package = checked.reading.package
    return {
        "kind": package.kind.value if package is not None else None,
        "bytes": checked.reading.size,
        "readable": not checked.faults,
        "passed": checked.passed,
        "mode": checked.mode,
        "signature": package.signature.value if package is not None else None,
        "business_type": int(package.business_type) if isinstance(package, Document) else None,
        "package": as_json(package) if package is not None else None,
        "files": [_file(one) for one in checked.files],
        "kept": [
            {"path": one.path, "line": one.line, "xml": one.xml} for one in (package.kept if package else ())
        ],
        "faults": [fault_facts(one) for one in checked.faults],
        "findings": [finding_facts(one) for one in checked.findings],
        "relay": None if checked.relay is None else _refusal(checked.relay),
        "schema": [_objection(one) for one in checked.schema],
    }


def _file(file: CheckedFile) -> dict[str, Any]:
    out = file.examined
    return {
        "name": file.name,
        "written_name": file.written_name,
        "content_type": file.content_type,
        "listed": file.reference is not None,
        "kind": out.kind if out else None,
        "bytes": out.size if out else None,
        "sha256": out.sha256 if out else None,
        "unzipped": out.unzipped if out else None,
    }


def finding_facts(finding: Finding) -> dict[str, Any]:
    """Return a finding with its texts in both languages."""
    one = finding.entry
    return {
        "code": finding.oddity.value,
        "level": one.level,
        "owner": one.owner,
        "line": finding.line,
        "path": finding.path,
        "found": finding.found,
        "read": finding.read,
        "message": dict(one.message),
        "assumed": dict(one.assumed),
        "remedy": dict(one.remedy),
    }


def fault_facts(fault: Fault) -> dict[str, Any]:
    """Return a fault with the texts of its code in both languages."""
    place = {"line": fault.line, "path": fault.path}
    return {**_code(fault.code), **place, "detail": fault.detail, "explained": _explained(fault.detail)}


def _refusal(error: RefusedError) -> dict[str, Any]:
    return {**_code(error.code), "detail": error.detail, "explained": _explained(error.detail)}


def _explained(detail: str) -> dict[str, str]:
    return {"vi": vietnamese(detail), "en": detail}


def _objection(fault: SchemaFault) -> dict[str, Any]:
    said = objection(fault.message)
    return {
        "line": fault.line,
        "owner": "gateway",
        "message": fault.message,
        "explained": {"vi": said.vi, "en": said.en},
    }


def _code(code: Code) -> dict[str, Any]:
    one = entry(code)
    return {
        "code": code.value,
        "owner": one.owner,
        "message": dict(one.message),
        "remedy": dict(one.remedy),
    }


def change_facts(change: Change) -> dict[str, Any]:
    """Return a change that a repair proposes."""
    return {
        "code": change.code,
        "action": change.action.value,
        "path": change.path,
        "line": change.line,
        "before": change.before,
        "after": change.after,
    }


# for people


def page(checked: Checked, lang: Language) -> Iterator[str]:
    """Yield the lines of a page that a person can read."""
    package = checked.reading.package
    if package is not None:
        yield _title(package, lang)
        yield from _lines(package.message_header, shape_of(type(package.message_header)), lang, 1)
        if isinstance(package, Document):
            if package.trace_header_list is not None:
                trace = package.trace_header_list
                yield from _lines(trace, shape_of(type(trace)), lang, 1)
            if checked.files:
                yield "  " + two(lang, "tệp đính kèm:", "attachments:")
            for file in checked.files:
                yield "    " + _file_line(file, lang)
        yield f"  {two(lang, 'chữ ký XML', 'XML signature')}: {two(lang, *_SIGNATURES[package.signature])}"
        for kept in package.kept:
            yield f"  {two(lang, 'giữ nguyên', 'kept')} ({kept.line}, {kept.path}): {one_line(kept.xml)}"
    count = len(checked.findings)
    if checked.faults or count:
        yield two(
            lang,
            f"{len(checked.faults)} lỗi, {count} điểm khác lạ: xem truc package check",
            f"{len(checked.faults)} faults, {count} findings: see truc package check",
        )


def _title(package: Package, lang: Language) -> str:
    if isinstance(package, Document):
        return meaning("BussinessDocType", int(package.business_type), lang)
    code = package.message_header.status_code
    return f"{two(lang, 'Trạng thái', 'Status')} {one_line(str(code))} {meaning('StatusCode', code, lang)}".rstrip()


def _lines(value: Any, shape: Shape, lang: Language, depth: int) -> Iterator[str]:
    for slot in shape.slots:
        held = getattr(value, slot.name)
        if held is None or (isinstance(held, str | tuple) and not held):
            continue
        label = "  " * depth + (slot.rule.vi if lang == "vi" else slot.rule.en)
        for one in held if slot.rule.many else (held,):
            if slot.shape is not None:
                inner = list(_lines(one, slot.shape, lang, depth + 1))
                if inner:
                    yield f"{label}:"
                    yield from inner
                continue
            text = _text(one, slot.rule.tag, slot.rule.value, lang)
            yield f"{label}: {text}"


def _text(value: Any, tag: str, kind: Value, lang: Language) -> str:
    if isinstance(value, bool):
        return two(lang, "có", "yes") if value else two(lang, "không", "no")
    told = meaning(tag, value, lang)
    if kind is Value.TIME:
        return f"{value:%d/%m}/{value.year:04}{value: %H:%M:%S} +07:00"
    if kind is Value.DATE:
        return f"{value:%d/%m}/{value.year:04}"
    return f"{one_line(written(value))}{f' ({told})' if told else ''}"


def _file_line(file: CheckedFile, lang: Language) -> str:
    out = file.examined
    if out is None:
        return f"{file.name}: {two(lang, 'không đọc được', 'unreadable')}"
    zipped = two(lang, ", đã giải nén", ", unzipped") if out.unzipped else ""
    return f"{file.name}  {out.size} B  {out.kind or file.content_type}{zipped}  sha256 {out.sha256}"


def verdict(checked: Checked, lang: Language, advice: Callable[[str], str] = str) -> Iterator[str]:
    """Yield every fault and finding with owner and remedy, and what follows from them.

    ``advice`` returns what is to be told of a remedy of the catalogue; nothing, and its line is left out.
    """
    for fault in checked.faults:
        one = entry(fault.code)
        yield f"{_place(fault.line, fault.path, lang)}{fault.code.value}: {one.message[lang]}"
        detail = _explained(fault.detail)[lang]
        yield from _more(("", detail), one.owner, advice(one.remedy[lang]), lang)
    for finding in checked.findings:
        texts = finding.entry
        mark = two(lang, "lưu ý", "note") if texts.level == "note" else two(lang, "cảnh báo", "warning")
        yield f"{_place(finding.line, finding.path, lang)}{mark} {finding.oddity.value}: {texts.message[lang]}"
        said = " -> ".join(part for part in (finding.found, finding.read) if part)
        yield from _more((texts.assumed[lang], said), texts.owner, texts.remedy[lang], lang)
    if checked.relay is not None and checked.relay.code not in {fault.code for fault in checked.faults}:
        one = entry(checked.relay.code)
        yield two(lang, "trục sẽ từ chối: ", "the relay would refuse it: ") + (
            f"{checked.relay.code.value}: {one.message[lang]}"
        )
        detail = _explained(checked.relay.detail)[lang]
        yield from _more(("", detail), one.owner, advice(one.remedy[lang]), lang)
    if checked.mode == "strict":
        for one_fault in checked.schema:
            plain = objection(one_fault.message)
            yield f"{_place(one_fault.line, '', lang)}strict.xsd: {one_line(two(lang, plain.vi, plain.en))}"
        if checked.schema:
            yield from _more(("", ""), "gateway", two(lang, *_REWRITE), lang)
    yield _conclusion(checked, lang)


def _conclusion(checked: Checked, lang: Language) -> str:
    counts = two(
        lang,
        f"{len(checked.faults)} lỗi, {len(checked.warnings)} cảnh báo, "
        f"{len(checked.findings) - len(checked.warnings)} lưu ý",
        f"{len(checked.faults)} faults, {len(checked.warnings)} warnings, "
        f"{len(checked.findings) - len(checked.warnings)} notes",
    )
    if not checked.passed:
        return two(lang, f"KHÔNG đạt: {counts}", f"NOT passed: {counts}")
    return two(lang, f"đạt: {counts}", f"passed: {counts}")


def _more(said: tuple[str, str], owner: str, remedy: str, lang: Language) -> Iterator[str]:
    assumed, detail = said
    if detail:
        yield f"    {one_line(detail)}"
    if assumed:
        yield f"    {two(lang, 'hiểu là', 'read as')}: {assumed}"
    if remedy:
        yield f"    {two(lang, 'khắc phục', 'remedy')}: {remedy}"
    yield f"    {two(lang, 'phụ trách', 'owner')}: {two(lang, *_OWNERS[owner])}"


def _place(line: int, path: str, lang: Language) -> str:
    parts = ([f"{two(lang, 'dòng', 'line')} {line}"] if line else []) + ([path] if path else [])
    return f"{', '.join(parts)}: " if parts else ""


def difference_line(one: Difference, lang: Language) -> str:
    """Return a difference as a line."""
    nothing = two(lang, "(không có)", "(nothing)")
    left, right = (
        two(lang, "không đọc được: không phải base64", "unreadable: no base64")
        if side == UNREADABLE and one.path.endswith("/content")
        else one_line(side) or nothing
        for side in (one.left, one.right)
    )
    return f"{one_line(one.path) or 'edXML'}: {left} | {right}"


def change_line(one: Change, lang: Language) -> str:
    """Return a proposed change as a line: where, what was done, why."""
    said = " -> ".join(part for part in (one.before, one.after) if part)
    why = two(lang, *_SIGN_ANEW) if one.code == SIGNATURE else oddities()[Oddity(one.code)].message[lang]
    done = f"{two(lang, *_ACTIONS[one.action])}{f' {one_line(said)}' if said else ''}"
    return f"{_place(one.line, one.path, lang)}{done}. {why}"


def left_lines(one: Finding, lang: Language) -> Iterator[str]:
    """Yield what a repair leaves to people: where, what, and what to do."""
    said = f" {one_line(one.found)}" if one.found else ""
    yield f"{_place(one.line, one.path, lang)}{two(lang, 'còn lại', 'left')}{said}. {one.entry.message[lang]}"
    yield f"    {one.entry.remedy[lang]}"


def objection_line(error: RefusedError, lang: Language) -> str:
    """Return why the strict writer would not write a proposal yet."""
    detail = _explained(error.detail)[lang]
    return two(lang, f"chưa đúng chuẩn: {error.code} {detail}", f"not yet right: {error.code} {detail}")


def objection_facts(error: RefusedError) -> dict[str, Any]:
    """Return the same for programs."""
    return _refusal(error)
