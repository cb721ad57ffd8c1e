"""The authorities behind an agency's certificate: kept, written again, published, learnt; trusted in nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from relay.directory.authorities import authorities_of, signers_of
from relay.directory.edition import Edition, next_edition, opened, seal
from relay.directory.entries import Entries
from relay.directory.file import check, load
from relay.directory.write import dump
from relay.errors import Code
from relay.pipeline.verify import examine_remotely, install_remote
from relay.trust.certificate import read_certificate
from relay.trust.chain import TrustStore
from tests.support import pki
from tests.support.pki import DAY, NOW, Entity, House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return pki.house(tmp_path / "house")


def directory(folder: Path, *pems: str, name: str = "directory.yaml") -> Path:
    entries = [
        {"code": code, "name": code, "gateway": code, "certificates": [pem]}
        for code, pem in zip(("H26", "H29", "H53"), pems, strict=False)
    ]
    (folder / name).write_text(yaml.safe_dump({"agencies": entries}))
    return folder / name


def test_a_chain_goes_round(house: House, tmp_path: Path) -> None:
    one, two = pki.issue("One", house.issuing), pki.issue("Two", house.issuing)
    path = directory(tmp_path, one.chain_pem.decode(), two.chain_pem.decode())
    agencies = load(path).agencies()
    kept = agencies[0].certificates[0]
    assert (kept.pem, kept.chain) == (one.pem.decode(), (house.issuing.pem.decode(),))
    assert agencies[1].certificates[0].chain[0] is kept.chain[0], "one text for all who name it"
    again = tmp_path / "again.json"
    dump(again, agencies)
    assert load(again).agencies() == agencies
    (authority,) = authorities_of(agencies)
    assert authority.x509 == house.issuing.certificate


def test_a_signed_edition_carries_them(house: House, tmp_path: Path) -> None:
    leaf = pki.issue("One", house.issuing)
    agencies = load(directory(tmp_path, leaf.chain_pem.decode())).agencies()
    relay = pki.issue("Relay", house.issuing, relay="r1")
    edition = next_edition(agencies, None, "r1", NOW, NOW + timedelta(days=30))
    found = opened(seal(edition, relay.key, relay.chain_pem))
    assert isinstance(found, Edition)
    entries = Entries(tmp_path)
    entries.read([dict(one) for one in found.agencies])
    assert [one.x509 for one in authorities_of(entries.agencies)] == [house.issuing.certificate]


def test_too_many_are_a_finding(house: House, tmp_path: Path) -> None:
    leaf = pki.issue("One", house.issuing)
    pem = leaf.pem.decode() + 5 * house.issuing.pem.decode()
    (finding,) = check(directory(tmp_path, pem)).findings
    assert "more than 4 authorities" in finding.problem


def test_what_cannot_be_used_is_left_out(house: House, tmp_path: Path) -> None:
    leaf = pki.issue("One", house.issuing)
    weak = pki.issue("Weak", ca=True, key=pki.rsa_key(1024))
    path = directory(tmp_path, leaf.pem.decode() + weak.pem.decode() + house.issuing.pem.decode())
    (authority,) = authorities_of(load(path).agencies())
    assert authority.subject == "CN=Test issuing"


def test_who_signs_now(house: House, tmp_path: Path) -> None:
    good = pki.issue("Good", house.issuing)
    old = pki.issue("Old", house.issuing, not_after=NOW - DAY)
    retired = pki.issue("Retired", house.issuing)
    agencies = load(directory(tmp_path, *(one.pem.decode() for one in (good, old, retired)))).agencies()
    last = agencies[2]
    gone = tuple(dataclasses.replace(one, retired_at=NOW - DAY) for one in last.certificates)
    agencies = (*agencies[:2], dataclasses.replace(last, certificates=gone))
    assert [one.subject for one in signers_of(agencies, NOW)] == ["CN=Good"]


def test_a_pool_process_learns_them_with_the_body(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TrustStore.from_files(house.anchors, house.crls)
    leaf = [read_certificate(pki.issue("One", house.issuing).der)]
    judged: list[Code] = []

    def examine(*_: object) -> None:
        judged.append(store.check(leaf, NOW).code)

    monkeypatch.setattr("relay.pipeline.verify.examine", examine)
    learn: Callable[[tuple[bytes, ...]], None] = lambda found: store.learn(  # noqa: E731
        read_certificate(one) for one in found
    )
    install_remote(None, None, learn)  # type: ignore[arg-type]
    for authorities in ((), (issuer_of(house.issuing),), ()):
        examine_remotely(b"", None, NOW, authorities)  # type: ignore[arg-type]
    assert judged == [Code.UNKNOWN_CA, Code.OK, Code.UNKNOWN_CA]


def issuer_of(entity: Entity) -> bytes:
    return entity.der
