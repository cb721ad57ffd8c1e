"""An operator's commands about documents, on a running sandbox: one worker, the keeper, real queues."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.broker import names
from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.broker.management import Management
from relay.cli.main import main
from relay.evidence import receipts as evidence
from relay.model.message import Incoming
from relay.sandbox.contents import Sandbox, running
from tests.support.sandbox import running_sandbox
from tests.support.waits import until

pytestmark = pytest.mark.broker

LONG = 60.0
Truc = Callable[..., Result]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("operating") / "home") as made:
        yield made


@pytest.fixture
def truc(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Truc:
    monkeypatch.setenv("TRUC_HOME", str(sandbox.home))
    monkeypatch.setenv("LANG", "C.UTF-8")
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], prog_name="truc")

    return run


def ask(truc: Truc, *words: object) -> Any:
    result = truc(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def send(truc: Truc, *recipients: str, subject: str = "Thử") -> str:
    to = [word for code in recipients for word in ("--to", code)]
    return str(ask(truc, "send", "--as", "H26", *to, "--subject", subject, "--content", "x")["transport_id"])


def cases(truc: Truc, transport_id: str) -> list[str]:
    result = truc("why", transport_id, "--json")
    found = [one["case"] for one in json.loads(result.stdout)["reasons"]]
    return [case for case in found if case != "receipt-waiting"]


def gateway(sandbox: Sandbox, code: str) -> BlockingClient:
    agency = sandbox.agency(code)
    return BlockingClient(
        Endpoint.from_url(sandbox.amqp_url, agency.user, agency.password), name=f"test {code}"
    )


def told(sandbox: Sandbox, code: str, transport_id: str) -> list[Incoming]:
    """The receipts in an agency's queue about a transport id; they go back."""
    found = []
    with gateway(sandbox, code) as client:
        while (message := client.get(names.agency_queue(code))) is not None:
            if message.properties.correlation_id == transport_id and message.properties.type == "receipt":
                found.append(message)
    return found


def codes(sandbox: Sandbox, code: str, transport_id: str) -> list[object]:
    return [one.properties.headers[names.H_CODE] for one in told(sandbox, code, transport_id)]


def reject(sandbox: Sandbox, code: str, transport_id: str) -> Incoming:
    """What a gateway does that cannot take a document."""
    with gateway(sandbox, code) as client:
        while (message := client.get(names.agency_queue(code))) is not None:
            if message.properties.message_id == transport_id:
                client.reject(message)
                return message
    raise AssertionError("not in the queue")


def held_about(truc: Truc, transport_id: str) -> list[dict[str, Any]]:
    return [one for one in ask(truc, "quarantine", "ls") if one["transport_id"] == transport_id]


def test_what_is_rejected_is_shown_released_and_at_last_dropped(
    truc: Truc, sandbox: Sandbox, tmp_path: Path
) -> None:
    transport_id = send(truc, "H53", "H29")
    until(lambda: cases(truc, transport_id) == ["queued-unread", "queued-unread"])
    assert "no gateway is connected" in truc("why", transport_id).stdout
    assert "không có cổng nào kết nối" in truc("why", transport_id, "--lang", "vi").stdout
    first = reject(sandbox, "H53", transport_id)
    until(lambda: "held" in cases(truc, transport_id))
    (entry,) = held_about(truc, transport_id)
    assert entry["held_id"] in truc("why", transport_id).stdout

    body = tmp_path / "body"
    shown = ask(truc, "quarantine", "show", entry["held_id"], "--out", body)
    assert (shown["message"]["package"]["sender"], shown["message"]["secret"]) == ("H26", False)
    assert {one["to"] for one in shown["told"]} == {"H26", "H53"}
    assert "Thử" not in truc("quarantine", "show", entry["held_id"]).stdout, (
        "the subject is nobody's business"
    )
    assert (body.read_bytes(), stat.S_IMODE(body.stat().st_mode)) == (first.body, 0o600)

    assert ask(truc, "quarantine", "release", entry["held_id"], "--dry-run")["to"] == "level.province H53"
    assert held_about(truc, transport_id)
    assert truc("quarantine", "release", entry["held_id"], "--reason", "đã sửa").exit_code == 0
    assert held_about(truc, transport_id) == []
    assert truc("quarantine", "release", entry["held_id"]).exit_code == 5
    # the broker tells one rejection from another by the second: in one second both are one entry, held anew
    released = int(time.time())
    until(lambda: int(time.time()) > released)
    second = reject(sandbox, "H53", transport_id)
    assert second.body == first.body
    assert second.properties.headers[names.H_DELIVERY_ID] == first.properties.headers[names.H_DELIVERY_ID]

    until(lambda: bool(held_about(truc, transport_id)))
    (again,) = held_about(truc, transport_id)
    assert again["at"] > entry["at"], "held anew"
    drop = ("quarantine", "drop", again["held_id"], "--reason", "cổng không đọc được gói tin")
    assert ask(truc, *drop, "--dry-run")["tells"] == ["H26", "H53"]
    assert held_about(truc, transport_id)
    assert truc(*drop).exit_code == 0
    until(lambda: "DELIVERY-DROPPED" in codes(sandbox, "H26", transport_id))
    until(lambda: "DELIVERY-DROPPED" in codes(sandbox, "H53", transport_id))
    (receipt,) = [
        one
        for one in told(sandbox, "H26", transport_id)
        if one.properties.headers[names.H_CODE] == "DELIVERY-DROPPED"
    ]
    read = evidence.read(receipt.body)
    assert [(line.resolved, line.state.value, line.outcome_code) for line in read.recipients] == [
        ("H53", "refused", "DELIVERY-DROPPED")
    ]
    assert "cổng không đọc được gói tin".encode() in receipt.body
    assert sorted(cases(truc, transport_id)) == ["queued-unread", "refused-delivery"]

    story = ask(truc, "track", transport_id)
    events = [one["event"] for one in story["documents"][0]["events"]]
    for event in ("held", "released", "dropped", "drop-told", "quarantine.release", "quarantine.drop"):
        assert event in events, events
    assert story["names"]["H53"]
    assert "quarantine.export" in {one["act"] for one in ask(truc, "audit")}
    assert "H53" in truc("track", transport_id).stdout


