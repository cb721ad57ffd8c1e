"""The rules of the format as data: what an element holds, how often it stands, how long it may be.

The model (``model``) says it once, in the metadata of its fields; reader, writer, checks, JSON form and display all work
from there, so that they cannot disagree. Lengths and cardinalities: QCVN 102:2016/BTTTT, its Amendment 1:2022, and Decree
30/2020/NĐ-CP, annex VI.
"""

# ruff: noqa: ANN401 -- lxml ships no types, and values of the model are of several

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from adapters.edxml.names import q
from adapters.edxml.quick import Quick, quick_of

_KEY: Final = "edxml"


class Value(StrEnum):
    """What the text of an element is."""

    TEXT = "text"
    ORGAN = "organ"  # an identifier code of an agency
    ID = "id"  # a text that names a document or a part of the package
    DATE = "date"  # yyyy/MM/dd
    DAY_TEXT = "day-text"  # another document's date, said again as that one wrote it
    TIME = "time"  # yyyy/MM/dd HH:mm:ss, Vietnam time
    NUMBER = "number"
    BOOLEAN = "boolean"  # true, false
    FLAG = "flag"  # 0, 1
    PART = "part"  # further elements


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for one element at one place."""

    tag: str  # local name
    value: Value
    vi: str  # its name for people
    en: str
    part: type | None = None  # of a PART: the class that it becomes
    many: bool = False
    within: str = ""  # name of an element that does nothing but hold these
    due: bool = False  # the standard wants it
    identity: bool = False  # says who, to whom, which document: never taken from two
    vital: bool = False  # without it nobody can say who, to whom, which document
    limit: int = 0  # characters at most; 0: no bound of its own
    low: int = 0
    high: int = 0  # of a number; 0: no bound
    kept_empty: bool = False  # written even where it says nothing


def text(tag: str, vi: str, en: str, limit: int = 0, **more: Any) -> Any:
    """Declare a text, empty where it is absent."""
    return _field(Rule(tag, more.pop("value", Value.TEXT), vi, en, limit=limit, **more), "")


def organ(tag: str, vi: str, en: str, **more: Any) -> Any:
    """Declare an identifier code as written, empty where it is absent."""
    return text(tag, vi, en, 35, value=Value.ORGAN, identity=True, **more)


def identifier(tag: str, vi: str, en: str, limit: int, **more: Any) -> Any:
    """Declare a text that names something."""
    return text(tag, vi, en, limit, value=Value.ID, identity=True, **more)


def day(tag: str, vi: str, en: str, **more: Any) -> Any:
    """Declare a date, None where it is absent or cannot be one."""
    return _field(Rule(tag, Value.DATE, vi, en, **more), None)


def day_text(tag: str, vi: str, en: str, **more: Any) -> Any:
    """Declare a date of another document, a text as that one wrote it, empty where it is absent."""
    return text(tag, vi, en, 40, value=Value.DAY_TEXT, identity=True, **more)


def moment(tag: str, vi: str, en: str, **more: Any) -> Any:
    """Declare a time (aware), None where it is absent or cannot be one."""
    return _field(Rule(tag, Value.TIME, vi, en, **more), None)


def number(tag: str, vi: str, en: str, low: int = 0, high: int = 0, **more: Any) -> Any:
    """Declare a whole number, None where it is absent or cannot be one."""
    return _field(Rule(tag, Value.NUMBER, vi, en, low=low, high=high, **more), None)


def boolean(tag: str, vi: str, en: str, **more: Any) -> Any:
    """Declare a truth written as ``true`` or ``false``."""
    return _field(Rule(tag, Value.BOOLEAN, vi, en, **more), None)


def flag(tag: str, vi: str, en: str, **more: Any) -> Any:
    """Declare a truth written as ``1`` or ``0``."""
    return _field(Rule(tag, Value.FLAG, vi, en, **more), None)


def part(tag: str, vi: str, en: str, of: type, **more: Any) -> Any:
    """Declare an element with elements of its own, None where it is absent."""
    return _field(Rule(tag, Value.PART, vi, en, part=of, **more), None)


def many(rule_field: Any, within: str = "") -> Any:
    """Make of a declared element one that may stand often; ``within``: in an element that only holds them."""
    rule = rule_field.metadata[_KEY]
    return _field(dataclasses.replace(rule, many=True, within=within), ())


def _field(rule: Rule, default: object) -> Any:
    return dataclasses.field(default=default, metadata={_KEY: rule})


@dataclass(frozen=True, slots=True)
class Slot:
    """One field of a class with its rule, ready for reading and writing."""

    name: str  # of the field
    rule: Rule
    position: int  # in the order of the national encoder
    tag: str  # {namespace}local, of the holder where there is one
    inner: str  # {namespace}local of what the holder holds
    shape: Shape | None  # of a PART
    single: bool  # a value of its own, at most once
    quick: Quick | None  # of such a one: from its text to its value, if there is nothing to say about it


@dataclass(frozen=True, slots=True)
class Shape:
    """A class of the model, ready for reading and writing."""

    cls: type
    slots: tuple[Slot, ...]
    by_tag: dict[str, Slot]
    by_name: dict[str, Slot]  # local names
    due: tuple[Slot, ...]  # what the standard wants


def shape_of(cls: type) -> Shape:
    """Return the rules of a class of the model, in the order in which its elements are written."""
    return _made(cls)


@cache
def _made(cls: Any) -> Shape:
    slots: list[Slot] = []
    for item in dataclasses.fields(cls):
        rule = item.metadata.get(_KEY)
        if rule is None:
            continue
        inner = shape_of(rule.part) if rule.part is not None else None
        outer = rule.within or rule.tag
        single = inner is None and not rule.many
        slots.append(
            Slot(
                item.name,
                rule,
                len(slots),
                q(outer),
                q(rule.tag),
                inner,
                single,
                quick_of(rule) if single else None,
            )
        )
    return Shape(
        cls,
        tuple(slots),
        {slot.tag: slot for slot in slots},
        {slot.rule.within or slot.rule.tag: slot for slot in slots},
        tuple(slot for slot in slots if slot.rule.due),
    )
