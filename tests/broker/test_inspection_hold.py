"""Deliveries that are held up until their attachments are judged: with a running worker and inspector, which dies, is away
for long, and comes back. Each document has one fate, which its sender is told; nothing is delivered that must not be."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.broker.test_inspection import KIND, Ground
from tests.support.sandbox import running_sandbox
from tests.support.stranger import Sandbox
from tests.support.waits import until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(900)]

SETTINGS: dict[str, dict[str, Any]] = {
    "keeper": {"interval_s": 0.3, "lease_s": 2.0, "receipts_after_s": 1.0},
    "retry": {"rungs": ["5s"]},
    "inspection": {"hold": "altered", "hold_s": 600},
}
FROM, TO = "H26", "H53"


@dataclass
class Held(Ground):
    """A sandbox that holds up what was altered."""

    def pids(self, role: str) -> Any:
        return json.loads((self.home / "sandbox.json").read_text())["pids"][role]

    @contextmanager
    def no_keeper(self) -> Iterator[None]:
        """The inspector is killed, and nobody starts another one for a while."""
        keeper, supervisor = self.keeper(), self.pids("supervisor")
        os.kill(supervisor, signal.SIGSTOP)
        os.kill(keeper, signal.SIGKILL)
        try:
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)

    def line(self, transport_id: str, kind: str, code: str | None = None) -> tuple[str, str]:
        """State and code of the recipient's line in a receipt, which is waited for and checked."""
        found = self.gateway(FROM).receipt(transport_id, kind, code=code, seconds=90).line(TO)
        return found.state, found.outcome_code

    def story(self, transport_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.truc("track", transport_id, "--json"))["documents"][0]
        return found

    def told(self, transport_id: str) -> list[tuple[str, str]]:
        """To whom the verdict on its attachments was told, by the relay's books: kind and agency."""
        lines = self.story(transport_id)["receipts"]
        return sorted((one["kind"], one["to"]) for one in lines if one["kind"] == KIND)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    home = tmp_path_factory.mktemp("hold")
    with running_sandbox(home, settings=SETTINGS):
        running = Held(home, Sandbox.load(home / "sandbox.json"), tmp_path_factory.mktemp("files"))
        running.gateway(FROM), running.gateway(TO)
        yield running
        for gateway in running.open.values():
            gateway.close()


def test_held_until_the_verdict_then_delivered_or_refused(ground: Held) -> None:
    sender, recipient = ground.gateway(FROM), ground.gateway(TO)
    with ground.no_keeper():
        good = ground.send(ground.signed_pdf("quyet-dinh"))
        bad = ground.send(ground.signed_pdf("phu-luc", altered=True))
        for one in (good, bad):
            assert ground.line(one, "acknowledgement") == ("deferred", "ATTACHMENT-PENDING")
        until(lambda: sender.depth("inspect") == 2)
        page = ground.truc("--lang", "en", "track", good)
        assert "ATTACHMENT-PENDING" in page
        assert not recipient.arrivals(good)
        assert not recipient.arrivals(bad)
    recipient.check(recipient.arrival(good, 90))
    assert ground.line(bad, "outcome") == ("refused", "ATTACHMENT-REFUSED")
    until(lambda: ground.verdicts(FROM, good) and ground.verdicts(TO, good) and ground.verdicts(FROM, bad))
    assert [one.result for one in ground.verdicts(TO, good)[0].attachments] == ["good"]
    assert [one.result for one in ground.verdicts(FROM, bad)[0].attachments] == ["altered"]
    # What was refused for it is told to its sender alone, and never arrives.
    after = ground.send(ground.signed_pdf("theo-sau"))
    recipient.arrival(after, 90)
    assert not recipient.arrivals(bad)
    assert not ground.verdicts(TO, bad)
    assert ground.told(bad) == [(KIND, FROM)]
    assert ground.told(good) == [(KIND, FROM), (KIND, TO)]
    assert len(recipient.arrivals(good)) == 1
    shown = ground.story(good)
    assert [one["result"] for one in shown["attachments"]] == ["good"]
    assert [one["state"] for one in shown["deliveries"]] == ["queued"]
    assert [one["state"] for one in ground.story(bad)["deliveries"]] == ["refused"]
    vietnamese = ground.truc("--lang", "vi", "track", bad)
    assert "CÓ TỆP BỊ SỬA SAU KHI KÝ" in vietnamese
    assert "ATTACHMENT-REFUSED" in vietnamese


def test_an_inspector_that_is_killed_is_no_reason_to_deliver_or_to_forget(ground: Held) -> None:
    sender, recipient = ground.gateway(FROM), ground.gateway(TO)
    with ground.no_keeper():
        files = [ground.signed_pdf(f"van-ban-{number}", altered=number == 3) for number in range(4)]
        sent = [ground.send(file) for file in files]
        until(lambda: sender.depth("inspect") == 4)
    for ready in (4, 3):  # killed at whatever it is at: taking, judging, telling
        until(
            lambda ready=ready: (
                sender.depth("inspect") < ready or any(ground.verdicts(FROM, one) for one in sent)
            )  # type: ignore[misc]
        )
        before = ground.keeper()
        os.kill(before, signal.SIGKILL)
        until(lambda before=before: ground.keeper() != before)  # type: ignore[misc]
    for one in sent[:3]:
        recipient.arrival(one, 90)
        for code in (FROM, TO):
            until(lambda code=code, one=one: ground.verdicts(code, one))  # type: ignore[misc]
    assert ground.line(sent[3], "outcome") == ("refused", "ATTACHMENT-REFUSED")
    until(lambda: sender.depth("inspect") == 0)
    for one in sent[:3]:
        assert len({each.delivery_id for each in recipient.arrivals(one)}) == 1
        assert ground.told(one) == [(KIND, FROM), (KIND, TO)]
        for code in (FROM, TO):
            assert len({receipt.number for receipt in ground.verdicts(code, one)}) == 1
    assert not recipient.arrivals(sent[3])


def test_an_inspector_that_is_away_for_long(ground: Held) -> None:
    """After ``hold_s`` the policy decides, here: delivered, and the sender is told that nothing was checked."""
    _worker_with(ground, {"hold_s": 10})
    recipient = ground.gateway(TO)
    with ground.no_keeper():
        sent = ground.send(ground.signed_pdf("cho-lau", altered=True))
        assert ground.line(sent, "acknowledgement") == ("deferred", "ATTACHMENT-PENDING")
        recipient.check(recipient.arrival(sent, 90))
        assert ground.line(sent, "outcome", "ATTACHMENT-UNCHECKED") == ("queued", "ATTACHMENT-UNCHECKED")
        assert not ground.verdicts(TO, sent)
    # The verdict comes later, for both sides; what was delivered stays so.
    until(lambda: ground.verdicts(FROM, sent) and ground.verdicts(TO, sent))
    assert [one.result for one in ground.verdicts(TO, sent)[0].attachments] == ["altered"]
    assert [one["state"] for one in ground.story(sent)["deliveries"]] == ["queued"]
    assert len(recipient.arrivals(sent)) == 1


def _worker_with(ground: Held, inspection: dict[str, Any]) -> None:
    """Start the worker anew with other settings of the inspection."""
    file = ground.home / "config" / "w1.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["inspection"] |= inspection
    file.write_text(yaml.safe_dump(settings))
    (before,) = ground.pids("workers")
    os.kill(before, signal.SIGTERM)
    until(lambda: ground.pids("workers") not in ([], [0], [before]))
