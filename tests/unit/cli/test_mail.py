"""send, inbox, reply, take-back and verify over a sandbox that stands still and a broker in memory."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.gateway import ReceiptFacts
from relay.cli.words import receipt_lines
from relay.errors import BrokerError, Code
from relay.errors.catalogue import entry
from relay.evidence import receipts as evidence
from relay.model.delivery import delivery_id
from relay.model.message import Outgoing, Properties, Published
from relay.model.receipt import LineState, Receipt, ReceiptKind, RecipientLine, SignedReceipt
from relay.model.record import NewReceipt, Settlement
from relay.registry import open_registry
from relay.sandbox.contents import running
from relay.trust.sign import ReceiptSealer
from tests.unit.cli.conftest import Truc, Wire, WireLink

ID = "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11"


@pytest.fixture
def attached(tmp_path: Path) -> Path:
    path = tmp_path / "kế hoạch.txt"
    path.write_text("nội dung", encoding="utf-8")
    return path


def receipt_for(home: Path, sent: Outgoing, *, accepted: bool = True, relay: str = "truc-dev") -> bytes:
    sandbox = running(home)
    code = None if accepted else Code.UNKNOWN_RECIPIENT
    now = datetime.now(UTC)
    line = RecipientLine("H53", "H53", LineState.QUEUED if accepted else LineState.REFUSED, code, "", now)
    receipt = Receipt(
        kind=ReceiptKind.ACKNOWLEDGEMENT,
        accepted=accepted,
        relay=relay,
        number="w1-1",
        at=now,
        code=code,
        transport_id=sent.message_id,
        sender=sent.routing_key.partition(".")[2],
        document_kind=sent.type,
        body_sha256=hashlib.sha256(sent.body).hexdigest(),
        body_bytes=len(sent.body),
        recipients=(line,),
    )
    sealer = ReceiptSealer.from_files(home / "relay" / "relay.key", sandbox.relay_certs[0])
    return sealer.seal(evidence.write(receipt))


def answer(wire: Wire, home: Path, *, accepted: bool = True) -> None:
    """Let the relay acknowledge everything that is published."""

    def on_publish(sent: Outgoing) -> None:
        properties = Properties(type="receipt", content_type="application/truc-receipt+xml", message_id="r")
        queue = f"agency.{sent.routing_key.partition('.')[2]}"
        wire.put(queue, properties, receipt_for(home, sent, accepted=accepted))

    wire.on_publish = on_publish


def deliver(wire: Wire, sent: Outgoing, recipient: str, queue: str | None = None) -> None:
    """Put what was sent into a recipient's queue, as the relay does."""
    sender = sent.routing_key.partition(".")[2]
    sha256 = hashlib.sha256(sent.body).hexdigest()
    headers = {
        "truc-delivery-id": delivery_id(sender, sha256, recipient),
        "truc-sender": sender,
        "truc-recipient": recipient,
        "truc-sha256": sha256,
        "truc-accepted-at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    properties = Properties(
        message_id=sent.message_id, type=sent.type, content_type=sent.content_type, headers=headers
    )
    wire.put(queue or f"agency.{recipient}", properties, sent.body)


def send(truc: Truc, home: Path, *more: object) -> str:
    result = truc(
        "send", "--as", "H26", "--to", "H53", "--subject", "Kế hoạch", "--id", ID, "--home", home, *more
    )
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_send_builds_signs_and_prints_the_transport_id_alone(
    truc: Truc, home: Path, wire: Wire, attached: Path
) -> None:
    assert send(truc, home, "--attach", attached) == ID
    (sent,) = wire.published
    assert (sent.routing_key, sent.type, sent.message_id, sent.as_self) == ("normal.H26", "edoc", ID, True)
    file = attached.with_suffix(".edxml")
    file.write_bytes(sent.body)
    facts = json.loads(truc("verify", file, "--home", home, "--json").stdout)
    assert (facts["valid"], facts["type"], facts["sender"], facts["recipients"]) == (
        True,
        "edoc",
        "H26",
        ["H53"],
    )
    assert facts["verdict"]["verified_at"].endswith("Z")


