"""A dispute: the sender's file, the recipient's file, the relay's log. Who is right comes out of the proofs alone.

Nothing of the relay is asked once the evidence is exported; two verifiers check, ours and a stranger's in Java.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli.main import main
from relay.evidence.files import FileLog
from relay.evidence.heads import load
from relay.evidence.record import decode
from relay.evidence.verify import LogVerifier
from relay.model.evidence import Deliveries, ReceiptSealed, Submission
from tests.acceptance.conftest import Axis
from tests.support.evidencelog import LogFolder
from tests.support.evidencestranger import ask
from tests.support.stranger_xml import Facts

SENDER, RECIPIENT = "H26", "G22"


@dataclass
class Dispute:
    """What each of the three holds, and what an auditor got from somebody else."""

    answered: str  # transport id of the document that the recipient has answered
    silent: str  # ... and of the one that it has not
    sent: bytes  # the sender's file: what it signed
    receipts: list[bytes]  # ... and what the relay told it
    got: bytes  # the recipient's file: what it stored
    said: bytes  # ... and the status that it signed
    cases: dict[str, Path]  # the relay's: exported
    log: Path
    head: Path  # the auditor's
    root: Path
    signer: str  # SHA-256 of the relay's certificate


@pytest.fixture(scope="module")
def dispute(axis: Axis, tmp_path_factory: pytest.TempPathFactory) -> Dispute:
    folder = tmp_path_factory.mktemp("dispute")
    sender, recipient = axis.gateway(SENDER), axis.gateway(RECIPIENT)
    answered, sent = sender.send(Facts(SENDER, (RECIPIENT,)))
    silent, _ = sender.send(Facts(SENDER, (RECIPIENT,)))
    acknowledged = sender.acknowledgement(answered).body
    sender.acknowledgement(silent)
    got = recipient.arrival(answered)
    recipient.arrival(silent)
    _, said = recipient.answer(got)
    outcome = sender.receipt(answered, "outcome").body
    head = folder / "head"
    end = time.monotonic() + 60
    while True:  # what was told stands in a batch soon, and under a head when one is asked for
        head.unlink(missing_ok=True)
        _truc("evidence", "head", "--sign-now", "--out", head, "--home", axis.home)
        if all(
            not _truc("evidence", "prove", one, "--head", head, "--home", axis.home, code=None)[1]
            for one in (answered, silent)
        ):
            break
        assert time.monotonic() < end, "the records come under no head"
        time.sleep(0.5)
    cases = {}
    for one in (answered, silent):
        cases[one] = folder / f"{one}.json"
        _truc("evidence", "export", one, "--out", cases[one], "--head", head, "--home", axis.home)
    _truc("evidence", "export", "--log", folder / "log", "--home", axis.home)
    report = json.loads(
        _truc("evidence", "verify", folder / "log", "--head", head, "--json", "--home", axis.home)[0]
    )
    return Dispute(
        answered,
        silent,
        sent,
        [acknowledged, outcome],
        got.body,
        said,
        cases,
        folder / "log",
        head,
        Path(axis.sandbox.raw["ca_cert"]),
        report["signer"],
    )


def _truc(*words: object, code: int | None = 0) -> tuple[str, int]:
    done = CliRunner().invoke(main, [str(word) for word in words], prog_name="truc")
    assert code is None or done.exit_code == code, (done.output, done.exception)
    return done.stdout, done.exit_code


def _facts(dispute: Dispute, transport_id: str) -> list[Any]:
    """What the proof says, checked by a third party that has the head, and trusts nobody else."""
    case = dispute.cases[transport_id]
    out, _ = _truc("evidence", "verify", case, "--head", dispute.head, "--known", "00" * 32, "--json")
    checked = json.loads(out)
    assert checked["ok"]
    assert checked["covered_by"]
    answer = ask([case], heads=[dispute.head])[case]
    assert answer.ok
    assert "vouched" in answer.notes
    proof = json.loads(case.read_text())["proof"]
    from relay.evidence.proof import octets

    return [decode(octets(one, "record")).facts for one in proof["records"]]


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def test_the_sender_is_right_that_it_sent_and_the_recipient_wrong_that_it_never_came(
    dispute: Dispute,
) -> None:
    facts = _facts(dispute, dispute.answered)
    (accepted,) = [one for one in facts if isinstance(one, Submission) and one.effect is None]
    assert accepted.sender == SENDER
    assert accepted.transport_id == dispute.answered
    assert accepted.body_sha256 == _sha256(dispute.sent) == _sha256(dispute.got)  # not one byte changed
    recorded = {one.sha256 for one in facts if isinstance(one, ReceiptSealed)}
    assert recorded == {_sha256(one) for one in dispute.receipts}
    (told,) = [one for one in facts if isinstance(one, Submission) and one.effect is not None]
    assert told.sender == RECIPIENT
    assert told.body_sha256 == _sha256(dispute.said)  # its own signed bytes
    assert told.effect is not None
    assert (told.effect.refers_to, told.effect.status) == (dispute.answered, "01")
    assert told.effect.move_to == "delivered"
    assert told.effect.delivery_id == accepted.lines[0].delivery_id


def test_the_sender_is_wrong_that_the_other_one_was_delivered(dispute: Dispute) -> None:
    facts = _facts(dispute, dispute.silent)
    moves = [(move.state, move.code) for one in facts if isinstance(one, Deliveries) for move in one.moves]
    assert moves == [("queued", "")]
    assert not [one for one in facts if isinstance(one, Submission) and one.effect is not None]
    # Not even in the whole log, up to the head that the auditor has.
    log = FileLog(dispute.log)
    everything = [decode(octets).facts for chain in log.chains() for octets in log.records(chain)]
    assert dispute.answered in {
        one.effect.refers_to for one in everything if isinstance(one, Submission) and one.effect
    }
    assert dispute.silent not in {
        one.effect.refers_to for one in everything if isinstance(one, Submission) and one.effect
    }


def test_a_receipt_that_was_touched_up_is_bound_by_nothing(dispute: Dispute, tmp_path: Path) -> None:
    case = json.loads(dispute.cases[dispute.answered].read_text())
    from relay.evidence.proof import b64

    forged = dispute.receipts[1].replace(b"delivered", b"withdrawn")
    assert forged != dispute.receipts[1]
    case["receipts"][1] = b64(forged)
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case))
    out, code = _truc("evidence", "verify", file, "--head", dispute.head, "--known", "00" * 32, code=None)
    assert code == 1
    assert "a receipt that no record binds" in out
    assert not ask([file], heads=[dispute.head])[file].ok


def test_a_relay_that_drops_what_it_does_not_like_is_found_out(dispute: Dispute, tmp_path: Path) -> None:
    """The operator removes the recipient's status from the log, and then everything that speaks of it."""
    import shutil

    where = tmp_path / "log"
    shutil.copytree(dispute.log, where)
    files = LogFolder.of(where)
    chain, seq = next(
        (chain, at)
        for chain, records in files.chains.items()
        for at, octets in enumerate(records, 1)
        if isinstance(one := decode(octets).facts, Submission)
        and one.effect
        and one.effect.refers_to == dispute.answered
    )
    del files.chains[chain][seq - 1]
    handed = load(dispute.head.read_bytes())
    report = LogVerifier(known=frozenset({dispute.signer})).verify(files.write())
    assert [(one.kind, one.chain, one.first) for one in report.faults] == [("removed", chain, seq)]
    del files.batches[1:], files.heads[1:]
    for records in files.chains.values():
        del records[seq - 1 :]
    files.heads = [one for one in files.heads if one.text != handed[0].text][:0]
    report = LogVerifier(known=frozenset({dispute.signer}), elsewhere=handed).verify(files.write())
    assert "truncated" in {one.kind for one in report.faults if one.name.endswith("from elsewhere")}
    answers = ask([where], known=dispute.signer, heads=[dispute.head])
    assert ("truncated", "head", "elsewhere") in {one[:3] for one in answers[where].faults}


