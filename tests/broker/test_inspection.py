"""Signatures inside attachments, on a real sandbox: a signed PDF crosses, sender and recipient are told, once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from relay.cli.main import main
from relay.evidence.receipts import ReadReceipt, read
from relay.model.inspection import CertificateState, Integrity, Whose
from relay.sandbox.process import identify
from tests.support import pdfs, pki
from tests.support.sandbox import running_sandbox
from tests.support.stranger import Sandbox, Stranger
from tests.support.waits import until

pytestmark = pytest.mark.broker

KIND = "attachment-verdict"
SETTINGS: dict[str, dict[str, Any]] = {"keeper": {"interval_s": 0.3, "lease_s": 2.0, "receipts_after_s": 1.0}}
T = TypeVar("T")


@dataclass
class Ground:
    home: Path
    sandbox: Sandbox
    folder: Path
    open: dict[str, Stranger] = field(default_factory=dict)

    def gateway(self, code: str) -> Stranger:
        if code not in self.open:
            self.open[code] = Stranger(self.sandbox, code).start()
        return self.open[code]

    def truc(self, *words: object, code: int = 0) -> str:
        line = [*(str(word) for word in words), "--home", str(self.home)]
        result = CliRunner().invoke(main, line, prog_name="truc")
        assert result.exit_code == code, (line, result.output, result.stderr, result.exception)
        return result.stdout

    def send(self, *attached: Path) -> str:
        """Send from H26 to H53; return the transport id."""
        files = [part for path in attached for part in ("--attach", path)]
        answer = self.truc("send", "--as", "H26", "--to", "H53", "--subject", "Về việc mẫu", *files, "--json")
        return str(json.loads(answer)["transport_id"])

    def entity(self, code: str) -> pki.Entity:
        agency = self.sandbox.raw["agencies"][code]
        chain = x509.load_pem_x509_certificates(Path(agency["cert"]).read_bytes())
        key = load_pem_private_key(Path(agency["key"]).read_bytes(), None)
        return pki.Entity(key, chain[0], tuple(chain))  # type: ignore[arg-type]

    def signed_pdf(self, name: str, *, altered: bool = False) -> Path:
        """Write a PDF that H26 signed; altered after that, if told."""
        entity = self.entity("H26")
        others = [one.public_bytes(Encoding.DER) for one in entity.chain[1:]]
        content = pdfs.signed(
            pdfs.plain(name), entity, at=datetime.now(UTC).replace(microsecond=0), others=others
        )
        path = self.folder / f"{name}.pdf"
        path.write_bytes(pdfs.other_content(content) if altered else content)
        return path

    def keeper(self) -> int:
        """Its process id, once one lives."""

        def living() -> int:
            pid = json.loads((self.home / "sandbox.json").read_text())["pids"]["keeper"]
            return int(pid) if pid and identify(pid) is not None else 0

        return until(living)

    def verdicts(self, code: str, transport_id: str) -> list[ReadReceipt]:
        return [read(one.body) for one in self.gateway(code).receipts_of(transport_id, KIND)]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("inspection")
    with running_sandbox(home, settings=SETTINGS):
        running = Ground(home, Sandbox.load(home / "sandbox.json"), tmp_path_factory.mktemp("files"))
        yield running
        for gateway in running.open.values():
            gateway.close()


def test_a_signed_pdf_crosses_and_both_sides_are_told(ground: Ground) -> None:
    sender, recipient = ground.gateway("H26"), ground.gateway("H53")
    good, bad = ground.signed_pdf("quyet-dinh"), ground.signed_pdf("phu-luc", altered=True)
    note = ground.folder / "ghi-chu.txt"
    note.write_text("mẫu", encoding="utf-8")
    transport_id = ground.send(good, bad, note)
    assert recipient.arrival(transport_id).body
    told = [until(lambda code=code: ground.verdicts(code, transport_id))[0] for code in ("H26", "H53")]  # type: ignore[misc]
    assert told[0].attachments == told[1].attachments
    first, second, third = told[0].attachments
    assert [one.name for one in (first, second, third)] == ["quyet-dinh.pdf", "phu-luc.pdf", "ghi-chu.txt"]
    (signature,) = first.signatures
    assert (signature.integrity, signature.certificate) == (Integrity.INTACT, CertificateState.VALID)
    assert (signature.whose, signature.own) == (Whose.AGENCY, True)
    assert second.signatures[0].integrity is Integrity.ALTERED
    assert (third.finding.value, third.result.value) == ("not-inspected", "nothing")
    assert [line.resolved for line in told[1].recipients] == ["H53"]
    assert not told[0].recipients
    receipt = sender.receipt(transport_id, KIND)  # checked by a stranger's code: signature, relay, headers
    assert receipt is not None

    vietnamese = ground.truc("--lang", "vi", "track", transport_id)
    assert "CÓ TỆP BỊ SỬA SAU KHI KÝ HOẶC CHỮ KÝ KHÔNG ĐÚNG" in vietnamese
    assert "nguyên vẹn, không bị sửa sau khi ký" in vietnamese
    assert "phu-luc.pdf: có chữ ký số" in vietnamese
    english = ground.truc("--lang", "en", "why", transport_id)
    assert "THE FILE WAS ALTERED AFTER SIGNING" in english
    facts = json.loads(ground.truc("track", transport_id, "--json"))["documents"][0]
    assert [one["result"] for one in facts["attachments"]] == ["good", "altered", "nothing"]
    assert {(one["kind"], one["to"]) for one in facts["receipts"]} >= {(KIND, "H26"), (KIND, "H53")}

    package = ground.folder / "received.edxml"
    package.write_bytes(recipient.arrivals(transport_id)[0].body)
    judged = json.loads(ground.truc("verify", package, "--attachments", "--json"))
    assert [one["result"] for one in judged["attachments"]] == ["good", "altered", "nothing"]
    assert "altered" not in ground.truc("--lang", "en", "verify", package)


def test_a_keeper_that_is_killed_tells_each_verdict_once(ground: Ground) -> None:
    ground.gateway("H26"), ground.gateway("H53")
    os.kill(ground.keeper(), signal.SIGKILL)
    sent = [ground.send(ground.signed_pdf(f"van-ban-{number}")) for number in range(3)]
    until(lambda: any(ground.verdicts("H26", one) for one in sent))
    os.kill(ground.keeper(), signal.SIGKILL)  # in the middle of the others, or of their telling
    for one in sent:
        for code in ("H26", "H53"):
            until(lambda code=code, one=one: ground.verdicts(code, one))  # type: ignore[misc]
    until(lambda: ground.gateway("H26").depth("inspect") == 0)
    again = ground.send(ground.signed_pdf("sau-cung"))  # whatever was to be told twice was told before this
    until(lambda: ground.verdicts("H26", again))
    for one in sent:
        for code in ("H26", "H53"):
            assert len({receipt.number for receipt in ground.verdicts(code, one)}) == 1
        facts = json.loads(ground.truc("track", one, "--json"))["documents"][0]
        assert sorted(line["to"] for line in facts["receipts"] if line["kind"] == KIND) == ["H26", "H53"]


def test_what_bears_no_signature_is_left_alone(ground: Ground) -> None:
    ground.gateway("H26"), ground.gateway("H53")
    path = ground.folder / "khong-ky.pdf"
    path.write_bytes(pdfs.plain())
    plain = ground.send(path)
    behind = ground.send(ground.signed_pdf("theo-sau"))
    until(lambda: ground.verdicts("H53", behind))
    assert ground.gateway("H53").arrival(plain).body
    assert not ground.verdicts("H26", plain)
    assert "attachments" in json.loads(ground.truc("track", plain, "--json"))["documents"][0]
