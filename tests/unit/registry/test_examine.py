"""The look from outside: what it tells, and that it leaves every byte and every file as they were."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from relay.errors import Code
from relay.model.record import Settlement
from relay.registry import SqlRegistry, open_registry
from relay.registry.examine import Examination, examine
from tests.support.registry import Maker, at

NOW = at(1000.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def registry(file: Path) -> Iterator[SqlRegistry]:
    store = open_registry(f"sqlite:///{file}")
    yield store
    store.close()


def look(file: Path) -> Examination:
    return examine(f"sqlite:///{file}", NOW, 10.0, patience=0.5)


def test_an_empty_registry_is_well(registry: SqlRegistry, file: Path) -> None:
    found = look(file)
    assert (found.trouble, found.damage, found.foreign, found.locked_by) == (None, "", False, None)
    assert found.versions == (found.wanted,)
    assert found.writable
    assert found.file == str(file)
    assert (found.unsettled.count, found.unpublished.count, found.workers) == (0, 0, ())


def test_what_waits_is_counted(registry: SqlRegistry, file: Path) -> None:
    make = Maker()
    registry.claim([make.claim("one", now=at(100)), make.claim("two", now=at(200))], "w1-gone", at(100))
    registry.claim([make.claim("three", now=at(950))], "w2-live", at(995))
    registry.lease("keeper", "keeper-1", at(990), 15.0)
    registry.new_broker_epoch("e1", None, at(0))
    found = look(file)
    assert (found.unsettled.count, found.unsettled.oldest) == (3, at(100))
    ((owner, waiting),) = found.orphans
    assert (owner, waiting.count) == ("w1-gone", 2)
    assert found.live("w2-live")
    assert not found.live("w1-gone")
    assert [(one.name, one.holder, one.expires_at) for one in found.leases] == [
        ("keeper", "keeper-1", at(1005))
    ]
    assert found.epoch == ("e1", False)
    assert found.newest == at(995)


def test_a_document_past_its_deadline_is_untold_until_it_is_told(registry: SqlRegistry, file: Path) -> None:
    make = Maker()
    (claimed,) = registry.claim([make.claim("late", now=at(0), deadline=at(600))], "w1", at(0))
    assert claimed.document is not None
    assert (look(file).untold.count, look(file).untold.oldest) == (1, at(600))
    registry.settle([Settlement(claimed.document.row, (), ())], "w1", at(1))
    assert look(file).unsettled.count == 0


def test_looking_leaves_everything_as_it_was(registry: SqlRegistry, file: Path) -> None:
    registry.claim([Maker().claim("one")], "w1", at(0))
    registry.close()
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    assert look(file).unsettled.count == 1
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def test_nothing_is_made_where_nothing_is(tmp_path: Path) -> None:
    found = look(tmp_path / "none.db")
    assert found.trouble is Code.REGISTRY_UNUSABLE
    assert list(tmp_path.iterdir()) == []


def test_foreign_tables_and_other_versions(file: Path) -> None:
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("CREATE TABLE other (x)")
        raw.commit()
    assert look(file).foreign
    file.unlink()
    open_registry(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("UPDATE schema_version SET version = 7")
        raw.commit()
    found = look(file)
    assert (found.versions, found.foreign, found.trouble) == ((7,), False, None)


def test_a_damaged_file_and_one_that_is_none(registry: SqlRegistry, file: Path) -> None:
    registry.claim([Maker().claim("one")], "w1", at(0))
    registry.close()
    content = bytearray(file.read_bytes())
    content[4096:20480] = os.urandom(16384)
    file.write_bytes(content)
    assert look(file).damage
    file.write_bytes(b"this is no database" * 500)
    assert look(file).damage


def test_a_read_only_folder_is_told_for_its_owner(registry: SqlRegistry, file: Path) -> None:
    registry.close()
    file.parent.chmod(0o500)
    try:
        assert not look(file).writable
    finally:
        file.parent.chmod(0o700)
    file.chmod(0o400)
    assert not look(file).writable


def test_a_writer_that_never_lets_go_is_named_and_a_busy_one_is_not(
    registry: SqlRegistry, file: Path
) -> None:
    code = (
        "import sqlite3, sys, time\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n"
        "print('ready', flush=True)\n"
        "for word in sys.stdin:\n"
        "    if word == 'hold\\n':\n"
        "        c.execute('BEGIN IMMEDIATE'); print('held', flush=True)\n"
        "    else:\n"
        "        c.execute('ROLLBACK'); print('free', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        assert look(file).locked_by is None
        for word, answer in (("hold", "held"), ("free", "free"), ("hold", "held")):
            other.stdin.write(f"{word}\n")
            other.stdin.flush()
            assert other.stdout.readline() == f"{answer}\n"
            assert look(file).locked_by == (other.pid if answer == "held" else None)
        other.kill()


def test_no_driver_is_no_crash() -> None:
    found = examine("postgresql+nosuchdriver://127.0.0.1/x", NOW + timedelta(0), 10.0)
    assert found.trouble is Code.REGISTRY_UNUSABLE
