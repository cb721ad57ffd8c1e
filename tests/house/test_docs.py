"""Words and code move together: each name that people rely on has its heading in docs/."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def headings(text: str) -> set[str]:
    """Return each heading of a Markdown page as one plain line, without code marks and links.

    Headings inside fenced blocks are none. A heading may name several things: "## `a` and `b`" gives that line, `a` and
    `b`.
    """
    found: set[str] = set()
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
            continue
        match = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if match and not fenced:
            title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", match[1])
            found.add(title.replace("`", ""))
            found |= set(re.findall(r"`([^`]+)`", title))
    return found


def missing(names: Iterable[str], page: str) -> list[str]:
    """Return the names that have no heading on a page."""
    there = headings((DOCS / page).read_text(encoding="utf-8"))
    return sorted(set(names) - there)


def test_each_configuration_key_has_its_heading() -> None:
    keys = importlib.import_module("relay.settings").keys()
    assert keys
    assert not missing(keys, "configuration.md")


def test_no_heading_names_a_configuration_key_that_is_gone() -> None:
    keys = set(importlib.import_module("relay.settings").keys())
    sections = {key.rpartition(".")[0] for key in keys}
    dotted = {
        title
        for title in headings((DOCS / "configuration.md").read_text(encoding="utf-8"))
        if re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", title)
    }
    known_prefixes = {section.split(".")[0] for section in sections}
    gone = {title for title in dotted if title.split(".")[0] in known_prefixes} - keys - sections
    assert not gone


def test_each_metric_has_its_heading() -> None:
    metrics = importlib.import_module("relay.observe.metrics").CATALOGUE
    assert metrics
    assert not missing([metric.name for metric in metrics], "metrics.md")


def test_each_exchange_and_queue_has_its_heading() -> None:
    names = importlib.import_module("relay.broker.names")
    assert names.EXCHANGES
    assert names.QUEUES
    assert not missing([*names.EXCHANGES, *names.QUEUES], "protocol.md")


def test_each_error_code_has_its_heading() -> None:
    codes = yaml.safe_load((ROOT / "config" / "errors.yaml").read_text(encoding="utf-8"))
    assert not missing(codes, "errors.md")


def test_each_command_has_its_heading_and_a_help() -> None:
    gendocs = importlib.import_module("scripts.gendocs")
    found = list(gendocs.commands(importlib.import_module("relay.cli.main").main, "truc"))
    assert len(found) > 1
    assert not missing([name for name, _ in found], "cli.md")
    silent = [name for name, command in found if not (command.help or command.short_help)]
    assert not silent, f"without a help text: {silent}"


def test_the_generated_pages_are_current() -> None:
    gendocs = importlib.import_module("scripts.gendocs")
    stale = [
        path.name
        for path, text in gendocs.pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run `make docs`"


def _pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


@pytest.mark.parametrize("page", _pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = unquote(target).partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists() or (
            fragment and other.suffix == ".md" and fragment not in _anchors(other.read_text(encoding="utf-8"))
        ):
            dead.append(target)
    assert not dead


def _anchors(text: str) -> set[str]:
    return {
        "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
        for title in headings(text)
    }


def test_headings_in_code_are_none_and_marks_fall_away() -> None:
    text = "# A `b.c` and `d`\n```sh\n# not one\n```\n## [`e`](x.md) ##\n#no\n"
    assert headings(text) == {"A b.c and d", "b.c", "d", "e"}
