"""The tables of docs/security.md that follow from code: ``python -m tests.attacks.page`` writes them, a test compares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.errors import Code
from relay.errors.catalogue import entry
from relay.model.verdict import REASONS
from relay.sandbox.attacks import CASES, FAMILIES, Where
from tests.attacks.second import SAME_CODE, SECOND

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "security.md"


def families() -> Iterator[str]:
    """A line for each family: how many cases, by which codes they are answered, who describes such attacks."""
    yield "| family | cases | answered by | described in |"
    yield "| --- | --- | --- | --- |"
    for family in FAMILIES:
        codes = sorted({code for case in family.cases for code in case.codes})
        shown = ", ".join(f"`{code}`" if code else "the first answer" for code in codes)
        yield f"| {family.name} | {len(family.cases)} | {shown} | {family.source} |"
    outside = sum(case.where is not Where.INSIDE for case in CASES)
    yield ""
    yield f"{len(CASES)} cases in {len(FAMILIES)} families; {outside} of them can be run from outside."


def reasons() -> Iterator[str]:
    """A line for each reason of the closed list, in the order of the codes."""
    yield "| reason | what it means | nghĩa là | again? |"
    yield "| --- | --- | --- | --- |"
    for code in Code:
        if code in REASONS:
            one = entry(code)
            again = "yes" if one.retryable else "no"
            yield f"| `{code.value}` | {one.message['en']} | {one.message['vi']} | {again} |"


def second() -> Iterator[str]:
    """A line for each check behind which another stands."""
    yield "| check | switched off | because |"
    yield "| --- | --- | --- |"
    for table, change in ((SAME_CODE, "the same code"), (SECOND, "another code")):
        for name, reason in table.items():
            yield f"| `{name.replace('|', '/')}` | {change} | {reason} |"


BLOCKS: Final = {"families": families, "reasons": reasons, "second": second}


def written(text: str) -> str:
    """Return the page with its blocks as they follow from code."""
    for name, make in BLOCKS.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        head, rest = text.split(start, 1)
        _, tail = rest.split(end, 1)
        text = head + start + "\n".join(make()) + "\n" + end + tail
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
