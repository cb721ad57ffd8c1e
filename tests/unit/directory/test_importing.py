"""Lists from elsewhere: read by column, proposed as a whole, written with their history."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.directory import history
from relay.directory.advice import Matter, advice
from relay.directory.diff import Kind, diff
from relay.directory.entries import Finding
from relay.directory.file import load
from relay.directory.importing import Proposal, propose
from relay.directory.snapshot import AgencyDirectory
from relay.directory.tables import read
from relay.directory.wording import vietnamese
from relay.errors import Code, ConfigurationError
from relay.model.agency import Admission
from relay.model.levels import Level
from relay.resources import shipped

TAYNINH = Path(__file__).parents[2] / "data" / "tayninh_2020.csv"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def proposal(found: Proposal | tuple[Finding, ...]) -> Proposal:
    assert isinstance(found, Proposal), found
    return found


def listed(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_real_province(tmp_path: Path) -> None:
    refused = propose(None, read(TAYNINH))
    assert isinstance(refused, tuple)
    assert len(refused) == 1, refused  # the one malformed code of that list, by its line
    bad = refused[0]
    assert bad.line is not None
    lines = TAYNINH.read_text(encoding="utf-8").splitlines()
    assert bad.code in lines[bad.line - 1]
    mended = listed(tmp_path, "\n".join(line for n, line in enumerate(lines, 1) if n != bad.line) + "\n")
    found = proposal(propose(None, read(mended)))
    by_code = {agency.code: agency for agency in found.agencies}
    assert len(by_code) == 447
    assert all(agency.parent in by_code for agency in found.agencies if "." in agency.code)
    assert by_code["H53.31"].level is Level.DISTRICT
    assert by_code["H53.31.20"].level is Level.COMMUNE
    assert by_code["H53.13"].level is Level.PROVINCE
    assert sum("stands twice" in note for note in found.notes) == 7
    assert set(found.defaulted) == set(by_code)


def test_the_end_of_the_districts_is_a_list_like_any_other(tmp_path: Path) -> None:
    lines = TAYNINH.read_text(encoding="utf-8").splitlines()
    good = listed(tmp_path, "\n".join(line for line in lines if "000.1137.H53" not in line) + "\n")
    before = proposal(propose(None, read(good))).agencies
    connected = [replace(one, gateway="H53", own_queue=one.code == "H53") for one in before]
    reform = listed(
        tmp_path,
        "code,name,valid_from,valid_to,successors\n"
        "000.00.31.H53,,,2025-06-30,H53.101;H53.102\n"  # a district whose duties are now those of two communes
        "000.20.31.H53,,,2025-06-30,H53.101\n"  # a commune that is now under the province, by another code
        "000.05.31.H53,,,2025-06-30,\n"  # an office of the district
        "H53.101,Ủy ban nhân dân xã Một (mẫu),2025-07-01,,\nH53.102,Ủy ban nhân dân xã Hai (mẫu),2025-07-01,,\n",
        "reform.csv",
    )
    found = proposal(propose(AgencyDirectory.of(connected, "1"), read(reform)))
    assert {one.code: one.kind for one in found.changes} == {
        **dict.fromkeys(("H53.31", "H53.31.20", "H53.31.05"), Kind.CHANGED),
        **dict.fromkeys(("H53.101", "H53.102"), Kind.ADDED),
    }
    after = AgencyDirectory.of(
        [replace(one, gateway="H53") if one.gateway is None else one for one in found.agencies], "2"
    )
    eve, day = date(2025, 6, 30), date(2025, 7, 1)
    for written in ("H53.31", "000.20.31.H53", "H53.31.05"):
        assert after.resolve(written, eve).agency is not None, written
    for code in ("H53.101", "H53.102"):
        assert after.resolve(code, eve).refusal is Code.UNKNOWN_RECIPIENT
        assert after.resolve(code, day).agency is not None
    district = after.resolve("000.00.31.H53", day)
    assert (district.refusal, district.candidates) == (Code.RECIPIENT_CLOSED, ("H53.101", "H53.102"))
    commune = after.resolve("000.20.31.H53", day).agency
    assert commune is not None
    assert commune.code == "H53.101"
    assert after.resolve("H53.31.05", day).refusal is Code.RECIPIENT_CLOSED
    said = {(one.code, one.matter) for one in advice(after, day)}
    assert ("H53.31", Matter.DISTRICT_ENDED) not in said
    assert ("H53.32", Matter.DISTRICT_ENDED) in said  # nobody has entered its end
    assert ("H53.31.06", Matter.PARENT_CLOSED) in said


def test_the_lists_of_the_axis_service(tmp_path: Path) -> None:
    older = [
        {
            "id": 1,
            "pid": 0,
            "code": "000.00.00.H53",
            "name": "Đơn vị A",
            "mail": "a@example.vn",
            "oldCode": "",
        },
        {
            "id": 2,
            "pid": 1,
            "code": "000.00.13.H53",
            "name": "Đơn vị B",
            "mail": None,
            "oldCode": "01.13.H53",
        },
    ]
    found = proposal(propose(None, read(listed(tmp_path, json.dumps({"data": older}), "a.json"))))
    first, second = found.agencies
    assert (first.code, first.contact, first.aliases) == ("H53", "a@example.vn", ())
    assert (second.code, second.parent, second.aliases) == ("H53.13", "H53", ("01.13.H53",))
    newer = [
        {"id": "9", "code": "H53.13", "name": "Đơn vị B", "code102": "000.00.13.H53", "centerCode": "H53", "deleted": True},
        {"id": "8", "code": "H53.14", "name": "Đơn vị C", "code102": "000.00.14.H53", "centerCode": "W00.1", "modifyDate": "x"},
    ]  # fmt: skip
    directory = AgencyDirectory.of(found.agencies, "1")
    again = proposal(propose(directory, read(listed(tmp_path, json.dumps(newer), "b.json"))))
    by_code = {agency.code: agency for agency in again.agencies}
    assert by_code["H53.13"].admission is Admission.CLOSED
    assert by_code["H53.13"].aliases == ("01.13.H53",)
    assert by_code["H53.14"].gateway is None
    assert [(one.kind, one.code) for one in again.changes] == [
        (Kind.CHANGED, "H53.13"),
        (Kind.ADDED, "H53.14"),
    ]
    assert any("W00.1 is no gateway" in note for note in again.notes)


def test_every_kind_of_file_gives_the_same(tmp_path: Path) -> None:
    head = ["Mã định danh", "Tên", "gateway", "Valid-To", "successors", "colour"]
    rows = [
        ["H01", "Đơn vị Một", "H01", "2025/06/30", "H02", "red"],
        ["H02", "Đơn vị Hai", "H02", "", "", ""],
    ]
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(head)
    for row in rows:
        sheet.append([date(2025, 6, 30) if cell == "2025/06/30" else cell or None for cell in row])
    book.save(tmp_path / "list.xlsx")
    books = [tmp_path / "list.xlsx"]
    for name, mark in (("a.csv", ","), ("b.csv", ";"), ("c.tsv", "\t")):
        books.append(listed(tmp_path, "\ufeff" + "\r\n".join(mark.join(row) for row in [head, *rows]), name))
    books.append(
        listed(
            tmp_path,
            json.dumps([dict(zip(head, row, strict=True)) for row in rows], ensure_ascii=False),
            "d.json",
        )
    )
    found = [proposal(propose(None, read(path))) for path in books]
    assert all(one.agencies == found[0].agencies for one in found)
    assert found[0].agencies[0].valid_to == date(2025, 6, 30)
    assert found[0].agencies[0].successors == ("H02",)
    assert all("column colour: means nothing here, left out" in one.notes for one in found)


def test_a_list_as_an_office_keeps_it(tmp_path: Path) -> None:
    """Titles above, the columns in Vietnamese, words for levels, days as they are written here, a number before each."""
    rows = [
        ["DANH SÁCH MÃ ĐỊNH DANH CÁC CƠ QUAN (mẫu)"],
        [],
        [
            "STT",
            "Mã định danh điện tử",
            "Tên cơ quan, tổ chức",
            "Cấp",
            "Hiệu lực đến",
            "Kế thừa",
            "Thư điện tử",
        ],
        [1, "000.00.00.H01", "Ủy ban nhân dân tỉnh (mẫu)", "Tỉnh", None, None, "a@example.vn"],
        [2, "H01.31", "Ủy ban nhân dân huyện (mẫu)", "cấp huyện", "30/6/2025", "H01", None],
        [3, "H01.05", "Sở (mẫu)", "Cấp tỉnh", datetime(2030, 12, 31), None, None],
    ]
    book = openpyxl.Workbook()
    for cells in rows:
        book.active.append(cells)
    path = tmp_path / "list.xlsx"
    book.save(path)
    table = read(path)
    assert table.unknown == ()
    by_code = {one.code: one for one in proposal(propose(None, table)).agencies}
    assert {code: one.level for code, one in by_code.items()} == {
        "H01": Level.PROVINCE,
        "H01.31": Level.DISTRICT,
        "H01.05": Level.PROVINCE,
    }
    assert by_code["H01.31"].valid_to == date(2025, 6, 30)
    assert by_code["H01.31"].successors == ("H01",)
    assert by_code["H01.05"].valid_to == date(2030, 12, 31)
    assert by_code["H01"].contact == "a@example.vn"
    bad = propose(None, read(listed(tmp_path, "Mã,Tên,Cấp,Đến ngày\nH01,A,thôn,31/02/2025\n")))
    assert isinstance(bad, tuple)
    assert {one.line for one in bad} == {2}


def test_rows_change_what_they_say_and_leave_the_rest(tmp_path: Path) -> None:
    national = load(shipped("config/directory/national.yaml"))
    found = proposal(propose(national, read(listed(tmp_path, "code,contact\n000.00.00.H58,số 0\n"))))
    (change,) = found.changes
    assert (change.code, change.kind, change.fields) == ("H58", Kind.CHANGED, (("contact", None, "số 0"),))
    closed = proposal(propose(national, read(listed(tmp_path, "code\nH26\n")), complete=True))
    assert {agency.code for agency in closed.agencies if agency.admission is not Admission.CLOSED} == {"H26"}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("code,name\nH01,Một\nH0X,Hai\n", 3, "identifier code"),
        ("code,name\nH01,\n", 2, "name"),
        ("code,name,parent\nH01.01,Một,H77\n", 2, "H77 is not in the directory"),
        ("code,name,gateway\nH01,Một,H02\nH02,Hai,\n", 2, "H02 is not a gateway"),
        ("code,name,successors\nH01,Một,H02\nH02,Hai,H01\n", 2, "lead back"),
        ("code,name,level\nH01,Một,thôn\n", 2, "level"),
        ("code,name,valid_to\nH01,Một,12/2025\n", 2, "valid_to"),
        ("code,name,aliases\nH01,Một,01.02.H01\nH02,Hai,01.02.H01\n", 3, "also an alias"),
    ],
)
def test_what_is_wrong_is_told_by_its_line_and_nothing_is_proposed(
    tmp_path: Path, text: str, line: int, problem: str
) -> None:
    findings = propose(None, read(listed(tmp_path, text)))
    assert isinstance(findings, tuple)
    assert any(one.line == line and problem in one.problem for one in findings), findings
    assert all(vietnamese(one.problem) != one.problem for one in findings), findings


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no.csv", b"name\nA\n"), ("no.csv", b"\xff\xfe"), ("no.xlsx", b"PK no"), ("no.json", b"{}"),
        ("no.json", b"[1]"), ("no.json", b'[{"a": "code"}, {"a": "H01"}]'), ("no.json", b"[" * 100_000), ("no.csv", b'code\n"a'),
    ],
)  # fmt: skip
def test_what_is_no_list(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path / name)
    assert caught.value.code is Code.DIRECTORY_INVALID
    assert vietnamese(caught.value.detail) != caught.value.detail


cells = st.text(max_size=12) | st.sampled_from(
    ["H01", "000.00.01.H01", "H02", "closed", "own", "2025-01-01", "true", "1"]
)
KEYS = st.sampled_from(
    ["code", "name", "level", "parent", "pid", "id", "gateway", "centerCode", "queue", "oldCode", "admission", "deleted",
     "valid_from", "valid_to", "successors", "mail", "x"]
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(KEYS, cells, max_size=6), max_size=4))
def test_whatever_stands_in_a_list_gives_a_proposal_or_findings(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    path = listed(tmp_path, json.dumps([{"code": "H01", "name": "Một"}, *rows]), "junk.json")
    found = propose(None, read(path))
    if isinstance(found, tuple):
        assert found
        return
    target = tmp_path / "whole.json"
    target.unlink(missing_ok=True)
    history.write(target, found.agencies, who="tester", act="directory.import", at=AT)
    assert load(target).agencies() == found.agencies


def test_a_code_that_stands_first_without_a_name_is_a_finding_whatever_follows(tmp_path: Path) -> None:
    for text in ("code,name\nH01,\nH01,Một\n", "code,name\nH01,\nH01,\nH01,Một\nH01,Hai\n"):
        found = propose(None, read(listed(tmp_path, text)))
        assert isinstance(found, tuple)
        assert [(one.line, one.code, one.problem) for one in found] == [(2, "H01", "name: has to be a text")]


def test_the_history_knows_who_and_when_and_what_was_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agencies.yaml"
    first = proposal(propose(None, read(listed(tmp_path, "code,name\nH01,Một\n")))).agencies
    one, made = history.write(path, first, who="an", act="directory.import", at=AT)
    assert [change.kind for change in made] == [Kind.ADDED]
    assert history.write(path, first, who="an", act="directory.import", at=AT)[1] == ()
    second = proposal(propose(one, read(listed(tmp_path, "code,name\nH01,Hai\nH02,Ba\n")))).agencies
    with monkeypatch.context() as broken:
        broken.setattr(history, "replace_file", lambda new, path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            history.write(path, second, who="binh", act="directory.import", at=AT)
    assert load(path) == one
    two, _ = history.write(path, second, who="chi", act="directory.import", at=AT)
    entries = list(history.read(path))
    assert [(line.who, line.made) for line in entries] == [
        ("an", True),
        ("binh", True),
        ("binh", True),
        ("chi", True),
        ("chi", True),
    ]  # fmt: skip - the same content was made after all: same version
    assert [line.change["code"] for line in history.read(path, "H02")] == ["H02", "H02"]
    third = proposal(propose(two, read(listed(tmp_path, "code,name\nH02,Bốn\n")))).agencies
    with monkeypatch.context() as broken:
        broken.setattr(history, "replace_file", lambda new, path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            history.write(path, third, who="dung", act="directory.import", at=AT)
    assert [line.made for line in history.read(path)][-1] is False
    with history.file_of(path).open("ab") as file:
        file.write(b'{"at":"cut off')
    assert len(list(history.read(path))) == 6


def test_a_directory_that_contradicts_itself_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "agencies.json"
    agencies = proposal(propose(None, read(listed(tmp_path, "code,name\nH01,Một\n")))).agencies
    before, _ = history.write(path, agencies, who="an", act="directory.import", at=AT)
    with pytest.raises(ConfigurationError):
        history.write(path, [*agencies, *agencies], who="an", act="directory.import", at=AT)
    assert load(path) == before
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_nothing_differs_from_itself() -> None:
    agencies = load(shipped("config/directory/national.yaml")).agencies()
    assert diff(agencies, agencies) == ()
    assert {change.kind for change in diff(agencies, [])} == {Kind.REMOVED}
