"""Reading, validating and writing a directory file."""

from __future__ import annotations

import hashlib
import json
import ssl
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.directory.file import check, load, summary
from relay.directory.search import fold, search
from relay.directory.wording import vietnamese
from relay.directory.write import dump
from relay.errors import Code, ConfigurationError
from relay.model.agency import Admission
from relay.model.levels import Level
from relay.resources import shipped
from tests.unit.directory.conftest import Write

OWN = {"gateway": "H26", "queue": "own"}
GATEWAY = {"code": "H26", "gateway": "H26"}


def test_all_that_can_stand_in_an_entry(write: Write, tmp_path: Path, pems: tuple[str, ...]) -> None:
    (tmp_path / "two.pem").write_text(pems[1] + pems[2], encoding="ascii")
    found = load(
        write(
            {"code": "H26", "gateway": "H26", "certificates": [pems[0]]},
            {
                "code": "H26.15",
                "name": "Sở Nội vụ",
                "level": "district",
                "gateway": "H26",
                "queue": "own",
                "aliases": ["000.01.15.H26"],
                "certificates": [
                    "two.pem",
                    {"pem": pems[2], "not_before": "2025-01-01", "not_after": date(2026, 1, 1)},
                ],
                "valid_from": date(2020, 1, 1),
                "valid_to": "2025-06-30",
                "successors": ["H26"],
                "admission": "trial",
            },
            note="for a test",
        )
    )
    agency = found.agency("H26.15")
    assert agency is not None
    assert (agency.name, agency.level, agency.level_defaulted) == ("Sở Nội vụ", Level.DISTRICT, False)
    assert (agency.parent, agency.gateway, agency.own_queue) == ("H26", "H26", True)
    assert (agency.valid_from, agency.valid_to) == (date(2020, 1, 1), date(2025, 6, 30))
    assert (agency.successors, agency.admission) == (("H26",), Admission.TRIAL)
    first, second = agency.certificates
    assert first.sha256 == hashlib.sha256(ssl.PEM_cert_to_DER_cert(pems[1])).hexdigest(), (
        "of a chain the first"
    )
    assert first.pem == pems[1]
    assert (second.not_before, second.not_after) == (date(2025, 1, 1), date(2026, 1, 1))
    assert found.sources == (tmp_path / "directory.yaml", tmp_path / "two.pem")
    assert found.gateways() == ("H26",)
    assert found.served_by("H26") == ("H26", "H26.15")


def test_levels_and_parents_are_filled_in_and_said_to_be(write: Write) -> None:
    found = load(
        write(
            {"code": "H53.31.20"},
            {"code": "H53.31"},
            {"code": "H53", "level": "province"},
            {"code": "G22"},
            {"code": "0100109106", "parent": "H53.31"},
            {"code": "W00"},
        )
    )
    levels = {
        agency.code: (agency.level, agency.level_defaulted, agency.parent) for agency in found.agencies()
    }
    assert levels == {
        "H53.31.20": (Level.COMMUNE, True, "H53.31"),
        "H53.31": (Level.DISTRICT, True, "H53"),
        "H53": (Level.PROVINCE, False, None),
        "G22": (Level.CENTRAL, True, None),
        "0100109106": (Level.DISTRICT, True, "H53.31"),
        "W00": (Level.CENTRAL, True, None),
    }


