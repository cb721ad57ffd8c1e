"""Copies of the registry: taken beside writers, refused where they cannot be trusted, put back whole or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.errors import Code, OperationError, RegistryError
from relay.model.audit import Act
from relay.model.delivery import State
from relay.registry import SqlRegistry, copy, open_registry
from relay.registry.schema import VERSION
from tests.support.registry import Maker, at

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ACT = Act(NOW, "someone", "registry.restore", "copy")

# Claims and settles for ever; tells each commit. Ends when its input ends.
WRITER = """
import select, sys
from datetime import UTC, datetime
from relay.registry import SqlRegistry
from tests.support.registry import Maker

registry, name = SqlRegistry(sys.argv[1], busy_timeout=30.0), sys.argv[2]
make, number = Maker(series=name), 0
while not select.select([sys.stdin], [], [], 0.002)[0]:
    claims = [make.claim(f"{name}{number + n}", transport_id=f"{name}{number + n}") for n in range(5)]
    number += 5
    rows = [one.document.row for one in registry.claim(claims, name, datetime.now(UTC))]
    registry.settle([make.queued(c, row) for c, row in zip(claims, rows)], name, datetime.now(UTC))
    print(number, flush=True)
registry.close()
"""

# Holds the registry open and does nothing.
IDLE = """
import sys
from relay.registry import SqlRegistry
registry = SqlRegistry(sys.argv[1])
registry.last_receipt_number("w1")
print("open", flush=True)
sys.stdin.read()
"""

# Restores, and is killed at the step that it is told.
RESTORE = """
import os, signal, sqlite3, sys
from datetime import datetime, UTC
from pathlib import Path
from relay.model.audit import Act
from relay.registry import copy

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

class Dying(sqlite3.Connection):
    def backup(self, target, **_):
        seen = []
        super().backup(target, pages=4, progress=lambda *_: die() if len(seen) > 3 else seen.append(1))

step, connect, put = sys.argv[3], sqlite3.connect, copy._put
if step == "copying":
    sqlite3.connect = lambda *a, **n: connect(*a, factory=Dying, **n)
elif step == "writing":
    def dying_put(*a):
        sqlite3.connect = lambda *a, **n: connect(*a, factory=Dying, **n)
        return put(*a)
    copy._put = dying_put
elif step == "written":
    def done_put(*a):
        put(*a)
        die()
    copy._put = done_put
else:
    setattr(copy, step, die)
