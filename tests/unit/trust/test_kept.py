"""What somebody kept of another day is known beside what a store has, and believed as far as it is its issuer's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from relay.errors import Code
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.chain import TrustStore
from relay.trust.ocsp import read_answer
from tests.support import pki
from tests.support.authority import answer
from tests.support.pki import DAY, NOW

THEN = NOW - 20 * DAY
LIFE: dict[str, Any] = {"this_update": THEN - DAY, "next_update": THEN + DAY}


class Place:
    """A root and an issuing authority of which no list is at hand, and a leaf."""

    def __init__(self, folder: Path) -> None:
        self.root = pki.issue("Root", ca=True)
        self.issuing = pki.issue("Issuing", self.root, ca=True)
        self.leaf = pki.issue("Leaf", self.issuing)
        (folder / "root.pem").write_bytes(self.root.pem)
        (folder / "root.crl").write_bytes(pki.crl(self.root, this_update=THEN - DAY, next_update=NOW + DAY))
        self.folder = folder
        self.store = self.opened("root.crl")

    def opened(self, *lists: str) -> TrustStore:
        return TrustStore.from_files([self.folder / "root.pem"], [self.folder / one for one in lists])

    def chain(self, *, whole: bool = True) -> list[Certificate]:
        found = [read_certificate(self.leaf.der), read_certificate(self.issuing.der)]
        return found if whole else found[:1]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def listed(issuer: pki.Entity, *revoked: pki.Entity) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(pki.crl(issuer, [(one, THEN - DAY) for one in revoked], **LIFE))


def test_lists_of_that_day_say_what_held_on_that_day(place: Place) -> None:
    assert place.store.check(place.chain(), THEN).code is Code.REVOCATION_UNKNOWN
    kept = place.store.with_kept([], [listed(place.issuing)], [])
    result = kept.check(place.chain(), THEN)
    assert (result.code, result.source, result.made_at) == (Code.OK, "crl", THEN - DAY)
    assert kept.check(place.chain(), NOW).code is Code.REVOCATION_UNKNOWN, "nothing for today"
    assert place.store.check(place.chain(), THEN).code is Code.REVOCATION_UNKNOWN, (
        "the first store is as it was"
    )


def test_answers_too(place: Place) -> None:
    octets = [
        answer(place.leaf, place.issuing, **LIFE),
        answer(place.leaf, place.issuing, revoked_at=THEN - DAY, **LIFE),
    ]
    good, revoked = (read_answer(one) for one in octets)
    assert good is not None
    assert revoked is not None
    result = place.store.with_kept([], [], [good]).check(place.chain(), THEN)
    assert (result.code, result.source) == (Code.OK, "ocsp")
    assert place.store.with_kept([], [], [good, revoked]).check(place.chain(), THEN).code is (
        Code.CERTIFICATE_REVOKED
    )


def test_authorities_lead_to_an_anchor_and_are_none(place: Place) -> None:
    lists = [listed(place.issuing)]
    alone = place.chain(whole=False)
    assert place.store.with_kept([], lists, []).check(alone, THEN).code is Code.UNKNOWN_CA
    issuing = read_certificate(place.issuing.der)
    assert place.store.with_kept([issuing], lists, []).check(alone, THEN).code is Code.OK
    stranger = pki.issue("Stranger", ca=True)
    leaf = read_certificate(pki.issue("Leaf", stranger).der)
    kept = place.store.with_kept([read_certificate(stranger.der)], [listed(stranger)], [])
    assert kept.check([leaf], THEN).code is Code.UNKNOWN_CA


def test_what_the_store_knows_to_be_revoked_stays_revoked(place: Place) -> None:
    today = pki.crl(place.issuing, [(place.leaf, THEN - DAY)], this_update=NOW - DAY, next_update=NOW + DAY)
    (place.folder / "issuing.crl").write_bytes(today)
    store = place.opened("root.crl", "issuing.crl")
    assert store.with_kept([], [listed(place.issuing)], []).check(place.chain(), THEN).code is (
        Code.CERTIFICATE_REVOKED
    )


def test_a_list_of_another_is_no_list(place: Place) -> None:
    forged = pki.issue("Issuing", ca=True)  # the same name, another key
    kept = place.store.with_kept([], [listed(forged)], [])
    assert kept.check(place.chain(), THEN).code is Code.REVOCATION_UNKNOWN