@pytest.mark.parametrize(
    ("entries", "code", "problem"),
    [
        ([GATEWAY, GATEWAY], "H26", "stands twice, first as entry 1"),
        ([{"code": "h26"}], "h26", "2020 form"),
        ([{"code": "000.00.15.H26"}], "000.00.15.H26", "2020 form"),
        ([{"code": 100109106}], "", "in quotes"),
        ([{"code": "H26", "name": " "}], "H26", "name"),
        ([{"code": "H26", "colour": "red"}], "H26", "no such key: colour"),
        ([{"code": "H26", "level": "town"}], "H26", "level: has to be one of"),
        ([{"code": "H26", "admission": "maybe"}], "H26", "admission"),
        ([{"code": "H26", "parent": "H2"}], "H26", "parent"),
        ([{"code": "H26", "parent": "H27"}], "H26", "H27 is not in the directory"),
        ([{"code": "H26", "gateway": "H27"}], "H26", "H27 is not in the directory"),
        ([{"code": "H26", "gateway": "H27"}, {"code": "H27"}], "H26", "H27 is not a gateway"),
        ([{"code": "H26", "gateway": "H26", "queue": "gateway"}], "H26", "has to have its own"),
        ([{"code": "H26", "queue": "own"}], "H26", "without a gateway"),
        ([{"code": "H26", "queue": "both"}], "H26", "own, gateway"),
        ([{"code": "H26", "aliases": "H27"}], "H26", "a list"),
        ([{"code": "H26", "aliases": ["h 26"]}], "H26", "aliases"),
        ([{"code": "H26", "aliases": ["H27"]}, {"code": "H27"}], "H26", "code of another"),
        ([{"code": "H26", "aliases": ["H99"]}, {"code": "H27", "aliases": ["H99"]}], "H27", "alias of H26"),
        ([{"code": "H26", "valid_from": "2025-07-01", "valid_to": "2025-06-30"}], "H26", "before"),
        ([{"code": "H26", "valid_to": "1/7/2025"}], "H26", "valid_to: has to be a date"),
        ([{"code": "H26", "valid_to": True}], "H26", "valid_to: has to be a date"),
        ([{"code": "H26", "successors": ["H27"]}], "H26", "H27 is not in the directory"),
        ([{"code": "H26", "successors": ["H26"]}], "H26", "back to itself"),
        (
            [{"code": "H26", "successors": ["H27"]}, {"code": "H27", "successors": ["H26"]}],
            "H27",
            "back to itself",
        ),
        ([{"code": "H26", "parent": "H27"}, {"code": "H27", "parent": "H26"}], "H26", "parent: leads back"),
        ([{"code": "H26", "parent": "H26.15"}, {"code": "H26.15"}], "H26.15", "parent: leads back"),
        ([{"code": "H26", "successors": ["H27", "H27"]}, {"code": "H27"}], "H26", "twice"),
        ([{"code": "H26", "certificates": ["none.pem"]}], "H26", "none.pem cannot be read"),
        (
            [{"code": "H26", "certificates": ["-----BEGIN CERTIFICATE-----\nAAAA\n"]}],
            "H26",
            "not a certificate",
        ),
        ([{"code": "H26", "certificates": [{"pem": "x", "file": "y"}]}], "H26", "one of pem and file"),
        ([{"code": "H26", "certificates": [3]}], "H26", "certificates"),
    ],
)
def test_each_fault_is_found_with_its_entry_and_line(
    write: Write, entries: list[dict[str, Any]], code: str, problem: str
) -> None:
    path = write(*entries)
    checked = check(path)
    assert checked.directory is None
    hits = [one for one in checked.findings if one.code == code and problem in one.problem]
    assert hits, checked.findings
    assert all(vietnamese(one.problem) != one.problem for one in checked.findings), checked.findings
    line = hits[0].line
    assert line is not None
    assert "name:" in path.read_text(encoding="utf-8").splitlines()[line - 1]
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert caught.value.code is Code.DIRECTORY_INVALID
    assert f"line {line}: " in caught.value.detail
    assert f" dòng {line}: " in vietnamese(caught.value.detail)


def test_all_findings_are_told_not_only_the_first(write: Write) -> None:
    path = write(*[{"code": f"H{number:02d}", "colour": "red"} for number in range(1, 31)])
    assert len(check(path).findings) == 30
    with pytest.raises(ConfigurationError, match="and 10 more"):
        load(path)
    words = vietnamese(summary(check(path).findings, path))
    assert words.startswith(f"{path}: dòng 2: H01: không có khóa: colour; dòng ")
    assert words.endswith("; và 10 lỗi khác")


@pytest.mark.parametrize(
    "text", ["", "[]", "agencies: 3", "a: [", "agencies: []\nmore: 1", "\x00", "agencies:\n  - 3"]
)
def test_what_is_no_directory(tmp_path: Path, text: str) -> None:
    (tmp_path / "d.yaml").write_text(text, encoding="utf-8")
    assert check(tmp_path / "d.yaml").findings
    (tmp_path / "d.json").write_text(text, encoding="utf-8")
    assert check(tmp_path / "d.json").findings


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    assert "cannot be read" in str(check(tmp_path / "none.yaml").findings[0])
    (tmp_path / "d.yaml").write_bytes(b"agencies: [\xff]")
    assert check(tmp_path / "d.yaml").findings


