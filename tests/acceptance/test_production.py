"""Production from nothing: docs/operations.md is followed as printed, in an empty folder, while documents flow.

The units' own command lines run with TLS; users are added by command, one is suspended in the middle of traffic, a
certificate, a password and the relay's key change, workers are upgraded by restart, the registry is restored from a copy
that is older than the broker. Nothing is lost, nothing is refused that should not be, no receipt number comes twice.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pika.exceptions import AMQPError

from tests.support.machine import ROOT, Machine, blocks, built_wheel, prepared_prefix
from tests.support.stranger import Received, Sandbox, Stranger
from tests.support.stranger_xml import Facts, Receipt, Signer, check_receipt

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = ROOT / "docs" / "operations.md"
INSTALLATION = (
    "Places and ports",
    "The program",
    "Authorities and certificates",
    "The broker",
    "Configuration",
    "Start",
    "Gateways",
    "The first foreign document",
    "Watch it",
)
LIFE = (
    "Suspend and resume a gateway",
    "A gateway's new password",
    "A gateway's new certificate",
    "The relay's new key",
    "Upgrade",
    "Scale out",
    "Backup",
    "Restore",
)


WORKERS = ("1", "2")
_LOOKS = re.compile(r"^truc_directory_reloads_total\{.*\} (\S+)$", re.MULTILINE)


class Known(Sandbox):
    """What gateways know; a certificate that was handed out stays good for what was signed with it."""

    former: list[bytes] = []  # noqa: RUF012 - of the one test of this file

    def leafs(self, agency: str) -> set[bytes]:
        return super().leafs(agency) | set(self.former)


class Office:
    """A gateway at work in a thread of its own: answers 01 to what arrives, and sends if it is told to."""

    def __init__(self, sandbox: Sandbox, code: str, to: tuple[str, ...] = ()) -> None:
        self.stranger = Stranger(sandbox, code).start()
        self.sent: dict[str, bytes] = {}
        self.answered: set[str] = set()
        self.failure: Exception | None = None
        self._to = to
        self._pause = threading.Event()
        self._idle = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"office {code}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            seen = 0
            while not self._end.is_set():
                for received in self.stranger.documents[seen:]:
                    seen += 1
                    if received.type == "edoc":
                        self.stranger.check(received)
                        self.stranger.answer(received)
                        self.answered.add(received.message_id)
                if self._to and not self._pause.is_set():
                    self.send()
                elif self._pause.is_set():
                    self._idle.set()
                time.sleep(0.1)
        except Exception as error:  # told by close
            self.failure = error
        finally:
            self._idle.set()

    def send(self) -> str:
        transport_id, body = self.stranger.send(Facts(self.stranger.code, self._to))
        self.sent[transport_id] = body
        return transport_id

    def pause(self) -> None:
        """Send nothing more until ``go_on``; what was sent is sent when this returns."""
        self._idle.clear()
        self._pause.set()
        assert self._idle.wait(30)

    def go_on(self) -> None:
        self._pause.clear()

    def close(self) -> None:
        self._end.set()
        self._thread.join(30)
        self.stranger.close()
        assert self.failure is None, f"{self.stranger.code}: {self.failure!r}"


def wait(look: Callable[[], Any], what: str, seconds: float = 90.0, why: Callable[[], str] = str) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            pytest.fail(f"{what}: not in {seconds} s\n{why()}")
        time.sleep(0.1)
    return found


def obeyed(machine: Machine) -> None:
    """Wait until each worker has taken what stands in the directory now.

    It looks every two seconds, and counts each look at a file that was touched. One that had begun before is counted too,
    hence twice.
    """
    for _ in range(2):
        before = [_looks(machine, worker) for worker in WORKERS]
        os.utime(machine.folder / "etc" / "directory.json")
        for worker, looks in zip(WORKERS, before, strict=True):
            wait(lambda: _looks(machine, worker) > looks, f"worker {worker} looks at the directory")  # noqa: B023


def _looks(machine: Machine, worker: str) -> float:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{machine.http}{worker}/metrics", timeout=30) as answer:
        return sum(float(count) for count in _LOOKS.findall(answer.read().decode()))


def delivered(sender: Stranger, transport_id: str) -> Receipt | None:
    """The outcome that says that all recipients have it."""
    for one in sender.receipts_of(transport_id, "outcome"):
        if one.lines and all(line.state == "delivered" for line in one.lines):
            return one
    return None


def signer_of(receipt: Receipt) -> bytes:
    found: list[bytes] = re.findall(rb"<(?:\w+:)?X509Certificate>([^<]+)<", receipt.body)
    return found[0].replace(b"\n", b"")


@pytest.fixture(scope="module")
def page() -> dict[str, list[str]]:
    return blocks(PAGE.read_text(encoding="utf-8"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """An empty machine, with the packages that the page's ``pip`` asks for at hand."""
    wheel = built_wheel(tmp_path / "wheel")
    (tmp_path / "box").mkdir()
    one = Machine(tmp_path / "box", wheel)
    prepared_prefix(Path(one.environment["TRUC_PREFIX"]))
    try:
        yield one
    finally:
        one.close()


