"""The page for people beside a case: what the proofs say, in Vietnamese and English, as one HTML file without scripts.

Everything on it is taken from the case and from what checking it came to; whoever doubts the page checks the file, whose
SHA-256 stands on it. What the relay only says, and nothing signed binds, stands in a section of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from shlex import quote
from typing import Any

from cryptography import x509

from relay.evidence.case import Case
from relay.evidence.judging import Checked
from relay.evidence.octets import refuse
from relay.evidence.pagewords import ACTS, CHECKING, KINDS, LIMITS, RECEIPTS, REVOCATION, STATES, STYLE
from relay.evidence.said import Said
from relay.model.delivery import State
from relay.model.evidence import Deliveries, HeldNoted, Judged, ReceiptSealed, Record, Submission
from relay.model.subjects import readable
from relay.model.times import VIETNAM

Texts = Mapping[str, tuple[str, str]]
"""Texts by a code: Vietnamese, English."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The file that the page stands beside."""

    name: str
    sha256: str


def render(case: Case, checked: Checked, beside: Beside, statuses: Texts) -> str:
    """Return the page.

    Args:
        case: the content of the file.
        checked: what ``check_case`` said of it.
        beside: the file's name and SHA-256.
        statuses: what the codes of statuses mean.

    Raises:
        RefusedError: EVIDENCE-MALFORMED: the case's time is none.
    """
    records = [record for _, record, _ in sorted(checked.proven.records, key=lambda one: one[1].at)]
    places = {id(record): (batch.chain.hex[:8], record.seq) for batch, record, _ in checked.proven.records}
    about = _about(case, records)
    names = _names(case)
    parts = [
        *_top(case),
        f"<h1>{_both('Evidence about a document', 'Chứng cứ về một văn bản')}</h1>",
        _result(checked),
        _table([*_first(case), *(_document(about, case, names) if about else ())]),
        *_section(_both("Recipients", "Nơi nhận"), _recipients(about, records, names)),
        *_section(
            _both("What is on record", "Những gì đã được ghi nhận"),
            _table(
                [(_when(record, places[id(record)]), _told(record, names, statuses)) for record in records],
                "log",
            ),
        ),
        *_section(_both("What vouches for it", "Điều gì bảo đảm"), _vouching(checked)),
        *_list(_both("What does not hold", "Những gì không khớp"), checked.faults, "bad"),
        *_list(_both("What was not checked", "Những gì chưa kiểm tra"), checked.notes, ""),
        *_section(
            _both(
                "As the relay says; nothing signed binds this",
                "Theo lời trục; không có chữ ký nào ràng buộc phần này",
            ),
            _unbound(case, names),
        ),
        *_section(
            _both("What this does not prove", "Điều mà chứng cứ này không chứng minh"),
            "<ul>" + "".join(f"<li>{_both(*one)}</li>" for one in LIMITS) + "</ul>",
        ),
        *_section(_both("How to check", "Cách kiểm tra"), _checking(beside)),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _top(case: Case) -> Iterable[str]:
    plain = re.sub(r"[^0-9A-Za-z.-]", "", case.transport_id)  # it stands in the style, where nothing else may
    yield "<!DOCTYPE html>"
    yield '<html lang="vi"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
    )
    yield f"<title>{escape(case.relay)}: {escape(case.transport_id)}</title>"
    yield f"<style>{STYLE.replace('@id@', plain)}</style></head><body><main>"


def _result(checked: Checked) -> str:
    if not checked.ok:
        return f'<p class="box bad">{_both("Something does not hold, see below.", "Có phần không khớp, xem bên dưới.")}</p>'
    if not checked.trusted:
        en, vi = (
            "The proofs hold, but nobody here vouches for the relay's certificate.",
            "Các chứng minh khớp, nhưng ở đây chưa có ai bảo đảm chứng thư của trục.",
        )
        return f'<p class="box doubt">{_both(en, vi)}</p>'
    return (
        '<p class="box good">'
        + _both("Nothing contradicts the proofs.", "Không có gì mâu thuẫn với các chứng minh.")
        + "</p>"
    )


def _first(case: Case) -> Iterable[tuple[str, str]]:
    yield _both("Transport id", "Mã gửi"), _code(case.transport_id)
    yield _both("Relay", "Trục"), escape(case.relay)
    yield _both("Exported", "Ngày xuất"), _time_text(case.exported_at)