def test_the_whole_log_holds_and_so_does_the_registry(dispute: Dispute, axis: Axis) -> None:
    out, _ = _truc("evidence", "verify", dispute.log, "--ca", dispute.root, "--head", dispute.head, "--json")
    report = json.loads(out)
    assert report["ok"]
    assert report["trusted"]
    assert report["elsewhere"] == 1
    assert ask([dispute.log], known=dispute.signer, heads=[dispute.head])[dispute.log].ok
    # The anchors of strangers vouch for nothing.
    assert _truc("evidence", "verify", dispute.log, "--known", "00" * 32, code=None)[1] == 6
    out, _ = _truc("evidence", "verify", "--registry", "--home", axis.home)
    assert "Everything holds" in out


def test_the_sandboxs_authority_stamps_heads_and_is_judged_by_its_root_alone(
    dispute: Dispute, axis: Axis, tmp_path: Path
) -> None:
    end = time.monotonic() + 60
    while not json.loads(_truc("evidence", "verify", "--home", axis.home, "--json")[0])["time_stamps"]:
        assert time.monotonic() < end, "no head was time-stamped"
        time.sleep(0.5)
    log, root = tmp_path / "log", axis.sandbox.raw["tsa_ca_cert"]
    _truc("evidence", "export", "--log", log, "--home", axis.home)
    words = ("evidence", "verify", log, "--ca", dispute.root, "--json", "--tsa")
    assert json.loads(_truc(*words, root)[0])["time_stamps"] >= 1
    out, code = _truc(*words, dispute.root, code=None)  # the anchor of signatures is none of time-stamps
    assert code == 1
    assert {one["kind"] for one in json.loads(out)["faults"]} == {"time-stamp"}


