"""The two schemas of edXML, ``schemas/edxml/strict.xsd`` and ``tolerant.xsd``, held against a parsed package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from lxml import etree

from adapters.edxml.names import NAMESPACE
from relay.resources import shipped

Mode = Literal["strict", "tolerant"]


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """One thing that a schema objects to, in the words of libxml2 (English)."""

    line: int
    message: str


@cache
def schema(mode: Mode) -> Any:  # noqa: ANN401 -- lxml ships no types
    """Return a compiled schema. It fetches nothing: both schemas stand alone."""
    return etree.XMLSchema(etree.parse(str(shipped(f"schemas/edxml/{mode}.xsd"))))


def schema_faults(tree: Any, mode: Mode, line_shift: int = 0) -> tuple[SchemaFault, ...]:  # noqa: ANN401
    """Return what a schema objects to in a parsed package, payloads cut out or not; empty if it is valid."""
    judge = schema(mode)
    # a compiled schema keeps the errors of its last run to itself: copied at once
    if judge.validate(tree):
        return ()
    return tuple(
        SchemaFault(entry.line + line_shift, entry.message.replace(f"{{{NAMESPACE}}}", ""))
        for entry in judge.error_log
    )
