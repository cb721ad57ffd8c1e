"""Only what was signed counts: neither the tree it was parsed from nor what stands around the message."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

import relay.trust.verifier as verifying
from adapters.edxml.format import EdxmlFormat
from relay.broker import names
from relay.errors import Code
from relay.model.agency import AgencyCertificate
from relay.model.message import Kind, Lane
from relay.model.ports import PackageFormat
from relay.trust.chain import TrustStore
from relay.trust.sign import sign_document
from relay.trust.verifier import DocumentVerifier
from tests.support import pki
from tests.support.packages import build_document
from tests.support.simulation import AGENCIES, Simulation, edoc, fine_ticks
from tests.support.virtual import VirtualLoop, run


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


class AtNow:
    """The real verifier at the time that the test's certificates are made for."""

    def __init__(self, verifier: DocumentVerifier) -> None:
        self.verifier = verifier

    def verify(self, body: bytes, place: Any, at: Any) -> Any:
        return self.verifier.verify(body, place, pki.NOW)


def test_swapping_the_raw_tree_after_verification_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = pki.house(tmp_path / "house")
    signer = pki.issue("H26", house.issuing)
    known = AgencyCertificate(hashlib.sha256(signer.der).hexdigest(), signer.pem.decode())
    agencies = [replace(one, certificates=(known,)) if one.code == "H26" else one for one in AGENCIES]
    form: PackageFormat = EdxmlFormat()
    plain = build_document("H26", ["H29"], document_id="signed-id", priority=0)
    body = sign_document(plain, form.place(Kind.EDOC), signer.key, signer.chain_pem)
    trees: list[Any] = []
    parse = verifying.parse  # type: ignore[attr-defined]

    def caught(*args: Any, **kwargs: Any) -> Any:
        parsed = parse(*args, **kwargs)
        trees.append(parsed)
        return parsed

    monkeypatch.setattr(verifying, "parse", caught)
    swapped: list[str] = []

    class Swapping(AtNow):
        def verify(self, body: bytes, place: Any, at: Any) -> Any:
            verified = super().verify(body, place, at)
            swapped.extend(swap(trees.pop()))
            return verified

    async def main(loop: VirtualLoop) -> None:
        verifier = Swapping(DocumentVerifier(TrustStore.from_files(house.anchors, house.crls)))
        sim = Simulation(loop, agencies=agencies, verifier=verifier, form=form)
        process = sim.start()
        sim.send(body, key="normal.H26", user="H26", type="edoc")
        await sim.quiet()
        await sim.stop(process)
        assert {"To", "From", "DocumentId", "Priority"} <= set(swapped)
        assert [one.body for one in sim.copies("H29")] == [body]
        assert [sim.queue(code) for code in ("G22", "H53")] == [[], []]
        (document,) = sim.documents()
        assert (document.sender, document.document_id, document.verdict.reason) == (
            "H26",
            "signed-id",
            Code.OK,
        )
        hours = (document.deadline_at - document.accepted_at).total_seconds() / 3600  # type: ignore[operator]
        assert hours == 24
        assert sim.copies("H29")[0].properties.headers[names.H_SENDER] == "H26"
        assert sim.told("H26") == [("acknowledgement", "accepted", "")]

    run(main)


def swap(parsed: Any) -> list[str]:
    """Turn the tree's To, From, DocumentId and Priority into others; return what was found."""
    root = parsed if isinstance(parsed, etree._Element) else parsed.getroot()
    found = []
    for element in root.iter():
        name = etree.QName(element).localname if isinstance(element.tag, str) else ""
        if name in {"To", "From"}:
            for code in element.iter("{*}OrganId"):
                code.text = "H53" if name == "To" else "G22"
                found.append(name)
        elif name in {"DocumentId", "Priority"}:
            element.text = "4" if name == "Priority" else "another"
            found.append(name)
    return found


def simulated(body: Callable[[Simulation], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        await body(Simulation(loop))

    run(main)


REFUSED: dict[str, tuple[dict[str, Any], Code]] = {
    "another's key": ({"key": "normal.H53"}, Code.BAD_ROUTING_KEY),
    "no key at all": ({"key": "normal."}, Code.BAD_ROUTING_KEY),
    "2016 form in the key": ({"key": "normal.000.00.00.H26"}, Code.BAD_ROUTING_KEY),
    "a recipient of its own": ({"headers": {"truc-recipient": "H53"}}, Code.FORBIDDEN_HEADER),
    "a sender of its own": ({"headers": {"truc-sender": "G22"}}, Code.FORBIDDEN_HEADER),
    "an attempt of its own": ({"headers": {"truc-attempt": "3"}}, Code.FORBIDDEN_HEADER),
    "copies": ({"headers": {"CC": ["agency.H53"]}}, Code.CC_FORBIDDEN),
    "urgent, not signed so": ({"lane": Lane.URGENT}, Code.WRONG_LANE),
    "status, signed as a document": ({"lane": Lane.STATUS}, Code.WRONG_LANE),
    "another's user": ({"user": "H53"}, Code.SENDER_NOT_ALLOWED),
    "a control character as id": ({"transport_id": "\x00\x01<&"}, Code.BAD_TRANSPORT_ID),
}


@pytest.mark.parametrize("what", REFUSED)
def test_key_and_headers_have_no_influence_but_refusal(what: str) -> None:
    changed, code = REFUSED[what]

    async def body(sim: Simulation) -> None:
        process = sim.start()
        sim.send(edoc("H26", "H29"), **changed)
        await sim.quiet()
        await sim.stop(process)
        user = str(changed.get("user", "H26"))
        assert sim.told(user) == [("acknowledgement", "refused", code.value)]
        for one in sim.directory.agencies():
            if one.own_queue:
                assert sim.copies(one.code) == []
        await sim.keep()
        sim.check()

    simulated(body)


HARMLESS: dict[str, dict[str, Any]] = {
    "priority": {"priority": 9},
    "timestamp": {"timestamp": 1},
    "an unknown header": {"headers": {"anything": "H53", "to": "H53"}},
    "a correlation id": {"correlation_id": "H53"},
}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_ignored_is_not_passed_on(what: str) -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()
        sim.send(edoc("H26", "H29"), **HARMLESS[what])
        await sim.quiet()
        await sim.stop(process)
        (copy,) = sim.copies("H29")
        properties = copy.properties
        assert (properties.priority, properties.timestamp, properties.correlation_id) == (None, None, None)
        assert set(properties.headers) == {
            names.H_DELIVERY_ID,
            names.H_SENDER,
            names.H_RECIPIENT,
            names.H_SHA256,
            names.H_ACCEPTED_AT,
        }

    simulated(body)