def test_each_partys_own_files_are_found_in_the_case(dispute: Dispute, tmp_path: Path) -> None:
    """The sender's document and receipts, the recipient's status: by one command, without the relay."""
    files = {"sent": dispute.sent, "got": dispute.got, "said": dispute.said, "told": dispute.receipts[1]}
    options: list[object] = []
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
        options += ["--file", tmp_path / name]
    case = dispute.cases[dispute.answered]
    out, _ = _truc(
        "evidence", "verify", case, "--ca", dispute.root, "--head", dispute.head, *options, "--json"
    )
    found = json.loads(out)["files"]
    assert {Path(one["file"]).name: one["kind"] for one in found["bound"]} == {
        "sent": "acceptance",
        "got": "acceptance",
        "said": "status",
        "told": "receipt",
    }
    assert found["unbound"] == []
    other = dispute.cases[dispute.silent]
    out, code = _truc("evidence", "verify", other, "--ca", dispute.root, *options, "--json", code=None)
    assert (code, len(json.loads(out)["files"]["unbound"])) == (1, 4)


def test_the_certificates_in_the_case_lead_to_an_anchor(dispute: Dispute) -> None:
    out, _ = _truc(
        "evidence",
        "verify",
        dispute.cases[dispute.answered],
        "--ca",
        dispute.root,
        "--head",
        dispute.head,
        "--json",
    )
    reasons = {one["reason"] for one in json.loads(out)["notes"]}
    assert not reasons & {"no-issuer", "no-certificate", "no-receipt"}


def test_the_page_beside_it_tells_it_in_both_languages(dispute: Dispute) -> None:
    page = dispute.cases[dispute.answered].with_suffix(".html").read_text(encoding="utf-8")
    for words in (
        dispute.answered,
        SENDER,
        RECIPIENT,
        "đã giao",
        "delivered",
        _sha256(dispute.sent),
        "+07:00",
    ):
        assert words in page
    assert "<script" not in page