def test_every_block_of_the_page_is_run(page: dict[str, list[str]]) -> None:
    assert tuple(page) == INSTALLATION + LIFE


def test_production_from_nothing(page: dict[str, list[str]], machine: Machine) -> None:
    for heading in INSTALLATION:
        for block in page[heading]:
            said = machine.run(block)
            if heading == "The first foreign document":
                assert "H26 is told: outcome accepted H53=delivered" in said
    assert (machine.state / "apt-get").read_text("utf-8").startswith("install --yes --no-install-recommends")
    no_secret_is_told(machine)

    sandbox = told_to_gateways(machine)
    sender, recipient = Office(sandbox, "H26", ("H53",)), Office(sandbox, "H53")
    try:
        suspended_and_resumed(page, machine, sandbox)
        new_password(page, machine, sandbox)
        new_certificate(page, machine, sandbox, sender)
        new_key(page, machine, sender)
        upgraded(page, machine, sender)
        (block,) = page["Scale out"]
        machine.run(block)
        sender.pause()
        all_came_through(machine, sender, recipient)
        restored(page, machine, sandbox, sender, recipient)
    finally:
        sender.close()
        recipient.close()
    assert not (machine.state / "log" / "killed").exists(), "a service did not stop in its time"


def no_secret_is_told(machine: Machine) -> None:
    """No password in a log or among what is readable by others."""
    secrets = [
        path.read_text("utf-8").strip()
        for path in (
            *(machine.folder / "etc" / "secrets").glob("*.password"),
            *machine.folder.glob("gateways/*.password"),
        )
    ]
    assert len(secrets) == 5
    logs = machine.logs() + "".join(
        path.read_text("utf-8", "replace") for path in (machine.state / "log").iterdir()
    )
    assert not [one for one in secrets if one in logs]
    for path in machine.folder.glob("gateways/*.password"):
        assert path.stat().st_mode & 0o077 == 0


def told_to_gateways(machine: Machine) -> Known:
    """What each gateway has been given: the file that the page makes, in the form of sandbox.json."""
    raw = json.loads((machine.folder / "gateways" / "connection.json").read_text("utf-8"))
    folder = machine.folder / "gateways"
    raw["agencies"]["G22"] = {
        **raw["agencies"]["H53"],
        "gateway": "G22",
        "key": str(folder / "G22.key"),
        "cert": str(folder / "G22.pem"),
    }
    raw["gateways"] = {
        code: {
            "user": code,
            "password": (folder / f"{code}.password").read_text("utf-8").strip(),
            "serves": [code],
        }
        for code in ("H26", "H53", "G22")
    }
    return Known(raw)


def suspended_and_resumed(page: dict[str, list[str]], machine: Machine, sandbox: Known) -> None:
    suspend, resume = page["Suspend and resume a gateway"]
    gateway = Stranger(sandbox, "G22").start()
    before, _ = gateway.send(Facts("G22", ("H53",)))
    assert gateway.acknowledgement(before, 60).result == "accepted"
    machine.run(suspend)
    wait(lambda: gateway.failure, "the suspended gateway's connection is closed")
    with pytest.raises((AMQPError, AssertionError)):  # closed, or refused on a new channel
        gateway.send(Facts("G22", ("H53",)))
    machine.run(resume)
    obeyed(machine)
    again = Stranger(sandbox, "G22").start()
    wait(lambda: delivered(again, before) or delivered(gateway, before), "the outcome of before")
    after, _ = again.send(Facts("G22", ("H53",)))
    assert again.acknowledgement(after, 60).result == "accepted"
    wait(lambda: delivered(again, after), "the outcome of after")
    again.close()


def new_password(page: dict[str, list[str]], machine: Machine, sandbox: Known) -> None:
    (block,) = page["A gateway's new password"]
    machine.run(block)
    old = sandbox.raw["gateways"]["G22"]
    new = {
        **old,
        "user": "G22+1",
        "password": (machine.folder / "gateways/G22.next").read_text("utf-8").strip(),
    }
    for login in (old, new):  # both are good during the overlap, and speak for the same agency
        raw = {**sandbox.raw, "gateways": {**sandbox.raw["gateways"], "G22": login}}
        gateway = Stranger(Known(raw), "G22").start()
        sent, _ = gateway.send(Facts("G22", ("H53",)))
        assert gateway.acknowledgement(sent, 60).result == "accepted"
        gateway.close()


