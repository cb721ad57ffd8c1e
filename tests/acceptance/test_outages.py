"""What a running relay leans on goes away, hangs, comes late or lies: revocation lists, OCSP responders, the time-stamp
authority, the clock. Nothing false is accepted, nothing is lost, and all goes on by itself: no process is started again.

The device with the relay's key has a sandbox of its own: ``tests/broker/test_signer_away.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp

from relay.cli.main import main
from relay.sandbox.ca import DevelopmentCa
from relay.sandbox.home import Home, Programs
from relay.sandbox.programs import OWN_PROGRAMS
from relay.sandbox.up import up
from tests.acceptance.conftest import Axis
from tests.support import clocked, pki, tsa
from tests.support.authority import Mode, Server, answer, nonce_in, serving
from tests.support.pki import Entity
from tests.support.sandbox import put_down
from tests.support.stranger import Sandbox
from tests.support.stranger_xml import Facts
from tests.support.waits import until

pytestmark = pytest.mark.timeout(600)

FROM, TO = "H29", "H53"
LIST: Final = "/issuing.crl"
LIMIT: Final = 120.0
MONTHS: Final = 60 * 86_400
SECOND: Final = timedelta(seconds=1)
Programmed = Programs(
    ("{python}", str(Path(clocked.__file__).resolve()), *OWN_PROGRAMS.worker[3:]), OWN_PROGRAMS.keeper
)


class Stamper(tsa.Authority):
    """A time-stamp authority that can hang."""

    hangs = False
    wrong = timedelta(0)  # its clock
    ended = threading.Event()

    def answer(self, question: bytes) -> bytes:
        if self.hangs:
            self.ended.wait(60)
        self.now = datetime.now(UTC).replace(microsecond=0) + self.wrong
        return super().answer(question)


@dataclass
class Place:
    home: Path
    axis: Axis
    lists: Server
    responder: Server
    stamper: Stamper
    stamping: contextlib.ExitStack
    stamper_port: int
    issuing: Entity
    stamper_root: Path
    number: int = 0
    pids: dict[str, Any] = field(default_factory=dict)

    # --- what the authority says

    def crl(self, life: timedelta, *, made: timedelta = -60 * SECOND, **more: Any) -> bytes:
        """A list made at ``made`` from now, good for ``life`` from now, with the next number."""
        self.number += 1
        now = datetime.now(UTC)
        extra = [(x509.CRLNumber(more.pop("number", self.number)), False)]
        issuer = more.pop("issuer", self.issuing)
        return pki.crl(issuer, this_update=now + made, next_update=now + life, extra=extra, **more)

    def says(self, life: timedelta, *, made: timedelta = -60 * SECOND, **more: Any) -> Callable[..., bytes]:
        """A responder's way to answer: good, for ``life`` from now."""
        asked_about = self.leaf(FROM)
        about = Entity(self.issuing.key, asked_about, ())
        mine = {"issuer": self.issuing, **more}
        with_nonce = mine.pop("nonce", None)
        other = mine.pop("entity", about)

        def reply(request: ocsp.OCSPRequest) -> bytes:
            if request.serial_number != asked_about.serial_number:
                return b""  # about others it says nothing
            now = datetime.now(UTC)
            return answer(
                other,
                mine["issuer"],
                this_update=now + made,
                next_update=now + life,
                nonce=with_nonce or nonce_in(request),
            )

        return reply

    def leaf(self, code: str) -> x509.Certificate:
        pem = Path(self.axis.sandbox.raw["agencies"][code]["cert"]).read_bytes()
        return x509.load_pem_x509_certificate(pem)

    # --- the relay from outside

    def truc(self, *words: object) -> tuple[int, str]:
        done = CliRunner().invoke(main, [str(word) for word in (*words, "--home", self.home)])
        return done.exit_code, done.stdout

    def fetch(self) -> dict[str, str]:
        """Have it fetched now; return the outcomes for the list and for the sender."""
        _, told = self.truc("trust", "fetch", "--json")
        found = json.loads(told)
        return {
            one["source"]: one["outcome"] for one in found if one["source"] == "crl" or one["about"] == FROM
        }

    def send(self) -> str:
        return self.axis.gateway(FROM).send(Facts(FROM, (TO,)))[0]

    def sent_until(self, seen: Callable[[], bool], what: str) -> list[str]:
        """Send one document after the other until something is seen."""
        end, sent = time.monotonic() + LIMIT, [self.send()]
        while not seen():
            assert time.monotonic() < end, f"in vain: {what}"
            time.sleep(0.3)
            sent.append(self.send())
        return sent

    def untouched(self, transport_id: str) -> bool:
        """Whether nobody was told or given anything of a document."""
        sender, recipient = self.axis.gateway(FROM), self.axis.gateway(TO)
        return not sender.receipts_of(transport_id) and not recipient.arrivals(transport_id)

    def delivered_once(self, transport_id: str) -> None:
        """Wait until a document is there and told as accepted; exactly once."""
        sender, recipient = self.axis.gateway(FROM), self.axis.gateway(TO)
        arrived = recipient.arrival(transport_id, LIMIT)
        recipient.check(arrived)
        assert sender.acknowledgement(transport_id, LIMIT).line(TO).state == "queued"
        assert len({one.delivery_id for one in recipient.arrivals(transport_id)}) == 1

    def running(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "sandbox.json").read_text(encoding="utf-8"))["pids"]
        return {role: found[role] for role in ("workers", "keeper")}

    def metric(self, who: str, name: str, label: str = "") -> float:
        """One process's sum of a metric; 0 while it does not answer."""
        ports = Home(self.home).kept().ports
        port = ports.keeper if who == "keeper" else ports.worker(int(who[1:]))
        url = f"http://127.0.0.1:{port}/metrics"
        alone = Axis(self.home, Sandbox({"metrics_urls": [url]}))
        try:
            return alone.metric(name, label)
        except OSError:
            return 0.0

    def put_off(self, *who: str) -> float:
        """How often workers, all without names, have put something off for want of revocation data."""
        each = [
            self.metric(one, "truc_deferrals_total", 'code="REVOCATION-UNKNOWN"')
            for one in who or ("w1", "w2")
        ]
        return sum(each)

    def ready(self, number: int) -> list[str]:
        """Why a worker is not ready, as it shows it to scrapes."""
        reasons = ("clock-jump", "clock-apart", "signer-away", "broker-gone", "consumer-missing", "stalled")
        return [one for one in reasons if self.metric(f"w{number}", "truc_unready_reason", f'reason="{one}"')]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What the keeper has logged under that name."""
        lines = (self.home / "log" / "keeper.log").read_text(encoding="utf-8", errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in found if one.get("event") == event]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("outages")
    ca = DevelopmentCa(home / "ca")
    now = datetime.now(UTC)
    stamper = Stamper(begin=now - timedelta(days=1), until=now + timedelta(days=1))
    root = tmp_path_factory.mktemp("tsa") / "root.pem"
    root.write_bytes(stamper.root_pem)
    with serving() as lists, serving() as responder, contextlib.ExitStack() as stamping:
        url = stamping.enter_context(tsa.serving(stamper))
        settings: dict[str, dict[str, Any]] = {
            "keeper": {"interval_s": 0.5},
            "retry": {"rungs": ["5s"]},  # what waits comes round soon
            "worker": {"give_back_after_s": 6},
            "trust": {
                "crls": [str(ca.crls[0])],
                "intermediates": [str(ca.issuing_cert)],
                "fetch": {
                    "folder": str(home / "fetched"),
                    "lists": [lists.url(LIST)],
                    "responder": responder.url("/ocsp"),
                    "every_s": 10,
                    "timeout_s": 1,
                },
            },
            "evidence": {
                "seal_s": 0.2,
                "head_s": 0.2,
                "stamp_s": 0.5,
                "authority": url,
                "authority_anchors": [str(root)],
                "authority_timeout_s": 1,
            },
        }
        try:
            up(home, workers=2, settings=settings, programs=Programmed, detach=True)
            key = load_pem_private_key((home / "ca" / "issuing.key").read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            certificate = x509.load_pem_x509_certificate(ca.issuing_cert.read_bytes())
            axis = Axis(home, Sandbox.load(home / "sandbox.json"))
            port = urlsplit(url).port or 0
            issuing = Entity(key, certificate, ())
            found = Place(home, axis, lists, responder, stamper, stamping, port, issuing, root)
            axis.gateway(FROM), axis.gateway(TO)
            yield found
            for gateway in axis.gateways.values():
                gateway.close()
        finally:
            stamper.ended.set()
            put_down(home)


@pytest.fixture(scope="module")
def wrong_clock(place: Place) -> Place:
    """One of the two workers starts with a clock that is months ahead, and takes part; then its clock is put right.

    To it all that vouches is out of date: it puts off and accepts nothing. The other one takes what comes round.
    """
    place.lists.lists[LIST], place.responder.answers = place.crl(86_400 * SECOND), place.says(8 * SECOND)
    assert place.fetch()["crl"] in {"taken", "unchanged"}
    shift = next(place.home.rglob("w1.yaml")).with_suffix(".clock")
    shift.write_text(str(MONTHS), encoding="ascii")
    first, second = place.running()["workers"]
    os.kill(first, signal.SIGKILL)
    until(
        lambda: len(place.running()["workers"]) == 2 and first not in place.running()["workers"],
        LIMIT,
        "w1 again",
    )
    until(lambda: "clock-apart" in place.ready(1), LIMIT, "w1 says what is wrong with its clock")
    place.pids = place.running()
    assert second in place.pids["workers"]
    sent = place.sent_until(lambda: place.put_off("w1") > 0, "w1 puts off")
    for one in sent:
        place.delivered_once(one)
    assert place.metric("w1", "truc_documents_settled_total", 'outcome="accepted"') == 0
    assert place.metric("w1", "truc_refusals_total") == place.metric("w2", "truc_refusals_total") == 0
    shift.unlink()
    until(lambda: "clock-jump" in place.ready(1), LIMIT, "w1 notices that its clock was set")
    return place


def test_a_worker_with_a_wrong_clock_accepts_nothing_and_stops_nobody(wrong_clock: Place) -> None:
    for one in [wrong_clock.send() for _ in range(3)]:
        wrong_clock.delivered_once(one)


def faults(place: Place) -> dict[str, tuple[Mode, bytes, Callable[..., bytes], str, str]]:
    """What servers can do wrong: their mode, list, answer, and what is said of both."""
    day = 86_400 * SECOND
    namesake = pki.issue("", ca=True, subject=place.issuing.certificate.subject)
    stranger = pki.issue("Stranger", ca=True)
    fresh, good = place.crl(day), place.says(day)
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    other = Entity(place.issuing.key, place.leaf(TO), ())
    return {
        "down": ("down", fresh, good, "unreachable", "unreachable"),
        "half": ("truncated", fresh, good, "unreadable", "unreadable"),
        "garbage": ("good", b"<html>", lambda _r: b"<html>", "unreadable", "unreadable"),
        "another's": (
            "good",
            place.crl(day, issuer=stranger),
            place.says(day, entity=other),
            "other-issuer",
            "other-certificate",
        ),
        "a namesake's": (
            "good",
            place.crl(day, issuer=namesake),
            place.says(day, issuer=namesake),
            "bad-signature",
            "other-certificate",
        ),
        "expired": ("good", place.crl(-1 * SECOND), place.says(-1 * SECOND), "expired", "expired"),
        "from the future": (
            "good",
            place.crl(day, made=day / 2),
            place.says(day, made=day / 2),
            "future",
            "future",
        ),
        "an older one": (
            "good",
            place.crl(day, made=-3600 * SECOND, number=0),
            place.says(day, made=-3600 * SECOND),
            "rollback",
            "rollback",
        ),
        "another question's": ("good", fresh, place.says(day, nonce=b"m" * 32), "", "nonce"),
        "busy": ("good", fresh, lambda _r: later.public_bytes(Encoding.DER), "", "responder-error"),
    }


def test_lists_and_answers_that_do_not_come_or_are_wrong(wrong_clock: Place) -> None:
    place = wrong_clock
    # Short lives: what vouches is over soon after it was taken.
    place.lists.lists[LIST], place.responder.answers = place.crl(8 * SECOND), place.says(8 * SECOND)
    assert set(place.fetch().values()) <= {"taken", "unchanged"}  # the keeper may have been first
    place.delivered_once(place.send())
    place.lists.mode = "drip"  # hangs
    place.responder.mode = "error"
    for source in ("crl", "ocsp"):
        until(
            lambda source=source: place.metric(
                "w2", "truc_revocation_material", f'source="{source}",state="over"'
            ),  # type: ignore[misc]
            LIMIT,
            f"{source} is over",
        )
    before = place.put_off()
    waiting = [place.send() for _ in range(3)]
    until(lambda: place.put_off() >= before + 3, LIMIT, "they wait")
    failed = "truc_revocation_fetches_total"
    until(lambda: place.metric("keeper", failed, 'outcome="timeout"'), LIMIT, "a list that hangs")
    until(
        lambda: place.metric("keeper", failed, 'outcome="http-error"'),
        LIMIT,
        "a responder that is out of order",
    )
    for name, (mode, listed, said, of_list, of_answer) in faults(place).items():
        # Nothing good in between: the keeper asks too.
        place.lists.mode = place.responder.mode = "down"
        place.lists.lists[LIST], place.responder.answers = listed, said
        place.lists.mode, place.responder.mode = mode if of_list else "down", mode
        outcomes = place.fetch()
        assert outcomes == {"crl": of_list or "unreachable", "ocsp": of_answer}, name
        assert all(place.untouched(one) for one in waiting), name
    assert place.truc("trust", "status")[0] == 1
    why = ("--lang", "en", "why", waiting[0])
    until(lambda: "wait in the retry queues" in place.truc(*why)[1], LIMIT, "where it may be is said")
    # The responder alone is back: the keeper asks again by itself, workers take it up, what waits goes on.
    place.lists.mode, place.responder.mode = "down", "good"
    place.responder.answers = place.says(86_400 * SECOND)
    for one in waiting:
        place.delivered_once(one)
    place.delivered_once(place.send())
    assert place.metric("w2", "truc_revocation_material", 'source="crl",state="over"') >= 1
    place.lists.lists[LIST], place.lists.mode = place.crl(86_400 * SECOND), "good"
    assert place.running() == place.pids, "nothing was started again"
    assert place.metric("w2", "truc_refusals_total") == 0


def test_a_time_stamp_authority_that_does_not_come_or_lies_holds_nothing_up(wrong_clock: Place) -> None:
    place, stamper = wrong_clock, wrong_clock.stamper
    good, lag = "time-stamped", "truc_evidence_time_stamp_lag_seconds"

    def stamped_anew() -> None:
        before = len(place.logged(good))
        place.delivered_once(place.send())
        until(lambda: len(place.logged(good)) > before, LIMIT, "a time-stamp")

    def fails(told: str) -> None:
        def failed() -> int:
            return sum(told in json.dumps(one) for one in place.logged("time-stamp-failed"))

        stamps, before = len(place.logged(good)), failed()
        place.delivered_once(place.send())  # its record calls for a head, and that for a time-stamp
        until(lambda: failed() > before, LIMIT, told)
        assert len(place.logged(good)) <= stamps + 1, "one may have been on its way"

    stamped_anew()
    place.stamping.close()
    fails("ConnectionRefusedError")
    place.stamping.enter_context(tsa.serving(stamper, place.stamper_port))
    stamped_anew()
    for attribute, value, told in (
        ("spoil", "signature", "the signature does not hold"),
        ("spoil", "imprint", "something else"),
        ("status", "rejection", "not granted"),
        ("wrong", timedelta(hours=-1), "s from ours"),
        ("wrong", timedelta(hours=1), "s from ours"),
        ("hangs", True, "TimeoutError"),
    ):
        usual = getattr(stamper, attribute)
        setattr(stamper, attribute, value)
        fails(told)
        if attribute == "hangs":
            until(lambda: place.metric("keeper", lag) > 0, LIMIT, "what the alarm looks at")
        setattr(stamper, attribute, usual)
    stamper.ended.set()
    stamped_anew()
    until(lambda: place.metric("keeper", lag) < 60, LIMIT, "nothing waits for long")
    # The list that was away before is here again too, by itself: the relay's own certificate is judged by it.
    over = ("w2", "truc_revocation_material", 'source="crl",state="over"')
    until(lambda: place.metric(*over) == 0, LIMIT, "the list")
    # Each time-stamp that was taken is a good one over its own head.
    log = place.home / "log-of-evidence"
    assert place.truc("evidence", "export", "--log", log)[0] == 0
    assert len(list((log / "time-stamps").iterdir())) >= 2
    judged = ("evidence", "verify", log, "--tsa", place.stamper_root, "--json")
    code, told = place.truc(*judged)
    assert (code, json.loads(told)["ok"]) == (0, True), told
    assert place.running() == place.pids, "nothing was started again"


def test_the_worker_with_the_wrong_clock_goes_on_by_itself(wrong_clock: Place) -> None:
    place = wrong_clock
    until(lambda: place.metric("w1", "truc_ready"), LIMIT, "w1 believes its clock again")
    accepted = ("w1", "truc_documents_settled_total", 'outcome="accepted"')
    sent = place.sent_until(lambda: place.metric(*accepted) > 0, "w1 accepts")
    for one in sent:
        place.delivered_once(one)
    assert place.running() == place.pids, "nothing was started again"
    assert place.metric("w1", "truc_refusals_total") == 0