def test_the_version_follows_every_byte_of_file_and_certificates(
    write: Write, tmp_path: Path, pems: tuple[str, ...]
) -> None:
    (tmp_path / "c.pem").write_text(pems[0], encoding="ascii")
    entry = {"code": "H26", "certificates": ["c.pem"]}
    first = load(write(entry)).version
    assert load(write(entry)).version == first
    (tmp_path / "c.pem").write_text(pems[1], encoding="ascii")
    second = load(write(entry)).version
    third = load(write(entry, note="x")).version
    assert len({first, second, third}) == 3
    assert len(first) == 16


@pytest.mark.parametrize("name", ["out.yaml", "out.json"])
def test_what_is_written_reads_the_same(
    write: Write, tmp_path: Path, pems: tuple[str, ...], name: str
) -> None:
    before = load(
        write(
            {
                **GATEWAY,
                "certificates": [pems[0], {"pem": pems[1], "not_after": "2026-01-01"}],
                "level": "province",
            },
            {"code": "H26.15", "name": "Sở: \"Nội\" vụ # 'x'", **OWN, "aliases": ["000.01.15.H26"]},
            {"code": "0100109106", "valid_to": "2025-06-30", "successors": ["H26"], "admission": "closed"},
            {"code": "H26.31.01", "gateway": "H26"},
        )
    )
    path = tmp_path / name
    path.write_text("old", encoding="utf-8")
    dump(path, before.agencies(), note="written by a test")
    assert load(path).agencies() == before.agencies()
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
    assert path.stat().st_mode & 0o777 == 0o644
    if name.endswith("json"):
        assert json.loads(path.read_text(encoding="utf-8"))["note"] == "written by a test"


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, write: Write) -> None:
    found = load(write(GATEWAY))
    target = tmp_path / "d.yaml"
    target.mkdir()
    with pytest.raises(ConfigurationError) as caught:
        dump(target, found.agencies())
    assert caught.value.code is Code.FILE_UNUSABLE
    assert sorted(one.name for one in tmp_path.iterdir()) == ["d.yaml", "directory.yaml"]


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from(["H26", "H26.15", "2025-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["pem", "file", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
KEYS = [
    "code",
    "name",
    "level",
    "parent",
    "gateway",
    "queue",
    "aliases",
    "certificates",
    "valid_to",
    "successors",
    "x",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), junk, max_size=6), max_size=3))
def test_whatever_stands_in_it_gives_a_snapshot_or_findings(
    tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    path = tmp_path / "junk.json"
    path.write_text(json.dumps({"agencies": entries}), encoding="utf-8")
    checked = check(path)
    assert (checked.directory is None) == bool(checked.findings)


def test_the_national_data_are_valid_and_say_what_they_are() -> None:
    found = load(shipped("config/directory/national.yaml"))
    text = shipped("config/directory/national.yaml").read_text(encoding="utf-8")
    assert "not an official source" in yaml.safe_load(text)["note"]
    provinces = [agency for agency in found.agencies() if agency.code[0] == "H"]
    assert len(provinces) == 63
    assert sum(1 for agency in provinces if agency.valid_to is None) == 34
    merged = found.resolve("000.00.00.H02", date(2025, 7, 1))
    assert (merged.via, merged.refusal) == (("H02",), Code.RECIPIENT_NOT_SERVED)
    assert all(agency.gateway is None and not agency.certificates for agency in found.agencies())


def test_search_by_code_and_by_name_without_diacritics() -> None:
    agencies = load(shipped("config/directory/national.yaml")).agencies()

    def codes(text: str, limit: int = 20) -> list[str]:
        return [agency.code for agency in search(agencies, text, limit)]

    assert codes("H26") == ["H26"]
    assert codes("000.00.00.h26") == ["H26"]
    assert codes("uy ban nhan dan ha noi") == ["H26"]
    assert codes("HÀ NỘI uỷ ban") == ["H26"]
    assert set(codes("ha noi")) == {"G25", "H26", "K26"}
    assert "G22" in codes("van phong chinh phu")
    assert set(codes("G", limit=5)) <= {agency.code for agency in agencies if agency.code[0] == "G"}
    assert codes("") == codes("   ") == codes("không có gì như thế") == []
    assert len(codes("uy ban", limit=3)) == 3
    assert fold("Đắk Lắk, ĐỒNG THÁP") == "dak lak, dong thap"
