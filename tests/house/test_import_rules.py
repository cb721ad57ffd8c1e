"""Which room may import what. The order of the rooms is that of docs/architecture.md."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parents[2]

# Each room may import those before it.
ROOMS = (
    "errors",
    "model",
    "observe",
    "settings",
    "broker",
    "trust",
    "registry",
    "directory",
    "evidence",
    "lifecycle",
    "pipeline",
    "keeper",
    "operate",
    "sandbox",
    "cli",
)
# Single files beside the rooms, usable from everywhere, importing none of them.
FOUNDATION = ("resources",)
STRANGERS = ("broker", "trust", "registry")
WIRING = ("sandbox", "cli")

ADAPTERS_MAY_IMPORT = ("errors", "model", "observe", "settings", "trust", "broker", "directory")

# Who may import an engine, as path prefixes.
ENGINES = {
    "pika": ("relay/broker/",),
    "lxml": ("relay/trust/", "adapters/edxml/"),
    "xmlsec": ("relay/trust/", "adapters/edxml/"),
    "pyhanko": ("adapters/pdf/",),
    "pyhanko_certvalidator": ("adapters/pdf/",),
    "sqlalchemy": ("relay/registry/", "adapters/gateway/store"),
    "sqlite3": ("relay/registry/", "adapters/gateway/store"),
}


@dataclass(frozen=True)
class Import:
    """One import statement: where it stands and the full name it takes."""

    path: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.name}"


def imports_of(source: str, path: str) -> list[Import]:
    """Return the imports of one file, also those inside functions, relative ones resolved.

    `from relay import broker` counts as `relay.broker`, and so does a call of `import_module` with a literal.
    """
    package = list(Path(path).with_suffix("").parts[:-1])
    found: list[Import] = []
    for node in ast.walk(ast.parse(source, filename=path)):
        if isinstance(node, ast.Import):
            found += [Import(path, node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [Import(path, node.lineno, f"{module}.{alias.name}") for alias in node.names]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            found.append(Import(path, node.lineno, node.args[0].value))
    return found


def broken_rules(found: list[Import]) -> list[str]:
    """Return a sentence for each import that breaks a rule."""
    return [f"{item}: {reason}" for item in found if (reason := _objection(item))]


def _objection(item: Import) -> str:
    parts = Path(item.path).with_suffix("").parts
    name = item.name.split(".")
    homes = ENGINES.get(name[0])
    if homes is not None and not item.path.startswith(homes):
        return f"{name[0]} belongs in {' and '.join(homes)} alone"
    if parts[0] == "relay":
        return _objection_in_relay(parts, name)
    if parts[0] == "adapters":
        return _objection_in_adapters(parts, name)
    return ""


def _objection_in_relay(parts: tuple[str, ...], name: list[str]) -> str:
    room = parts[1]
    if name[0] == "tests":
        return "the relay knows no tests"
    if name[0] == "adapters":
        return "" if room in WIRING else "wiring is done in cli and sandbox alone"
    if name[0] != "relay" or len(name) < 2 or name[1].startswith("__") or name[1] == room:
        return ""
    target = name[1]
    if target in FOUNDATION:
        return ""
    if room in FOUNDATION or room == "__init__":
        return "this file stands before all rooms"
    if room == "__main__":
        return "" if target == "cli" else "the entry point starts the command line alone"
    if room not in ROOMS:
        return f"{room} is not in the list of rooms"
    if target not in ROOMS:
        return f"relay has no room {target}"
    if room in STRANGERS and target in STRANGERS:
        return "broker, trust and registry do not know one another"
    return "" if ROOMS.index(target) < ROOMS.index(room) else f"{target} stands below {room}"


def _objection_in_adapters(parts: tuple[str, ...], name: list[str]) -> str:
    if name[0] == "tests":
        return "an adapter knows no tests"
    if name[0] == "adapters":
        if len(name) < 2 or name[1] == parts[1]:
            return ""
        return "adapters do not know each other"
    if name[0] != "relay" or len(name) < 2 or name[1].startswith("__"):
        return ""
    if name[1] in (*FOUNDATION, *ADAPTERS_MAY_IMPORT):
        return ""
    return f"an adapter may not reach relay.{name[1]}"


def _sources() -> list[tuple[str, str]]:
    return [
        (path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for top in ("relay", "adapters")
        for path in sorted((ROOT / top).rglob("*.py"))
    ]


def test_each_import_keeps_the_rules() -> None:
    broken = [line for path, source in _sources() for line in broken_rules(imports_of(source, path))]
    assert not broken, "\n" + "\n".join(broken)


def test_no_room_exists_without_work() -> None:
    for room in sorted(
        path for top in ("relay", "adapters") for path in (ROOT / top).iterdir() if path.is_dir()
    ):
        if room.name.startswith(("_", ".")):
            continue
        code = [
            node
            for path in room.rglob("*.py")
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        assert code, (
            f"{room.relative_to(ROOT)} has no function and no class: a room is created when it has work"
        )


def test_each_folder_of_the_relay_is_a_known_room() -> None:
    folders = {
        path.name
        for path in (ROOT / "relay").iterdir()
        if path.is_dir() and not path.name.startswith(("_", "."))
    }
    files = {path.stem for path in (ROOT / "relay").glob("*.py")}
    assert folders <= set(ROOMS), f"not in the list of rooms: {sorted(folders - set(ROOMS))}"
    assert files <= {*FOUNDATION, "__init__", "__main__"}, "code lives in rooms"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("relay/model/a.py", "import relay.broker"),
        ("relay/model/a.py", "from relay import broker"),
        ("relay/model/a.py", "from ..broker import names"),
        ("relay/broker/a.py", "from relay.trust import verdict"),
        ("relay/trust/a.py", "import relay.registry.port"),
        ("relay/registry/a.py", "def f():\n    from relay.broker.names import X"),
        ("relay/pipeline/a.py", "from adapters.edxml import format"),
        ("relay/pipeline/a.py", "import pika.exceptions"),
        ("relay/evidence/a.py", "from lxml import etree"),
        ("relay/broker/a.py", "import xmlsec"),
        ("relay/keeper/a.py", "from sqlalchemy import select"),
        ("relay/operate/a.py", "import sqlite3"),
        ("relay/nowhere/a.py", "import relay.errors"),
        ("relay/model/a.py", "import importlib\nimportlib.import_module('relay.cli.main')"),
        ("relay/resources.py", "import relay.errors"),
        ("adapters/edxml/a.py", "from relay.registry import port"),
        ("adapters/edxml/a.py", "from adapters.gateway import Gateway"),
        ("adapters/edxml/a.py", "from .. import gateway"),
        ("adapters/gateway/client.py", "import sqlite3"),
        ("adapters/gateway/client.py", "import pika"),
        ("adapters/edxml/a.py", "from pyhanko.sign import fields"),
        ("relay/keeper/a.py", "import pyhanko_certvalidator"),
        ("relay/cli/a.py", "import tests.support"),
    ],
)
def test_a_planted_fault_is_found(path: str, source: str) -> None:
    assert broken_rules(imports_of(source, path))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("relay/broker/a.py", "import pika\nfrom relay.model import codes\nfrom . import names"),
        ("relay/registry/a.py", "from sqlalchemy import select\nimport relay.settings"),
        ("relay/sandbox/a.py", "from adapters.gateway import Gateway\nimport relay.pipeline"),
        ("relay/errors/a.py", "from relay.resources import shipped\nfrom relay import __version__"),
        ("adapters/edxml/a.py", "from lxml import etree\nfrom relay.trust import parse\nfrom . import names"),
        ("adapters/gateway/store.py", "import sqlite3"),
        ("adapters/gateway/store/file.py", "import sqlite3\nfrom adapters.gateway import names"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert not broken_rules(imports_of(source, path))