def test_a_signed_file_goes_bit_for_bit_and_an_unsigned_one_is_signed(
    truc: Truc, home: Path, wire: Wire, tmp_path: Path
) -> None:
    send(truc, home)
    signed = wire.published[0].body
    file = tmp_path / "signed.edxml"
    file.write_bytes(signed)
    assert truc("send", "--as", "H26", file, "--home", home).exit_code == 0
    assert wire.published[1].body == signed
    assert wire.published[1].message_id != ID
    start = signed.index(b"<Signature xmlns=")
    end = signed.index(b"</Signature>") + len(b"</Signature>")
    file.write_bytes(signed[:start] + signed[end:])
    result = truc("send", "--as", "H26", file, "--home", home)
    assert result.exit_code == 0
    assert "unsigned: signed here as H26" in result.stderr
    assert b"<SignatureValue>" in wire.published[2].body


def test_priority_decides_the_lane_and_a_deadline_travels(truc: Truc, home: Path, wire: Wire) -> None:
    send(truc, home, "--priority", "2", "--deadline", "2h")
    (sent,) = wire.published
    assert sent.routing_key == "urgent.H26"
    left = datetime.fromisoformat(sent.headers["truc-deadline"]) - datetime.now(UTC)
    assert 7100 < left.total_seconds() <= 7200


def test_the_same_id_sends_the_same_bytes(truc: Truc, home: Path, wire: Wire) -> None:
    send(truc, home)
    send(truc, home)
    first, second = wire.published
    assert first == second


def test_the_id_alone_repeats_a_submission_with_its_deadline(truc: Truc, home: Path, wire: Wire) -> None:
    assert truc("send", "--as", "H26", "--id", ID, "--home", home).exit_code == 5
    send(truc, home, "--deadline", "3h", "--priority", "1")
    assert truc("send", "--as", "H26", "--id", ID, "--home", home).exit_code == 0
    first, second = wire.published
    assert first == second
    assert first.headers


