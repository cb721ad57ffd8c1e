"""``truc verify --evidence``: a document is judged as of the time-stamp that shows when it was accepted."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from adapters.edxml.format import EdxmlFormat
from relay.evidence.case import Case, to_json
from relay.evidence.proof import find, prove
from relay.evidence.synthetic import START, MemoryLog, RelayKey
from relay.model.evidence import Checkpoint, Judged, SignedHead, Submission
from relay.model.message import Kind
from relay.trust.sign import sign_document
from relay.trust.timestamp import question, read_answer
from tests.support import pki, tsa
from tests.support.packages import build_document
from tests.unit.cli.conftest import Truc

DAY = dt.timedelta(days=1)
BEGIN, END = START - 10 * DAY, START + 40 * DAY
"""Of the certificates of those who sign: long over."""
ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
CODES: dict[str, Any] = {
    "intact": True,
    "trusted": True,
    "reason": "OK",
    "algorithm": "ecdsa-sha256",
    "profile": "whole",
}


@dataclass
class Place:
    """A relay's configuration without any revocation list, a document, and what makes evidence about it."""

    folder: Path

    def __post_init__(self) -> None:
        long: dict[str, Any] = {"not_before": BEGIN, "not_after": START + 9000 * DAY}
        short: dict[str, Any] = {"not_before": BEGIN, "not_after": END}
        self.root = pki.issue("Root", ca=True, **long)
        self.issuing = pki.issue("Issuing", self.root, ca=True, **long)
        self.leaf = pki.issue("Leaf", self.issuing, **short)
        relay = pki.issue("Relay", self.issuing, relay="truc-dev", **short)
        assert isinstance(relay.key, ec.EllipticCurvePrivateKey)
        self.key = RelayKey("truc-dev", relay.key, relay.chain_pem)
        self.authority = tsa.Authority(now=START + 2 * DAY)
        agencies = [
            {"code": code, "name": code, "gateway": code, "certificates": certificates}
            for code, certificates in (("H53", [self.leaf.chain_pem.decode()]), ("G22", []))
        ]
        for name, octets in {
            "root.pem": self.root.pem,
            "relay.pem": relay.chain_pem,
            "tsa.pem": self.authority.root_pem,
            "directory.yaml": yaml.safe_dump({"agencies": agencies}).encode(),
            "truc.yaml": yaml.safe_dump(
                {
                    "relay": {"name": "truc-dev", "key": "k", "certificates": ["relay.pem"]},
                    "broker": {"url": "amqp://127.0.0.1/truc", "user": "relay", "password_file": "p"},
                    "registry": {"url": "sqlite:///registry.db"},
                    "directory": {"file": "directory.yaml"},
                    "trust": {"anchors": ["root.pem"]},
                    "evidence": {"authority_anchors": ["tsa.pem"]},
                }
            ).encode(),
        }.items():
            (self.folder / name).write_bytes(octets)
        unsigned = build_document("H53", ["G22"], document_id="7")
        self.body = sign_document(
            unsigned, EdxmlFormat().place(Kind.EDOC), self.leaf.key, self.leaf.chain_pem
        )
        self.file = self.folder / "document.edxml"
        self.file.write_bytes(self.body)

    def submission(self, **more: Any) -> Submission:
        verdict = Judged(certificate_sha256=hashlib.sha256(self.leaf.der).hexdigest(), **CODES)
        facts: dict[str, Any] = {
            "transport_id": ID,
            "sender": "H53",
            "user": "H53",
            "document_kind": "edoc",
            "body_sha256": hashlib.sha256(self.body).hexdigest(),
            "body_bytes": len(self.body),
            "document_id": "7",
            "directory_version": "6d" * 32,
            "verdict": verdict,
            "lines": (),
        }
        return Submission(**{**facts, **more})

    def stamp(self, log: MemoryLog, at: dt.datetime | None = None) -> None:
        """Have the newest head time-stamped."""
        signed = log.heads[-1].head
        if at is not None:
            self.authority.now = at
        token = read_answer(self.authority.answer(question(hashlib.sha256(signed.text).digest(), 1)))
        log.heads[-1] = Checkpoint(signed, time_stamps=(token,))

    def log(self, *, stamped: dt.datetime | None, **more: Any) -> MemoryLog:
        log = MemoryLog(self.key)
        chain = log.start("w1")
        log.append(chain, self.submission(**more))
        log.seal(chain)
        log.sign()
        if stamped is not None:
            self.stamp(log, stamped)
        return log

    def case(
        self,
        log: MemoryLog,
        revoked: Sequence[tuple[pki.Entity, dt.datetime]] = (),
        *,
        elsewhere: tuple[SignedHead, ...] = (),
        lists: bool = True,
    ) -> Path:
        """Write a case with lists of its day."""
        life: dict[str, Any] = {"this_update": START - DAY, "next_update": START + 30 * DAY}
        pems = [pki.crl(self.root, **life), pki.crl(self.issuing, revoked, **life)] if lists else []
        case = Case(
            "truc-dev",
            ID,
            "2026-01-06T00:00:00Z",
            prove(log, find(log, ID), elsewhere),
            certificates=(self.leaf.der, self.issuing.der),
            revocation_lists=tuple(x509.load_pem_x509_crl(one).public_bytes(Encoding.DER) for one in pems),
        )
        path = self.folder / "case.json"
        path.write_text(json.dumps(to_json(case)))
        return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


