"""Opening: what is ours, what is not, and that the keeper's queries use their indices."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from relay.errors import Code, RegistryError
from relay.model.audit import Act
from relay.model.record import Claimed
from relay.registry import claims, open_registry, schema, settle
from tests.support.registry import START, Maker, at


def test_a_file_is_opened_again_with_its_documents(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    make = Maker()
    claim = make.claim("a")
    first = open_registry(url)
    first.claim([claim], "w1", START)
    first.close()
    again = open_registry(url)
    assert again.claim([claim], "w2", at(60))[0].outcome is Claimed.RESUMED
    again.close()
    raw = sqlite3.connect(tmp_path / "r.db")
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


@pytest.mark.parametrize(
    "script",
    [
        "UPDATE schema_version SET version = 999",
        "DELETE FROM schema_version",
        "DROP TABLE schema_version",
    ],
)
def test_a_foreign_version_is_not_touched(tmp_path: Path, script: str) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    open_registry(url).close()
    raw = sqlite3.connect(tmp_path / "r.db")
    raw.execute(script)
    raw.commit()
    before = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    with pytest.raises(RegistryError) as caught:
        open_registry(url)
    assert caught.value.code is Code.REGISTRY_UNUSABLE
    assert raw.execute("SELECT count(*) FROM sqlite_master").fetchone() == before
    raw.close()


def test_an_older_registry_gets_what_came_later_and_keeps_what_it_has(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    claim = Maker().claim("a")
    first = open_registry(url)
    first.claim([claim], "w1", START)
    first.close()
    raw = sqlite3.connect(tmp_path / "r.db")
    raw.execute("DROP TABLE acts")
    raw.commit()
    again = open_registry(url)
    act = Act(START, "nga", "user.add", "H53")
    again.note_act(act)
    assert again.acts() == (act,)
    assert len(again.find(claim.transport_id)) == 1
    again.close()
    assert raw.execute("SELECT version FROM schema_version").fetchall() == [(schema.VERSION,)]
    assert raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'acts_of'").fetchall()
    raw.close()


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "no url", "postgresql+nodriver://x/y", "sqlite:////nowhere/at/all.db"]
)
def test_what_cannot_be_opened_is_said(url: str) -> None:
    with pytest.raises(RegistryError) as caught:
        open_registry(url)
    assert caught.value.code is Code.REGISTRY_UNUSABLE


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_text("a text, not a database, and longer than a header of one " * 40)
    with pytest.raises(RegistryError) as caught:
        open_registry(f"sqlite:///{tmp_path}/r.db")
    assert caught.value.code is Code.REGISTRY_UNUSABLE


def test_many_open_an_empty_file_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    errors: list[Exception] = []

    def open_one() -> None:
        try:
            open_registry(url).close()
        except RegistryError as error:
            errors.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_locked_file_is_busy_for_writers_and_open_to_readers(tmp_path: Path) -> None:
    registry = open_registry(f"sqlite:///{tmp_path}/r.db")
    registry._engine.dispose()
    quick = type(registry)(f"sqlite:///{tmp_path}/r.db", busy_timeout=0.05)
    make = Maker()
    claim = make.claim("a")
    quick.claim([claim], "w1", START)
    other = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryError) as caught:
        quick.claim([make.claim("b")], "w1", START)
    assert caught.value.code is Code.REGISTRY_BUSY
    assert len(quick.find(claim.transport_id)) == 1
    assert quick.unfinished_outcomes(9) == []
    other.execute("ROLLBACK")
    assert quick.claim([make.claim("b")], "w1", START)[0].outcome is Claimed.NEW
    other.close()
    quick.close()


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT id FROM documents WHERE watch_at IS NOT NULL AND watch_at < ?", "documents_watched"),
        ("SELECT min(accepted_at) FROM documents WHERE documents.settled = 0", "documents_unsettled"),
        ("SELECT id FROM documents WHERE documents.outcome_due = 1 AND settled = ?", "documents_outcome_due"),
        (
            "SELECT document FROM deliveries WHERE deliveries.state = 'planned' AND lost = ?",
            "deliveries_planned",
        ),
        ("SELECT id FROM receipts WHERE receipts.published_at IS NULL AND at < ?", "receipts_unpublished"),
        (
            "SELECT id FROM documents WHERE body_sha256 IN (?) AND same_content_as IS NULL AND refusal IS NULL",
            "documents_first",
        ),
        ("SELECT id FROM documents WHERE documents.kind = 'edoc' AND document_id = ?", "documents_business"),
        ("SELECT id FROM documents WHERE documents.kind = 'edoc' AND code IN (?, ?)", "documents_numbered"),
        ("SELECT max(serial) FROM receipts WHERE series = ?", "receipts_number"),
    ],
)
def test_a_query_finds_its_index(tmp_path: Path, sql: str, index: str) -> None:
    open_registry(f"sqlite:///{tmp_path}/r.db").close()
    raw = sqlite3.connect(tmp_path / "r.db")
    plan = raw.execute(f"EXPLAIN QUERY PLAN {sql}", ("x",) * sql.count("?")).fetchall()
    raw.close()
    assert index in plan[0][3]


def test_a_commit_that_was_answered_survives_a_power_cut(tmp_path: Path) -> None:
    registry = open_registry(f"sqlite:///{tmp_path}/r.db")
    with registry._read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    registry.close()


def test_the_tables_and_the_hot_path_can_be_said_in_postgresql() -> None:
    dialect = make_url("postgresql://").get_dialect()()
    for table in schema.metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            partial = index.dialect_options["sqlite"]["where"]
            said = str(CreateIndex(index).compile(dialect=dialect))
            assert (partial is not None) == ("WHERE" in said), said
    assert "BIGSERIAL" in str(CreateTable(schema.documents).compile(dialect=dialect))
    assert "FOR UPDATE" in str(claims._BY_KEY.compile(dialect=dialect))
    assert "FOR UPDATE" in str(settle._LOCK.compile(dialect=dialect))
    for move in settle._MOVES.values():
        assert "POSTCOMPILE" not in str(move._statement.compile(dialect=dialect))
