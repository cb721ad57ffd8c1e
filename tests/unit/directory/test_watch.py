"""A directory that changes while the relay runs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from relay.directory import watch as watching
from relay.directory.file import Checked
from relay.directory.watch import DirectoryWatch, PlainReader, Reload
from relay.errors import ConfigurationError
from tests.unit.directory.conftest import Write


def test_a_change_is_taken_and_an_invalid_one_is_told_and_not_taken(write: Write) -> None:
    told: list[Reload] = []
    path = write({"code": "H01"})
    watch = DirectoryWatch(path, told.append)
    first = watch.current()
    assert watch.poll() is None
    write({"code": "H01"}, {"code": "H02"})
    taken = watch.poll()
    assert taken is not None
    assert (taken.result, taken.agencies) == ("taken", 2)
    second = watch.current()
    assert second.version != first.version
    assert first.agency("H02") is None, "a snapshot that somebody holds does not change"
    write({"code": "H01"}, {"code": "H01"}, {"code": "H03"})
    bad = watch.poll()
    assert bad is not None
    assert (bad.result, bad.version, bad.agencies) == ("invalid", second.version, 2)
    assert "stands twice" in str(bad.findings[0])
    assert watch.current() is second
    assert watch.poll() is None, "told once"
    write({"code": "H04"})
    watch.poll()
    assert watch.current().agency("H04") is not None
    assert told == [taken, bad, told[2]]


def test_a_file_that_is_gone_or_only_touched(write: Write) -> None:
    path = write({"code": "H01"})
    watch = DirectoryWatch(path)
    text = path.read_bytes()
    path.unlink()
    gone = watch.poll()
    assert gone is not None
    assert gone.result == "invalid"
    path.write_bytes(text)
    back = watch.poll()
    assert back is not None
    assert back.result == "unchanged"
    forced = watch.poll(force=True)
    assert forced is not None
    assert forced.result == "unchanged"


def test_a_renewed_certificate_file_counts(write: Write, tmp_path: Path, pems: tuple[str, ...]) -> None:
    (tmp_path / "c.pem").write_text(pems[0], encoding="ascii")
    watch = DirectoryWatch(write({"code": "H01", "certificates": ["c.pem"]}))
    before = watch.current().signers("H01")
    assert watch.poll() is None
    (tmp_path / "c.pem").write_text(pems[1] + "\n", encoding="ascii")
    taken = watch.poll()
    assert taken is not None
    assert taken.result == "taken"
    assert watch.current().signers("H01") != before


def test_there_has_to_be_something_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        DirectoryWatch(tmp_path / "none.yaml")


def test_it_looks_by_itself(write: Write) -> None:
    seen = threading.Event()
    watch = DirectoryWatch(write({"code": "H01"}), lambda _: seen.set())
    watch.start(0.02)
    try:
        write({"code": "H01"}, {"code": "H02"})
        assert seen.wait(90)
    finally:
        watch.stop()
    assert watch.current().agency("H01") is not None


class Counting(PlainReader):
    """Counts what is read, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.read = 0
        self.failures = failures

    def check(self, path: Path) -> Checked:
        self.read += 1
        if self.failures:
            self.failures -= 1
            raise MemoryError
        return super().check(path)


def test_a_refused_file_is_not_read_for_each_message_that_comes_back(write: Write) -> None:
    reader = Counting()
    watch = DirectoryWatch(write({"code": "H01"}), reader=reader)
    write({"code": "H01"}, {"code": "H01"})
    told = [watch.poll(force=True) for _ in range(5)]
    assert {one.result for one in told if one is not None} == {"invalid"}
    assert reader.read == 1
    watch.poll(again=True)
    assert reader.read == 2
    write({"code": "H02"})
    taken = watch.poll(force=True)
    assert taken is not None
    assert taken.result == "taken"


def test_what_was_missing_when_a_change_was_read_is_looked_for_again(
    write: Write, tmp_path: Path, pems: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "AGAIN", 0.05)
    results: list[str] = []
    taken = threading.Event()

    def report(seen: Reload) -> None:
        results.append(seen.result)
        if seen.result == "taken":
            taken.set()

    watch = DirectoryWatch(write({"code": "H01"}), report)
    write({"code": "H01", "certificates": ["late.pem"]})
    watch.start(0.02)
    try:
        assert not taken.wait(0.2)
        (tmp_path / "late.pem").write_text(pems[0], encoding="ascii")
        assert taken.wait(90)
    finally:
        watch.stop()
    assert results[0] == "invalid"


def test_a_surprise_ends_no_watch(write: Write) -> None:
    told: list[Reload] = []
    taken = threading.Event()

    def report(seen: Reload) -> None:
        told.append(seen)
        if seen.result == "taken":
            taken.set()

    watch = DirectoryWatch(write({"code": "H01"}), report, Counting(failures=2))
    write({"code": "H01"}, {"code": "H02"})
    watch.start(0.02)
    try:
        assert taken.wait(90)
    finally:
        watch.stop()
    assert [one.result for one in told] == ["invalid", "invalid", "taken"]
