"""``truc evidence``: what it prints and how it ends, over a registry that a sealer has worked on; no broker."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay import settings
from relay.evidence.heads import dump
from relay.evidence.receipts import write
from relay.evidence.record import Writer
from relay.evidence.sealing import Sealer, SealingPolicy
from relay.evidence.signer import RelaySigner
from relay.evidence.synthetic import MemoryLog, relay_key
from relay.model.keeping import Chronicler
from relay.model.receipt import Receipt
from relay.observe.clock import SystemClock
from relay.registry import SqlRegistry, open_registry
from relay.sandbox.contents import running
from tests.support.registry import Maker
from tests.unit.cli.conftest import Truc

NOW = SealingPolicy(timedelta(0), 64, timedelta(0))


class Kept:
    """A relay's registry with one document under a head, and one that no batch holds."""

    def __init__(self, home: Path, folder: Path) -> None:
        chosen = settings.load(running(home).settings, files=False)
        self.file = folder / "registry.db"
        self.url = f"sqlite:///{self.file}"
        clock = SystemClock()
        who = Chronicler(Writer(), chosen.relay.name, "w1", "worker", "1", f"w1-{uuid.uuid4()}", clock)
        self.registry: SqlRegistry = open_registry(self.url, chronicler=who)
        self.make = Maker()
        self.receipts: list[bytes] = []
        self.relay = chosen.relay.name
        self.signs = signer = RelaySigner(self.relay, chosen.relay.key, chosen.relay.certificates, clock)
        self.covered = self.document("covered")
        self.sealer = Sealer(self.registry.evidence, chosen.relay.name, signer.sign_text, clock, NOW)
        self.sealer.seal(clock.monotonic() + 60)
        self.sealer.head()
        self.waiting = self.document("waiting")
        head = self.registry.evidence.last_head()
        assert head is not None
        self.head = folder / "head"
        self.head.write_bytes(dump(head.signed))
        self.signer = signer.certificate.sha256

    def document(self, content: str) -> str:
        at = datetime.now(UTC) - timedelta(seconds=5)
        claim = self.make.claim(content, now=at)
        (made,) = self.registry.claim([claim], "w1", at)
        assert made.document
        queued = self.make.queued(claim, made.document.row, now=at)
        (new,) = queued.receipts
        facts = Receipt(
            new.receipt.kind, True, self.relay, new.receipt.number, at, None, claim.transport_id, claim.sender,
            "edoc", claim.body_sha256, claim.body_bytes,
        )  # fmt: skip
        body = self.signs.seal(write(facts))
        self.receipts.append(body)
        receipt = replace(new.receipt, correlation_id=claim.transport_id, body=body)
        self.registry.settle([replace(queued, receipts=(replace(new, receipt=receipt),))], "w1", at)
        return claim.transport_id