def new_certificate(page: dict[str, list[str]], machine: Machine, sandbox: Known, sender: Office) -> None:
    add, retire = page["A gateway's new certificate"]
    sandbox.former.append(sandbox.signer("H26").chain[0].public_bytes(Encoding.DER))
    machine.run(add)
    obeyed(machine)
    sender.pause()  # the gateway changes over
    folder = machine.folder / "gateways"
    sandbox.raw["agencies"]["H26"].update(key=str(folder / "H26.next.key"), cert=str(folder / "H26.next.pem"))
    sender.stranger._signers["H26"] = sandbox.signer("H26")
    wait(lambda: not unanswered(sender), "answers to what the old certificate signed")
    sender.go_on()
    machine.run(retire)
    old = Signer.load(str(folder / "H26.key"), str(folder / "H26.pem"))
    obeyed(machine)
    sender.pause()
    mine, sender.stranger._signers["H26"] = sender.stranger._signers["H26"], old
    forged, _ = sender.stranger.send(Facts("H26", ("H53",)))
    refusal = sender.stranger.receipt(forged, "acknowledgement", seconds=60)
    assert (refusal.result, refusal.code) == ("refused", "WRONG-SIGNER")
    sender.stranger._signers["H26"] = mine
    sender.go_on()


def unanswered(sender: Office) -> list[str]:
    return [one for one in list(sender.sent) if not sender.stranger.receipts_of(one, "acknowledgement")]


def new_key(page: dict[str, list[str]], machine: Machine, sender: Office) -> None:
    (block,) = page["The relay's new key"]
    before = {signer_of(one) for one in list(sender.stranger.receipts)}
    machine.run(block)
    wait(
        lambda: {signer_of(one) for one in list(sender.stranger.receipts)} - before,
        "a receipt sealed with the new key",
    )


def upgraded(page: dict[str, list[str]], machine: Machine, sender: Office) -> None:
    services = ("truc-worker@1", "truc-worker@2", "truc-keeper")
    before, sent = [machine.pid(name) for name in services], len(sender.sent)
    (block,) = page["Upgrade"]
    assert "nothing to change" in machine.run(block)
    assert not set(before) & {machine.pid(name) for name in services}
    assert len(sender.sent) > sent, "no document was sent during the upgrade"


def all_came_through(machine: Machine, sender: Office, recipient: Office) -> None:
    assert len(sender.sent) > 30

    def why() -> str:
        open_ones = [one for one in sender.sent if not delivered(sender.stranger, one)]
        told = [machine.run(f'truc why {one} --config "$TRUC_CONFIG" || true') for one in open_ones[:3]]
        return f"{len(open_ones)} open, {recipient.failure!r}\n" + "\n".join(told)

    wait(
        lambda: all(delivered(sender.stranger, one) for one in sender.sent),
        "an outcome for each document",
        why=why,
    )
    receipts = list(sender.stranger.receipts)
    for one in receipts:
        check_receipt(one, sender.stranger.sandbox.root)
    refused = [one for one in receipts if one.result == "refused" and one.code != "WRONG-SIGNER"]
    assert not refused, [(one.code, one.texts) for one in refused]
    assert len({signer_of(one) for one in receipts}) == 2
    mine = [
        one for one in recipient.stranger.documents if one.message_id in sender.sent and one.type == "edoc"
    ]
    assert Counter(one.message_id for one in mine if not one.repeated) == dict.fromkeys(sender.sent, 1)
    assert all(one.body == sender.sent[one.message_id] for one in mine)


def restored(
    page: dict[str, list[str]], machine: Machine, sandbox: Known, sender: Office, recipient: Office
) -> None:
    """The drill: a copy that is older than the broker. Senders send again what they have no outcome for."""
    (backup,), (restore,) = page["Backup"], page["Restore"]
    mine = sender.stranger
    before, _ = mine.send(Facts("H26", ("G22",)))  # stands in a queue that nobody reads
    assert mine.acknowledgement(before, 60).result == "accepted"
    time.sleep(1.1)  # copies are named by the second
    machine.run(backup)
    through, body = mine.send(Facts("H26", ("H53",)))  # accepted and delivered after the copy
    wait(lambda: delivered(mine, through), "an outcome after the copy")
    waiting, _body = mine.send(Facts("H26", ("G22",)))  # accepted after the copy, still in the queue
    assert mine.acknowledgement(waiting, 60).result == "accepted"
    machine.run(restore)

    office = Office(sandbox, "G22")
    try:
        wait(lambda: delivered(mine, before), "the outcome of what the copy knows")
        # The relay has forgotten these two: the same submission again brings each to its end.
        for transport_id, again in ((through, body), (waiting, _body)):
            word = mine.publish(again, key=mine.key(), message_id=transport_id)
            assert word == "ack"
        wait(lambda: delivered(mine, waiting), "the outcome of what waited")
        wait(
            lambda: len([one for one in mine.receipts_of(through, "outcome") if one.code == ""]) > 1,
            "a second outcome of what was delivered before",
        )
        for stranger in (office.stranger, recipient.stranger):
            mail: list[Received] = [one for one in stranger.documents if one.type == "edoc"]
            first = [one.delivery_id for one in mail if not one.repeated]
            assert len(first) == len(set(first)), "a document was taken twice"
            assert {one.delivery_id for one in mail} == set(first)
        assert {one.message_id for one in office.stranger.documents} >= {before, waiting}
    finally:
        office.close()
    numbers: dict[str, bytes] = {}
    for one in list(mine.receipts):
        check_receipt(one, sandbox.root)
        assert numbers.setdefault(one.number, one.body) == one.body, f"{one.number} names two receipts"