def told(truc: Truc, place: Place, *words: object, code: int = 0) -> dict[str, Any]:
    found = truc("verify", place.file, "--config", place.folder / "truc.yaml", "--json", *words)
    assert found.exit_code == code, found.output
    facts: dict[str, Any] = json.loads(found.stdout)
    return facts


def test_without_evidence_the_certificate_is_over(truc: Truc, place: Place) -> None:
    facts = told(truc, place, code=1)
    assert (facts["code"], facts["verdict"]["vouched_by"]) == ("CERTIFICATE-EXPIRED", "clock")
    given = told(truc, place, "--at", "2026-01-06T00:00:00Z", code=1)
    # the lists of that day are nowhere now
    assert (given["code"], given["verdict"]["vouched_by"]) == ("REVOCATION-UNKNOWN", "given")


def test_a_time_stamp_over_its_record_says_as_of_when(truc: Truc, place: Place) -> None:
    log = place.log(stamped=START + 2 * DAY)
    case = place.case(log)
    facts = told(truc, place, "--evidence", case)
    assert facts["valid"] is True
    assert facts["verdict"]["vouched_by"] == "time-stamp"
    assert facts["verdict"]["verified_at"] == "2026-01-07T01:00:00.000Z"
    assert facts["verdict"]["revocation"]["state"] == "good"
    seen = facts["evidence"]
    assert (seen["relay"], seen["record"], seen["transport_id"]) == ("truc-dev", "acceptance", ID)
    assert (seen["existed_at"], seen["authority"]) == ("2026-01-07T01:00:00.000Z", "CN=TSA")
    assert seen["accepted_at"] < "2026-01-05T02"
    for language, said in (
        ("en", "judged as of: 07/01/2026 08:00:00 +07:00 (a time-stamp of CN=TSA)"),
        ("vi", "xét tại: 07/01/2026 08:00:00 +07:00 (dấu thời gian của CN=TSA)"),
    ):
        words = truc(
            "verify",
            place.file,
            "--config",
            place.folder / "truc.yaml",
            "--evidence",
            case,
            "--lang",
            language,
        )
        assert said in words.stdout
        assert ID in words.stdout
    # the lists of that day are those of the case
    assert told(truc, place, "--evidence", place.case(log, lists=False), code=1)["code"] == "NOT-ON-RECORD"


def test_a_bare_proof_does_where_the_lists_are_known(truc: Truc, place: Place) -> None:
    log = place.log(stamped=START + 2 * DAY)
    proof = place.folder / "proof.json"
    proof.write_text(json.dumps(json.loads(place.case(log).read_text())["proof"]))
    assert (
        told(truc, place, "--evidence", proof, code=1)["code"] == "NOT-ON-RECORD"
    )  # who signed the head: unknown
    life: dict[str, Any] = {"this_update": START - DAY, "next_update": START + 30 * DAY}
    lists = []
    for name, issuer in (("root.crl", place.root), ("issuing.crl", place.issuing)):
        (place.folder / name).write_bytes(pki.crl(issuer, **life))
        lists.append(name)
    settings = yaml.safe_load((place.folder / "truc.yaml").read_text())
    settings["trust"]["crls"] = lists
    (place.folder / "lists.yaml").write_text(yaml.safe_dump(settings))
    found = truc("verify", place.file, "--config", place.folder / "lists.yaml", "--json", "--evidence", proof)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["verdict"]["vouched_by"] == "time-stamp"


def test_a_time_stamp_that_nobody_can_judge_is_told(truc: Truc, place: Place) -> None:
    settings = yaml.safe_load((place.folder / "truc.yaml").read_text())
    del settings["evidence"]
    (place.folder / "no-authority.yaml").write_text(yaml.safe_dump(settings))
    case = place.case(place.log(stamped=START + 2 * DAY))
    words = "verify", place.file, "--config", place.folder / "no-authority.yaml", "--evidence", case
    found = json.loads(truc(*words, "--json").stdout)
    assert (found["verdict"]["vouched_by"], found["evidence"]["unjudged_time_stamps"]) == ("record", True)
    assert "--tsa" in truc(*words, "--lang", "vi").stdout


