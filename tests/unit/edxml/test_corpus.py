"""The corpus: of each oddity, what was written by hand that a reader has to say."""

from __future__ import annotations

import pytest

from adapters.edxml.check import Checked, check
from adapters.edxml.oddities import Oddity
from adapters.edxml.reader import read, survey
from adapters.edxml.repair import proposal_of
from adapters.edxml.schema import schema_faults
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
    dropped = (
        {Oddity.MISSING} if left or any(one.oddity is Oddity.EMPTY for one in proposal.changes) else set()
    )
    assert {one.oddity for one in again.findings} <= left | dropped
    if proposal.complete and not left:
        assert not schema_faults(again.tree, "strict")
        assert not again.findings
        assert proposal_of(again).changes == ()


def test_each_oddity_of_the_list_is_in_the_corpus() -> None:
    seen = {name for case in CORPUS for name in case.findings}
    assert seen == {one.value for one in Oddity}
