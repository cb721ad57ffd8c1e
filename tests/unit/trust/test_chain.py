"""From a certificate to an anchor: every reason against one, at a moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from relay.errors import Code, ConfigurationError
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.chain import ChainResult, Purpose, TrustStore
from tests.support import pki
from tests.support.pki import DAY, NOW, Entity, House

MakeHouse = Callable[[], House]


def certificates(chain: Sequence[x509.Certificate]) -> list[Certificate]:
    return [read_certificate(each.public_bytes(Encoding.DER)) for each in chain]


def check(
    store: TrustStore, entity: Entity, at: Any = NOW, purpose: Purpose = Purpose.DOCUMENT
) -> ChainResult:
    return store.check(certificates(entity.chain), at, purpose)


def store_of(house: House, **more: Any) -> TrustStore:
    return TrustStore.from_files(house.anchors, house.crls, **more)


def test_good_and_unknown(new_house: MakeHouse, tmp_path: Path) -> None:
    house = new_house()
    store = store_of(house)
    assert check(store, pki.issue("Leaf", house.issuing)).code is Code.OK
    assert check(store, pki.issue("Leaf", house.root)).code is Code.OK
    stranger = pki.house(tmp_path / "stranger")
    assert check(store, pki.issue("Leaf", stranger.issuing)).code is Code.UNKNOWN_CA
    assert check(store, pki.issue("Self")).code is Code.UNKNOWN_CA
    alone = pki.issue("Leaf", house.issuing)
    assert store.check(certificates(alone.chain[:1]), NOW).code is Code.UNKNOWN_CA


def test_a_name_is_no_signature(new_house: MakeHouse) -> None:
    house = new_house()
    false_root = pki.issue("Test root", ca=True)
    assert check(store_of(house), pki.issue("Leaf", false_root)).code is Code.UNKNOWN_CA


def test_dates(new_house: MakeHouse) -> None:
    house = new_house()
    store = store_of(house)
    late = pki.issue("Leaf", house.issuing, not_after=NOW - DAY)
    early = pki.issue("Leaf", house.issuing, not_before=NOW + DAY)
    assert check(store, late).code is Code.CERTIFICATE_EXPIRED
    assert check(store, late, NOW - DAY).code is Code.OK
    assert check(store, early).code is Code.CERTIFICATE_NOT_YET_VALID
    assert "2030-05-05" in check(store, early).detail
    old_issuing = pki.issue("Old", house.root, ca=True, not_after=NOW - DAY)
    assert check(store, pki.issue("Leaf", old_issuing)).code is Code.CERTIFICATE_EXPIRED


def test_revocation(new_house: MakeHouse) -> None:
    house = new_house()
    leaf, other = pki.issue("Leaf", house.issuing), pki.issue("Leaf", house.issuing)
    house.revoke(leaf, at=NOW - DAY)
    store = store_of(house)
    assert check(store, leaf).code is Code.CERTIFICATE_REVOKED
    assert check(store, leaf, NOW - DAY).code is Code.CERTIFICATE_REVOKED
    assert check(store, leaf, NOW - 2 * DAY).code is Code.OK
    assert check(store, other).code is Code.OK


def test_a_revoked_authority(new_house: MakeHouse) -> None:
    house = new_house()
    house.crls[0].write_bytes(pki.crl(house.root, [(house.issuing, NOW - DAY)]))
    result = check(store_of(house), pki.issue("Leaf", house.issuing))
    assert (result.code, result.detail) == (Code.CERTIFICATE_REVOKED, "CN=Test issuing")


def issuing_point(**values: Any) -> list[tuple[x509.ExtensionType, bool]]:
    chosen: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return [(x509.IssuingDistributionPoint(**{**chosen, **values}), True)]


@pytest.mark.parametrize(
    "make",
    [
        lambda house: None,
        lambda house: pki.crl(house.issuing, this_update=NOW - 3 * DAY, next_update=NOW - DAY),
        lambda house: pki.crl(house.issuing, key=pki.ec_key()),
        lambda house: pki.crl(pki.issue("Other", ca=True)),
        lambda house: pki.crl(house.issuing, extra=[(x509.DeltaCRLIndicator(1), True)]),
        lambda house: pki.crl(house.issuing, extra=issuing_point(only_contains_ca_certs=True)),
        lambda house: pki.crl(house.issuing, extra=issuing_point(indirect_crl=True)),
        lambda house: pki.crl(
            house.issuing,
            extra=issuing_point(full_name=[x509.UniformResourceIdentifier("http://x.invalid/a.crl")]),
        ),
    ],
)
def test_no_usable_list(new_house: MakeHouse, make: Callable[[House], bytes | None]) -> None:
    house = new_house()
    octets = make(house)
    crls = house.crls
    if octets is None:
        crls = crls[:1]
    else:
        crls[1].write_bytes(octets)
    leaf = pki.issue("Leaf", house.issuing)
    store = TrustStore.from_files(house.anchors, crls)
    assert check(store, leaf).code is Code.REVOCATION_UNKNOWN


def test_a_stale_list_still_revokes(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    stale = pki.crl(house.issuing, [(leaf, NOW - 4 * DAY)], this_update=NOW - 3 * DAY, next_update=NOW - DAY)
    house.crls[1].write_bytes(stale)
    assert check(store_of(house), leaf).code is Code.CERTIFICATE_REVOKED


def test_a_later_list_serves_an_earlier_moment(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    short = pki.issue("Leaf", house.issuing, not_after=NOW - 10 * DAY)
    store = store_of(house)
    assert check(store, leaf, NOW - 20 * DAY).code is Code.OK
    # lists drop what has ended: the list was made after that
    assert check(store, short, NOW - 20 * DAY).code is Code.REVOCATION_UNKNOWN


@pytest.mark.parametrize(("user", "wanted"), [(True, Code.OK), (False, Code.REVOCATION_UNKNOWN)])
def test_partial_lists(new_house: MakeHouse, user: bool, wanted: Code) -> None:
    house = new_house()
    extra = issuing_point(only_contains_user_certs=user, only_contains_ca_certs=not user)
    house.crls[1].write_bytes(pki.crl(house.issuing, extra=extra))
    assert check(store_of(house), pki.issue("Leaf", house.issuing)).code is wanted


def test_a_distribution_point_of_its_own(new_house: MakeHouse) -> None:
    house = new_house()
    name = x509.UniformResourceIdentifier("http://x.invalid/a.crl")
    house.crls[1].write_bytes(pki.crl(house.issuing, extra=issuing_point(full_name=[name])))
    points = x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])
    leaf = pki.issue("Leaf", house.issuing, extra=[(points, False)])
    assert check(store_of(house), leaf).code is Code.OK


def test_anchors_that_publish_no_list(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    store = TrustStore.from_files([], [], anchors_without_crl=house.anchors)
    assert check(store, leaf).code is Code.OK
    stale = pki.crl(house.issuing, this_update=NOW - 3 * DAY, next_update=NOW - DAY)
    house.crls[1].write_bytes(stale)
    store = TrustStore.from_files([], house.crls[1:], anchors_without_crl=house.anchors)
    assert check(store, leaf).code is Code.REVOCATION_UNKNOWN


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
CONSTRAINTS = x509.NameConstraints(
    [x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "VN")]))], None
)


def test_bad_leaves(new_house: MakeHouse) -> None:
    house = new_house()
    store = store_of(house)
    for leaf in (
        pki.issue("CA", house.root, ca=True),
        pki.issue("Usage", house.issuing, key_usage=pki.usage(crls=True)),
        pki.issue("Critical", house.issuing, extra=[(UNKNOWN, True)]),
        pki.issue("Relay", house.issuing, relay="r1"),
        pki.issue("Weak hash", house.issuing, hash_algorithm=hashes.SHA224()),
    ):
        assert check(store, leaf).code is Code.BAD_CERTIFICATE
    assert check(store, pki.issue("Not critical", house.issuing, extra=[(UNKNOWN, False)])).code is Code.OK
    assert check(store, pki.issue("No basic", house.issuing, basic=False)).code is Code.OK
    commits = pki.issue("Commits", house.issuing, key_usage=pki.usage(commit=True))
    assert check(store, commits).code is Code.OK


def test_bad_authorities(new_house: MakeHouse) -> None:
    house = new_house()
    (house.folder / "more.crl").write_bytes(b"")
    leaf_as_ca = pki.issue("Leaf", house.issuing)
    for issuer in (
        leaf_as_ca,
        pki.issue("Too deep", house.issuing, ca=True),
        pki.issue("No certs", house.root, ca=True, key_usage=pki.usage(crls=True)),
        pki.issue("Names", house.root, ca=True, extra=[(CONSTRAINTS, True)]),
        pki.issue("Critical", house.root, ca=True, extra=[(UNKNOWN, True)]),
    ):
        result = check(store_of(house), pki.issue("Under", issuer))
        assert result.code is Code.BAD_CERTIFICATE, issuer.certificate.subject


def test_a_long_way_and_a_circle(new_house: MakeHouse) -> None:
    house = new_house()
    issuer = house.root
    for i in range(8):
        issuer = pki.issue(f"Step {i}", issuer, ca=True)
    store = store_of(house)
    leaf = pki.issue("Leaf", issuer)
    assert check(store, leaf).code is Code.UNKNOWN_CA
    one = pki.issue("One", ca=True)
    two = pki.issue("Two", one, ca=True)
    again = pki.issue("One", two, ca=True, key=one.key)
    lost = pki.issue("Lost", two)
    chain = certificates([lost.certificate, two.certificate, again.certificate, one.certificate])
    assert store.check(chain, NOW).code is Code.UNKNOWN_CA


def test_purposes(new_house: MakeHouse) -> None:
    house = new_house()
    store = store_of(house)
    relay = pki.issue("Relay", house.issuing, relay="r1")
    agency = pki.issue("Agency", house.issuing)
    result = check(store, relay, purpose=Purpose.RECEIPT)
    assert (result.code, result.relay) == (Code.OK, "r1")
    assert check(store, relay).code is Code.BAD_CERTIFICATE
    assert check(store, agency, purpose=Purpose.RECEIPT).code is Code.BAD_CERTIFICATE
    assert (
        check(store, pki.issue("No name", house.issuing, relay=""), purpose=Purpose.RECEIPT).code
        is not Code.OK
    )
    names = [x509.UniformResourceIdentifier(f"urn:truc:relay:{name}") for name in ("r1", "r2")]
    two = pki.issue("Two", house.issuing, extra=[(x509.SubjectAlternativeName(names), False)])
    assert check(store, two, purpose=Purpose.RECEIPT).code is Code.BAD_CERTIFICATE
    assert check(store, two).code is Code.BAD_CERTIFICATE


class Ticks:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def touch(path: Path, step: int) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + step * 10**9))


def test_files_are_read_again(new_house: MakeHouse) -> None:
    house, ticks = new_house(), Ticks()
    leaf = pki.issue("Leaf", house.issuing)
    store = store_of(house, monotonic=ticks)
    assert check(store, leaf).code is Code.OK
    house.revoke(leaf)
    touch(house.crls[1], 5)
    ticks.now += 0.5
    assert check(store, leaf).code is Code.OK
    ticks.now += 0.6
    assert check(store, leaf).code is Code.CERTIFICATE_REVOKED
    house.crls[1].write_bytes(b"half writ")
    ticks.now += 1.1
    assert check(store, leaf).code is Code.CERTIFICATE_REVOKED
    assert "issuing.crl" in store.problem
    house.crls[1].write_bytes(pki.crl(house.issuing))
    touch(house.crls[1], 9)
    ticks.now += 1.1
    assert check(store, leaf).code is Code.OK
    assert not store.problem


def test_folders_and_der(new_house: MakeHouse, tmp_path: Path) -> None:
    house = new_house()
    folder = tmp_path / "anchors"
    folder.mkdir()
    (folder / "root.der").write_bytes(house.root.der)
    (folder / "notes.txt").write_bytes(b"no certificate")
    lists = tmp_path / "lists"
    lists.mkdir()
    both = pki.crl(house.root) + pki.crl(house.issuing)
    (lists / "all.crl").write_bytes(both)
    ticks = Ticks()
    store = TrustStore.from_files([folder], [lists], monotonic=ticks)
    leaf = pki.issue("Leaf", house.issuing)
    assert check(store, leaf).code is Code.OK
    der = x509.load_pem_x509_crl(pki.crl(house.issuing, [(leaf, NOW - DAY)])).public_bytes(Encoding.DER)
    (lists / "new.crl").write_bytes(der)
    ticks.now += 2
    assert check(store, leaf).code is Code.CERTIFICATE_REVOKED


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_bytes(b"bad")
    good = tmp_path / "good.pem"
    good.write_bytes(pki.issue("CA", ca=True).pem)
    for anchors, crls in (
        ([], []),
        ([bad], []),
        ([tmp_path / "missing"], []),
        ([good], [bad]),
        ([good], [tmp_path / "x"]),
    ):
        with pytest.raises(ConfigurationError) as caught:
            TrustStore.from_files(anchors, crls)
        assert caught.value.code is Code.CONFIG_INVALID
