"""Revocation data over HTTP, with a running relay: an outage puts documents off and loses none; who is revoked is refused
within a minute by workers that go on running."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import ocsp

from relay.cli.main import main
from relay.sandbox.ca import DevelopmentCa
from tests.acceptance.conftest import Axis
from tests.support.authority import Server, answer, nonce_in, serving
from tests.support.pki import Entity
from tests.support.sandbox import running_sandbox
from tests.support.stranger import Sandbox
from tests.support.stranger_xml import Facts
from tests.support.waits import until

FROM, TO = "H29", "H53"
LIST = "/issuing.crl"


@dataclass
class Place:
    axis: Axis
    server: Server
    ca: DevelopmentCa

    def offer(self) -> None:
        """Let the server have the list as the authority made it last."""
        self.server.lists[LIST] = self.ca.crls[1].read_bytes()

    def leaf(self, code: str) -> x509.Certificate:
        pem = Path(self.axis.sandbox.raw["agencies"][code]["cert"]).read_bytes()
        return x509.load_pem_x509_certificate(pem)

    def answer(self, revoked: x509.Certificate) -> None:
        """Let a responder answer in the authority's name: that one is revoked, the other agencies' are good."""
        certificate = x509.load_pem_x509_certificate(self.ca.issuing_cert.read_bytes())
        key = load_pem_private_key((self.axis.home / "ca" / "issuing.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        issuing = Entity(key, certificate, ())
        leafs = [self.leaf(code) for code in self.axis.sandbox.raw["agencies"]]
        by_serial = {one.serial_number: Entity(key, one, ()) for one in leafs}
        now = datetime.now(UTC).replace(microsecond=0)

        def reply(request: ocsp.OCSPRequest) -> bytes:
            asked = by_serial.get(request.serial_number)
            if asked is None:
                return b""  # about the relay or an authority: it does not know
            ended = now - timedelta(hours=1) if asked.certificate == revoked else None
            return answer(
                asked,
                issuing,
                revoked_at=ended,
                this_update=now - timedelta(minutes=5),
                next_update=now + timedelta(days=1),
                nonce=nonce_in(request),
            )

        self.server.answers = reply


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("revocation")
    ca = DevelopmentCa(home / "ca")
    with serving() as server:
        fetch = {
            "folder": str(home / "fetched"),
            "lists": [server.url(LIST)],
            "every_s": 10,
            "responder": server.url("/ocsp"),
        }
        trust = {"crls": [str(ca.crls[0])], "intermediates": [str(ca.issuing_cert)], "fetch": fetch}
        settings: dict[str, dict[str, Any]] = {"keeper": {"interval_s": 0.5}, "trust": trust}
        with running_sandbox(home, settings=settings):
            axis = Axis(home, Sandbox.load(home / "sandbox.json"))
            yield Place(axis, server, ca)
            for gateway in axis.gateways.values():
                gateway.close()


def test_an_outage_then_a_revocation(place: Place) -> None:
    axis, runner = place.axis, CliRunner()
    sender, recipient = axis.gateway(FROM), axis.gateway(TO)

    # The authority's server has no list: nobody can be trusted, and nobody is refused.
    first, _ = sender.send(Facts(FROM, (TO,)))
    end = time.monotonic() + 60
    while not axis.metric("truc_deferrals_total", 'code="REVOCATION-UNKNOWN"'):
        assert time.monotonic() < end, "it is not put off"
        time.sleep(0.1)
    assert sender.receipts_of(first) == []
    assert recipient.arrivals(first) == []
    failed = runner.invoke(main, ["trust", "fetch", "--home", str(axis.home), "--json"])
    assert failed.exit_code == 1, failed.output

    # It is back: the document goes on by itself.
    place.offer()
    fetched = runner.invoke(main, ["trust", "fetch", "--home", str(axis.home), "--json"])
    assert next(one["outcome"] for one in json.loads(fetched.stdout)) in {"taken", "unchanged"}
    assert recipient.arrival(first, 150).sha256
    assert sender.acknowledgement(first).line(TO).state == "queued"
    until(lambda: axis.metric("truc_revocation_material", 'source="crl",state="over"') == 0)

    # Revoked now: the keeper finds the new list, the worker takes it up, neither is started again.
    place.ca.revoke(place.leaf(FROM), datetime.now(UTC))
    place.offer()
    arrived = time.monotonic()
    sent, codes = [], [""]
    while codes[-1] != "CERTIFICATE-REVOKED":
        assert time.monotonic() - arrived < 60, "a revoked certificate is still believed after a minute"
        transport_id, _ = sender.send(Facts(FROM, (TO,)))
        sent.append(transport_id)
        codes.append(sender.acknowledgement(transport_id).code)
        time.sleep(0.5)
    assert set(codes[1:-1]) <= {""}, "accepted until then, and refused for nothing else"
    assert recipient.arrivals(sent[-1]) == []

    # And it stays so: what is sent later is refused too; others are not concerned.
    late, _ = sender.send(Facts(FROM, (TO,)))
    assert sender.acknowledgement(late).code == "CERTIFICATE-REVOKED"
    other, _ = recipient.send(Facts(TO, (FROM,)))
    assert recipient.acknowledgement(other).line(FROM).state == "queued"
    for transport_id in sent[:-1]:
        assert recipient.arrival(transport_id).sha256


def test_a_responder_says_so(place: Place) -> None:
    axis = place.axis
    place.offer()
    place.answer(place.leaf("H26"))
    done = CliRunner().invoke(main, ["trust", "fetch", "--home", str(axis.home), "--json"])
    outcomes = {one["about"]: one["outcome"] for one in json.loads(done.stdout) if one["source"] == "ocsp"}
    assert outcomes["H26"] in {"taken", "unchanged"}
    sender, recipient = axis.gateway("H26"), axis.gateway(TO)
    end = time.monotonic() + 60
    code = ""
    while code != "CERTIFICATE-REVOKED":
        assert time.monotonic() < end, "a revoked certificate is still believed"
        transport_id, _ = sender.send(Facts("H26", (TO,)))
        code = sender.acknowledgement(transport_id).code
        assert code in {"", "CERTIFICATE-REVOKED"}
    other, _ = recipient.send(Facts(TO, ("H26",)))
    assert recipient.acknowledgement(other).line("H26").state == "queued"
    until(lambda: axis.metric("truc_revocation_material", 'source="ocsp",state="fresh"') > 0)
