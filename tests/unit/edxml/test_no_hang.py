"""The most of everything that the parser lets through takes time in proportion: nothing here is a measure of speed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from adapters.edxml.check import check
from adapters.edxml.diff import differences
from adapters.edxml.reader import survey
from adapters.edxml.repair import proposal_of
from tests.support.edxml_corpus import DOC, REPLACE, edited, el, part

SECONDS = 8.0  # of this process; a tenth is usual, and what grows with the square takes a minute
ATTACHED = DOC[DOC.index("<Attachment>") : DOC.index("</AttachmentEncoded>")]
MANY: dict[str, Callable[[], str]] = {
    "recipients": lambda: edited(DOC, (part(DOC, "To"), el("To", el("OrganId", "G22")) * 9000)),
    "odd recipients": lambda: edited(DOC, (part(DOC, "To"), el("To", el("OrganId", " g22")) * 9000)),
    "unknown elements": lambda: edited(DOC, (part(DOC, "To"), part(DOC, "To") + el("Khac", "x") * 18_000)),
    "replacements": lambda: edited(
        REPLACE, (part(REPLACE, "ReplacementInfo"), part(REPLACE, "ReplacementInfo") * 3900)
    ),
    "attachments of one name": lambda: edited(
        DOC,
        (ATTACHED, "".join(ATTACHED.replace("attachment-1", f"a{number}") for number in range(3900))),
    ),
    "empty references": lambda: edited(DOC, (part(DOC, "Reference"), el("Reference") * 18_000)),
    "answers": lambda: edited(DOC, (part(DOC, "ResponseFor"), el("ResponseFor", el("Code")) * 9000)),
    "white space in an id": lambda: edited(DOC, (">H53,2026,7<", f">a,{' ' * 60_000}b<")),
    "hyphens in an id": lambda: edited(DOC, (">H53,2026,7<", f">{'1-2026-' * 9000}<")),
    "white space behind the root": lambda: DOC + " \n" * 400_000 + "x",
    "comments behind the root": lambda: DOC + "<!-- a -->" * 100_000 + "x",
    "payload tags without an end": lambda: DOC + "<ContentTransferEncoded " * 100_000,
    "undeclared prefixes": lambda: edited(DOC, (part(DOC, "To"), part(DOC, "To") + "<a:b/>" * 9000)),
}


@pytest.mark.parametrize("name", MANY)
def test_many_of_it_are_read_in_time(name: str) -> None:
    body = MANY[name]().encode()
    started = time.process_time()
    checked = check(body)
    assert checked.faults or checked.findings
    reading = survey(body)
    if not reading.faults:
        proposal = proposal_of(reading)
        assert reading.package is not None
        differences(reading.package, proposal.package)
    assert time.process_time() - started < SECONDS