def test_without_a_time_stamp_the_record_says_it(truc: Truc, place: Place) -> None:
    facts = told(truc, place, "--evidence", place.case(place.log(stamped=None)))
    assert facts["verdict"]["vouched_by"] == "record"
    assert facts["verdict"]["verified_at"] == facts["evidence"]["accepted_at"]
    assert facts["evidence"]["unjudged_time_stamps"] is False


def test_the_roots_of_the_authority_are_those_that_are_given(truc: Truc, place: Place) -> None:
    other = place.folder / "other.pem"
    other.write_bytes(tsa.Authority().root_pem)
    case = place.case(place.log(stamped=START + 2 * DAY))
    facts = told(truc, place, "--evidence", case, "--tsa", other, code=1)
    assert facts["code"] == "EVIDENCE-BROKEN"
    assert told(truc, place, "--evidence", case, "--tsa", place.folder / "tsa.pem")["valid"] is True


def test_a_time_stamp_that_came_when_the_certificate_was_over(truc: Truc, place: Place) -> None:
    case = place.case(place.log(stamped=END + DAY))
    facts = told(truc, place, "--evidence", case, code=1)
    assert (facts["code"], facts["verdict"]["vouched_by"]) == ("CERTIFICATE-EXPIRED", "time-stamp")


@pytest.mark.parametrize(
    ("revoked_at", "code"),
    [(START + DAY, "CERTIFICATE-REVOKED"), (START + 3 * DAY, "OK")],
)
def test_what_was_revoked_by_then(truc: Truc, place: Place, revoked_at: dt.datetime, code: str) -> None:
    case = place.case(place.log(stamped=START + 2 * DAY), [(place.leaf, revoked_at)])
    facts = told(truc, place, "--evidence", case, code=0 if code == "OK" else 1)
    assert facts["code"] == code


def test_a_time_stamp_over_a_head_before_it_says_nothing(truc: Truc, place: Place) -> None:
    log = MemoryLog(place.key)
    chain = log.start("w1")
    log.document(chain)
    log.seal(chain)
    log.sign()
    place.stamp(log, START + DAY)
    before = log.heads[-1].head
    log.append(chain, place.submission())
    log.seal(chain)
    log.sign()
    case = place.case(log, elsewhere=(before,))
    proof = json.loads(case.read_text())["proof"]
    assert proof["under"] == 1
    assert proof["heads"][0]["time_stamps"]
    assert told(truc, place, "--evidence", case)["verdict"]["vouched_by"] == "record"
    # one over a later head does
    log.document(chain)
    log.seal(chain)
    log.sign()
    place.stamp(log, START + 3 * DAY)
    facts = told(truc, place, "--evidence", place.case(log, elsewhere=(before,)))
    assert facts["verdict"]["verified_at"] == "2026-01-08T01:00:00.000Z"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"body_sha256": "ab" * 32}, "no record in it names the SHA-256 of this file"),
        ({"refusal": "WRONG-SIGNER"}, "the record says that the relay refused it"),
    ],
)
def test_what_the_relay_did_not_accept(truc: Truc, place: Place, more: dict[str, Any], why: str) -> None:
    facts = told(truc, place, "--evidence", place.case(place.log(stamped=START + DAY, **more)), code=1)
    assert (facts["code"], facts["detail"]) == ("NOT-ON-RECORD", why)


def test_a_log_of_a_stranger(truc: Truc, place: Place) -> None:
    own = place.key
    stranger = pki.issue("Relay", relay="truc-dev", not_before=BEGIN, not_after=END)
    assert isinstance(stranger.key, ec.EllipticCurvePrivateKey)
    place.key = RelayKey("truc-dev", stranger.key, stranger.chain_pem)
    try:
        case = place.case(place.log(stamped=START + DAY))
    finally:
        place.key = own
    facts = told(truc, place, "--evidence", case, code=1)
    assert facts["code"] == "NOT-ON-RECORD"
    assert "UNKNOWN-CA" in facts["detail"]


def test_evidence_that_does_not_hold(truc: Truc, place: Place) -> None:
    case = place.case(place.log(stamped=START + DAY))
    facts = json.loads(case.read_text())
    facts["proof"]["records"][0]["path"] = []
    facts["proof"]["records"] = facts["proof"]["records"][:1]
    facts["proof"]["batches"][0]["path"] = ["00" * 32]
    case.write_text(json.dumps(facts))
    assert told(truc, place, "--evidence", case, code=1)["code"] == "EVIDENCE-BROKEN"


def test_what_does_not_go_together(truc: Truc, place: Place) -> None:
    case = place.case(place.log(stamped=None))
    for more in (("--evidence", case, "--at", "2026-01-06T00:00:00Z"), ("--tsa", place.folder / "tsa.pem")):
        assert truc("verify", place.file, "--config", place.folder / "truc.yaml", *more).exit_code == 2
