"""``truc directory import|export|diff|history|show``, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.directory import _MATTERS
from relay.cli.main import main
from relay.directory.advice import Matter
from relay.directory.file import load
from relay.resources import shipped

NATIONAL = str(shipped("config/directory/national.yaml"))


def run(*arguments: str | Path, code: int = 0) -> Result:
    words = list(map(str, arguments))
    lang, words = (words[:2], words[2:]) if words[0] == "--lang" else ([], words)
    result = CliRunner().invoke(main, [*lang, "directory", *words], env={"LANG": "en_US.UTF-8"})
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def place(tmp_path: Path) -> Path:
    listed = tmp_path / "list.csv"
    listed.write_text(
        "code,name,contact\nH01,Đơn vị Một,=1+1\n000.00.05.H01,Đơn vị Hai,+84 000\n", encoding="utf-8"
    )
    path = tmp_path / "agencies.json"
    run("import", listed, "--file", path)
    return path


def test_a_list_comes_in_and_goes_out_again(place: Path, tmp_path: Path) -> None:
    for name in ("out.csv", "out.tsv", "out.xlsx", "out.json"):
        assert "2 agencies" in run("export", tmp_path / name, "--file", place).output
        again = json.loads(run("import", tmp_path / name, "--file", place, "--dry-run", "--json").output)
        assert (again["changes"], again["notes"], again["written"]) == ([], [], False)
    (tmp_path / "folder.csv").mkdir()
    for name in ("out.pdf", "missing/out.csv", "folder.csv/out.csv/out.csv"):
        refused = CliRunner().invoke(
            main, ["directory", "export", str(tmp_path / name), "--file", str(place)]
        )
        assert (refused.exit_code, refused.output.partition(":")[0]) == (3, "FILE-UNUSABLE")
        assert str(tmp_path / name) in refused.output


def test_a_directory_that_cannot_be_written_is_not_called_faulty(place: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    for where in (tmp_path / "missing" / "agencies.json", place / "agencies.json"):
        refused = run("import", listed, "--file", where, code=3)
        assert refused.output.startswith("FILE-UNUSABLE")
    (tmp_path / "agencies.json.history.jsonl").unlink()
    (tmp_path / "agencies.json.history.jsonl").mkdir()
    before = place.read_bytes()
    listed.write_text("code,name\nH01,Tên khác\n", encoding="utf-8")
    assert run("import", listed, "--file", place, code=3).output.startswith("FILE-UNUSABLE")
    assert place.read_bytes() == before


def test_a_preview_writes_nothing(place: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.json"
    more.write_text(json.dumps([{"code": "H01", "name": "Tên mới"}, {"code": "H02", "name": "Ba"}]))
    before = place.read_bytes()
    shown = run("import", more, "--file", place, "--dry-run").output
    assert "1 added, 1 changed, 0 removed" in shown
    assert "Đơn vị Một → Tên mới" in shown
    assert place.read_bytes() == before
    run("import", more, "--file", place)
    assert load(place).by_code["H01"].name == "Tên mới"
    kept = json.loads(run("history", "000.00.00.H01", "--file", place, "--json").output)
    assert [one["kind"] for one in kept] == ["changed", "added"]
    assert kept[0]["fields"]["name"] == {"before": "Đơn vị Một", "after": "Tên mới"}
    assert kept[0]["who"]
    assert all(one["made"] for one in kept)


def test_a_list_with_a_fault_changes_nothing(place: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("code,name\nH03,Ba\nh04,Bốn\n", encoding="utf-8")
    before = place.read_bytes()
    result = CliRunner().invoke(main, ["directory", "import", str(bad), "--file", str(place)])
    assert result.exit_code != 0
    assert "line 3" in result.output
    assert "DIRECTORY-INVALID" in result.output
    assert place.read_bytes() == before


def test_two_files_are_compared(place: Path) -> None:
    assert "0 added, 0 changed, 0 removed" in run("diff", place, place).output
    assert "H58" in json.dumps(json.loads(run("diff", place, NATIONAL, "--json", code=1).output))


def test_an_agency_is_shown_as_it_was_on_a_day() -> None:
    for day, code in (("2025-06-30", ""), ("2025-07-01", "H05")):
        facts = json.loads(run("show", "H02", "--at", day, "--file", NATIONAL, "--json").output)
        assert facts["resolution"]["via"] == (["H02"] if code else [])
    old = run("show", "G10", "--at", "2025-04-13", "--file", NATIONAL).output
    assert old.startswith("G10  Bộ Nông nghiệp và Phát triển nông thôn")
    assert run("show", "G10", "--at", "2025-04-14", "--file", NATIONAL).output.startswith(
        "G10  Bộ Nông nghiệp và Môi trường"
    )


def test_a_page_says_what_a_code_was_on_a_day_and_who_has_its_duties_now() -> None:
    eve = run("--lang", "vi", "show", "H02", "--at", "2025-06-30", "--file", NATIONAL).output
    day = run("--lang", "vi", "show", "H02", "--at", "2025-07-01", "--file", NATIONAL).output
    assert "mã đang có hiệu lực" in eve
    assert "H05" not in eve.replace("kế thừa             H05", "")
    assert "mã đã đóng" in day
    assert "H05  Ủy ban nhân dân tỉnh Bắc Ninh" in day
    assert "not yet in force" in run("show", "G38", "--at", "2025-01-01", "--file", NATIONAL).output
    closed = run("show", "G14", "--file", NATIONAL).output
    assert "RECIPIENT-CLOSED: " in closed
    facts = json.loads(run("show", "H02", "--at", "2025-07-01", "--file", NATIONAL, "--json").output)
    assert facts["resolution"]["duties_with"] == "H05"
    assert facts["resolution"]["duties_with_name"] == "Ủy ban nhân dân tỉnh Bắc Ninh"


def test_a_search_marks_what_is_closed() -> None:
    shown = run("--lang", "vi", "search", "ubnd tinh bac giang", "--file", NATIONAL).output
    assert "Ủy ban nhân dân tỉnh Bắc Giang  [mã đã đóng → H05]" in shown
    assert "[" not in run("search", "ubnd tinh bac ninh", "--file", NATIONAL).output
    (found,) = json.loads(run("search", "BTTTT", "--file", NATIONAL, "--json").output)
    assert (found["code"], found["state"], found["duties_with"]) == ("G14", "closed", "G14")
    run("search", "không có cơ quan nào như thế", "--file", NATIONAL, code=5)


def test_all_faults_of_a_list_are_told_in_the_language(place: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("code,name\n" + "".join(f"x{number},A\n" for number in range(40)), encoding="utf-8")
    told = run("--lang", "vi", "import", bad, "--file", place, code=3)
    assert told.output.count("ký tự thứ 1 của mã định danh là chữ thường") == 40
    assert "dòng 41: x39: " in told.output
    facts = json.loads(run("import", bad, "--file", place, "--json", code=3).stdout)
    assert len(facts["findings"]) == 40
    assert facts["written"] is False


def test_check_tells_what_wants_attention() -> None:
    assert set(_MATTERS) == set(Matter)
    shown = run("check", NATIONAL).output
    assert "G04" in shown
    assert "closed, without a successor (11):" in shown
    assert "more (all: --json)" in shown  # a page stays a page
    facts = json.loads(run("check", "--file", NATIONAL, "--json").output)
    assert {"matter": "no-successor", "code": "G04", "detail": ""} in facts["advice"]