# --- the document ------------------------------------------------------------------------------------------------------


def _about(case: Case, records: Sequence[Record]) -> Record | None:
    """The submission that the case is about; one that was accepted before one that somebody else tried under that id."""
    own = [
        (record, record.facts)
        for record in records
        if isinstance(record.facts, Submission) and record.facts.transport_id == case.transport_id
    ]
    return next((record for record, facts in own if not facts.refusal), own[0][0] if own else None)


def _document(about: Record, case: Case, names: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    facts = about.facts
    if not isinstance(facts, Submission):
        return
    yield _both("Sender", "Nơi gửi"), _agency(facts.sender, names) if facts.sender else escape(facts.user)
    yield _both("Kind", "Loại"), _words(KINDS, facts.document_kind)
    yield _both("Document id", "Mã văn bản"), escape(facts.document_id) or "–"
    yield _both("Judged as of", "Thẩm định tại thời điểm"), _time(about.at)
    size = f"{facts.body_bytes:,}".replace(",", ".")
    yield (
        _both("SHA-256 of the file that was sent", "SHA-256 của tệp đã gửi"),
        (f"{_code(facts.body_sha256)}<br>{size} {_both('bytes', 'byte')}"),
    )
    if facts.verdict is not None:
        yield _both("Signature", "Chữ ký"), _verdict(facts.verdict, case)
    if facts.refusal:
        yield _both("Refused", "Bị từ chối"), escape(facts.refusal)


def _verdict(verdict: Judged, case: Case) -> str:
    intact = _both("intact", "nguyên vẹn") if verdict.intact else _both("NOT intact", "KHÔNG nguyên vẹn")
    trusted = (
        _both("signer trusted", "người ký được tin cậy")
        if verdict.trusted
        else _both("signer NOT trusted", "người ký KHÔNG được tin cậy")
    )
    lines = [f"{intact}, {trusted}, {escape(verdict.reason)}"]
    if subject := _subject(case, verdict.certificate_sha256):
        lines.append(escape(readable(subject)))
    if verdict.certificate_sha256:
        lines.append(f"{_both('certificate', 'chứng thư')} {_code(verdict.certificate_sha256)}")
    return "<br>".join(lines)


def _subject(case: Case, sha256: str) -> str:
    """The subject of a certificate in the file, found by the hash that the record binds."""
    for der in case.certificates:
        if hashlib.sha256(der).hexdigest() == sha256:
            try:
                return x509.load_der_x509_certificate(der).subject.rfc4514_string()
            except (ValueError, x509.InvalidVersion):
                return ""
    return ""


def _recipients(about: Record | None, records: Sequence[Record], names: Mapping[str, str]) -> str:
    """Where each delivery stands by the records: the latest word on it."""
    to: dict[str, str] = {}
    stands: dict[str, tuple[datetime, int, State, str]] = {}
    order = tuple(State)

    def moved(at: datetime, delivery: str, state: State, code: str) -> None:
        if delivery not in stands or stands[delivery][:2] <= (at, order.index(state)):
            stands[delivery] = at, order.index(state), state, code

    for record in records:
        facts = record.facts
        if isinstance(facts, Submission):
            if record is about and not facts.refusal:
                for line in facts.lines:
                    to[line.delivery_id] = line.recipient
                    moved(record.at, line.delivery_id, line.state, line.code)
            if facts.effect is not None and facts.effect.move_to is not None and not facts.effect.refusal:
                moved(record.at, facts.effect.delivery_id, facts.effect.move_to, "")
        elif isinstance(facts, Deliveries):
            for move in facts.moves:
                moved(record.at, move.delivery_id, move.state, move.code)
    rows = [
        (
            f"{escape(code)}<br><small>{escape(names.get(code, ''))}</small>",
            (
                f"<strong>{_both(*STATES[stands[delivery][2]])}</strong> {escape(stands[delivery][3])}<br>"
                f"{_time(stands[delivery][0])}<br>{_both('delivery', 'lượt chuyển')} {_code(delivery)}"
            ),
        )
        for delivery, code in to.items()
    ]
    return _table(rows) if rows else ""


# --- the records -------------------------------------------------------------------------------------------------------


def _when(record: Record, place: tuple[str, int]) -> str:
    return f"{_time(record.at)}<br><small>{_both('record', 'bản ghi')} {place[0]} #{place[1]}</small>"


def _told(record: Record, names: Mapping[str, str], statuses: Texts) -> str:
    facts = record.facts
    if isinstance(facts, Submission):
        return _submission(facts, names, statuses)
    if isinstance(facts, Deliveries):
        lines = [
            f"{_both('delivery', 'lượt chuyển')}: {_both(*STATES[move.state])} {escape(move.code)}<br>"
            f"{_code(move.delivery_id)}"
            for move in facts.moves
        ]
        return "<br>".join(lines)
    if isinstance(facts, ReceiptSealed):
        result = _both("accepted", "đã nhận") if facts.accepted else _both("refused", "bị từ chối")
        return (
            f"{_both(*RECEIPTS[facts.kind])} {escape(facts.number)}: {result} {escape(facts.code)} → "
            f"{_agency(facts.to, names)}<br>SHA-256 {_code(facts.sha256)}"
        )
    if isinstance(facts, HeldNoted):
        return f"{_words(ACTS, facts.act)} {escape(facts.code)} {escape(facts.detail)}"
    return escape(type(facts).__name__)


def _submission(facts: Submission, names: Mapping[str, str], statuses: Texts) -> str:
    who = _agency(facts.sender, names) if facts.sender else escape(facts.user)
    body = f"<br>SHA-256 {_code(facts.body_sha256)}"
    if facts.refusal:
        return f"{who}: {_both('refused', 'bị từ chối')}: {escape(facts.refusal)}{body}"
    if facts.effect is not None:
        effect = facts.effect
        vi, en = statuses.get(effect.status, ("", ""))
        meaning = f" {_both(en, vi)}" if vi else ""
        moved = f" → {_both(*STATES[effect.move_to])}" if effect.move_to is not None else ""
        about = f"<br>{_both('delivery', 'lượt chuyển')} {_code(effect.delivery_id)}"
        refused = f" {_both('refused', 'bị từ chối')}: {escape(effect.refusal)}" if effect.refusal else ""
        return f"{who}: {_both('status', 'trạng thái')} {escape(effect.status)}{meaning}{moved}{refused}{about}{body}"
    lines = "".join(
        f"<br>→ {_agency(line.recipient, names)}: {_both(*STATES[line.state])} {escape(line.code)}"
        for line in facts.lines
    )
    same = (
        f"<br>{_both('same content as', 'trùng nội dung với')} {_code(facts.same_content_as)}"
        if facts.same_content_as
        else ""
    )
    return (
        f"{who}: {_both('accepted', 'đã tiếp nhận')}, {_words(KINDS, facts.document_kind)}{lines}{same}{body}"
    )


# --- what vouches ------------------------------------------------------------------------------------------------------


def _vouching(checked: Checked) -> str:
    rows = []
    for place, (head, signer, _) in enumerate(checked.proven.heads):
        under = (
            _both("the records stand under it", "bao trùm các bản ghi trên")
            if place == checked.proven.under
            else ""
        )
        trusted = (
            _both("vouched for", "được bảo đảm")
            if signer.trusted
            else _both("nobody here vouches for it", "ở đây chưa có ai bảo đảm")
        )
        rows.append(
            (
                f"{_both('Head of the log', 'Đầu nhật ký')} {head.number}",
                (
                    f"{_time(head.at)} {under}<br>{_both('root', 'gốc')} {_code(head.root.hex())}<br>"
                    f"{_both('certificate', 'chứng thư')} {_code(signer.certificate.sha256)}: {trusted}"
                ),
            )
        )
    rows += [
        (
            _both("Time-stamp", "Dấu thời gian"),
            f"{_time(one.at)}, {_both('head', 'đầu nhật ký')} {one.head}<br>{escape(one.authority)}",
        )
        for one in checked.time_stamps
    ]
    rows += [
        (
            _both("Witness", "Bên làm chứng"),
            f"{escape(one.witness)}: {_time(one.at)}, {_both('head', 'đầu nhật ký')} {one.head}"
            + (
                "" if one.trusted else f" ({_both('nobody here vouches for it', 'ở đây chưa có ai bảo đảm')})"
            ),
        )
        for one in checked.witnesses
    ]
    if not checked.time_stamps:
        rows.append(
            (
                _both("Time-stamp", "Dấu thời gian"),
                _both("none that was judged", "không có dấu nào đã thẩm định"),
            )
        )
    if not checked.witnesses:
        rows.append((_both("Witness", "Bên làm chứng"), _both("none", "không có")))
    rows.append((_both("Receipts in the file", "Biên nhận trong tệp"), str(checked.receipts)))
    return _table(rows)


def _checking(beside: Beside) -> str:
    how = "".join(f"<p>{_both(*one)}</p>" for one in CHECKING)
    file = _table(
        [
            (_both("File", "Tệp"), _code(beside.name)),
            ("SHA-256", _code(beside.sha256)),
            (
                _both("Command", "Lệnh"),
                _code(f"truc evidence verify {quote(beside.name)} --ca ROOT.pem --head HEAD --file DOCUMENT"),
            ),
        ]
    )
    return file + how


# --- what the relay says -----------------------------------------------------------------------------------------------


def _names(case: Case) -> dict[str, str]:
    """Names of agencies as the directory had them, by code."""
    directory = case.told.get("directory")
    agencies = directory.get("agencies") if isinstance(directory, dict) else None
    found = {}
    for one in agencies if isinstance(agencies, list) else ():
        if isinstance(one, dict) and isinstance(one.get("code"), str):
            name = one.get("name_that_day") or one.get("name")
            found[one["code"]] = name if isinstance(name, str) else ""
    return found


def _unbound(case: Case, names: Mapping[str, str]) -> str:
    rows = [(_code(code), escape(name)) for code, name in sorted(names.items()) if name]
    directory, documents = case.told.get("directory"), case.told.get("documents")
    if isinstance(directory, dict) and directory.get("version"):
        same = (
            _both("the one that judged the document", "chính bản đã dùng khi thẩm định")
            if directory.get("same")
            else _both("another one than judged the document", "khác bản đã dùng khi thẩm định")
        )
        rows.append((_both("Directory", "Danh bạ"), f"{_code(str(directory['version']))}<br>{same}"))
    for one in documents if isinstance(documents, list) else ():
        revocation = _inner(one, "verdict", "revocation")
        if revocation:
            made = str(revocation.get("made_at") or "")
            rows.append(
                (
                    _both("Revocation as known then", "Tình trạng thu hồi được biết khi đó"),
                    f"{_words(REVOCATION, str(revocation.get('state', '')))} {escape(str(revocation.get('source', '')))}"
                    + (f"<br>{_time_text(made)}" if made else ""),
                )
            )
    return _table(rows) if rows else ""


def _inner(value: Any, *keys: str) -> dict[str, Any]:  # noqa: ANN401 - whatever the file tells
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


# --- pieces ------------------------------------------------------------------------------------------------------------


def _section(title: str, content: str) -> Iterable[str]:
    if content:
        yield f"<section><h2>{title}</h2>"
        yield f"{content}</section>"


def _list(title: str, lines: Sequence[Said], kind: str) -> Iterable[str]:
    if lines:
        items = "".join(f"<li>{_both(one.text('en'), one.text('vi'))}</li>" for one in lines)
        yield from _section(title, f'<ul class="{kind}">{items}</ul>')


def _table(rows: Iterable[tuple[str, str]], kind: str = "facts") -> str:
    body = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f'<table class="{kind}">{body}</table>'


def _both(en: str, vi: str) -> str:
    return f'{escape(vi)} <span class="en" lang="en">({escape(en)})</span>'


def _words(texts: Texts, key: str) -> str:
    vi, en = texts.get(key, ("", ""))
    return _both(en, vi) if vi else escape(key)


def _agency(code: str, names: Mapping[str, str]) -> str:
    name = names.get(code, "")
    return f"{escape(code)} {escape(name)}".strip()


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _time(at: datetime) -> str:
    return f'<time datetime="{at.isoformat()}">{at.astimezone(VIETNAM):%d/%m/%Y %H:%M:%S} +07:00</time>'


def _time_text(text: str) -> str:
    try:
        return _time(datetime.fromisoformat(text))
    except ValueError:
        refuse(f"{text!r} is no time")
