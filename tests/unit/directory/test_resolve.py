"""Whom a code means on a day, who may speak for it, and who may sign."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.directory.file import load
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.levels import Level
from relay.model.ports import Directory
from tests.unit.directory.conftest import Write

BEFORE, AFTER = date(2025, 6, 30), date(2025, 7, 1)


def agency(code: str, **more: Any) -> Agency:
    return Agency(code=code, name=f"Agency {code}", level=Level.PROVINCE, **{"gateway": "H01", **more})


def directory(*agencies: Agency) -> Directory:
    return AgencyDirectory.of(agencies, "v")


def closed(code: str, *successors: str) -> Agency:
    return agency(code, valid_to=BEFORE, successors=successors)


@pytest.mark.parametrize("written", ["H26.15.01", "000.01.15.H26", "001.02.03.H99"])
def test_either_form_and_a_listed_alias_lead_to_the_same_agency(written: str) -> None:
    found = directory(agency("H26.15.01", aliases=("001.02.03.H99",))).resolve(written, AFTER)
    assert found.agency is not None
    assert (found.written, found.agency.code, found.refusal) == (written, "H26.15.01", None)


def test_a_listed_alias_beats_the_default_conversion() -> None:
    both = directory(agency("H26.15.01"), agency("H26.16", aliases=("000.01.15.H26",)))
    resolved = both.resolve("000.01.15.H26", AFTER).agency
    assert resolved is not None
    assert resolved.code == "H26.16"
    direct = both.resolve("H26.15.01", AFTER).agency
    assert direct is not None
    assert direct.code == "H26.15.01"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("H27", Code.UNKNOWN_RECIPIENT),
        ("H2", Code.BAD_CODE),
        ("H26 ", Code.BAD_CODE),
        ("", Code.BAD_CODE),
        ("H30", Code.RECIPIENT_SUSPENDED),
        ("H31", Code.RECIPIENT_NOT_SERVED),
        ("H32", Code.RECIPIENT_CLOSED),
        ("H33", Code.UNKNOWN_RECIPIENT),
        ("H34", Code.RECIPIENT_SUSPENDED),
    ],
)
def test_refusals(written: str, code: Code) -> None:
    found = directory(
        agency("H30", admission=Admission.SUSPENDED),
        agency("H31", gateway=None),
        agency("H32", admission=Admission.CLOSED),
        agency("H33", valid_from=date(2026, 1, 1)),
        closed("H34", "H30"),
    ).resolve(written, AFTER)
    assert (found.agency, found.refusal) == (None, code)


def test_the_last_day_of_validity_still_counts() -> None:
    both = directory(closed("H02", "H05"), agency("H05"))
    on_the_day, after = both.resolve("H02", BEFORE), both.resolve("H02", AFTER)
    assert on_the_day.agency is not None
    assert (on_the_day.agency.code, on_the_day.via) == ("H02", ())
    assert after.agency is not None
    assert (after.agency.code, after.via) == ("H05", ("H02",))


def test_successors_are_followed_over_several_steps_but_never_guessed() -> None:
    found = directory(
        closed("H02", "H03"), closed("H03", "H05"), agency("H05"), closed("H06", "H05", "H07"), agency("H07"), closed("H08"),
        closed("H09", "H06"),
    )  # fmt: skip
    chain = found.resolve("000.00.00.H02", AFTER)
    assert chain.agency is not None
    assert (chain.agency.code, chain.via) == ("H05", ("H02", "H03"))
    several = found.resolve("H06", AFTER)
    assert (several.refusal, several.candidates) == (Code.RECIPIENT_CLOSED, ("H05", "H07"))
    none = found.resolve("H08", AFTER)
    assert (none.refusal, none.candidates) == (Code.RECIPIENT_CLOSED, ())
    fork = found.resolve("H09", AFTER)
    assert (fork.candidates, fork.via) == (("H05", "H07"), ("H09", "H06"))


def test_overlapping_beginnings_are_told_apart() -> None:
    found = directory(
        *(agency(code, gateway=code, own_queue=True) for code in ("H05", "H53", "H53.0", "H53.01")),
        agency("H53.31", gateway="H53"),
    )
    speakers = {
        (user, sender)
        for user in ("H05", "H53", "H53.0", "H53.01", "H53.31", "H5", "H", "", "h53")
        for sender in ("H05", "H53", "H53.0", "H53.01", "H53.31", "H53.3", "H99", "")
        if found.may_speak(user, sender)
    }
    assert speakers == {
        ("H05", "H05"),
        ("H53", "H53"),
        ("H53.0", "H53.0"),
        ("H53.01", "H53.01"),
        ("H53", "H53.31"),
    }


def test_an_agency_behind_no_gateway_has_no_speaker() -> None:
    found = directory(agency("H31", gateway=None))
    assert not any(found.may_speak(user, "H31") for user in ("H31", "", "None"))


def test_agency_and_gateway_may_sign_and_nobody_else() -> None:
    own, gate, other = (AgencyCertificate(sha256=name * 32, pem="") for name in ("aa", "bb", "cc"))
    found = directory(
        agency("H01", certificates=(gate,)),
        agency("H01.15", certificates=(own, gate)),
        agency("H01.15.01", gateway="H02"),
        agency("H02", gateway="H02", certificates=(other,)),
        agency("H03", gateway=None, certificates=(own,)),
    )
    assert list(found.signers("H01.15")) == [own, gate]
    assert list(found.signers("H01")) == [gate]
    assert list(found.signers("H01.15.01")) == [other]
    assert list(found.signers("H03")) == [own]
    assert list(found.signers("H99")) == []


def test_a_successor_speaks_for_what_it_took_over_and_only_since_then() -> None:
    found = directory(
        closed("H02", "H03"),
        closed("H03", "H05"),
        agency("H05"),
        closed("H06", "H05", "H07"),
        agency("H07"),
        agency("H08", successors=("H05",)),
    )
    assert found.successor_of("H02", "H02", AFTER)
    assert found.successor_of("H05", "H02", AFTER)
    assert found.successor_of("H03", "H02", AFTER)
    assert not found.successor_of("H05", "H02", BEFORE)
    assert not found.successor_of("H02", "H05", AFTER)
    assert not found.successor_of("H05", "H06", AFTER), "one of several is none"
    assert not found.successor_of("H05", "H08", AFTER), "not closed"
    assert not found.successor_of("H05", "H99", AFTER)


def test_predecessors_are_those_that_a_code_succeeds() -> None:
    found = directory(
        closed("H02", "H03"), closed("H03", "H05"), agency("H05"), closed("H06", "H05", "H07"), agency("H07")
    )
    assert sorted(found.predecessors("H05", AFTER)) == ["H02", "H03"]
    assert list(found.predecessors("H05", BEFORE)) == []
    assert list(found.predecessors("H07", AFTER)) == []


codes = st.sampled_from([f"H{number:02d}" for number in range(1, 7)])


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    """Any graph of successors, also such as the reader would refuse."""
    return directory(
        *(
            agency(
                f"H{number:02d}",
                gateway=draw(st.sampled_from([None, "H01"])),
                valid_to=draw(st.sampled_from([None, BEFORE])),
                successors=tuple(draw(st.lists(codes, max_size=2, unique=True))),
                admission=draw(st.sampled_from(list(Admission))),
            )
            for number in range(1, 6)
        )
    )


@given(directories(), codes | st.text(max_size=12), st.sampled_from([BEFORE, AFTER]))
def test_resolution_always_ends_in_exactly_one_way(found: Directory, written: str, day: date) -> None:
    answer = found.resolve(written, day)
    assert (answer.agency is None) != (answer.refusal is None)
    assert len(set(answer.via)) == len(answer.via)
    if answer.agency is not None:
        assert answer.agency.valid_on(day)
        assert answer.agency.gateway is not None
        assert answer.agency.admission not in {Admission.SUSPENDED, Admission.CLOSED}
        if answer.via:
            assert found.successor_of(answer.agency.code, answer.via[0], day)


@given(directories(), codes, codes, st.sampled_from([BEFORE, AFTER]))
def test_succession_always_ends(found: Directory, one: str, other: str, day: date) -> None:
    assert found.successor_of(one, one, day)
    assert (one in found.predecessors(other, day)) == (one != other and found.successor_of(other, one, day))


def test_what_is_loaded_is_the_port(write: Write) -> None:
    found: Directory = load(write({"code": "H01", "gateway": "H01"}))
    assert found.resolve("H01", AFTER).agency is not None