@pytest.mark.parametrize(
    "more",
    [
        ("--to", "G22"),
        ("--subject", "Khác"),
        ("--content", "thêm"),
        ("--number", "7"),
        ("--document-id", "H26,2026/01/01,7/CV-H26"),
        ("--priority", "1"),
        ("--attach", __file__),
    ],
)
def test_other_facts_under_a_used_id_are_not_sent(
    truc: Truc, home: Path, wire: Wire, more: tuple[str, ...]
) -> None:
    send(truc, home)
    again = ("send", "--as", "H26", "--to", "H53", "--subject", "Kế hoạch", "--id", ID, "--home", home)
    result = truc(*again, *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "NOT sent" in result.stderr
    assert len(wire.published) == 1


def test_another_file_under_a_used_id_is_not_sent(truc: Truc, home: Path, wire: Wire, tmp_path: Path) -> None:
    send(truc, home)
    signed = wire.published[0].body
    start = signed.index(b"<Signature xmlns=")
    unsigned = signed[:start] + signed[signed.index(b"</Signature>") + len(b"</Signature>") :]
    file = tmp_path / "again.edxml"
    for content, code in ((signed, 0), (unsigned, 0), (signed + b"\n", 2), (unsigned + b"\n", 2)):
        file.write_bytes(content)
        assert truc("send", "--as", "H26", file, "--id", ID, "--home", home).exit_code == code
    assert [message.body for message in wire.published] == [signed] * 3
    # what was a file is not what could be built
    assert truc("send", "--as", "H26", file, "--id", ID[:-1] + "2", "--home", home).exit_code == 0
    result = truc(
        *(
            "send",
            "--as",
            "H26",
            "--to",
            "H53",
            "--subject",
            "Kế hoạch",
            "--id",
            ID[:-1] + "2",
            "--home",
            home,
        )
    )
    assert result.exit_code == 2


def test_a_receipt_is_shown_with_its_detail() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    message = entry(Code.FORBIDDEN_HEADER).message["en"]
    told = ReceiptFacts(
        "acknowledgement", "refused", "FORBIDDEN-HEADER", "r", "w1-1", at, ID, "", (), f"{message} (X-My)"
    )
    assert "    X-My" in receipt_lines(told)
    assert "    Quite another text" in receipt_lines(replace(told, detail="Quite another text"))
    assert not [line for line in receipt_lines(replace(told, detail=message)) if line == "    "]


def test_track_shows_what_was_refused_before_its_sender_was_proven(
    truc: Truc, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    monkeypatch.setattr("relay.registry.open_registry", lambda *_, **__: open_registry(url))
    now = datetime.now(UTC)
    receipt = Receipt(
        kind=ReceiptKind.ACKNOWLEDGEMENT,
        accepted=False,
        relay="truc-dev",
        number="w1-1",
        at=now,
        code=Code.UNSIGNED,
        transport_id=ID,
        sender="",
        document_kind="edoc",
        body_sha256="aa",
        body_bytes=4,
    )
    sealer = ReceiptSealer.from_files(home / "relay" / "relay.key", running(home).relay_certs[0])
    body = sealer.seal(evidence.write(receipt))
    told = SignedReceipt("w1-1", receipt.kind, False, "UNSIGNED", "H26", ID, body, "r", now)
    registry = open_registry(url)
    registry.settle(
        [Settlement(None, (), (NewReceipt(told, None, user="H26", transport_id=ID, body_sha256="aa"),))],
        "w1",
        now,
    )
    registry.close()
    result = truc("track", ID, "--home", home)
    assert result.exit_code == 0
    assert "told to H26" in result.stdout
    assert "UNSIGNED: " in result.stdout
    facts = json.loads(truc("track", ID, "--json", "--home", home).stdout)
    assert (facts["documents"], [one["code"] for one in facts["refused"]]) == ([], ["UNSIGNED"])
    assert truc("track", "other", "--home", home).exit_code == 5


def test_wait_prints_the_receipt(truc: Truc, home: Path, wire: Wire) -> None:
    answer(wire, home)
    output = send(truc, home, "--wait")
    assert output.startswith(ID + "\nacknowledgement truc-dev/w1-1")
    assert "H53: queued" in output


def test_a_refusal_is_exit_code_1_with_its_remedy(truc: Truc, home: Path, wire: Wire) -> None:
    answer(wire, home, accepted=False)
    result = truc("send", "--as", "H26", "--to", "H53", "--subject", "x", "--wait", "--json", "--home", home)
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["state"] == "confirmed"
    assert facts["receipt"]["result"] == "refused"
    assert facts["receipt"]["recipients"][0]["outcome_code"] == "UNKNOWN-RECIPIENT"


def test_no_receipt_in_time_is_told(truc: Truc, home: Path, wire: Wire) -> None:
    result = truc(
        "send", "--as", "H26", "--to", "H53", "--subject", "x", "--wait", "--timeout", "0.2", "--home", home
    )
    assert result.exit_code == 4
    assert "RECEIPT-TIMEOUT" in result.stderr


def test_what_the_broker_does_not_confirm_is_told_and_kept(truc: Truc, home: Path, wire: Wire) -> None:
    wire.results.extend([Published.UNDECIDED] * 3)
    result = truc("send", "--as", "H26", "--to", "H53", "--subject", "x", "--home", home)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "PUBLISH-REFUSED" in result.stderr
    assert json.loads(truc("inbox", "--as", "H26", "--json", "--home", home).stdout)["published"] == 1
    assert len(wire.published) == 1


def test_dry_run_sends_nothing(truc: Truc, home: Path, wire: Wire) -> None:
    result = truc(
        "send", "--as", "H26", "--to", "H53", "--subject", "x", "--dry-run", "--json", "--home", home
    )
    facts = json.loads(result.stdout)
    assert (facts["dry_run"], facts["lane"], facts["kind"]) == (True, "normal", "edoc")
    assert not wire.published


def test_inbox_stores_answers_and_writes_files(
    truc: Truc, home: Path, wire: Wire, attached: Path, tmp_path: Path
) -> None:
    send(truc, home, "--attach", attached)
    deliver(wire, wire.published[0], "H53")
    out = tmp_path / "out"
    facts = json.loads(truc("inbox", "--as", "H53", "--out", out, "--json", "--home", home).stdout)
    (document,) = facts["documents"]
    assert (document["sender"], document["transport_id"], document["subject"]) == ("H26", ID, "Kế hoạch")
    package, file = (Path(name) for name in document["files"])
    assert package.read_bytes() == wire.published[0].body
    assert (file.name, file.read_bytes()) == ("kế hoạch.txt", attached.read_bytes())
    status = wire.published[1]
    assert (status.routing_key, status.type, status.correlation_id) == ("status.H53", "status", ID)
    again = json.loads(truc("inbox", "--as", "H53", "--json", "--home", home).stdout)
    assert again["documents"] == []
    assert (
        len(json.loads(truc("inbox", "--as", "H53", "--all", "--json", "--home", home).stdout)["documents"])
        == 1
    )


def test_inbox_dry_run_takes_nothing(truc: Truc, home: Path, wire: Wire) -> None:
    send(truc, home)
    deliver(wire, wire.published[0], "H53")
    facts = json.loads(truc("inbox", "--as", "H53", "--dry-run", "--json", "--home", home).stdout)
    assert facts["documents"] == []
    assert len(wire.queues["agency.H53"]) == 1


def test_inbox_rejects_altered_mail(truc: Truc, home: Path, wire: Wire) -> None:
    send(truc, home)
    sent = wire.published[0]
    altered = Outgoing(
        **{
            **{name: getattr(sent, name) for name in sent.__slots__},
            "body": sent.body.replace("Kế hoạch".encode(), b"Ke hoach"),
        }
    )
    deliver(wire, altered, "H53")
    facts = json.loads(truc("inbox", "--as", "H53", "--json", "--home", home).stdout)
    assert facts["documents"] == []
    assert "DIGEST-MISMATCH" in facts["rejected"][0]
    assert len(wire.rejected) == 1


def test_a_served_agency_reads_its_gateways_queue_and_answers_with_its_own_key(
    truc: Truc, home: Path, wire: Wire, tmp_path: Path
) -> None:
    assert truc("send", "--as", "H26", "--to", "H30.10.01", "--subject", "x", "--home", home).exit_code == 0
    deliver(wire, wire.published[0], "H30.10.01", "agency.H30")
    facts = json.loads(truc("inbox", "--as", "H30", "--json", "--home", home).stdout)
    assert facts["documents"] == []
    facts = json.loads(truc("inbox", "--as", "H30.10.01", "--json", "--home", home).stdout)
    assert len(facts["documents"]) == 1
    file = tmp_path / "status.edxml"
    file.write_bytes(wire.published[1].body)
    verdict = json.loads(truc("verify", file, "--home", home, "--json").stdout)
    assert (verdict["valid"], verdict["type"], verdict["sender"], verdict["status"]) == (
        True,
        "status",
        "H30.10.01",
        "01",
    )


def test_reply_and_take_back(truc: Truc, home: Path, wire: Wire, tmp_path: Path) -> None:
    send(truc, home, "--to", "G22")
    deliver(wire, wire.published[0], "H53")
    truc("inbox", "--as", "H53", "--home", home)
    assert "H26" in truc("reply", "--as", "H53", ID, "03", "--dry-run", "--home", home).stdout
    result = truc("reply", "--as", "H53", ID, "02", "--reason", "sai nơi nhận", "--home", home)
    assert result.stdout.strip() == wire.published[-1].message_id
    file = tmp_path / "status.edxml"
    file.write_bytes(wire.published[-1].body)
    facts = json.loads(truc("verify", file, "--home", home, "--json").stdout)
    assert (facts["sender"], facts["recipients"], facts["status"]) == ("H53", ["H26"], "02")
    assert truc("reply", "--as", "G22", ID, "03", "--home", home).exit_code == 5

    asked = json.loads(
        truc("take-back", "--as", "H26", ID, "--reason", "nhầm", "--json", "--home", home).stdout
    )
    assert asked["recipients"] == ["H53", "G22"]
    assert [message.correlation_id for message in wire.published[-2:]] == [ID, ID]
    assert truc("take-back", "--as", "H26", ID, "--to", "G14", "--reason", "x", "--home", home).exit_code == 5
    assert truc("take-back", "--as", "G14", ID, "--reason", "x", "--home", home).exit_code == 5


def test_verify_knows_receipts_from_packages(truc: Truc, home: Path, wire: Wire, tmp_path: Path) -> None:
    send(truc, home)
    file = tmp_path / "receipt.xml"
    genuine = receipt_for(home, wire.published[0])
    file.write_bytes(genuine)
    facts = json.loads(truc("verify", file, "--home", home, "--json").stdout)
    assert (facts["type"], facts["valid"], facts["receipt"]["transport_id"]) == ("receipt", True, ID)
    file.write_bytes(genuine.replace(b"queued", b"refuse"))
    result = truc("verify", file, "--home", home)
    assert result.exit_code == 1
    assert "DIGEST-MISMATCH: " in result.stdout
    assert "remedy: " in result.stdout
    assert result.stderr == ""
    file.write_bytes(receipt_for(home, wire.published[0], relay="another"))
    assert truc("verify", file, "--home", home).exit_code == 1


def test_the_packages_on_the_protocol_page_are_good_once_signed(
    truc: Truc, home: Path, wire: Wire, tmp_path: Path
) -> None:
    page = Path(__file__).parents[3] / "docs" / "protocol.md"
    blocks = re.findall(r"^```xml\n(<edXML .*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    told = []
    for block in blocks:
        file = tmp_path / "example.edxml"
        if "<From>" not in block:  # an outline, with nothing in it to send
            continue
        file.write_text(re.sub(r"<Signature .*?</Signature>", "", block, flags=re.DOTALL), encoding="utf-8")
        sender = re.findall(r"<From><OrganId>(.*?)<", block)[0]
        result = truc("send", "--as", sender, file, "--home", home)
        assert (result.exit_code, "Note:" in result.stderr) == (0, False), result.output
        file.write_bytes(wire.published[-1].body)
        assert truc("verify", file, "--home", home).exit_code == 0
        told.append((wire.published[-1].routing_key, wire.published[-1].type))
    assert told == [("normal.H53", "edoc"), ("normal.H53", "edoc"), ("status.G22", "status")]


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "EMPTY-BODY NOT-XML"), (b"no xml", "NOT-XML"), (b"<a/>", "WRONG-ROOT")]
)
def test_verify_judges_anything(truc: Truc, home: Path, tmp_path: Path, content: bytes, code: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    result = truc("verify", file, "--home", home, "--json")
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["valid"]) == (1, False)
    assert facts["code"] in code.split()
    assert facts["error"]["code"] == facts["code"]


