"""The pages for strangers are tried as they stand: each block is run in order in an empty folder, on a fresh sandbox, and
what a page prints below a command is what the command prints.

A shell block may be followed by a block ``text`` with what it prints; ``…`` there stands for anything. The Python blocks of a
page are one file, ``first.py``, as the page says. ``make`` is only asked whether it would do: the tests themselves run
under it. ``npm`` finds what the set-up has brought.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.sandbox import put_down

ROOT: Final = Path(__file__).parents[2]
README, PROTOCOL, QUICK = "README.md", "docs/protocol.md", "docs/vi/bat-dau-nhanh.md"
VENDORS, EXAMPLES = "docs/vi/giao-thuc.md", "docs/examples/README.md"
MARK: Final = "=== block "

PREPARED: Final = """\
set -euo pipefail
make() { command make --no-print-directory --dry-run -C "$CHECKOUT" "$@" >/dev/null; }
npm() { ln -s "$MODULES" node_modules; }
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and what stands below it as its output."""

    number: int
    language: str
    text: str
    prints: str | None = None


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in order; a block ``text`` right below a shell block belongs to it."""
    source = (ROOT / page).read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", source, re.DOTALL | re.MULTILINE):
        language, text = match[1], match[2]
        last = found[-1] if found else None
        if language == "text" and last and last.language == "sh" and not source[end : match.start()].strip():
            found[-1] = Block(last.number, last.language, last.text, text)
        else:
            found.append(Block(len(found), language, text))
        end = match.end()
    return found


def script(page: str) -> str:
    lines = [PREPARED]
    for block in blocks(page):
        if block.language == "sh":
            lines += [f"printf '\\n{MARK}{block.number}\\n'", block.text]
    return "\n".join(lines)


WRAPPER: Final = """\
#!/bin/sh
# One sandbox serves all pages: it goes down after the last of them.
case " $* " in *" down "*) exit 0 ;; esac
exec {truc} "$@"
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home without anything but a `truc`; the pages bring their sandbox up in it, and it goes down at the end."""
    home = tmp_path_factory.mktemp("reader")
    (home / "bin").mkdir()
    wrapper = home / "bin" / "truc"
    wrapper.write_text(WRAPPER.format(truc=Path(sys.executable).parent / "truc"), encoding="utf-8")
    wrapper.chmod(0o755)
    (home / "sandbox").symlink_to(home / "truc")
    try:
        yield home
    finally:
        put_down(home / "truc")


