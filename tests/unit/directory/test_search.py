"""Agencies are found as people type: abbreviated, by initials, by an old name; the index is right and in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.directory.file import load
from relay.directory.search import AgencyIndex, _words, fold, search
from relay.model.agency import Agency, FormerName
from relay.model.levels import Level
from relay.resources import shipped

NATIONAL = load(shipped("config/directory/national.yaml")).agencies()
INDEX = AgencyIndex(NATIONAL)


def codes(text: str, limit: int = 20) -> list[str]:
    return [agency.code for agency in INDEX.search(text, limit)]


def test_abbreviations_are_read_in_full() -> None:
    assert codes("UBND tỉnh Tây Ninh") == codes("uy ban nhan dan tinh tay ninh") == ["H53"]
    assert codes("HĐND TP Hà Nội") == ["K26"]
    assert codes("VPCP")[0] == "G22"


def test_initials() -> None:
    assert "G09" in codes("BNV")
    assert codes("bgdvđt") == ["G03"]


def test_old_names_and_other_names() -> None:
    assert codes("nông nghiệp và phát triển nông thôn") == ["G10"]
    named = replace(
        NATIONAL[0], other_names=("Tên dân gian",), short_name="TDG", english_name="Office of the President"
    )
    index = AgencyIndex([named])
    for text in ("dan gian", "tdg", "president", "OFFICE"):
        assert index.search(text) == [named], text


def test_the_order_of_what_fits() -> None:
    made = [
        Agency(code=code, name=name, level=Level.PROVINCE, aliases=aliases)
        for code, name, aliases in (
            ("H01.02.03", "Phòng Y tế", ()),
            ("H01.02", "Sở Y tế", ("H26.77",)),
            ("H02", "Y tế dự phòng", ()),
            ("H01", "Trung tâm y tế H01", ()),
        )
    ]
    index = AgencyIndex(made)
    assert [one.code for one in index.search("H01")] == ["H01", "H01.02", "H01.02.03"]
    assert [one.code for one in index.search("H26.77")] == ["H01.02"]
    assert [one.code for one in index.search("y tế")] == ["H02", "H01", "H01.02", "H01.02.03"]
    assert [one.code for one in index.search("te y")] == ["H01", "H02", "H01.02", "H01.02.03"]
    assert [one.code for one in index.search("du ph")] == ["H02"]
    assert index.search("000.03.02.H01")[0].code == "H01.02.03"


parts = st.sampled_from(["so", "sở", "noi", "vu", "y", "te", "tế", "xa", "an", "binh", "h01", "ubnd", "01"])
names = st.lists(parts, min_size=1, max_size=5).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(names, max_size=40), names)
def test_all_and_only_what_holds_each_word(listed: list[str], asked: str) -> None:
    agencies = [
        Agency(code=f"Z01{number:03d}", name=name, level=Level.CENTRAL) for number, name in enumerate(listed)
    ]
    words = _words(asked)
    expected = {
        agency.code
        for agency in agencies
        if all(any(part.startswith(word) for part in _words(agency.name)) for word in words)
    }
    found = [agency.code for agency in search(agencies, asked, 100)]
    assert len(found) == len(set(found))
    assert expected <= set(found)
    initials = {
        agency.code
        for agency in agencies
        if "".join(part[0] for part in _words(agency.name)).startswith(fold(asked))
    }
    assert set(found) <= expected | initials


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.integers(-1, 5))
def test_whatever_is_typed(text: str, limit: int) -> None:
    assert len(INDEX.search(text, limit)) <= max(limit, 0)


def test_a_former_name_is_the_name_of_its_days() -> None:
    agency = Agency(
        code="G01",
        name="C",
        level=Level.CENTRAL,
        former_names=(FormerName("B", date(2020, 12, 31)), FormerName("A", date(2010, 12, 31))),
    )
    days = (date(2010, 12, 31), date(2011, 1, 1), date(2020, 12, 31), date(2021, 1, 1))
    assert [agency.name_on(day) for day in days] == ["A", "B", "B", "C"]
