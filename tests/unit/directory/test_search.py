"""Agencies are found as people type: abbreviated, by initials, by an old name; the index is right and in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.directory.file import load
from relay.directory.search import AgencyIndex, _in_full, _tokens, search
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


def listed(*entries: tuple[str, str] | tuple[str, str, str]) -> AgencyIndex:
    """Return an index of agencies given by code, name and perhaps parent."""
    return AgencyIndex(
        Agency(
            code=entry[0], name=entry[1], level=Level.PROVINCE, parent=entry[2] if len(entry) > 2 else None
        )
        for entry in entries
    )


def test_names_are_found_by_what_clerks_call_them() -> None:
    index = listed(
        ("H29", "Ủy ban nhân dân thành phố Hồ Chí Minh"),
        ("H53", "Ủy ban nhân dân tỉnh Tây Ninh"),
        ("H53.01", "Văn phòng UBND tỉnh", "H53"),
        ("H53.05", "Sở Kế hoạch và Đầu tư", "H53"),
        ("H53.07", "Sở Lao động - Thương binh và Xã hội", "H53"),
        ("H53.13", "Sở Thông tin và Truyền thông", "H53"),
        ("H53.13.01", "TT Công nghệ thông tin - Sở TTTT", "H53.13"),
    )
    for text, code in {
        "STTTT": "H53.13",
        "Sở TTTT": "H53.13",
        "Sở TT&TT": "H53.13",
        "so tt & tt": "H53.13",
        "tt cntt": "H53.13.01",
        "sở KHĐT": "H53.05",
        "SKHĐT": "H53.05",
        "Sở KH&ĐT": "H53.05",
        "LĐTBXH": "H53.07",
        "VPUBND": "H53.01",
        "VP UBND": "H53.01",
        "TPHCM": "H29",
        "UBND TP HCM": "H29",
        "hcm": "H29",
    }.items():
        assert index.search(text, 1)[0].code == code, text
    assert index.search("UBND TPHN") == []


def test_a_body_is_found_with_the_place_that_stands_only_in_the_name_above_it() -> None:
    index = listed(
        ("H26", "Ủy ban nhân dân thành phố Hà Nội"),
        ("H53", "Ủy ban nhân dân tỉnh Tây Ninh"),
        ("H26.09", "Sở Nội vụ", "H26"),
        ("H53.09", "Sở Nội vụ", "H53"),
        ("H53.09.01", "Ban Tôn giáo", "H53.09"),
        ("H53.31", "UBND huyện Bến Cầu", "H53"),
        ("H53.31.21", "UBND xã An Thạnh", "H53.31"),
    )
    assert [one.code for one in index.search("Sở Nội vụ Tây Ninh")] == ["H53.09"]
    assert [one.code for one in index.search("snv ha noi")] == ["H26.09"]
    assert [one.code for one in index.search("xã An Thạnh, huyện Bến Cầu")] == ["H53.31.21"]
    assert [one.code for one in index.search("tay ninh")] == ["H53"]  # what is below does not count alone
    assert index.search("Sở Nội vụ Bến Cầu") == []


def test_who_is_called_so_comes_before_who_is_called_so_and_more() -> None:
    index = listed(("H01", "Bộ Y tế dự phòng"), ("H01.02", "Bộ Y tế"), ("H02", "Vụ Tổ chức cán bộ"))
    assert [one.code for one in index.search("bộ y tế")] == ["H01.02", "H01"]
    assert [
        one.code for one in listed(("H01", "Bộ Tài chính công"), ("H01.02", "Bộ Tài chính")).search("BTC")
    ] == [
        "H01.02",
        "H01",
    ]


def test_old_names_and_other_names() -> None:
    assert codes("nông nghiệp và phát triển nông thôn") == ["G10"]
    assert codes("ministry of finance") == codes("Bộ Tài chính") == ["G12"]
    assert codes("supreme court") == ["D01"]
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
    words = _in_full(_tokens(asked))
    expected = {
        agency.code
        for agency in agencies
        if all(any(part.startswith(word) for part in _in_full(_tokens(agency.name))) for word in words)
    }
    found = [agency.code for agency in search(agencies, asked, 100)]
    assert len(found) == len(set(found))
    assert expected <= set(found)
    for agency in agencies:
        if agency.code in found:
            parts = _in_full(_tokens(agency.name))
            known = {*parts, *_tokens(agency.name)}
            letters = "".join(part[0] for part in parts)
            assert all(
                any(one.startswith(token) for one in known)
                or token in letters
                or all(any(one.startswith(part) for one in known) for part in _in_full([token]))
                for token in _tokens(asked)
            )


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
