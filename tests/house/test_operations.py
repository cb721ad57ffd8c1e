"""docs/operations.md: each alert leads to a section that says what to look at and what to do, in commands that exist."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    name: (ROOT / "docs" / name).read_text(encoding="utf-8")
    for name in ("operations.md", "operating-evidence.md")
}
PAGE = PAGES["operations.md"]
# Programs of others that an operator has on such a machine.
OTHERS = frozenset(
    {
        *(
            "systemctl",
            "journalctl",
            "rabbitmq-diagnostics",
            "rabbitmqctl",
            "curl",
            "df",
            "du",
            "ls",
            "iostat",
        ),
        *("openssl", "timedatectl", "pilot-ca", "pip", "rabbitmq-queues", "systemd-analyze", "systemd-creds"),
    }
)


def rules() -> dict[str, dict[str, Any]]:
    files = sorted((ROOT / "deploy/prometheus").glob("alerts*.yaml"))
    groups = [one for file in files for one in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def sections(text: str) -> dict[str, str]:
    """Return the text of each section of an alert by the alert's name."""
    found = re.split(r"(?m)^### alert-(\w+)\n", text.partition("## Alarms")[2])
    return dict(zip(found[1::2], found[2::2], strict=True))


def commands(text: str) -> list[str]:
    """Return what stands in code marks and begins like a command line."""
    return [one for one in re.findall(r"`([^`\n]+)`", text) if re.match(r"(truc|[a-z-]+) \S", one)]


def objection(line: str) -> str:
    """Say what is wrong with a command line; empty if nothing."""
    words = shlex.split(line)
    if words[0] in OTHERS:
        return ""
    if words[0] != "truc":
        return f"{words[0]} is not known"
    command: click.Command = importlib.import_module("relay.cli.main").main
    words = words[1:]
    while isinstance(command, click.Group) and words and re.match(r"[a-z]", words[0]):
        found = command.commands.get(words[0])
        if found is None:
            return f"no command {words[0]}"
        command, words = found, words[1:]
    options = {option for item in command.params for option in (*item.opts, *item.secondary_opts)}
    return ", ".join(word for word in words if word.startswith("--") and word not in options)


def test_each_alert_has_its_section_and_no_section_is_left_over() -> None:
    found = [alert for page in PAGES.values() for alert in sections(page)]
    assert sorted(found) == sorted(rules())


@pytest.mark.parametrize("alert", sorted(rules()))
def test_a_section_says_what_is_seen_where_to_look_and_what_to_do(alert: str) -> None:
    (name,) = (name for name, page in PAGES.items() if alert in sections(page))
    assert rules()[alert]["annotations"]["runbook"] == f"docs/{name}#alert-{alert.lower()}"
    text = sections(PAGES[name])[alert]
    seen, look, do = (text.find(word) for word in ("Seen: ", "Look: ", "Do: "))
    assert 0 <= seen < look < do
    assert commands(text[look:do]), "no command to look with"
    assert len(text[do:].split()) > 3


def test_each_command_of_the_page_can_be_typed() -> None:
    lines = [line for page in PAGES.values() for line in commands(page)]
    assert len(lines) > 80
    wrong = {line: fault for line in lines if (fault := objection(line))}
    assert not wrong


def test_a_wrong_line_is_found() -> None:
    assert objection("truc quarentine ls") == "no command quarentine"
    assert objection("truc doctor --onyl broker") == "--onyl"
    assert objection("rm -rf x") == "rm is not known"
    assert not objection("truc why ID --config /etc/truc/truc.yaml")
