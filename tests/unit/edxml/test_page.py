"""The page on the format says what the catalogues say."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.edxml import model
from adapters.edxml.oddities import Oddity, oddities
from adapters.edxml.rules import shape_of
from relay.errors.catalogue import catalogue

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "edxml.md").read_text(encoding="utf-8")
ROWS = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}


def plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


@pytest.mark.parametrize("oddity", Oddity)
def test_each_finding_stands_there_with_its_texts(oddity: Oddity) -> None:
    one = oddities()[oddity]
    row = ROWS[oddity.value]
    assert f"{one.level}, {one.owner}" in row
    for texts in (one.message, one.assumed):
        assert plain(texts["en"]) in row
        assert plain(texts["vi"]) in row


def test_each_refusal_that_stands_there_has_the_texts_of_its_code() -> None:
    refusals = PAGE[PAGE.index("### Refusals") :].split("\n## ", 1)[0]
    rows = [line for line in refusals.splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    for row in rows:
        one = next(entry for code, entry in catalogue().items() if code.value == row.split("`")[1])
        assert plain(one.message["en"]) in row
        assert plain(one.message["vi"]) in row


def test_each_element_of_the_model_stands_in_the_tree() -> None:
    tree = PAGE[PAGE.index("## What a package holds") : PAGE.index("## What the relay reads")]
    for cls in (
        model.MessageHeader,
        model.StatusHeader,
        model.TraceHeaderList,
        model.Attachment,
        model.Reference,
    ):
        for slot in shape_of(cls).slots:
            assert slot.rule.tag in tree
