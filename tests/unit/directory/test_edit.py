"""Changing one agency of a file: whole or not at all, one after the other, nothing else touched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from relay.directory import history
from relay.directory.edit import By, change_agency
from relay.directory.file import check, load
from relay.directory.write import dump
from relay.errors import Code, ConfigurationError, OperationError
from relay.model.agency import Admission, Agency, AgencyCertificate, GatewayUser, LoginBy
from relay.model.levels import Level

BY = By("nga", "user.rotate", datetime(2026, 3, 1, tzinfo=UTC))
END = datetime(2026, 3, 1, 17, 30, 0, 1, UTC)
AGENCIES = (
    Agency("H53", "Tỉnh số 53", Level.PROVINCE, gateway="H53", own_queue=True),
    Agency("H26", "Thành phố", Level.PROVINCE, gateway="H26", own_queue=True),
)


@pytest.fixture(params=["directory.yaml", "directory.json"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path: Path = tmp_path / request.param
    dump(path, AGENCIES, "ghi chú")
    return path


def users(*listed: GatewayUser) -> Callable[[Agency], Agency]:
    return lambda agency: replace(agency, users=listed)


def test_what_is_written_is_read_again(file: Path) -> None:
    both = (GatewayUser("H53", until=END), GatewayUser("cn=a b", LoginBy.CERTIFICATE))
    made = change_agency(file, "H53", users(*both), BY)
    again = load(file)
    assert made.version == again.version
    assert again.agencies() == (replace(AGENCIES[0], users=both), AGENCIES[1])
    assert again.by_code["H53"].logins == both
    assert "ghi chú" in file.read_text(encoding="utf-8")
    assert [again.gateway_of(user) for user in ("H53", "cn=a b", "H26", "x")] == ["H53", "H53", "H26", "x"]
    (line,) = history.read(file, "H53")
    assert (line.who, line.act, line.made, list(line.change["fields"])) == (
        "nga",
        "user.rotate",
        True,
        ["users"],
    )
    there = sorted(path.name for path in file.parent.iterdir())
    assert there == [f".{file.name}.lock", file.name, f"{file.name}.history.jsonl"]


def test_a_file_keeps_its_mode_and_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / f"link{file.suffix}"
    link.symlink_to(file)
    change_agency(link, "H53", lambda agency: replace(agency, admission=Admission.SUSPENDED), BY)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert load(file).by_code["H53"].admission is Admission.SUSPENDED


def test_nothing_invalid_is_ever_put_in_its_place(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(ConfigurationError) as caught:
        change_agency(file, "H53", users(GatewayUser("H26")), BY)
    assert caught.value.code is Code.DIRECTORY_INVALID
    assert "code of another agency" in caught.value.detail
    with pytest.raises(OperationError):
        change_agency(file, "H99", lambda agency: agency, BY)
    inode = file.stat().st_ino
    change_agency(file, "H53", lambda agency: agency, BY)
    assert (file.read_bytes(), file.stat().st_ino) == (before, inode)


def numbered(number: int) -> Callable[[Agency], Agency]:
    return lambda agency: replace(agency, aliases=(f"00{number}.00.00.{agency.code}",))


def test_two_at_once_lose_nothing(file: Path) -> None:
    def one(code: str) -> None:
        for number in range(5):
            change_agency(file, code, numbered(number), BY)

    threads = [threading.Thread(target=one, args=(code,)) for code in ("H53", "H26")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [agency.aliases for agency in load(file).agencies()] == [("004.00.00.H53",), ("004.00.00.H26",)]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("users: [H26]", "code of another agency"),
        ("users: [x, x]", "also a user of"),
        ("users: [' x']", "printable"),
        ("users: [{name: x, by: word}]", "one of"),
        ("users: [{name: x, secret: y}]", "mapping of name, by and until"),
        ("users: [{name: x, until: tomorrow}]", "a time like"),
        ("gateway: H26, queue: own, users: [x]", "only a gateway"),
    ],
)
def test_users_are_checked(tmp_path: Path, entry: str, problem: str) -> None:
    path = tmp_path / "d.yaml"
    gateway = "" if entry.startswith("gateway") else "gateway: H53, "
    path.write_text(
        f"agencies: [{{code: H26, name: b, gateway: H26}}, {{code: H53, name: a, {gateway}{entry}}}]\n",
        encoding="utf-8",
    )
    assert any(problem in finding.problem for finding in check(path).findings)


def test_a_certificate_signs_within_its_days_and_until_it_is_retired() -> None:
    one = AgencyCertificate("a", "", date(2026, 3, 1), date(2026, 3, 2), datetime(2026, 3, 2, 3, tzinfo=UTC))
    for hour, signs in {
        datetime(2026, 2, 28, 16, 59, tzinfo=UTC): False,
        datetime(2026, 2, 28, 17, tzinfo=UTC): True,  # the day begins in Vietnam
        datetime(2026, 3, 2, 2, 59, 59, tzinfo=UTC): True,
        datetime(2026, 3, 2, 3, tzinfo=UTC): False,
    }.items():
        assert one.signs_at(hour) is signs
    assert not replace(one, retired_at=None).signs_at(datetime(2026, 3, 2, 17, tzinfo=UTC))