def test_a_state_secret_does_not_leave(truc: Truc, home: Path, wire: Wire) -> None:
    result = truc("send", "--as", "H26", "--to", "H53", "--subject", "MẬT", "--home", home)
    assert result.exit_code == 1
    assert "STATE-SECRET" in result.stderr
    assert not wire.published


def test_directory_commands(truc: Truc, home: Path) -> None:
    shown = json.loads(truc("directory", "show", "000.01.15.H26", "--home", home, "--json").stdout)
    assert (shown["code"], shown["resolution"]["agency"]) == ("H26.15.01", "H26.15.01")
    closed = json.loads(truc("directory", "show", "H29.21", "--home", home, "--json").stdout)
    assert (closed["resolution"]["agency"], closed["resolution"]["via"]) == ("H29.20", ["H29.21"])
    split = json.loads(truc("directory", "show", "H53.32", "--home", home, "--json").stdout)
    assert split["resolution"]["refusal"] == "RECIPIENT-CLOSED"
    assert truc("directory", "show", "H99", "--home", home).exit_code == 5
    found = json.loads(truc("directory", "search", "ha noi", "--home", home, "--json").stdout)
    assert found[0]["code"] == "H26"
    assert truc("directory", "search", "không có", "--home", home).exit_code == 5
    checked = json.loads(truc("directory", "check", "--home", home, "--json").stdout)
    assert (checked["valid"], checked["findings"]) == (True, [])