@pytest.fixture
def kept(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    made = Kept(home, tmp_path)
    monkeypatch.setattr("relay.registry.open_registry", lambda *_, **named: open_registry(made.url, **named))
    yield made
    made.registry.close()


def test_the_relays_own_log_holds(truc: Truc, home: Path, kept: Kept) -> None:
    done = truc("evidence", "verify", "--registry", "--home", home)
    assert done.exit_code == 0, done.output
    assert "Everything holds." in done.output
    facts = json.loads(truc("evidence", "verify", "--registry", "--home", home, "--json").stdout)
    assert facts["ok"]
    assert facts["trusted"]
    assert facts["anchors"] == "sandbox"
    assert (facts["heads"], facts["signer"]) == (1, kept.signer)
    assert facts["covered"] < facts["records"]
    assert facts["faults"] == []
    page = truc("evidence", "verify", "--home", home, "--lang", "vi").output
    assert "Mọi thứ đều khớp." in page


def test_a_damaged_log_is_named_in_both_languages(truc: Truc, home: Path, kept: Kept) -> None:
    with closing(sqlite3.connect(kept.file)) as database, database:
        octets = bytearray(
            database.execute("SELECT octets FROM evidence_frames ORDER BY id LIMIT 1").fetchone()[0]
        )
        octets[-1] ^= 1
        database.execute(
            "UPDATE evidence_frames SET octets = ? WHERE id = (SELECT min(id) FROM evidence_frames)",
            [bytes(octets)],
        )
    done = truc("evidence", "verify", "--home", home)
    assert done.exit_code == 1
    assert "altered: w1/" in done.output
    assert "bị sửa: w1/" in truc("evidence", "verify", "--home", home, "--lang", "vi").output
    (fault,) = json.loads(truc("evidence", "verify", "--home", home, "--json").stdout)["faults"]
    assert (fault["kind"], fault["what"]) == ("altered", "record")
    assert fault["name"].startswith("w1/")


def test_a_proof_and_its_check(truc: Truc, home: Path, kept: Kept, tmp_path: Path) -> None:
    out = tmp_path / "proof.json"
    done = truc("evidence", "prove", kept.covered, "--out", out, "--home", home, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["records"] == 3
    shown = json.loads(truc("evidence", "prove", kept.covered, "--home", home).stdout)
    assert shown == json.loads(out.read_text())
    assert truc("evidence", "verify", out, "--home", home).exit_code == 0
    assert truc("evidence", "verify", out, "--known", kept.signer).exit_code == 0
    assert truc("evidence", "verify", out, "--known", "00" * 32).exit_code == 6
    assert truc("evidence", "verify", out, "--known", "00" * 32, "--head", kept.head).exit_code == 0
    assert truc("evidence", "verify", out, "--known", "no").exit_code == 2
    again = truc("evidence", "prove", kept.covered, "--out", out, "--home", home)
    assert again.exit_code == 1
    assert "FILE-UNUSABLE" in again.output


def test_a_head_of_another_log_is_left_out_of_a_proof_and_that_is_said(
    truc: Truc, home: Path, kept: Kept, tmp_path: Path
) -> None:
    other = MemoryLog(relay_key(kept.relay), seed=5)
    chain = other.start("w1")
    other.document(chain)
    other.seal(chain)
    strange = tmp_path / "strange"
    strange.write_bytes(dump(other.sign()))
    words = ("evidence", "prove", kept.covered, "--head", strange, "--home", home)
    done = truc(*words, "--out", tmp_path / "proof")
    assert done.exit_code == 0, done.output
    assert "head 1, given by --head, is not of this log" in done.output
    told = truc(*words, "--out", tmp_path / "other", "--lang", "vi")
    assert "không thuộc nhật ký này" in told.output


def test_people_see_times_of_vietnam(truc: Truc, home: Path, kept: Kept) -> None:
    done = truc("evidence", "verify", "--home", home)
    assert "records behind its last batch, the last of " in done.output
    assert " +07:00" in next(line for line in done.output.splitlines() if "the last of" in line)
    notes = json.loads(truc("evidence", "verify", "--home", home, "--json").stdout)["notes"]
    assert all(one["values"]["at"].endswith("Z") for one in notes if "at" in one["values"])


def test_what_cannot_be_proven(truc: Truc, home: Path, kept: Kept) -> None:
    unknown = truc("evidence", "prove", str(uuid.uuid4()), "--home", home)
    assert unknown.exit_code == 5
    assert "NOT-FOUND" in unknown.output
    pending = truc("evidence", "prove", kept.waiting, "--home", home)
    assert pending.exit_code == 4
    assert "EVIDENCE-PENDING" in pending.output


def test_files_that_are_no_evidence(truc: Truc, home: Path, kept: Kept, tmp_path: Path) -> None:
    proof = json.loads(truc("evidence", "prove", kept.covered, "--home", home).stdout)
    proof["records"][0]["path"] = []
    for content in ("{}", "no JSON", json.dumps(proof)):
        file = tmp_path / "file"
        file.write_text(content)
        done = truc("evidence", "verify", file, "--home", home)
        assert done.exit_code == 1, done.output
        assert "EVIDENCE-" in done.output
        facts = truc("evidence", "verify", file, "--home", home, "--json")
        if facts.stdout.startswith("{"):
            assert not json.loads(facts.stdout).get("ok", False)
    assert truc("evidence", "verify", tmp_path, "--home", home).exit_code == 1  # no log stands there


def test_a_case_and_its_page(truc: Truc, home: Path, kept: Kept, tmp_path: Path) -> None:
    out = tmp_path / "case.json"
    dry = truc("evidence", "export", kept.covered, "--out", out, "--home", home, "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.stdout)["dry_run"]
    assert not out.exists()
    done = truc("evidence", "export", kept.covered, "--out", out, "--home", home, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["records"], facts["receipts"], facts["holds"]) == (3, 1, True)
    assert kept.covered in (tmp_path / "case.html").read_text(encoding="utf-8")
    checked = truc("evidence", "verify", out, "--known", kept.signer, "--lang", "vi")
    assert checked.exit_code == 0, checked.output
    assert "đã vào hàng đợi" in checked.output
    assert (
        truc("evidence", "verify", out, "--home", home).exit_code == 0
    )  # its receipts are judged by the anchors
    assert facts["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert facts["sha256"] in (tmp_path / "case.html").read_text(encoding="utf-8")
    case = json.loads(out.read_text())
    forged = {**case, "receipts": [base64.b64encode(b"<receipt/>").decode()]}
    other = tmp_path / "forged.json"
    other.write_text(json.dumps(forged))
    told = truc("evidence", "verify", other, "--home", home, "--json")
    assert told.exit_code == 1
    assert [one["reason"] for one in json.loads(told.stdout)["faults"]] == ["unbound-receipt"]
    assert "biên nhận" in truc("evidence", "verify", other, "--home", home, "--lang", "vi").output
    assert case["told"]["documents"][0]["verdict"]["reason"] == "OK"
    assert {one["code"] for one in case["told"]["directory"]["agencies"]} >= {"H26", "H29", "H53"}
    assert "users" not in json.dumps(case["told"]["directory"])
    assert truc("evidence", "export", kept.covered, "--out", out, "--home", home).exit_code == 1


def test_files_that_somebody_holds(truc: Truc, home: Path, kept: Kept, tmp_path: Path) -> None:
    """The sender's document and receipt against a proof, and against the whole log."""
    proof, log, sent, receipt = (tmp_path / name for name in ("proof", "log", "sent", "receipt"))
    sent.write_text("covered")
    receipt.write_bytes(kept.receipts[0])
    assert truc("evidence", "prove", kept.covered, "--out", proof, "--home", home).exit_code == 0
    assert truc("evidence", "export", "--log", log, "--home", home).exit_code == 0
    for target in (proof, log):
        words = ("evidence", "verify", target, "--home", home, "--file", sent, "--file", receipt)
        done = truc(*words)
        assert done.exit_code == 0, done.output
        assert f"{sent}: what was accepted, {kept.covered}" in done.output
        files = json.loads(truc(*words, "--json").stdout)["files"]
        assert [(one["file"], one["kind"]) for one in files["bound"]] == [
            (str(receipt), "receipt"),
            (str(sent), "acceptance"),
        ]
        assert files["unbound"] == []
        other = tmp_path / "other"
        other.write_text("covered, almost")
        done = truc(*words, "--file", other, "--lang", "vi")
        assert done.exit_code == 1
        assert f"{other}: không bản ghi nào" in done.output
        facts = json.loads(truc(*words, "--file", other, "--json").stdout)
        assert (facts["ok"], facts["files"]["unbound"]) == (False, [str(other)])
    own = truc("evidence", "verify", "--registry", "--home", home, "--file", sent)
    assert own.exit_code == 0, own.output


def test_a_whole_log_as_files(truc: Truc, home: Path, kept: Kept, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    assert json.loads(
        truc("evidence", "export", "--log", folder, "--home", home, "--dry-run", "--json").stdout
    )["dry_run"]
    assert not folder.exists()
    assert truc("evidence", "export", "--log", folder, "--home", home).exit_code == 0
    own = json.loads(truc("evidence", "verify", "--home", home, "--json").stdout)
    theirs = json.loads(
        truc("evidence", "verify", folder, "--home", home, "--head", kept.head, "--json").stdout
    )
    assert theirs["records"] == own["records"]
    assert theirs["elsewhere"] == 1
    assert truc("evidence", "verify", folder, "--known", "00" * 32).exit_code == 6
    assert truc("evidence", "verify", folder, "--registry", "--home", home).exit_code == 2
    for wrong in (
        ("evidence", "export"),
        ("evidence", "export", "x"),
        ("evidence", "export", "x", "--log", folder),
    ):
        assert truc(*wrong, "--home", home).exit_code == 2
    shutil.rmtree(folder / "chains")
    assert truc("evidence", "verify", folder, "--known", kept.signer).exit_code == 1


def test_heads_from_elsewhere_come_in_several_forms(
    truc: Truc, home: Path, kept: Kept, tmp_path: Path
) -> None:
    proof, case, shown = tmp_path / "proof.json", tmp_path / "case.json", tmp_path / "shown.json"
    assert truc("evidence", "prove", kept.covered, "--out", proof, "--home", home).exit_code == 0
    assert truc("evidence", "export", kept.covered, "--out", case, "--home", home).exit_code == 0
    assert truc("evidence", "witness", "export", shown, "--home", home).exit_code == 0
    for file in (kept.head, proof, case, shown):
        facts = json.loads(truc("evidence", "verify", "--home", home, "--head", file, "--json").stdout)
        assert facts["elsewhere"] == 1, file
    other = tmp_path / "other"
    other.write_text('{"format": "truc-witness-1"}')
    assert truc("evidence", "verify", "--home", home, "--head", other).exit_code == 1


def test_the_head(truc: Truc, home: Path, kept: Kept, tmp_path: Path) -> None:
    out = tmp_path / "own"
    done = truc("evidence", "head", "--out", out, "--home", home, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert out.read_bytes() == kept.head.read_bytes()
    assert facts["number"] == 1
    assert facts["text"].startswith("truc-head 1\n")
    assert truc("evidence", "head", "--home", home).output.startswith("truc-head 1\n")
    assert truc("evidence", "head", "--sign-now", "--dry-run", "--home", home).exit_code == 0
    assert kept.registry.evidence.asked() is None
    late = truc("evidence", "head", "--sign-now", "--timeout", "1", "--home", home)
    assert late.exit_code == 4, late.output  # no keeper runs
    assert "EVIDENCE-PENDING" in late.output
    assert kept.registry.evidence.asked() is not None


def test_a_relay_without_a_head(
    truc: Truc, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    monkeypatch.setattr("relay.registry.open_registry", lambda *_, **named: open_registry(url, **named))
    assert truc("evidence", "head", "--home", home).exit_code == 5
    done = truc("evidence", "verify", "--home", home)
    assert done.exit_code == 6  # nothing wrong, and nobody vouches for anything
