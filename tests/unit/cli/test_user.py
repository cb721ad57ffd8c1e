"""What ``truc user`` prints: a password once and in one place, facts in both languages."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay.errors import BrokerError, Code, OperationError
from relay.model.agency import Admission, LoginBy
from relay.model.audit import Act
from relay.operate.users import Done, UserRow
from relay.registry import open_registry
from tests.unit.cli.conftest import Truc

SECRET = "s3cret-of-one-run"
AT = datetime(2026, 3, 1, 17, 30, tzinfo=UTC)
ADDED = Done("user.add", "H53", "H53", LoginBy.PASSWORD, SECRET, Admission.ADMITTED, changes=("+ user H53",))
ROTATED = Done(
    "user.rotate",
    "H53",
    "H53+1",
    LoginBy.PASSWORD,
    SECRET,
    Admission.ADMITTED,
    AT,
    ("H53",),
    ("+ user H53+1",),
)


class Fake:
    """In the place of ``Users``: answers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.clock = self

    def now(self) -> datetime:
        return AT

    def add(self, code: str, **more: Any) -> Done:
        self.asked.append(("add", code, more))
        return ADDED

    def rotate(self, code: str, until: datetime, *, force: bool) -> Done:
        self.asked.append(("rotate", code, until, force))
        return ROTATED

    def finish(self, code: str, *, force: bool) -> Done:
        return Done("user.rotate", code, "H53+1", former=("H53",), closed=2)

    def close(self, code: str, *, force: bool) -> Done:
        return Done("user.close", code, admission=Admission.CLOSED, queued={"agency.H53": 3})

    def expire(self) -> list[Done]:
        return []

    def ls(self) -> list[UserRow]:
        act = Act(AT, "nga", "user.add", "H53")
        return [
            UserRow("H53", "Tỉnh số 53", "H53", LoginBy.PASSWORD, Admission.TRIAL, AT, 2, act),
            UserRow("H29", "Tỉnh số 29", "H29", None, Admission.SUSPENDED, None, 0, None),
        ]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()

    @contextmanager
    def users(*_facts: object, **_more: object) -> Iterator[Fake]:
        yield made

    monkeypatch.setattr("relay.cli.user._users", users)
    return made


def test_a_password_is_the_last_line_and_stands_nowhere_else(truc: Truc, fake: Fake) -> None:
    result = truc("user", "add", "H53")
    assert result.stdout.splitlines()[-1] == SECRET
    assert result.stdout.count(SECRET) == 1
    assert SECRET not in result.stderr
    told = json.loads(truc("user", "add", "H53", "--json").stdout)
    assert (told["password"], told["user"], told["by"]) == (SECRET, "H53", "password")


def test_a_password_goes_to_a_new_file_of_its_owners_alone(truc: Truc, fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "password"
    result = truc("user", "add", "H53", "--password-file", file)
    assert (result.exit_code, SECRET in result.output) == (0, False)
    assert file.read_text(encoding="ascii") == f"{SECRET}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    before = len(fake.asked)
    again = truc("user", "add", "H53", "--password-file", file)
    assert (again.exit_code, len(fake.asked)) == (3, before)  # nothing is changed before the file is open
    told = json.loads(truc("user", "rotate", "H53", "--password-file", tmp_path / "other", "--json").stdout)
    assert told["password_file"] == str(tmp_path / "other")
    assert "password" not in told


def test_no_empty_file_is_left_where_no_password_came(truc: Truc, tmp_path: Path) -> None:
    file = tmp_path / "password"
    result = truc("user", "add", "H53", "--password-file", file, "--home", tmp_path / "none")
    assert result.exit_code == 5
    assert not file.exists()


def test_an_overlap_is_told_with_its_end(truc: Truc, fake: Fake) -> None:
    result = truc("--lang", "vi", "user", "rotate", "H53", "--overlap", "2")
    assert "người dùng H53+1, mật khẩu" in result.stdout
    assert "song song đến 02/03/2026 00:30:00 +07:00: H53" in result.stdout
    assert fake.asked[-1] == ("rotate", "H53", datetime(2026, 3, 3, 17, 30, tzinfo=UTC), False)
    assert "removed: H53" in truc("user", "rotate", "H53", "--finish").stdout
    assert "3 messages stay in agency.H53" in truc("user", "close", "H53", "--force").stdout
    assert "nobody's time" in truc("user", "expire").stdout


def test_what_could_not_be_ended_is_told_beside_what_was(
    truc: Truc, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = BrokerError(Code.BROKER_UNREACHABLE, "management API")
    done = [
        Done("user.expire", "H29", error=gone),
        Done("user.expire", "H30", changes=("- user H30",), former=("H30",)),
        Done("user.resume", "H53", error=OperationError(Code.TOPOLOGY_NOT_READY, "the broker is bare")),
    ]
    monkeypatch.setattr(fake, "expire", lambda: done)
    result = truc("user", "expire", "--lang", "en")
    assert result.exit_code == 4
    assert result.stdout == "H30: - user H30\n"
    assert "H53: TOPOLOGY-NOT-READY" in result.stderr
    assert "H29: BROKER-UNREACHABLE" in result.stderr
    told = truc("user", "expire", "--json")
    assert told.exit_code == 4
    rows = json.loads(told.stdout)
    assert [(one["code"], one.get("error")) for one in rows] == [
        ("H29", "BROKER-UNREACHABLE"),
        ("H30", None),
        ("H53", "TOPOLOGY-NOT-READY"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        ("add", "H53", "--login", "x"),
        ("rotate", "H53", "--finish", "--at-once"),
        ("rotate", "H53", "--finish", "--password-file", "x"),
        ("add", "h53"),
        ("suspend", "H53", "--until", "tomorrow"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(truc: Truc, fake: Fake, line: tuple[str, ...]) -> None:
    assert truc("user", *line).exit_code == 2
    assert fake.asked == []


def test_the_list_is_for_people_and_for_programs(truc: Truc, fake: Fake) -> None:
    shown = truc("user", "ls").stdout.splitlines()
    assert shown[1].split()[:4] == ["H53", "H53", "password", "trial"]
    assert "not on the broker" in shown[2]
    rows = json.loads(truc("user", "ls", "--json").stdout)
    assert rows[0]["last"] == {
        "at": "2026-03-01T17:30:00.000Z",
        "who": "nga",
        "act": "user.add",
        "subject": "H53",
        "detail": "",
    }
    assert (rows[1]["by"], rows[1]["admission"]) == ("", "suspended")


def test_the_audit_is_read_by_subject(truc: Truc, home: Path) -> None:
    registry = open_registry(f"sqlite:///{home / 'data' / 'registry.db'}")
    registry.note_act(Act(AT, "nga", "user.add", "H53", "H53 by password"))
    registry.note_act(Act(AT, "nga", "user.add", "H29"))
    registry.close()
    rows = json.loads(truc("audit", "H53", "--home", home, "--json").stdout)
    assert [row["detail"] for row in rows] == ["H53 by password"]
    assert "02/03/2026 00:30:00 +07:00  nga" in truc("audit", "--home", home).stdout
    assert truc("audit", "H99", "--home", home).stdout == "nothing is noted\n"
    raw = sqlite3.connect(home / "data" / "registry.db")
    raw.execute("DELETE FROM acts")
    raw.commit()
    raw.close()
