"""The corpus: of each oddity, what was written by hand that a reader has to say."""

from __future__ import annotations

import pytest

from adapters.edxml.check import Checked, check
from adapters.edxml.oddities import Oddity
from adapters.edxml.reader import read, survey
from adapters.edxml.repair import SIGNATURE, Action, proposal_of, propose
from adapters.edxml.schema import schema_faults
from adapters.edxml.wording import objection, vietnamese
from adapters.edxml.writer import package_bytes
from relay.errors import RefusedError
from tests.support.edxml_corpus import CORPUS, Case

BY_NAME = {case.name: case for case in CORPUS}
each = pytest.mark.parametrize("case", CORPUS, ids=str)


def told(checked: Checked) -> tuple[set[str], set[str], str]:
    return (
        {one.oddity.value for one in checked.findings},
        {one.code.value for one in checked.faults},
        checked.relay.code.value if checked.relay else "",
    )


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(CORPUS) >= 150
    assert len(BY_NAME) == len(CORPUS)


@each
def test_what_is_said_is_what_was_written_by_hand(case: Case) -> None:
    assert told(check(case.body)) == (set(case.findings), set(case.faults), case.relay)


@each
def test_the_schemas_agree(case: Case) -> None:
    reading = survey(case.body)
    if reading.tree is None:
        return
    strict = not schema_faults(reading.tree, "strict")
    if case.strict is not None:
        assert strict is case.strict, schema_faults(reading.tree, "strict")
    elif not case.findings and not case.faults:
        assert strict
    else:
        assert not strict
    tolerant = schema_faults(reading.tree, "tolerant")
    assert (not tolerant) is case.tolerant, tolerant


@each
def test_a_place_has_its_line_and_path(case: Case) -> None:
    checked = check(case.body)
    if checked.reading.tree is None:
        return
    places = [(one.path, one.line) for one in checked.findings]
    places += [(one.path, one.line) for one in checked.faults]
    for path, line in places:
        assert not path or line >= 1
        assert "{" not in path


@each
def test_a_repair_of_what_can_be_read_is_right_but_for_what_people_have_to_say(case: Case) -> None:
    reading = survey(case.body)
    if reading.faults:
        with pytest.raises(RefusedError):
            read(case.body)
        return
    proposal = proposal_of(reading)
    try:
        body = package_bytes(proposal.package, checked=False)
    except RefusedError:
        assert "BAD-VALUE" in {one.code.value for one in check(case.body).faults}
        return
    again = survey(body)
    assert not again.faults
    left = {one.oddity for one in proposal.left}
    dropped = {Oddity.MISSING} if left or any(one.code == Oddity.EMPTY for one in proposal.changes) else set()
    assert {one.oddity for one in again.findings} <= left | dropped
    if proposal.complete and not left:
        assert not schema_faults(again.tree, "strict")
        assert not again.findings
        assert proposal_of(again).changes == ()


def test_a_repair_says_of_each_change_what_was_done() -> None:
    seen: dict[str, set[Action]] = {}
    for case in CORPUS:
        reading = survey(case.body)
        if not reading.faults:
            for change in proposal_of(reading).changes:
                seen.setdefault(change.code, set()).add(change.action)
    for code in (
        "unknown-element",
        "misspelt",
        "to-repeated",
        "reference-alone",
        "signature-stub",
        SIGNATURE,
    ):
        assert seen[code] == {Action.LEFT_OUT}, code
    for code in ("priority-five", "date-day-first", "order", "base64-folded", "organ-id-space"):
        assert seen[code] == {Action.REWRITTEN}, code
    for code in ("attachment-alone", "business-type-missing", "content-id-missing"):
        assert seen[code] == {Action.ADDED}, code


def test_a_repair_changes_no_byte_of_a_file_and_tells_what_is_odd_about_them() -> None:
    damaged = propose(BY_NAME["a PDF damaged by a text editor"].body)
    assert [one.oddity for one in damaged.left] == [Oddity.PDF_DAMAGED]
    padded = propose(BY_NAME["base64 without padding"].body)
    assert [one.code for one in padded.changes] == ["base64-unpadded"]


def test_all_that_is_said_of_a_place_is_said_in_vietnamese_too() -> None:
    said = 0
    for case in CORPUS:
        checked = check(case.body, "strict")
        details = [one.detail for one in checked.faults] + ([checked.relay.detail] if checked.relay else [])
        for detail in filter(None, details):
            said += 1
            assert vietnamese(detail) != detail, (case.name, detail)
        for fault in checked.schema:
            words = objection(fault.message)
            assert words.vi != words.en, (case.name, fault.message)
            assert not {"[facet", "Expected", "expected"} & set(words.en.split()), fault.message
    assert said > 100
    assert (
        vietnamese("line 3, a/b: Subject stands more than once")
        == "dòng 3, a/b: Subject xuất hiện hơn một lần"
    )
    assert vietnamese("a.edxml: no bytes") == "a.edxml: tệp rỗng"
    assert vietnamese("something that nobody knows") == "something that nobody knows"


def test_each_oddity_of_the_list_is_in_the_corpus() -> None:
    seen = {name for case in CORPUS for name in case.findings}
    assert seen == {one.value for one in Oddity}
