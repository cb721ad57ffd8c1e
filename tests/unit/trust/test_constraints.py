"""Name constraints and policies on a path, and ways to an anchor that are not straight."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.errors import Code, ConfigurationError, RefusedError
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.chain import ChainResult, PathRules, Purpose, Revocation, TrustStore
from tests.support import pki
from tests.support.pki import DAY, NOW, Entity, House

MakeHouse = Callable[[], House]


def certificates(chain: Sequence[x509.Certificate]) -> list[Certificate]:
    return [read_certificate(each.public_bytes(Encoding.DER)) for each in chain]


def lenient(*roots: Entity, tmp_path: Path, **more: Any) -> TrustStore:
    paths = []
    for number, root in enumerate(roots):
        paths.append(tmp_path / f"anchor-{number}.pem")
        paths[-1].write_bytes(root.pem)
    return TrustStore.from_files([], anchors_without_crl=paths, **more)


def check(store: TrustStore, entity: Entity, at: Any = NOW) -> ChainResult:
    return store.check(certificates(entity.chain), at)


def name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


C, O, CN = NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME  # noqa: E741
Dn, Dns, Mail, Uri, Ip = (
    x509.DirectoryName,
    x509.DNSName,
    x509.RFC822Name,
    x509.UniformResourceIdentifier,
    x509.IPAddress,
)
OTHER = x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")


def named(subject: x509.Name, *alternatives: x509.GeneralName) -> dict[str, Any]:
    extra = [(x509.SubjectAlternativeName(alternatives), False)] if alternatives else []
    return {"subject": subject, "extra": extra}


PLAIN = name((CN, "Leaf"))
HANOI = name((C, "VN"), (O, "Hà Nội"), (CN, "Sở"))


@pytest.mark.parametrize(
    ("permitted", "excluded", "leaf", "good"),
    [
        # directory names: RDN by RDN from the top, without case, with single spaces
        ([Dn(name((C, "VN")))], [], named(HANOI), True),
        ([Dn(name((C, "vn"), (O, "HÀ  NỘI")))], [], named(HANOI), True),
        ([Dn(name((O, "Hà Nội")))], [], named(HANOI), False),
        ([Dn(name((C, "LA")))], [], named(HANOI), False),
        ([Dn(name((C, "LA"))), Dn(name((C, "VN")))], [], named(HANOI), True),
        ([], [Dn(name((C, "VN"), (O, "hà nội")))], named(HANOI), False),
        ([], [Dn(name((C, "VN"), (O, "Huế")))], named(HANOI), True),
        ([], [Dn(x509.Name([]))], named(HANOI), False),
        # hosts
        ([Dns("a.vn")], [], named(PLAIN, Dns("x.a.vn")), True),
        ([Dns("a.vn")], [], named(PLAIN, Dns("A.VN.")), True),
        ([Dns("a.vn")], [], named(PLAIN, Dns("ba.vn")), False),
        ([Dns(".a.vn")], [], named(PLAIN, Dns("a.vn")), False),
        ([Dns("a.vn")], [], named(PLAIN, Dns("a.vn"), Dns("b.vn")), False),
        ([Dns("a.vn")], [], named(PLAIN), True),  # a constraint on names that it has not
        ([], [Dns("a.vn")], named(PLAIN, Dns("x.a.vn")), False),
        ([], [Dns("x.a.vn")], named(PLAIN, Dns("*.a.vn")), False),
        ([], [Dns(".a.vn")], named(PLAIN, Dns("a.vn")), False),
        ([], [Dns("b.vn")], named(PLAIN, Dns("a.vn")), True),
        # mail: an address, a host, all below a host; in the subject too
        ([Mail("a.vn")], [], named(PLAIN, Mail("x@a.vn")), True),
        ([Mail("a.vn")], [], named(PLAIN, Mail("x@b.a.vn")), False),
        ([Mail(".a.vn")], [], named(PLAIN, Mail("x@b.a.vn")), True),
        ([Mail("x@a.vn")], [], named(PLAIN, Mail("x@A.vn")), True),
        ([Mail("x@a.vn")], [], named(PLAIN, Mail("X@a.vn")), False),
        ([], [Mail("x@a.vn")], named(PLAIN, Mail("X@a.vn")), False),
        ([Mail("a.vn")], [], named(name((CN, "L"), (NameOID.EMAIL_ADDRESS, "x@a.vn"))), True),
        ([Mail("a.vn")], [], named(name((CN, "L"), (NameOID.EMAIL_ADDRESS, "x@b.vn"))), False),
        # addresses of services
        ([Uri("a.vn")], [], named(PLAIN, Uri("https://a.vn/x")), True),
        ([Uri("a.vn")], [], named(PLAIN, Uri("https://x.a.vn/x")), False),
        ([Uri(".a.vn")], [], named(PLAIN, Uri("https://x.a.vn:8080/x")), True),
        ([Uri("a.vn")], [], named(PLAIN, Uri("https://a.vn@b.vn/")), False),
        ([], [Uri("b.vn")], named(PLAIN, Uri("urn:x:y")), False),  # no host: cannot be judged
        ([], [Uri("b.vn")], named(PLAIN, Uri("https://10.0.0.1/")), False),
        # networks
        (
            [Ip(ipaddress.ip_network("10.0.0.0/8"))],
            [],
            named(PLAIN, Ip(ipaddress.ip_address("10.1.2.3"))),
            True,
        ),
        (
            [Ip(ipaddress.ip_network("10.0.0.0/8"))],
            [],
            named(PLAIN, Ip(ipaddress.ip_address("11.1.2.3"))),
            False,
        ),
        (
            [Ip(ipaddress.ip_network("10.0.0.0/8"))],
            [],
            named(PLAIN, Ip(ipaddress.ip_address("::a01:203"))),
            False,
        ),
        (
            [],
            [Ip(ipaddress.ip_network("10.0.0.0/8"))],
            named(PLAIN, Ip(ipaddress.ip_address("10.1.2.3"))),
            False,
        ),
        # kinds that nobody here understands: refused where a constraint speaks of them
        ([OTHER], [], named(PLAIN, OTHER), False),
        ([], [OTHER], named(PLAIN, OTHER), False),
        ([], [OTHER], named(PLAIN, Dns("a.vn")), True),
    ],
)
def test_names(
    tmp_path: Path,
    permitted: list[x509.GeneralName],
    excluded: list[x509.GeneralName],
    leaf: dict[str, Any],
    good: bool,
) -> None:
    root = pki.issue("Root", ca=True)
    constraints = x509.NameConstraints(permitted or None, excluded or None)
    issuing = pki.issue("Issuing", root, ca=True, extra=[(constraints, True)])
    result = check(lenient(root, tmp_path=tmp_path), pki.issue("Leaf", issuing, **leaf))
    assert result.code is (Code.OK if good else Code.BAD_CERTIFICATE), result
    if not good:
        assert "by CN=Issuing" in result.detail or "constrained" in result.detail


def test_constraints_add_up_and_bind_authorities_too(tmp_path: Path) -> None:
    root = pki.issue("Root", ca=True)
    first = pki.issue("One", root, ca=True, extra=[(x509.NameConstraints([Dn(name((C, "VN")))], None), True)])
    astray = pki.issue("Two", first, ca=True, subject=name((C, "LA"), (CN, "Two")))
    store = lenient(root, tmp_path=tmp_path)
    assert check(store, pki.issue("Leaf", astray, subject=HANOI)).code is Code.BAD_CERTIFICATE
    only = x509.NameConstraints([Dn(name((C, "VN"), (O, "Huế")))], None)
    second = pki.issue("Two", first, ca=True, subject=name((C, "VN"), (CN, "Two")), extra=[(only, True)])
    assert check(store, pki.issue("Leaf", second, subject=HANOI)).code is Code.BAD_CERTIFICATE
    hue = name((C, "VN"), (O, "Huế"), (CN, "Sở"))
    assert check(store, pki.issue("Leaf", second, subject=hue)).code is Code.OK


def test_an_anchor_binds_too(tmp_path: Path) -> None:
    root = pki.issue("Root", ca=True, extra=[(x509.NameConstraints(None, [Dns("a.vn")]), True)])
    store = lenient(root, tmp_path=tmp_path)
    assert check(store, pki.issue("Leaf", root)).code is Code.OK
    assert check(store, pki.issue("Leaf", root, **named(PLAIN, Dns("a.vn")))).code is Code.BAD_CERTIFICATE


def test_constraints_in_another_form_are_refused(tmp_path: Path) -> None:
    root = pki.issue("Root", ca=True)
    # GeneralSubtree with minimum 1, which RFC 5280 forbids: a subtree that nobody here can read
    raw = bytes.fromhex("300ca00a3008820361 2e76800101".replace(" ", ""))
    oid = x509.NameConstraints.oid
    issuing = pki.issue("Issuing", root, ca=True, extra=[(x509.UnrecognizedExtension(oid, raw), True)])
    result = check(lenient(root, tmp_path=tmp_path), pki.issue("Leaf", issuing))
    assert result.code is Code.BAD_CERTIFICATE


P1, P2, ANY = "1.2.704.1", "1.2.704.2", "2.5.29.32.0"


def policies(*named: str) -> tuple[x509.ExtensionType, bool]:
    found = [x509.PolicyInformation(x509.ObjectIdentifier(one), None) for one in named]
    return x509.CertificatePolicies(found), False


def require(skip: int) -> tuple[x509.ExtensionType, bool]:
    return x509.PolicyConstraints(require_explicit_policy=skip, inhibit_policy_mapping=None), True


def inhibit(skip: int) -> tuple[x509.ExtensionType, bool]:
    return x509.InhibitAnyPolicy(skip), True


@pytest.mark.parametrize(
    ("wanted", "issuing", "leaf", "good"),
    [
        ((), [], [], True),
        ((P1,), [policies(P1)], [policies(P1)], True),
        ((P1,), [policies(P1, P2)], [policies(P2)], False),
        ((P1,), [policies(ANY)], [policies(P1)], True),
        ((P1,), [policies(P1)], [policies(ANY)], True),
        ((P1,), [], [policies(P1)], False),
        ((P1,), [policies(P1)], [], False),
        ((P1, P2), [policies(P2)], [policies(P1, P2)], True),
        ((P1,), [policies(ANY), inhibit(0)], [policies(ANY)], False),
        ((P1,), [policies(ANY), inhibit(0)], [policies(P1)], True),
        ((P1,), [policies(ANY), inhibit(1)], [policies(ANY)], True),
        ((), [require(0)], [], False),
        ((), [policies(P1), require(0)], [policies(P2)], False),
        ((), [policies(P1), require(0)], [policies(P1)], True),
        ((), [require(1)], [policies(P1)], False),
        ((), [policies(P2), require(2)], [policies(P1)], True),
        ((), [policies(P2)], [policies(P1), require(0)], False),
    ],
)
def test_policies(
    tmp_path: Path, wanted: tuple[str, ...], issuing: list[Any], leaf: list[Any], good: bool
) -> None:
    root = pki.issue("Root", ca=True)
    middle = pki.issue("Issuing", root, ca=True, extra=issuing)
    store = lenient(root, tmp_path=tmp_path, rules=PathRules(policies=frozenset(wanted)))
    result = check(store, pki.issue("Leaf", middle, extra=leaf))
    assert result.code is (Code.OK if good else Code.BAD_CERTIFICATE), result


def test_mapped_policies_are_refused_where_one_is_asked_for(tmp_path: Path) -> None:
    root = pki.issue("Root", ca=True)
    # SEQUENCE OF { issuerDomainPolicy 1.2.704.1, subjectDomainPolicy 1.2.704.2 }
    raw = bytes.fromhex("300c300a06042a85400106022a03")
    mapping = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), raw)
    middle = pki.issue("Issuing", root, ca=True, extra=[policies(P1), (mapping, False)])
    leaf = pki.issue("Leaf", middle, extra=[policies(P1)])
    assert check(lenient(root, tmp_path=tmp_path), leaf).code is Code.OK
    store = lenient(root, tmp_path=tmp_path, rules=PathRules(policies=frozenset({P1})))
    assert check(store, leaf).code is Code.BAD_CERTIFICATE
    critical = pki.issue("Issuing", root, ca=True, extra=[policies(P1), (mapping, True)])
    assert check(lenient(root, tmp_path=tmp_path), pki.issue("L", critical)).code is Code.BAD_CERTIFICATE


def test_extended_key_usage(tmp_path: Path) -> None:
    mail, client = ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CLIENT_AUTH

    def meant(*purposes: x509.ObjectIdentifier) -> list[tuple[x509.ExtensionType, bool]]:
        return [(x509.ExtendedKeyUsage(purposes), True)]

    root = pki.issue("Root", ca=True)
    store = lenient(root, tmp_path=tmp_path)
    asking = lenient(root, tmp_path=tmp_path, rules=PathRules(purposes=frozenset({mail.dotted_string})))
    for purpose in (ExtendedKeyUsageOID.OCSP_SIGNING, ExtendedKeyUsageOID.TIME_STAMPING):
        assert check(store, pki.issue("L", root, extra=meant(mail, purpose))).code is Code.BAD_CERTIFICATE
    assert check(store, pki.issue("L", root, extra=meant(client))).code is Code.OK
    assert check(asking, pki.issue("L", root, extra=meant(client))).code is Code.BAD_CERTIFICATE
    assert check(asking, pki.issue("L", root, extra=meant(client, mail))).code is Code.OK
    every = meant(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    assert check(asking, pki.issue("L", root, extra=every)).code is Code.OK
    assert check(asking, pki.issue("L", root)).code is Code.OK
    narrow = pki.issue("Issuing", root, ca=True, extra=meant(client))
    assert check(asking, pki.issue("L", narrow, extra=meant(mail))).code is Code.BAD_CERTIFICATE


def test_an_expired_way_and_a_valid_one(tmp_path: Path) -> None:
    """The same authority certified twice: the way that holds is taken, whichever comes first."""
    root = pki.issue("Root", ca=True)
    key = pki.ec_key()
    old = pki.issue("Issuing", root, ca=True, key=key, not_after=NOW - DAY)
    new = pki.issue("Issuing", root, ca=True, key=key)
    leaf = pki.issue("Leaf", old)
    store = lenient(root, tmp_path=tmp_path)
    assert check(store, leaf).code is Code.CERTIFICATE_EXPIRED
    for pair in ((old, new), (new, old)):
        chain = certificates([leaf.certificate, *(one.certificate for one in pair)])
        result = store.check(chain, NOW)
        assert result.code is Code.OK
        assert result.chain[1].x509 == new.certificate
        assert store.check(chain, NOW - 2 * DAY).code is Code.OK


def test_cross_certificates(tmp_path: Path) -> None:
    ours, theirs = pki.issue("Ours", ca=True), pki.issue("Theirs", ca=True)
    crossed = pki.issue("Theirs", ours, ca=True, key=theirs.key)
    back = pki.issue("Ours", theirs, ca=True, key=ours.key)
    issuing = pki.issue("Issuing", theirs, ca=True)
    leaf = pki.issue("Leaf", issuing)
    store = lenient(ours, tmp_path=tmp_path)
    chain = [leaf, issuing, crossed, back, theirs]
    result = store.check(certificates([one.certificate for one in chain]), NOW)
    assert result.code is Code.OK
    assert [one.subject for one in result.chain] == ["CN=Leaf", "CN=Issuing", "CN=Theirs", "CN=Ours"]
    assert store.check(certificates([leaf.certificate, issuing.certificate]), NOW).code is Code.UNKNOWN_CA


def test_intermediates_from_files_and_learnt(tmp_path: Path) -> None:
    root = pki.issue("Root", ca=True)
    one, two = pki.issue("One", root, ca=True), pki.issue("Two", root, ca=True)
    (tmp_path / "one.pem").write_bytes(one.pem)
    store = lenient(root, tmp_path=tmp_path, intermediates=[tmp_path / "one.pem"])
    alone = [certificates(pki.issue("Leaf", each).chain[:1]) for each in (one, two)]
    assert store.check(alone[0], NOW).code is Code.OK
    assert store.check(alone[1], NOW).code is Code.UNKNOWN_CA
    store.learn(certificates([two.certificate]))
    assert store.check(alone[1], NOW).code is Code.OK
    assert store.learnt == tuple(certificates([two.certificate]))
    store.learn([])
    assert store.check(alone[1], NOW).code is Code.UNKNOWN_CA
    assert store.check(alone[0], NOW).code is Code.OK
    stranger = pki.issue("Root", ca=True)
    store.learn(certificates([stranger.certificate]))
    assert store.check(certificates(pki.issue("Leaf", stranger).chain[:1]), NOW).code is Code.UNKNOWN_CA


def test_what_the_answer_tells(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    store = TrustStore.from_files(house.anchors, house.crls)
    result = check(store, leaf)
    assert [one.subject for one in result.chain] == ["CN=Leaf", "CN=Test issuing", "CN=Test root"]
    assert (result.revocation, result.source, result.made_at) == (Revocation.GOOD, "crl", NOW - DAY)
    assert (result.stale, result.until) == (False, NOW + DAY)
    assert check(store, leaf) is result, "kept"
    unknown = check(store, leaf, NOW + 2 * DAY)
    assert (unknown.code, unknown.revocation) == (Code.REVOCATION_UNKNOWN, Revocation.UNKNOWN)
    assert len(unknown.chain) == 3
    house.revoke(leaf, at=NOW)
    revoked = check(TrustStore.from_files(house.anchors, house.crls), leaf)
    assert (revoked.revocation, revoked.source, revoked.made_at) == (Revocation.REVOKED, "crl", NOW - DAY)
    free = TrustStore.from_files([], anchors_without_crl=house.anchors)
    assert check(free, leaf).revocation is Revocation.UNCHECKED
    assert store.check(certificates(leaf.chain), NOW, Purpose.RECEIPT).chain == ()


def test_rules_for_what_is_no_anchor(new_house: MakeHouse, tmp_path: Path) -> None:
    house = new_house()
    (tmp_path / "issuing.pem").write_bytes(house.issuing.pem)
    with pytest.raises(ConfigurationError):
        TrustStore.from_files(house.anchors, house.crls, by_list=[tmp_path / "issuing.pem"])
    with pytest.raises(ConfigurationError):
        TrustStore.from_files(house.anchors, house.crls, by_list=house.anchors, by_answer=house.anchors)


@pytest.mark.parametrize(("exponent", "good"), [(3, False), (65_537, True)])
def test_exponents(exponent: int, good: bool, new_house: MakeHouse) -> None:
    key = rsa.generate_private_key(public_exponent=exponent, key_size=2048)
    leaf = pki.issue("Leaf", new_house().issuing, key=key)
    if good:
        assert read_certificate(leaf.der).kind == "rsa"
        return
    with pytest.raises(RefusedError) as caught:
        read_certificate(leaf.der)
    assert caught.value.code is Code.WEAK_ALGORITHM
