"""Identifier codes in both forms, and the levels that follow from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.directory.wording import of_code
from relay.errors import Code, RefusedError
from relay.model.codes import MAX_LENGTH, depth, form_2016, normal_form, out_of_rank, parent_code
from relay.model.levels import Level, default_level

head = st.builds(
    lambda letter, number: f"{letter}{number:02d}", st.sampled_from("ABCDEFGHIJKW"), st.integers(0, 99)
)


def group(width: int) -> st.SearchStrategy[str]:
    return st.integers(1, 10**width - 1).map(lambda number: f"{number:0{width}d}")


@st.composite
def codes(draw: st.DrawFn) -> str:
    """A normal code that the 2016 form can hold."""
    widths = (2, 2, 3)[: draw(st.integers(0, 3))]
    return ".".join([draw(head), *(draw(group(width)) for width in widths)])


@given(codes())
def test_both_forms_lead_to_the_same_code(code: str) -> None:
    old = form_2016(code)
    assert old is not None
    assert old.count(".") == 3
    assert old.endswith(code.split(".", maxsplit=1)[0])
    assert normal_form(old) == code == normal_form(code)


@given(st.text(max_size=40) | st.text(alphabet="0123456789.ABHKZ -", max_size=40))
def test_anything_else_is_refused_and_nothing_else_is_raised(text: str) -> None:
    try:
        found = normal_form(text)
    except RefusedError as refused:
        found, code = "", refused.code
    else:
        code = Code.OK
    assert code in {Code.OK, Code.BAD_CODE}
    if code is Code.OK:
        assert normal_form(found) == found
        assert len(found) <= MAX_LENGTH
        assert found.isascii()


@given(codes())
def test_the_parent_is_one_group_shorter(code: str) -> None:
    above = parent_code(code)
    assert (above is None) == (depth(code) == 0)
    if above is not None:
        assert code.startswith(above + ".")
        assert depth(above) == depth(code) - 1


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("000.01.15.H26", "H26.15.01"),
        ("000.00.15.H26", "H26.15"),
        ("000.00.00.H26", "H26"),
        ("H26.15.01", "H26.15.01"),
        ("00.12.G09", "G09.12"),
        ("0100109106", "0100109106"),
        ("0100109106-001", "0100109106-001"),
        ("Z01.ABC", "Z01.ABC"),
    ],
)
def test_known_forms(written: str, normal: str) -> None:
    assert normal_form(written) == normal


@pytest.mark.parametrize(
    "written",
    [
        "",
        " H26",
        "H26 ",
        "h26",
        "Н26",
        "H26.",
        ".H26",
        "H26..15",
        "H2",
        "H26.15-01",
        "H26\n",
        "H26.١٥",
        "1.H26",
        "Z00.A",
        "H26" * 12,
    ],
)
def test_what_is_no_code(written: str) -> None:
    with pytest.raises(RefusedError) as caught:
        normal_form(written)
    assert caught.value.code is Code.BAD_CODE


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("", "is empty"),
        (" H26", "white space stands around"),
        ("H26. 15", "character 5 of an identifier code is white space"),
        ("h26.15", "character 1 of an identifier code is a small letter"),
        ("Н26", "character 1 of an identifier code is of another script"),
        ("H26.15/01", "character 7 of an identifier code is none of A-Z"),
        ("H26.15-01", "character 7 of an identifier code is none of A-Z"),
        ("H26" + ".1" * 20, "has 43 characters, at most 35"),
        ("H26..15", "group 2 of an identifier code is empty"),
        ("H26.15.", "group 3 of an identifier code is empty"),
        ("000.1137.H53", "group 2 of an identifier code of the 2016 form has 4 digits, 2 or 3 are due"),
        ("000.A0.13.H53", "group 2 of an identifier code of the 2016 form has other characters"),
        ("000.00.00.00.H53", "has 4 groups, this one 5"),
        ("L26.01", "the letter of group 1: ABCDEFGHIJKW are known"),
        ("000.20.31.L53", "the letter of group 4"),
        ("001.00.20.TT2", "neither the first nor the last group"),
        ("010010910", "10 or 13 digits, this one 9"),
        ("Z00.A", "Z01 to Z99"),
        ("Z01", "behind the scheme's own"),
    ],
)
def test_an_error_says_which_part_is_wrong_in_both_languages(written: str, part: str) -> None:
    with pytest.raises(RefusedError) as caught:
        normal_form(written)
    assert part in caught.value.detail
    assert of_code(caught.value.detail) is not None


@given(st.text(max_size=40))
def test_each_fault_of_a_code_is_in_words(written: str) -> None:
    said = ""
    try:
        normal_form(written)
    except RefusedError as error:
        said = error.detail
    assert not said or of_code(said) is not None, said


@pytest.mark.parametrize(
    ("code", "out"),
    [
        *(("H01", False), ("H63.99", False), ("H64", True), ("H00", True), ("K63", False), ("K64.01", True)),
        *(
            ("G99", False),
            ("G00", True),
            ("B01", False),
            ("B02", True),
            ("D02", True),
            ("I06", False),
            ("I07", True),
        ),
        *(("J99", False), ("A00", True), ("W00", False), ("Z01.H64", False), ("0100109106", False)),
    ],
)
def test_ranks_of_the_decisions(code: str, out: bool) -> None:
    assert normal_form(code) == code
    assert out_of_rank(code) is out


@pytest.mark.parametrize("code", ["H26.15.01.001.9", "H26.ABC", "H26.150", "0100109106", "Z01.A"])
def test_what_the_old_form_cannot_hold(code: str) -> None:
    assert form_2016(code) is None


@pytest.mark.parametrize(
    ("code", "authority", "level"),
    [
        ("G14", None, Level.CENTRAL),
        ("G14.03.02", Level.COMMUNE, Level.CENTRAL),
        ("H26", None, Level.PROVINCE),
        ("H26.29", None, Level.PROVINCE),
        ("H26.29.31", None, Level.PROVINCE),
        ("H26.30", None, Level.DISTRICT),
        ("K26.99", None, Level.DISTRICT),
        ("H53.31.20", None, Level.COMMUNE),
        ("H53.AB", None, Level.PROVINCE),
        ("0100109106", Level.PROVINCE, Level.PROVINCE),
        ("0100109106", None, Level.CENTRAL),
        ("W00.01", Level.DISTRICT, Level.DISTRICT),
    ],
)
def test_default_levels(code: str, authority: Level | None, level: Level) -> None:
    assert default_level(code, authority) is level


@given(codes(), st.sampled_from([None, *Level]))
def test_each_code_has_a_level(code: str, authority: Level | None) -> None:
    assert default_level(code, authority) in set(Level)


def test_the_2016_form_has_the_letters_of_the_other_and_no_group_of_zeros() -> None:
    with pytest.raises(RefusedError):
        normal_form("000.20.31.L53")  # no body has that letter, so the 2020 form could not be read back
    assert form_2016("H53.31.00") is None
