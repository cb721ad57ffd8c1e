"""docs/security.md says what the code does: its tables follow from it, and what it names is there."""

from __future__ import annotations

import re

from relay.errors import Code
from relay.model.verdict import REASONS
from relay.sandbox.attacks import FAMILIES
from tests.attacks.page import PAGE, written

ROOT = PAGE.parents[1]


def test_its_tables_are_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert written(text) == text, "run `python -m tests.attacks.page`"


def test_every_reason_of_a_verdict_stands_there_in_both_languages() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for code in REASONS:
        (line,) = re.findall(rf"^\| `{code.value}` \| (.+) \| (.+) \| (?:yes|no) \|$", text, re.MULTILINE)
        assert len(set(line)) == 2


def test_what_shows_it_is_there() -> None:
    """Families and test files that the threat model names as its proof."""
    text = PAGE.read_text(encoding="utf-8")
    files = set(re.findall(r"`(tests/[\w/.]+)`", text))
    assert len(files) >= 8
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    named = {
        each
        for line in re.findall(r"families? ((?:\*[^*]+\*(?:, | and )?)+)", text)
        for each in re.findall(r"\*([^*]+)\*", line)
    }
    assert len(named) >= 12
    assert named <= {family.name for family in FAMILIES}


def test_every_code_that_it_names_is_one() -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = set(re.findall(r"`([A-Z]+(?:-[A-Z0-9]+)+)`", text)) - {"EXTERNAL"}
    known = {code.value for code in Code}
    # names of algorithms and standards have the same shape
    assert {each for each in found if each not in known and not re.match(r"(SHA|RSA|UTF|P)-", each)} == set()