def test_directory_check_tells_every_finding(truc: Truc, tmp_path: Path) -> None:
    file = tmp_path / "directory.yaml"
    file.write_text("agencies:\n- code: h26\n  name: x\n- code: H27\n  level: moon\n", encoding="utf-8")
    result = truc("directory", "check", file, "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["findings"]) >= 2


def test_track_and_quarantine_of_an_empty_registry(truc: Truc, home: Path) -> None:
    assert truc("track", ID, "--home", home).exit_code == 5
    assert json.loads(truc("quarantine", "ls", "--home", home, "--json").stdout) == []
    assert truc("quarantine", "release", "x", "--home", home).exit_code == 5


def test_without_a_broker_the_document_is_kept_and_its_id_is_told(
    truc: Truc, home: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_self: WireLink, _message: Outgoing) -> Published:
        raise BrokerError(Code.BROKER_UNREACHABLE, "nobody there")

    with monkeypatch.context() as patched:
        patched.setattr(WireLink, "publish", down)
        result = truc("send", "--as", "H26", "--to", "H53", "--subject", "x", "--id", ID, "--home", home)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "BROKER-UNREACHABLE" in result.stderr
    assert ID in result.stderr
    truc("inbox", "--as", "H26", "--home", home)
    assert [message.message_id for message in wire.published] == [ID]
