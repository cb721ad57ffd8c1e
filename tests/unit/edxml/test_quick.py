"""The short way and the long way to a value agree: what the short one takes, the long one reads alike without a word."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.edxml import model
from adapters.edxml.quick import FILLERS, ODD
from adapters.edxml.rules import Slot, Value, shape_of
from adapters.edxml.walker import Walker

CLASSES = [
    value
    for value in vars(model).values()
    if isinstance(value, type)
    and value.__module__ == model.__name__
    and hasattr(value, "__dataclass_fields__")
]
SLOTS = [slot for one in CLASSES for slot in shape_of(one).slots if slot.quick is not None]
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=45),
    st.sampled_from(
        [
            *sorted(FILLERS),
            *("H53", "000.01.13.H53", "01.13.H53", "h53", " H53", "Z01.A7", "0101234567", "H53.31.20\n"),
            *("2026/03/02", "2026/02/30", "2026/3/2", "02/03/2026", "2026-03-02", "2026/03/02 "),
            *("2026/03/02 08:30:00", "2026/03/02T08:30:00", "2026/03/02 25:30:00"),
            *("0", "1", "2", "3", "4", "5", "007", "-1", "+1", "999999999", "1000000000", "²", "٣", "1.0"),
            *(
                "true",
                "false",
                "True",
                "có",
                "yes",
                "",
                " ",
                "\n\t",
                "a\tb",
                "a\u0085b",
                "a\u202eb",
                "\u00a0a",
            ),
            *("x" * limit for limit in (2, 3, 11, 12, 30, 31, 35, 36, 200, 201, 500, 501)),
        ]
    ),
    st.from_regex(r"[0-9]{4}/[0-9]{2}/[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?", fullmatch=True),
    st.integers(-5, 10_000).map(str),
)


def long_way(slot: Slot, text: str) -> tuple[object, Walker]:
    element = etree.Element(slot.inner)
    try:
        element.text = text
    except ValueError:  # no XML
        return None, Walker()
    walker = Walker()
    return walker.leaf(element, slot, "a"), walker


def test_every_single_value_has_a_short_way() -> None:
    assert {slot.rule.value for slot in SLOTS} == set(Value) - {Value.PART}


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: f"{slot.name}-{slot.position}")
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_what_is_taken_the_short_way_is_read_alike_the_long_way(slot: Slot, text: str) -> None:
    assert slot.quick is not None
    value = slot.quick(text)
    if value is ODD:
        return
    expected, walker = long_way(slot, text)
    assert value == expected
    assert type(value) is type(expected)
    assert not walker.findings
    assert not walker.faults
    assert not walker.kept


def test_ordinary_values_take_the_short_way() -> None:
    quick = {
        slot.name: slot.quick for one in CLASSES for slot in shape_of(one).slots if slot.quick is not None
    }
    assert quick["subject"]("Về việc kết nối") == "Về việc kết nối"
    assert quick["organ_id"]("H53.31.20") == "H53.31.20"
    assert quick["promulgation_date"]("2026/03/02") in (date(2026, 3, 2), "2026/03/02")
    assert quick["steering_type"]("1") == 1
    assert quick["direction"]("false") is False
    assert quick["paper"]("0") is False