act = Act(datetime(2026, 3, 2, 9, 30, tzinfo=UTC), "someone", "registry.restore", "copy")
copy.restore(sys.argv[1], Path(sys.argv[2]), act, 10.0)
"""


def _process(program: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _url(file: Path) -> str:
    return f"sqlite:///{file}"


def _filled(file: Path, documents: int, name: str = "w1") -> None:
    """Make a registry of so many documents, each queued and acknowledged by worker ``name``."""
    registry, make = open_registry(_url(file)), Maker(series=name)
    claims = [make.claim(f"{name}{n}", transport_id=f"{name}{n}") for n in range(documents)]
    rows = [one.document.row for one in registry.claim(claims, name, at(0)) if one.document]
    registry.settle([make.queued(claim, row) for claim, row in zip(claims, rows, strict=True)], name, at(0))
    registry.close()


def _all_queued(registry: SqlRegistry, name: str, count: int) -> bool:
    found = [registry.find(f"{name}{n}") for n in range(count)]
    return all(one and all(each.state is State.QUEUED for each in one[0].deliveries) for one in found)


def test_a_copy_taken_beside_writers_holds_whole_commits_and_all_that_was_told(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    open_registry(_url(file)).close()
    writers = {name: _process(WRITER, _url(file), name) for name in ("a", "b")}
    told: dict[str, int] = {}
    try:
        for number in range(3):
            for name, process in writers.items():
                assert process.stdout
                for _ in range(5):
                    told[name] = int(process.stdout.readline())
            facts = copy.backup(_url(file), tmp_path / f"copy{number}")
            assert facts == copy.examine(tmp_path / f"copy{number}")
            assert facts.documents >= sum(told.values())
            registry = open_registry(_url(tmp_path / f"copy{number}"))
            for name, count in told.items():
                assert _all_queued(registry, name, count)
            registry.close()
    finally:
        for process in writers.values():
            process.communicate("", timeout=60)
    assert all(process.returncode == 0 for process in writers.values()), "a copy stopped a writer"


def test_a_copy_is_private_checked_by_coreutils_and_never_overwritten(tmp_path: Path) -> None:
    _filled(tmp_path / "registry.db", 3)
    facts = copy.backup(_url(tmp_path / "registry.db"), tmp_path / "copy")
    assert (facts.documents, facts.schema_version, facts.newest) == (3, VERSION, at(0))
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    subprocess.run(["sha256sum", "--check", "--quiet", "copy.sha256"], cwd=tmp_path, check=True)
    before = (tmp_path / "copy").read_bytes()
    with pytest.raises(OperationError, match="exists") as caught:
        copy.backup(_url(tmp_path / "registry.db"), tmp_path / "copy")
    assert caught.value.code is Code.REGISTRY_BACKUP
    assert (tmp_path / "copy").read_bytes() == before


def test_a_copy_for_show_leaves_nothing(tmp_path: Path) -> None:
    _filled(tmp_path / "registry.db", 3)
    (tmp_path / "copies").mkdir()
    assert copy.backup(_url(tmp_path / "registry.db"), tmp_path / "copies" / "c", keep=False).documents == 3
    assert not list((tmp_path / "copies").iterdir())


@pytest.mark.parametrize("url", ["sqlite:///{}/none.db", "postgresql+psycopg://localhost/none", "sqlite://"])
def test_what_is_no_registry_file_is_not_copied(url: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        copy.backup(url.format(tmp_path), tmp_path / "copy")
    assert caught.value.code is Code.REGISTRY_UNUSABLE
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    _filled(tmp_path / "registry.db", 1)
    with pytest.raises(OperationError) as caught:
        copy.backup(_url(tmp_path / "registry.db"), tmp_path / "missing" / "copy")
    assert caught.value.code is Code.REGISTRY_BACKUP


def test_a_restore_brings_the_old_content_and_keeps_the_former(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    _filled(file, 5)
    facts = copy.backup(_url(file), tmp_path / "copy")
    _filled(file, 7, "w2")
    back = copy.restore(_url(file), tmp_path / "copy", ACT, 10.0)
    assert back.documents == facts.documents == 5
    assert back.kept == tmp_path / "registry.db.before-20260302T093000Z"
    assert back.kept.stat().st_mode & 0o777 == 0o600

    registry, former = open_registry(_url(file)), open_registry(_url(back.kept))
    assert _all_queued(registry, "w1", 5)
    assert not registry.find("w20")
    assert _all_queued(former, "w2", 7)
    assert [one.act for one in registry.acts()] == ["registry.restore"]
    assert not former.acts()
    registry.close()
    former.close()


def test_after_a_restore_no_receipt_number_comes_twice_whoever_counts(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    _filled(file, 5)
    copy.backup(_url(file), tmp_path / "copy")
    _filled(file, 9, "w2")
    before = open_registry(_url(file))
    used = {name: before.last_receipt_number(name) for name in ("w1", "w2")}
    before.close()
    copy.restore(_url(file), tmp_path / "copy", ACT, 10.0)
    registry = open_registry(_url(file))
    after = {name: registry.last_receipt_number(name) for name in ("w1", "w2", "keeper")}
    assert after["w1"] > used["w1"]
    assert after["w2"] > used["w2"], "a series that the copy does not know begins anew"
    registry.close()

    # the second restore of the same copy, a second later, counts on from above the first
    copy.restore(_url(file), tmp_path / "copy", Act(NOW.replace(second=1), "someone", "a", "b"), 10.0)
    registry = open_registry(_url(file))
    assert registry.last_receipt_number("keeper") >= after["keeper"] + 1000
    registry.close()


def test_leases_of_the_old_content_bind_nobody(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    registry, make = open_registry(_url(file)), Maker()
    claim = make.claim("one", transport_id="one")
    registry.claim([claim], "w1-old", at(0))
    assert registry.lease("keeper", "old", NOW, 3600.0)
    registry.close()
    copy.backup(_url(file), tmp_path / "copy")
    copy.restore(_url(file), tmp_path / "copy", ACT, 10.0)
    registry = open_registry(_url(file))
    assert registry.lease("keeper", "new", NOW, 15.0)
    (again,) = registry.claim([claim], "w1-new", at(1))
    assert again.outcome.name == "RESUMED"
    registry.close()


def test_no_restore_under_a_process_that_has_the_registry_open(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    _filled(file, 3)
    copy.backup(_url(file), tmp_path / "copy")
    with _process(IDLE, _url(file)) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        for act in (
            lambda: copy.restore(_url(file), tmp_path / "copy", ACT, 10.0),
            lambda: copy.check_unused(_url(file), NOW, 10.0),
        ):
            with pytest.raises(OperationError, match="open") as caught:
                act()
            assert caught.value.code is Code.REGISTRY_IN_USE
        process.communicate("", timeout=30)
    copy.check_unused(_url(file), NOW, 10.0)
    assert copy.restore(_url(file), tmp_path / "copy", ACT, 10.0).documents == 3


def test_no_restore_within_the_lease_of_a_worker_of_another_container(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    _filled(file, 3)  # its worker gave its last sign of life at 8:00
    copy.backup(_url(file), tmp_path / "copy")
    with pytest.raises(OperationError, match="w1") as caught:
        copy.restore(_url(file), tmp_path / "copy", Act(at(9), "someone", "a", "b"), 10.0)
    assert caught.value.code is Code.REGISTRY_IN_USE
    copy.restore(_url(file), tmp_path / "copy", Act(at(11), "someone", "a", "b"), 10.0)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _resum(path: Path) -> None:
    line = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    copy.checksum_of(path).write_text(line, encoding="utf-8")


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (a)")
    _resum(path)


def _other_version(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE schema_version SET version = version + 1")
    _resum(path)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)
    _resum(path)


@pytest.mark.parametrize(
    "harm",
    [
        _flip,
        _foreign,
        _other_version,
        _cut,
        lambda path: copy.checksum_of(path).unlink(),
        lambda path: copy.checksum_of(path).write_text("", encoding="utf-8"),
        lambda path: path.unlink(),
    ],
    ids=["flipped", "foreign", "version", "cut", "no checksum", "empty checksum", "no copy"],
)
def test_a_copy_that_cannot_be_trusted_is_refused_and_nothing_changes(harm: object, tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    _filled(file, 40)
    copy.backup(_url(file), tmp_path / "copy")
    before = file.read_bytes()
    assert callable(harm)
    harm(tmp_path / "copy")
    with pytest.raises(OperationError) as caught:
        copy.restore(_url(file), tmp_path / "copy", ACT, 10.0)
    assert caught.value.code is Code.REGISTRY_BACKUP
    assert file.read_bytes() == before
    assert not list(tmp_path.glob("*before*"))


def test_a_registry_that_is_gone_is_made_from_the_copy(tmp_path: Path) -> None:
    _filled(tmp_path / "registry.db", 4)
    copy.backup(_url(tmp_path / "registry.db"), tmp_path / "copy")
    (tmp_path / "registry.db").unlink()
    facts = copy.restore(_url(tmp_path / "registry.db"), tmp_path / "copy", ACT, 10.0)
    assert (facts.documents, facts.kept) == (4, None)
    assert (tmp_path / "registry.db").stat().st_mode & 0o777 == 0o600
    registry = open_registry(_url(tmp_path / "registry.db"))
    assert _all_queued(registry, "w1", 4)
    registry.close()


def test_what_is_broken_beyond_reading_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    _filled(file, 4)
    copy.backup(_url(file), tmp_path / "copy")
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(RegistryError, match="move it away"):
        copy.restore(_url(file), tmp_path / "copy", ACT, 10.0)
    assert file.read_bytes().startswith(b"no database")


@pytest.mark.parametrize(
    ("step", "newer"),
    [("copying", True), ("_mend", True), ("_keep", True), ("writing", True), ("written", False)],
)
def test_a_restore_that_is_killed_leaves_the_old_content_or_the_new(
    step: str, newer: bool, tmp_path: Path
) -> None:
    file = tmp_path / "registry.db"
    _filled(file, 60)
    copy.backup(_url(file), tmp_path / "copy")
    _filled(file, 40, "w2")
    with _process(RESTORE, _url(file), tmp_path / "copy", step) as process:
        assert process.wait(60) == -signal.SIGKILL
    registry = open_registry(_url(file))
    assert _all_queued(registry, "w1", 60)
    assert _all_queued(registry, "w2", 40) is newer
    assert bool(registry.acts()) is not newer
    registry.close()
    later = Act(NOW.replace(second=1), "someone", "registry.restore", "copy")
    copy.restore(_url(file), tmp_path / "copy", later, 10.0)  # what was left behind is in nobody's way


def test_the_files_of_a_registry_belong_to_whom_its_folder_belongs_to(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, 12346)
    folder = tmp_path.stat()
    registry = open_registry(_url(tmp_path / "registry.db"))
    registry.last_receipt_number("w1")
    made = {path.name: path.stat() for path in tmp_path.iterdir()}
    assert {"registry.db", "registry.db-turn", "registry.db-wal"} <= set(made)
    for name, status in made.items():
        assert (status.st_uid, status.st_gid) == (folder.st_uid, folder.st_gid), name
        assert status.st_mode & 0o077 == 0, name
    registry.close()
