"""Words and code move together: each name that people rely on has its heading in docs/."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

import click
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


def test_each_configuration_key_is_read_somewhere() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "relay").rglob("*.py"))
        if path.parent.name != "settings"
    )
    # the one is read through the section's method, the other has one value only
    keys = set(importlib.import_module("relay.settings").keys()) - {
        "broker.management_password_file",
        "format",
    }
    unread = [key for key in keys if not re.search(rf"\.{key.rpartition('.')[2]}\b", source)]
    assert not unread, f"without effect: {sorted(unread)}"


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


def test_each_check_of_the_doctor_has_its_heading() -> None:
    checks = importlib.import_module("relay.operate.doctor.run").CHECKS
    assert len(checks) >= 40
    assert not missing([check.name for check in checks], "doctor.md")


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


CODE = re.compile(r"`([A-Z][A-Z0-9]*(?:-[A-Z][A-Z0-9]*)+)`")


def test_each_code_that_a_page_names_exists() -> None:
    known = set(yaml.safe_load((ROOT / "config" / "errors.yaml").read_text(encoding="utf-8")))
    unknown = {
        (page.name, code)
        for page in _pages()
        for code in CODE.findall(page.read_text(encoding="utf-8"))
        if code not in known
    }
    assert not unknown


def test_the_protocol_names_each_code_that_a_gateway_can_meet() -> None:
    text = (DOCS / "protocol.md").read_text(encoding="utf-8") + (DOCS / "edxml.md").read_text(
        encoding="utf-8"
    )
    codes = yaml.safe_load((ROOT / "config" / "errors.yaml").read_text(encoding="utf-8"))
    operators = importlib.import_module("scripts.protocoldocs").OPERATORS
    assert not [code for code in codes if f"`{code}`" not in text and not operators.fullmatch(code)]


def test_each_code_is_known_as_a_gateways_or_an_operators() -> None:
    """A new code goes into a group of scripts/protocoldocs.py, or among those that no receipt carries."""
    pages = importlib.import_module("scripts.protocoldocs")
    codes = yaml.safe_load((ROOT / "config" / "errors.yaml").read_text(encoding="utf-8"))
    grouped = {code for _, group in pages.GROUPS for code in group}
    assert not [code for code in codes if (code in grouped) == bool(pages.OPERATORS.fullmatch(code))]
    assert grouped <= set(codes)


def test_the_protocol_names_each_header_and_none_that_is_gone() -> None:
    names = importlib.import_module("relay.broker.names")
    headers = {value for key, value in vars(names).items() if key.startswith("H_")}
    own = {names.H_USER, names.H_LANE, names.H_ATTEMPT, names.H_FIRST_SEEN, names.H_DELIVERY_COUNT}
    text = (DOCS / "protocol.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(truc-[a-z0-9-]+)`", text))
    assert headers - own - {names.H_HOPS} <= named | {"truc-hops"}
    assert named - headers <= {"truc-dev"}


def _command_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of each `truc` command that stands in a fenced block, lines that go on joined."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].rpartition("/")[2] == "truc":
                yield words[1:]


def _objection(words: list[str]) -> str:
    """Say what is wrong with a command line; empty if nothing."""
    command: click.Command = importlib.import_module("relay.cli.main").main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        if found is None:
            return f"no command {words[0]}"
        command, words = found, words[1:]
    options = {option for item in command.params for option in (*item.opts, *item.secondary_opts)} | {
        "--help"
    }
    return ", ".join(word for word in words if word.startswith("--") and word not in options)


@pytest.mark.parametrize("page", ["README.md", "docs/vi/bat-dau-nhanh.md", "docs/users.md"])
def test_command_lines_on_the_front_pages_can_be_typed(page: str) -> None:
    lines = list(_command_lines((ROOT / page).read_text(encoding="utf-8")))
    assert len(lines) > 3
    assert not [line for line in lines if _objection(line)]


def test_a_wrong_command_line_is_found() -> None:
    assert list(_command_lines("```sh\n.venv/bin/truc send --as H26 \\\n  --wait # now\n```")) == [
        ["send", "--as", "H26", "--wait"]
    ]
    assert _objection(["sned"])
    assert _objection(["send", "--as", "H26", "--now"]) == "--now"
    assert not _objection(["quarantine", "ls", "--json"])


def _anchors(text: str) -> set[str]:
    return {
        "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
        for title in headings(text)
    }


def test_headings_in_code_are_none_and_marks_fall_away() -> None:
    text = "# A `b.c` and `d`\n```sh\n# not one\n```\n## [`e`](x.md) ##\n#no\n"
    assert headings(text) == {"A b.c and d", "b.c", "d", "e"}
