"""A small format of its own, an authority and a verifier, made once for the room's tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.model.verdict import SignaturePlace, Verification
from relay.trust.chain import TrustStore
from relay.trust.verifier import DocumentVerifier
from tests.support import pki
from tests.support.xmlsign import Recipe

PLACE = SignaturePlace("{urn:t}r", ("{urn:t}header",), frozenset({"{urn:t}bulk"}), "{urn:t}Signature")
DOCUMENT = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<r xmlns="urn:t"><header><from a="1">H53</from><subject>v\xc4\x83n b\xe1\xba\xa3n</subject><!--here--></header>\n'
    b"<bulk>QUJD\nREVG</bulk></r>\n"
)


@dataclass(frozen=True)
class World:
    house: pki.House
    ec: pki.Entity
    rsa: pki.Entity
    verifier: DocumentVerifier

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.ec)

    def verify(self, body: bytes) -> Verification:
        return self.verifier.verify(body, PLACE, pki.NOW)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    house = pki.house(tmp_path_factory.mktemp("pki"))
    return World(
        house,
        pki.issue("Agency one", house.issuing),
        pki.issue("Agency two", house.issuing, key=pki.rsa_key()),
        DocumentVerifier(TrustStore.from_files(house.anchors, house.crls)),
    )


@pytest.fixture
def new_house(tmp_path: Path) -> Callable[[], pki.House]:
    return lambda: pki.house(tmp_path / "house")