def run(page: str, home: Path) -> dict[int, str]:
    """Run the shell blocks of a page in an empty folder; return what each printed, by its number."""
    here = home / page.replace("/", "-")
    here.mkdir()
    if page == EXAMPLES:
        shutil.copytree(ROOT / Path(page).parent, here, dirs_exist_ok=True)
    elif "first.py" in (ROOT / page).read_text(encoding="utf-8"):
        program = "\n\n".join(block.text for block in blocks(page) if block.language == "python")
        (here / "first.py").write_text(program, encoding="utf-8")
    else:  # the front pages stand in the checkout: what they name of it is here
        (here / ".venv").symlink_to(home)
        (here / "README.md").symlink_to(ROOT / "README.md")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("TRUC", "LC_", "XDG_"))}
    env |= {
        "HOME": str(home),
        "CHECKOUT": str(ROOT),
        "MODULES": str(Path(sys.prefix) / "share" / "truc-examples" / "node_modules"),
        "LANG": "C.UTF-8",
        "PATH": f"{home / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", script(page)],
        cwd=here,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n---\n{done.stderr}"
    parts = re.split(rf"^{MARK}(\d+)\n", done.stdout, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def as_pattern(text: str) -> str:
    """``…`` in a line stands for anything; a line of its own for any lines."""
    lines = []
    for line in text.strip().splitlines():
        pattern = ".*".join(re.escape(part) for part in line.rstrip().split("…"))
        lines.append(r"(?:.*\n)*?" if line.strip() == "…" else pattern + r" *\n")
    return "".join(lines)


def disagreements(page: str, printed: dict[int, str]) -> Iterator[str]:
    for block in blocks(page):
        if block.prints is None:
            continue
        told = printed[block.number].strip() + "\n"
        if not re.fullmatch(as_pattern(block.prints), told):
            yield f"{page}: {block.text}\npromised:\n{block.prints}\nprinted:\n{told}"


def test_the_readme_by_hand(ground: Path) -> None:
    printed = run(README, ground)
    assert not list(disagreements(README, printed))
    received = list((ground / "received").rglob("README.md"))
    assert [each.read_bytes() for each in received] == [(ROOT / "README.md").read_bytes()]


def test_the_quick_start_in_vietnamese(ground: Path) -> None:
    printed = run(QUICK, ground)
    assert sum(block.prints is not None for block in blocks(QUICK)) >= 3
    assert not list(disagreements(QUICK, printed))


def test_the_protocol_page_gets_a_document_across(ground: Path) -> None:
    printed = run(PROTOCOL, ground)
    assert sum(block.prints is not None for block in blocks(PROTOCOL)) >= 3
    assert not list(disagreements(PROTOCOL, printed))


def test_the_examples_by_hand(ground: Path) -> None:
    printed = "".join(run(EXAMPLES, ground).values())
    assert printed.count("H26 is told: outcome accepted H53=delivered G22=delivered") == 3
    assert printed.count(" drops a duplicate of ") == 6
    assert "== rights of H26" in printed


@pytest.mark.parametrize("page", [README, QUICK])
def test_the_last_line_of_the_demo_has_the_form_that_is_promised(page: str) -> None:
    lines = [line for block in blocks(page) for line in block.text.splitlines() if line.startswith("demo: ")]
    assert lines
    for line in lines:
        assert re.fullmatch(
            r"demo: \d+ documents, \d+ deliveries, \d+ receipts, lost 0, duplicated 0", line.strip()
        )


@pytest.mark.parametrize("page", [README, PROTOCOL, QUICK, VENDORS, EXAMPLES])
def test_each_block_can_be_read(page: str) -> None:
    for block in blocks(page):
        assert block.language in {"sh", "text", "python", "xml", "json", "mermaid", ""}, block.language
        if block.language == "sh":
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True, timeout=60)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "python":
            ast.parse(block.text)


def test_the_status_on_the_page_for_vendors_is_that_of_the_protocol() -> None:
    """The one there is signed, sent and verified by the tests of the command line."""

    def xml(page: str) -> list[str]:
        found = [block.text for block in blocks(page) if block.language == "xml"]
        return [re.sub(r"<!--.*?-->", "", text) for text in found]

    assert len(xml(VENDORS)) == 1
    assert xml(VENDORS)[0] in xml(PROTOCOL)


def test_the_python_of_the_page_needs_three_libraries() -> None:
    program = "\n".join(block.text for block in blocks(PROTOCOL) if block.language == "python")
    nodes = list(ast.walk(ast.parse(program)))
    imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    foreign = {each.split(".")[0] for each in imported} - sys.stdlib_module_names
    assert foreign == {"pika", "lxml", "cryptography"}


def test_a_page_that_promises_something_else_is_found() -> None:
    promised = Block(0, "sh", "echo", "sent …\nacknowledgement accepted queued\n")
    assert promised.prints is not None
    pattern = as_pattern(promised.prints)
    assert re.fullmatch(pattern, "sent 152782a1\nacknowledgement accepted queued\n")
    assert not re.fullmatch(pattern, "sent 152782a1\nacknowledgement refused queued\n")
    assert not re.fullmatch(pattern, "sent 152782a1\n")
    assert re.fullmatch(as_pattern("a\n…\nb"), "a\n1\n2\nb\n")
    assert not re.fullmatch(as_pattern("a\n…\nb"), "a\n1\n2\n")
