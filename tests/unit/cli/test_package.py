"""``truc package``: each command on right, odd and hopeless files; exit codes; nothing but the tool's own words."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.edxml.content import Content
from adapters.edxml.oddities import Oddity, oddities
from adapters.edxml.reader import read
from relay.errors.catalogue import Language
from relay.resources import shipped
from tests.support.edxml_corpus import CORPUS, DOC, STATUS, TEXT, archive, attached, edited, el
from tests.support.jsonschema import faults
from tests.unit.cli.conftest import Truc

SCHEMA = json.loads(shipped("schemas/package-show.schema.json").read_text(encoding="utf-8"))


def put(folder: Path, text: str | bytes, name: str = "a.edxml") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize("language", ["vi", "en"])
def test_check_of_the_whole_corpus_prints_what_was_written_by_hand(
    truc: Truc, tmp_path: Path, language: Language
) -> None:
    for case in CORPUS:
        file = put(tmp_path, case.body)
        result = truc("--lang", language, "package", "check", file)
        assert result.exit_code == (1 if case.faults or case.relay else 0), case.name
        assert "Traceback" not in result.output
        for name in case.findings:
            texts = oddities()[Oddity(name)]
            assert texts.message[language] in result.output, case.name
            assert texts.remedy[language] in result.output, case.name
        for code in (*case.faults, *([case.relay] if case.relay else [])):
            assert code in result.output, case.name


def test_strict_and_tolerant_differ_in_their_exit_code(truc: Truc, tmp_path: Path) -> None:
    file = put(tmp_path, edited(DOC, ("Priority>0<", "Priority>5<")))
    assert truc("package", "check", file).exit_code == 0
    result = truc("package", "check", "--strict", file)
    assert result.exit_code == 1
    assert "strict.xsd" in result.output
    assert truc("package", "check", "--strict", put(tmp_path, DOC)).exit_code == 0


def test_show_and_check_as_json_keep_their_schema(truc: Truc, tmp_path: Path) -> None:
    for case in CORPUS[::4]:
        file = put(tmp_path, case.body)
        for command in ("show", "check"):
            told = json.loads(truc("package", command, file, "--json").stdout)
            assert not faults(told, SCHEMA), case.name
            assert {one["code"] for one in told["findings"]} == case.findings
    assert faults({"kind": "letter"}, SCHEMA)


def test_show_is_a_page_in_the_language(truc: Truc, tmp_path: Path) -> None:
    file = put(tmp_path, edited(DOC, ("Tóm tắt", "dòng\x1b".replace("\x1b", "\u202e") + "hai")))
    vi = truc("--lang", "vi", "package", "show", file)
    en = truc("--lang", "en", "package", "show", file)
    assert "trích yếu: Về việc thử nghiệm" in vi.output
    assert "subject: Về việc thử nghiệm" in en.output
    assert "độ khẩn: 0 (Thường)" in vi.output
    assert "\u202e" not in vi.output  # nothing shown can turn the line
    assert "Status 03 accepted" in truc("--lang", "en", "package", "show", put(tmp_path, STATUS)).output


def test_show_of_what_is_no_package_says_why(truc: Truc, tmp_path: Path) -> None:
    result = truc("--lang", "en", "package", "show", put(tmp_path, b"%PDF-1.4"))
    assert result.exit_code == 1
    assert "NOT-XML" in result.output


BUILD = (
    *("--from", "H26", "--to", "H53", "--to", "000.00.13.H53", "--subject", "Kế hoạch", "--number", "7"),
    *("--notation", "KH-UBND", "--signer", "Người ký (mẫu)", "--at", "2026-03-02T08:30:00+07:00"),
)


def test_build_from_options_and_again_the_same_bytes(truc: Truc, tmp_path: Path) -> None:
    file = put(tmp_path, TEXT, "tệp.txt")
    one, two = tmp_path / "one.edxml", tmp_path / "two.edxml"
    for out in (one, two):
        assert truc("package", "build", str(out), *BUILD, "--attach", file).exit_code == 0
    assert one.read_bytes() == two.read_bytes()
    assert truc("package", "check", "--strict", str(one)).exit_code == 0
    package: Any = read(one.read_bytes()).package
    assert [party.code for party in package.message_header.to] == ["H53", "H53.13"]
    assert package.attachments[0].content == Content.of(TEXT)


def test_build_takes_the_number_of_a_type_by_its_name_and_guesses_none(truc: Truc, tmp_path: Path) -> None:
    out = tmp_path / "a.edxml"
    assert truc("package", "build", str(out), *BUILD, "--type-name", "Quyết định").exit_code == 0
    assert b"<edXML:Type>2<" in out.read_bytes()
    other = (str(tmp_path / "b.edxml"), *BUILD, "--type-name", "Thư ngỏ")
    assert truc("package", "build", *other).exit_code == 2
    assert truc("package", "build", *other, "--type", "99").exit_code == 0


@pytest.mark.parametrize("business", ["1", "2", "3"])
def test_build_of_each_business_type(truc: Truc, tmp_path: Path, business: str) -> None:
    out = tmp_path / "a.edxml"
    options = ("--business", business, "--reason", "sai sót", "--about", "H26,2026,6")
    assert truc("package", "build", str(out), *BUILD, *options).exit_code == 0
    assert truc("package", "check", "--strict", str(out)).exit_code == 0
    assert b"H26,2026,6" in out.read_bytes()


def test_build_of_a_status_and_from_facts(truc: Truc, tmp_path: Path) -> None:
    out = tmp_path / "s.edxml"
    options = (
        "--from",
        "H53",
        "--to",
        "H26",
        "--status",
        "02",
        "--about",
        "H26,2026,7",
        "--reason",
        "gửi nhầm",
    )
    assert truc("package", "build", str(out), *options).exit_code == 0
    facts = put(tmp_path, truc("package", "show", "--json", str(out)).stdout, "facts.json")
    again = tmp_path / "t.edxml"
    assert truc("package", "build", str(again), "--facts", facts).exit_code == 0
    assert again.read_bytes() == out.read_bytes()


def test_build_of_a_refusal_without_a_reason_is_told(truc: Truc, tmp_path: Path) -> None:
    options = ("--from", "H53", "--to", "H26", "--status", "02", "--about", "H26,2026,7")
    result = truc("--lang", "vi", "package", "build", str(tmp_path / "s.edxml"), *options)
    assert result.exit_code == 0
    assert "02 không có --reason" in result.stderr
    assert (
        "--reason"
        not in truc("package", "build", str(tmp_path / "t.edxml"), *options, "--reason", "gửi nhầm").output
    )


def test_build_from_facts_with_a_file(truc: Truc, tmp_path: Path) -> None:
    told = json.loads(truc("package", "show", "--json", put(tmp_path, DOC)).stdout)
    put(tmp_path, TEXT, "b.txt")
    told["package"]["Attachment"][0]["File"] = "b.txt"
    facts = put(tmp_path, json.dumps(told), "facts.json")
    out = tmp_path / "out.edxml"
    assert truc("package", "build", str(out), "--facts", facts).exit_code == 0
    assert truc("package", "diff", str(tmp_path / "a.edxml"), str(out)).exit_code == 0


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ("[]", "no object"),
        ("{", "no JSON"),
        ('{"MessageHeader": 1}', "no object"),
        ('{"MessageHeader": {"Tò": 1}}', "unknown Tò"),
        ('{"MessageHeader": {"DueDate": "mai"}}', "DueDate: no date"),
        ('{"MessageHeader": {"To": {}}}', "To: no list"),
        ('{"MessageHeader": {}, "Attachment": [{}]}', "File names no file"),
        ('{"MessageHeader": {}, "Attachment": [{"File": "none.txt"}]}', "FILE-UNUSABLE"),
        ('{"MessageHeader": {}}', "NO-RECIPIENT"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_wrong_facts_are_told_with_their_place(truc: Truc, tmp_path: Path, facts: str, word: str) -> None:
    out = tmp_path / "out.edxml"
    result = truc("package", "build", str(out), "--facts", put(tmp_path, facts, "facts.json"))
    assert result.exit_code == 1
    assert word in result.output or ("From" in result.output and word == "NO-RECIPIENT")
    assert not out.exists()


def test_build_never_writes_over_a_file_and_says_what_is_missing(truc: Truc, tmp_path: Path) -> None:
    out = put(tmp_path, "x")
    assert "FILE-UNUSABLE" in truc("package", "build", out, *BUILD).output
    assert Path(out).read_text() == "x"
    assert truc("package", "build", str(tmp_path / "b"), "--from", "H26", "--to", "H53").exit_code == 2
    assert truc("package", "build", str(tmp_path / "b"), *BUILD, "--dry-run").exit_code == 0
    assert not (tmp_path / "b").exists()
    assert "FILE-UNUSABLE" in truc("package", "build", str(tmp_path / "no" / "b"), *BUILD).output
    refused = truc("package", "build", str(tmp_path / "b"), *BUILD, "--subject", "x" * 501)
    assert (refused.exit_code, (tmp_path / "b").exists()) == (1, False)


def test_extract_gives_safe_names_and_overwrites_nothing(truc: Truc, tmp_path: Path) -> None:
    out = tmp_path / "out"
    name = "../../con?.txt"
    file = put(tmp_path, attached(archive(("00000000-0000-0000-0000-000000000007.txt", TEXT)), name))
    for _ in range(2):
        assert truc("package", "extract", file, "--out", str(out)).exit_code == 0
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 2
    assert all(path.read_bytes() == TEXT for path in out.iterdir())
    assert all(not set(one) & set('/\\?*:"') for one in names)
    dry = json.loads(
        truc("package", "extract", file, "--out", str(tmp_path / "x"), "--dry-run", "--json").stdout
    )
    assert (dry["dry_run"], (tmp_path / "x").exists()) == (True, False)


def test_extract_goes_on_behind_a_file_that_cannot_be_read(truc: Truc, tmp_path: Path) -> None:
    case = next(one for one in CORPUS if one.name == "garbage for base64")
    result = truc(
        "--lang", "en", "package", "extract", put(tmp_path, case.body), "--out", str(tmp_path / "o")
    )
    assert (result.exit_code, "unreadable" in result.output) == (1, True)
    assert truc("package", "extract", put(tmp_path, b"no"), "--out", str(tmp_path)).exit_code == 1


def test_extract_follows_no_link(truc: Truc, tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    (out / "van ban.txt").symlink_to(outside)
    assert truc("package", "extract", put(tmp_path, DOC), "--out", str(out)).exit_code == 0
    assert not outside.exists()
    assert (out / "van ban (2).txt").read_bytes() == TEXT


def test_diff_tells_meaning_from_bytes(truc: Truc, tmp_path: Path) -> None:
    one = put(tmp_path, DOC)
    assert "the same bytes" in truc("--lang", "en", "package", "diff", one, one).output
    same = DOC.replace(">G22<", ">000.00.00.G22<").replace("><", ">\n<")
    result = truc("--lang", "en", "package", "diff", one, put(tmp_path, same, "b.edxml"))
    assert (result.exit_code, "bytes differ" in result.output) == (0, True)
    packed = attached(archive(("00000000-0000-0000-0000-000000000007.txt", TEXT)), content_type="text/plain")
    unpacked = attached(TEXT, content_type="text/plain")
    assert truc("package", "diff", put(tmp_path, packed), put(tmp_path, unpacked, "b.edxml")).exit_code == 0
    other = edited(DOC, (el("OrganId", "G22"), el("OrganId", "H29")), ("Tóm tắt", "Khác"))
    result = truc("package", "diff", put(tmp_path, DOC), put(tmp_path, other, "b.edxml"), "--json")
    assert result.exit_code == 1
    assert [item["path"] for item in json.loads(result.stdout)["differences"]] == [
        "MessageHeader/To[G22]",
        "MessageHeader/To[H29]",
        "MessageHeader/Content",
    ]
    result = truc("package", "diff", put(tmp_path, DOC), put(tmp_path, attached(b"x"), "b.edxml"))
    assert "Attachment[van ban.txt]/content" in result.output
    assert truc("package", "diff", put(tmp_path, DOC), put(tmp_path, STATUS, "b.edxml")).exit_code == 1


def test_diff_sees_the_manifest_and_files_that_cannot_be_read(truc: Truc, tmp_path: Path) -> None:
    def paths(name: str, other: str = "a new document") -> list[str]:
        bodies = {case.name: case.body for case in CORPUS}
        files = put(tmp_path, bodies[other]), put(tmp_path, bodies[name], "b.edxml")
        told = json.loads(truc("package", "diff", *files, "--json").stdout)
        return [one["path"] for one in told["differences"]]

    assert paths("one line more than files") == ["Reference[van ban.txt]"]
    assert "Reference[van ban.txt]" in paths("no reference")
    assert paths("another name in the manifest") == ["Reference[van ban.txt]/AttachmentName"]
    assert paths("another type in the manifest") == ["Reference[van ban.txt]/ContentType"]
    assert paths("garbage for base64") == ["Attachment[van ban.txt]/content"]
    assert paths("garbage for base64", "garbage for base64") == []  # the same bytes
    assert paths("text behind the padding", "garbage for base64") == ["Attachment[van ban.txt]/content"]
    assert paths("an unknown element") == ["edXMLEnvelope/edXMLHeader/MessageHeader/From/MaSoThue"]
    lines = truc(
        "--lang", "vi", "package", "diff", *(str(tmp_path / name) for name in ("a.edxml", "b.edxml"))
    )
    assert lines.exit_code == 1


def test_diff_of_kept_elements_minds_no_prefix_and_says_which_file_is_bad(truc: Truc, tmp_path: Path) -> None:
    plain = edited(DOC, ("<edXML:From>", "<edXML:From><edXML:MaSoThue>1</edXML:MaSoThue>"))
    other = plain.replace("edXML:MaSoThue", "x:MaSoThue").replace(
        "<x:MaSoThue", '<x:MaSoThue xmlns:x="http://www.mic.gov.vn/TBT/QCVN_102_2016"'
    )
    assert plain != other
    result = truc("package", "diff", put(tmp_path, plain), put(tmp_path, other, "b.edxml"))
    assert result.exit_code == 0, result.output
    bad = truc("package", "diff", put(tmp_path, DOC), put(tmp_path, b"<a", "bad.edxml"))
    assert (bad.exit_code, "bad.edxml: " in bad.output) == (1, True)


def test_repair_names_each_change_and_leaves_the_file_alone(truc: Truc, tmp_path: Path) -> None:
    odd = edited(
        DOC,
        ("Priority>0<", "Priority>5<"),
        (el("OrganId", "G22"), el("OrganId", " G22")),
        ("2026/03/02<", "02/03/2026<"),
    )
    file, out = put(tmp_path, odd), tmp_path / "out.edxml"
    result = truc("package", "repair", file, str(out), "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert {one["code"] for one in told["changes"]} == {"priority-five", "organ-id-space", "date-day-first"}
    assert Path(file).read_text(encoding="utf-8") == odd
    assert truc("package", "check", "--strict", str(out)).exit_code == 0
    assert truc("package", "diff", put(tmp_path, DOC, "right.edxml"), str(out)).exit_code == 0


def test_repair_drops_nothing_unsaid_and_guesses_nothing(truc: Truc, tmp_path: Path) -> None:
    file = put(tmp_path, edited(DOC, ("2026/03/02<", "2014/02/30<")))
    result = truc("--lang", "en", "package", "repair", file, str(tmp_path / "out.edxml"))
    assert result.exit_code == 1
    assert "2014/02/30" in result.output
    twice = edited(DOC, (el("OrganId", "G22"), el("OrganId", "G22") + el("OrganId", "H26")))
    result = truc("package", "repair", put(tmp_path, twice), str(tmp_path / "no.edxml"))
    assert (result.exit_code, "DUPLICATE-VALUE" in result.output) == (1, True)
    assert not (tmp_path / "no.edxml").exists()


MEMORY = """
import resource, sys
from pathlib import Path
from dataclasses import replace
from adapters.edxml.check import check
from adapters.edxml.content import Content, FileSource
from adapters.edxml.jsonform import listed_of
from adapters.edxml.model import Attachment
from adapters.edxml.reader import read
from adapters.edxml.writer import write_package
folder = Path(sys.argv[1])
big, small, out = folder / "big.bin", folder / "small.edxml", folder / "big.edxml"
right = read(small.read_bytes())
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
check(small.read_bytes())
before = peak()
attachment = Attachment(content_id="cid:1", attachment_name="a.bin", content=Content.of_file(big))
package = replace(right.package, attachments=(attachment,), references=tuple(listed_of([attachment])))
with out.open("wb") as file:
    write_package(package, file)
checked = check(FileSource(out))
assert not checked.faults
assert checked.files[0].examined.content == attachment.content
print(peak() - before)
"""


def test_a_hundred_megabytes_go_through_writer_and_reader_in_bounded_memory(tmp_path: Path) -> None:
    put(tmp_path, DOC, "small.edxml")
    block = random.Random(1).randbytes(1_000_000)
    with (tmp_path / "big.bin").open("wb") as file:
        for number in range(100):
            file.write(block[number:] + block[:number])
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 32  # MiB above what a small package takes; some 5 are usual
