"""Logs and receipts hold no subject, no personal data, no key, no password; a state secret stays nowhere at all."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.conftest import Axis
from tests.support.stranger import Stranger
from tests.support.stranger_xml import Facts, Receipt, check_receipt

FROM, TO = "H29.20", "H26.15"
SUBJECT = "Phương án Sao Biển 7431 về nhân sự"
SECRET = "Kế hoạch Cánh Buồm 9917"
FILE = "Danh sách Hoa Gạo 5520.txt"
CONTENT = b"Noi dung rieng tu 8812 " * 20


@dataclass(frozen=True)
class Traces:
    """What the relay left behind: texts by their place, and the receipts of each submission."""

    texts: dict[str, str]
    receipts: dict[str, Receipt]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def traces(axis: Axis) -> Traces:
    sender, recipient = axis.gateway(FROM), axis.gateway(TO)
    files = ((FILE, CONTENT),)
    held_before = sender.depth("quarantine")
    ids, receipts = {}, {}
    good = Facts(FROM, (TO,), subject=SUBJECT, files=files)
    ids["ordinary"], body = sender.send(good)
    receipts["ordinary"] = sender.acknowledgement(ids["ordinary"])
    recipient.answer(recipient.arrival(ids["ordinary"]), "02", description=SUBJECT)
    receipts["outcome"] = sender.receipt(ids["ordinary"], "outcome")
    secrets = {
        "by subject": Facts(FROM, (TO,), subject=f"[Tối mật] {SECRET}", files=files),
        "by file name": Facts(FROM, (TO,), subject=SECRET, files=((f"(MẬT) {FILE}", CONTENT),)),
    }
    for name, facts in secrets.items():
        ids[name], _ = sender.send(facts)
        receipts[name] = sender.acknowledgement(ids[name])
    ids["altered"] = str(uuid.uuid4())
    sender.publish(body.replace(b"Sao", b"Dao"), message_id=ids["altered"])
    ids["no XML"] = str(uuid.uuid4())
    sender.publish(body[:700], message_id=ids["no XML"])
    ids["unknown"], _ = sender.send(Facts(FROM, ("H99",), subject=SUBJECT, files=files))
    for name in ("altered", "no XML", "unknown"):
        receipts[name] = sender.acknowledgement(ids[name])
    assert sender.depth("quarantine") == held_before
    texts = {str(path): path.read_text("utf-8", "replace") for path in _logs(axis.home)}
    texts |= {f"receipt: {name}": receipt.body.decode() for name, receipt in receipts.items()}
    return Traces(texts, receipts, ids)


def _logs(home: Path) -> Iterator[Path]:
    for folder in (home / "log", home / "broker" / "log"):
        yield from (path for path in folder.iterdir() if path.is_file())


def holds(traces: Traces, words: list[str]) -> list[str]:
    return [f"{word!r} in {place}" for place, text in traces.texts.items() for word in words if word in text]


def test_nothing_of_what_was_written_stands_in_logs_or_receipts(traces: Traces) -> None:
    words = [
        "Sao Biển",
        "Dao Biển",
        "Cánh Buồm",
        "Hoa Gạo",
        "Noi dung rieng",
        "Người ký",
        "Cơ quan (mẫu)",
        "Kính gửi",
    ]
    words += [json.dumps(word)[1:-1] for word in words]  # as a log might escape it
    words += ["Tm9pIGR1bmcg"]  # the content in base64
    assert not holds(traces, words)


def test_no_password_and_no_key_stands_in_logs_or_receipts(axis: Axis, traces: Traces) -> None:
    kept = json.loads((axis.home / "kept.json").read_text(encoding="utf-8"))
    words = list(kept["passwords"].values())
    words += [entry["password"] for entry in axis.sandbox.raw["gateways"].values()]
    for path in (*(axis.home / "keys").glob("*.key"), axis.home / "relay" / "relay.key"):
        words += path.read_text(encoding="ascii").splitlines()[1:-1]
    assert len(words) > 30
    assert not holds(traces, [*words, "PRIVATE KEY"])


def test_no_password_stands_in_a_command_line(axis: Axis) -> None:
    kept = json.loads((axis.home / "kept.json").read_text(encoding="utf-8"))
    pids = json.loads((axis.home / "sandbox.json").read_text(encoding="utf-8"))["pids"]
    for pid in (pids["keeper"], pids["broker"], pids["supervisor"], *pids["workers"]):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        assert command
        assert not [user for user, password in kept["passwords"].items() if password in command]


def test_a_state_secret_is_refused_by_a_signed_receipt_that_names_no_content(
    axis: Axis, traces: Traces
) -> None:
    for name in ("by subject", "by file name"):
        receipt = traces.receipts[name]
        check_receipt(receipt, axis.sandbox.root)
        assert (receipt.result, receipt.code) == ("refused", "STATE-SECRET")


def test_the_registry_does_not_hold_it(axis: Axis, traces: Traces) -> None:
    for path in (axis.home / "data").iterdir():
        content = path.read_bytes()
        for word in ("Cánh Buồm", "Sao Biển", "Hoa Gạo"):
            assert word.encode() not in content, path.name


def test_the_broker_does_not_keep_a_state_secret(axis: Axis, traces: Traces) -> None:
    sender: Stranger = axis.gateway(FROM)
    for queue in ("ingress.normal", "due", "inspect", "retry.5s", "retry.1m"):
        assert sender.depth(queue) == 0, queue


def test_logs_of_worker_and_keeper_are_json_with_the_transport_id(axis: Axis, traces: Traces) -> None:
    lines = []
    for name in ("w1", "keeper"):
        text = (axis.home / "log" / f"{name}.log").read_text(encoding="utf-8")
        lines += [json.loads(line) for line in text.splitlines()]
    assert lines
    named = {line.get("transport_id") for line in lines}
    assert {traces.ids["by subject"], traces.ids["altered"]} <= named
