"""What people and programs are shown of a package: pages, JSON, repairs, differences, names of files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from adapters.edxml import report
from adapters.edxml.check import check
from adapters.edxml.content import Content
from adapters.edxml.diff import differences
from adapters.edxml.jsonform import as_json, from_json
from adapters.edxml.model import Package, SignatureKind
from adapters.edxml.reader import survey
from adapters.edxml.repair import propose
from adapters.edxml.writer import package_bytes
from relay.errors import RefusedError
from relay.errors.catalogue import Language

_LANGUAGES: Final[tuple[Language, ...]] = ("vi", "en")


def fuzz_shown(data: bytes) -> None:
    """Show, judge strictly, repair, write, compare and tell whatever it is; no line can move a terminal's cursor."""
    checked = check(data, "strict")
    json.loads(json.dumps(report.facts(checked)))
    for lang in _LANGUAGES:
        _plain(*report.page(checked, lang), *report.verdict(checked, lang))
    names = [file.name for file in checked.files]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(name not in {"", ".", ".."} and not {"/", "\\", "\0"} & set(name) for name in names)
    package = checked.reading.package
    if checked.faults or package is None:
        return
    _told_again(package)
    try:
        proposal = propose(data)
        body = package_bytes(proposal.package, checked=False)
    except RefusedError:
        return  # a character that XML cannot hold
    for lang in _LANGUAGES:
        for change in proposal.changes:
            _plain(report.change_line(change, lang))
        for finding in proposal.left:
            _plain(*report.left_lines(finding, lang))
        if proposal.objection is not None:
            _plain(report.objection_line(proposal.objection, lang))
    again = survey(body).package
    assert again is not None
    bare = replace(package, signature=SignatureKind.NONE, kept=())
    found = differences(bare, again)
    assert proposal.changes or not found, found
    for lang in _LANGUAGES:
        _plain(*(report.difference_line(one, lang) for one in found))


def _plain(*lines: str) -> None:
    for line in lines:
        assert line.isprintable(), line


def _told_again(package: Package) -> None:
    """What is told as JSON builds the same package, or is refused."""
    told = json.loads(json.dumps(as_json(package)))
    for number, file in enumerate(told.get("Attachment", [])):
        file["File"] = str(number)
    try:
        built = from_json(told, lambda _name: Content.of(b"x"))
    except RefusedError:
        return
    bare = replace(package, signature=SignatureKind.NONE, kept=())
    assert as_json(built)["MessageHeader"] == as_json(bare)["MessageHeader"]
