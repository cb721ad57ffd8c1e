"""The device that holds the relay's key goes away under load and comes back: nothing is lost, nothing is said twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)

from relay.cli.main import main
from tests.support import softhsm
from tests.support.pki import Key
from tests.support.sandbox import running_sandbox
from tests.support.stranger import Sandbox, Stranger
from tests.support.stranger_xml import Facts
from tests.support.waits import until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(900)]
T = TypeVar("T")


@dataclass
class Ground:
    home: Path
    token: softhsm.Token
    sender: Stranger
    recipient: Stranger

    def worker(self) -> int:
        """Its process id; 0 while there is none."""
        return int((json.loads((self.home / "sandbox.json").read_text())["pids"]["workers"] or [0])[0])

    def settings(self) -> dict[str, Any]:
        read: dict[str, Any] = yaml.safe_load((self.home / "config" / "w1.yaml").read_text())
        return read

    def ask(self, page: str) -> str:
        http = self.settings()["http"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{http['host']}:{http['port']}/{page}", timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as answer:  # not ready is told by 503
            return str(answer.read().decode())
        except OSError:
            return "{}"

    def reasons(self) -> list[str] | None:
        """Why the worker is not ready; None while it does not answer."""
        found = json.loads(self.ask("ready")).get("reasons")
        return None if found is None else [str(one) for one in found]

    def send(self) -> str:
        return self.sender.send(Facts("H26", ("H53",)))[0]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("signer")
    token = softhsm.Token(tmp_path_factory.mktemp("token"))
    settings: dict[str, dict[str, Any]] = {"keeper": {"interval_s": 0.5}, "worker": {"give_back_after_s": 6}}
    with running_sandbox(home, settings=settings):
        sandbox = Sandbox.load(home / "sandbox.json")
        ground = Ground(home, token, Stranger(sandbox, "H26").start(), Stranger(sandbox, "H53").start())
        _into_the_token(ground)
        yield ground
        ground.sender.close()
        ground.recipient.close()


def _into_the_token(ground: Ground) -> None:
    """Put the worker's key into the token, away with its file, and let the worker start anew."""
    file, settings = ground.home / "config" / "w1.yaml", ground.settings()
    path = Path(settings["relay"]["key"])
    key: Key = load_pem_private_key(path.read_bytes(), None)  # type: ignore[assignment]
    ground.token.put(key)
    settings["relay"]["key"] = ground.token.uri()
    file.write_text(yaml.safe_dump(settings))
    before = ground.worker()
    os.kill(before, signal.SIGTERM)
    until(
        lambda: ground.worker() not in {0, before} and ground.reasons() == [],
        what="the worker with the token",
    )


def test_a_worker_whose_device_goes_away_waits_and_goes_on_by_itself(ground: Ground) -> None:
    first = ground.send()
    assert ground.sender.acknowledgement(first).result == "accepted"
    ground.token.take_away()
    waiting = [ground.send()]  # the one by which it is noticed
    until(lambda: "signer-away" in (ground.reasons() or []), what="signer-away")
    waiting += [ground.send() for _ in range(5)]
    facts = json.loads(ground.ask("ready"))
    assert facts["ready"] is False
    assert softhsm.PIN not in json.dumps(facts)
    assert 'truc_unready_reason{reason="signer-away"} 1.0' in ground.ask("metrics")
    time.sleep(3)  # time in which something could be said that must not be
    assert all(not ground.sender.receipts_of(one) for one in waiting)
    # only the one by which it was noticed may be on its way; the others were not even taken
    assert all(not ground.recipient.arrivals(one) for one in waiting[1:])
    # It keeps nothing from workers whose devices are there: all stands in the queues again.
    until(lambda: ground.sender.depth("ingress.normal") + ground.sender.depth("due") >= 6, what="given back")
    assert json.loads(ground.ask("ready"))["paused"] is True
    assert ground.reasons() == ["signer-away"]
    worker = ground.worker()
    ground.token.put_back()
    for one in waiting:
        assert ground.sender.acknowledgement(one).result == "accepted"
        arrived = ground.recipient.arrival(one)
        ground.recipient.check(arrived)
        assert len({each.delivery_id for each in ground.recipient.arrivals(one)}) == 1
    assert until(lambda: ground.reasons() == [], what="ready again")
    assert all(len(ground.recipient.arrivals(one)) == 1 for one in waiting[1:])
    assert ground.worker() == worker, "it was not started again"