def test_a_deferral_is_brought_forward(truc: Truc, sandbox: Sandbox) -> None:
    from relay import settings

    chosen = settings.load(sandbox.settings).broker
    management = Management(
        chosen.management_url, chosen.management_user, chosen.management_password(), vhost=sandbox.vhost
    )
    path = "/api/bindings/truc/e/level.central/q/agency.G14"
    management._call("DELETE", f"{path}/G14", None)
    transport_id = send(truc, "G14")
    until(lambda: cases(truc, transport_id) == ["deferred"])
    assert "UNROUTABLE" in truc("why", transport_id).stdout
    shape = ask(truc, "queue", "shape", "--by", "code")
    assert "UNROUTABLE" in {one["name"] for one in shape["rows"]}
    # up to the rung of a minute, where there is time to act
    until(lambda: rung(truc, "retry.1m") == 1)
    management._call("POST", path, {"routing_key": "G14", "arguments": {}})
    (step,) = ask(truc, "resend", transport_id, "--dry-run")["steps"]
    assert (step["what"], step["where"]) == ("brought-forward", "retry.1m")
    assert cases(truc, transport_id) == ["deferred"]
    (step,) = ask(truc, "resend", transport_id)["steps"]
    assert step["what"] == "brought-forward"
    until(lambda: cases(truc, transport_id) == ["queued-unread"])
    assert [act["act"] for act in ask(truc, "audit", transport_id)] == ["document.resend"]
    assert ask(truc, "resend", transport_id)["steps"][0]["what"] == "in-queue"


def rung(truc: Truc, queue: str) -> int:
    shape = ask(truc, "queue", "shape")
    (row,) = [one for one in shape["own"] if one["name"] == queue]
    return int(row["total"])


def test_what_a_recipient_has_lost_comes_again_from_its_sender(truc: Truc, sandbox: Sandbox) -> None:
    transport_id = send(truc, "H29")
    until(lambda: cases(truc, transport_id) == ["queued-unread"])
    with gateway(sandbox, "H29") as client:
        client.raw.queue_purge("agency.H29")
    assert cases(truc, transport_id) == ["queued-gone"]
    assert ask(truc, "resend", transport_id)["steps"][0]["what"] == "in-queue"
    assert ask(truc, "resend", transport_id, "--gone")["steps"][0]["what"] == "lost"
    until(lambda: "BODY-LOST" in codes(sandbox, "H26", transport_id))
    until(lambda: cases(truc, transport_id) == ["lost"])
    assert truc("send", "--as", "H26", "--id", transport_id).exit_code == 0
    until(lambda: cases(truc, transport_id) == ["queued-unread"])

    before = len(told(sandbox, "H26", transport_id))
    steps = ask(truc, "resend", transport_id, "--receipts")["steps"]
    assert {one["what"] for one in steps} == {"receipt"}
    messages = told(sandbox, "H26", transport_id)
    assert len(messages) == before + len(steps)
    again = messages[-len(steps) :]
    assert all(one.properties.headers[names.H_DUPLICATE] == "true" for one in again)
    assert {one.body for one in again} <= {one.body for one in messages[:before]}


def test_a_worker_is_drained_and_work_goes_on(truc: Truc, sandbox: Sandbox) -> None:
    (one,) = ask(truc, "drain", "--all", "--dry-run")["workers"]
    assert (one["worker"], one["pid"]) == ("w1", running(sandbox.home).pids.workers[0])
    result = truc("drain", "--worker", "w1", "--json")
    assert result.exit_code == 0, result.output
    (done,) = json.loads(result.stdout)["workers"]
    assert (done["ended"], done["unfinished"], done["pid"]) == (True, 0, one["pid"])
    transport_id = send(truc, "H53")
    until(lambda: cases(truc, transport_id) == ["queued-unread"])
    assert ask(truc, "audit", "w1")[0]["act"] == "worker.drain"
    assert truc("drain", "--worker", "no-such").exit_code == 5
    assert truc("drain").exit_code == 2


def test_the_shape_counts_what_the_queues_hold(truc: Truc) -> None:
    found: list[dict[str, Any]] = []

    def consumed() -> bool:
        found.append(ask(truc, "queue", "shape"))
        own = {one["name"]: one for one in found[-1]["own"]}
        return bool(own["ingress.normal"]["consumers"] == 1)

    until(consumed)  # the drained worker of before is forgotten by the broker in its own time
    shape = found[-1]
    rows = {one["name"]: one for one in shape["rows"]}
    assert rows["agency.H53"]["total"] >= 1
    assert rows["agency.H53"]["ready"] >= rows["agency.H53"]["total"]
    assert rows["agency.H53"]["consumers"] == 0
    assert shape["unread"] >= 1
    assert shape["total"]["total"] == sum(one["total"] for one in shape["rows"])
    assert truc("queue", "shape", "--top", "1").exit_code == 0


def test_nothing_is_known_of_an_id_that_never_came(truc: Truc) -> None:
    result = truc("why", "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11")
    assert result.exit_code == 5
    assert "ingress.normal 0" in result.stdout
    for command in ("track", "resend"):
        assert truc(command, "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11").exit_code == 5
