"""Paths judged by another: pyhanko-certvalidator, which reads certificates with another parser.

Chains are made from a seed: constraints on names and policies, path lengths, self-issued authorities, uses, dates. There
must be no difference.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError, ValidationError
from pyhanko_certvalidator.policy_decl import PKIXValidationParams

from relay.errors import Code
from relay.trust.certificate import read_certificate
from relay.trust.chain import PathRules, TrustStore
from tests.support import pki
from tests.support.pki import DAY, NOW, Entity

CHAINS = 200
POLICIES = ("1.2.704.1", "1.2.704.2", "2.5.29.32.0")
HOSTS = ("a.vn", "x.a.vn", "b.vn")
PLACES = ("VN", "LA")


@cache
def keys(which: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(100 + which, ec.SECP256R1())


@dataclass
class Made:
    chain: list[Entity]  # leaf first, root last
    wanted: frozenset[str]
    traits: list[str]


def made(rng: random.Random) -> Made:
    depth = rng.choice((1, 2, 2, 3))
    traits: list[str] = []
    above = pki.issue("Root", ca=True, key=keys(0), subject=named(rng, "Root"))
    chain = [above]
    for level in range(1, depth + 1):
        leaf = level == depth
        extra: list[tuple[x509.ExtensionType, bool]] = []
        more: dict[str, Any] = {"ca": not leaf, "key": keys(level), "extra": extra}
        if rng.random() < 0.7:
            chosen = rng.sample(POLICIES, rng.choice((1, 1, 2)))
            found = [x509.PolicyInformation(x509.ObjectIdentifier(one), None) for one in chosen]
            extra.append((x509.CertificatePolicies(found), False))
        if leaf:
            names: list[x509.GeneralName] = [
                x509.DNSName(one) for one in rng.sample(HOSTS, rng.choice((0, 1, 1)))
            ]
            names += [x509.RFC822Name(f"x@{one}") for one in rng.sample(HOSTS, rng.choice((0, 0, 1)))]
            if names:
                extra.append((x509.SubjectAlternativeName(names), False))
        elif rng.random() < 0.6:
            extra.append((constraints(rng), True))
        if not leaf and rng.random() < 0.3:
            extra.append((x509.PolicyConstraints(rng.choice((0, 1, 2)), None), True))
        if not leaf and rng.random() < 0.3:
            extra.append((x509.InhibitAnyPolicy(rng.choice((0, 1, 2))), True))
        if not leaf and rng.random() < 0.4:
            more["path_length"] = rng.choice((0, 0, 1))
        if not leaf and rng.random() < 0.05:
            more["key_usage"] = pki.usage(crls=True)
        if rng.random() < 0.05:
            more["not_after"] = NOW - DAY
        subject = named(rng, f"L{level}")
        if not leaf and rng.random() < 0.1:
            subject = above.certificate.subject  # self-issued
            traits.append("self-issued")
        above = pki.issue("", above, subject=subject, **more)
        chain.insert(0, above)
    wanted = frozenset(rng.sample(POLICIES[:2], 1)) if rng.random() < 0.4 else frozenset()
    return Made(chain, wanted, traits)


def named(rng: random.Random, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, rng.choice((*PLACES, "VN", "VN"))),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def constraints(rng: random.Random) -> x509.NameConstraints:
    def some() -> list[x509.GeneralName]:
        kinds: list[x509.GeneralName] = [
            x509.DNSName(rng.choice(HOSTS)),
            x509.RFC822Name(rng.choice((*HOSTS, "x@a.vn"))),
            x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, rng.choice(PLACES))])),
        ]
        return rng.sample(kinds, rng.choice((0, 1, 1, 2)))

    permitted, excluded = some(), (some() if rng.random() < 0.4 else [])
    if not permitted and not excluded:
        permitted = [x509.DNSName("a.vn")]
    return x509.NameConstraints(permitted or None, excluded or None)


def ours(one: Made, folder: Path) -> bool:
    (folder / "root.pem").write_bytes(one.chain[-1].pem)
    store = TrustStore.from_files(
        [], anchors_without_crl=[folder / "root.pem"], rules=PathRules(policies=one.wanted)
    )
    chain = [read_certificate(each.der) for each in one.chain[:-1]]
    return store.check(chain, NOW).code is Code.OK


def validator(one: Made) -> bool:
    parsed = [asn1.Certificate.load(each.der) for each in one.chain]
    context = ValidationContext(
        trust_roots=[parsed[-1]], other_certs=parsed[1:-1], moment=NOW, allow_fetching=False
    )
    parameters = PKIXValidationParams(
        user_initial_policy_set=one.wanted or frozenset(["any_policy"]),
        initial_explicit_policy=bool(one.wanted),
    )
    judge = CertificateValidator(parsed[0], parsed[1:-1], validation_context=context, pkix_params=parameters)
    try:
        asyncio.run(judge.async_validate_path())
    except (PathBuildingError, PathValidationError, ValidationError):
        return False
    return True


@pytest.fixture(scope="module")
def chains() -> list[Made]:
    rng = random.Random(5)
    return [made(rng) for _ in range(CHAINS)]


def test_pyhankos_validator_agrees(chains: list[Made], tmp_path: Path) -> None:
    seen: Counter[tuple[bool, bool]] = Counter()
    apart = []
    for number, one in enumerate(chains):
        found = (ours(one, tmp_path), validator(one))
        seen[found] += 1
        if found[0] != found[1]:
            apart.append((number, found, one.traits))
    assert not apart
    assert min(seen[True, True], seen[False, False]) > CHAINS // 8