def test_a_device_that_hangs_is_waited_for(ground: Ground) -> None:
    worker = ground.worker()
    with ground.token.hanging():
        waiting = [ground.send() for _ in range(3)]
        until(lambda: "signer-away" in (ground.reasons() or []), what="signer-away")
        assert all(not ground.sender.receipts_of(one) for one in waiting)
    for one in waiting:
        assert ground.sender.acknowledgement(one).result == "accepted"
        assert len({each.delivery_id for each in ground.recipient.arrivals(one)}) == 1
    until(lambda: ground.reasons() == [], what="ready again")
    assert ground.worker() == worker


def test_a_pin_that_is_refused_is_waited_for(ground: Ground) -> None:
    """The device comes back and does not let in who has the former PIN: an operator writes the right one into the file."""
    worker = ground.worker()
    ground.token.write_pin("0000")
    ground.token.take_away()
    sent = ground.send()
    until(lambda: "signer-away" in (ground.reasons() or []), what="signer-away")
    ground.token.put_back()
    until(lambda: "PIN" in ground.ask("ready"), what="why it is away")
    assert "signer-away" in (ground.reasons() or [])
    assert not ground.sender.receipts_of(sent)
    ground.token.write_pin(softhsm.PIN)
    assert ground.sender.acknowledgement(sent).result == "accepted"
    until(lambda: ground.reasons() == [], what="ready again")
    assert ground.worker() == worker


def test_a_worker_starts_while_its_device_is_away(ground: Ground) -> None:
    ground.token.take_away()
    before = ground.worker()
    os.kill(before, signal.SIGKILL)
    until(
        lambda: ground.worker() not in {0, before} and "signer-away" in (ground.reasons() or []),
        what="signer-away",
    )
    sent = ground.send()
    time.sleep(1)
    assert not ground.sender.receipts_of(sent)
    ground.token.put_back()
    assert ground.sender.acknowledgement(sent).result == "accepted"
    log = "".join(path.read_text(errors="replace") for path in (ground.home / "log").glob("*"))
    assert softhsm.PIN not in log
    assert "relay-key-unusable" in log


def test_another_worker_goes_on_with_what_the_waiting_one_gave_back(ground: Ground) -> None:
    worker = ground.worker()
    ground.token.take_away()
    sent = [ground.send() for _ in range(5)]
    until(lambda: json.loads(ground.ask("ready")).get("paused"), what="it pauses")
    sent += [ground.send() for _ in range(2)]
    command = [
        "worker",
        "--config",
        str(ground.home / "config" / "truc.yaml"),
        "--name",
        "w9",
    ]  # a key in a file
    with subprocess.Popen([sys.executable, "-m", "relay.cli", *command], stderr=subprocess.DEVNULL) as other:
        try:
            for one in sent:
                assert ground.sender.acknowledgement(one, 90).result == "accepted"
                assert len({each.delivery_id for each in ground.recipient.arrivals(one)}) == 1
            assert "signer-away" in (ground.reasons() or [])
        finally:
            other.terminate()
    ground.token.put_back()
    until(lambda: ground.reasons() == [], what="ready again")
    assert ground.sender.acknowledgement(ground.send()).result == "accepted"
    assert ground.worker() == worker


def test_a_gateway_sends_with_a_key_of_its_own_place(ground: Ground, tmp_path: Path) -> None:
    raw = ground.sender.sandbox.raw["agencies"]["H26"]
    key: Key = load_pem_private_key(Path(raw["key"]).read_bytes(), None)  # type: ignore[assignment]
    chain = x509.load_pem_x509_certificates(Path(raw["cert"]).read_bytes())
    token = softhsm.Token(tmp_path)
    token.put(key, label="H26")
    locked = BestAvailableEncryption(b"abc")
    (tmp_path / "h26.p12").write_bytes(
        pkcs12.serialize_key_and_certificates(b"H26", key, chain[0], chain[1:], locked)
    )
    (tmp_path / "password").write_text("abc\n")
    (tmp_path / "password").chmod(0o600)
    command = [
        "send",
        "--as",
        "H26",
        "--to",
        "H53",
        "--subject",
        "Thử",
        "--content",
        "x",
        "--home",
        ground.home,
    ]
    for place in (
        ["--key", token.uri("H26"), "--certificate", raw["cert"]],
        ["--key", tmp_path / "h26.p12", "--key-password-file", tmp_path / "password"],
    ):
        result = CliRunner().invoke(main, [str(word) for word in (*command, *place)], prog_name="truc")
        assert result.exit_code == 0, result.output
        assert ground.sender.acknowledgement(result.stdout.strip()).result == "accepted"
    token.take_away()
    away = [str(word) for word in (*command, "--key", token.uri("H26"), "--certificate", raw["cert"])]
    result = CliRunner().invoke(main, away, prog_name="truc")
    assert result.exit_code != 0
    assert "KEY-AWAY" in result.output
    assert softhsm.PIN not in result.output
