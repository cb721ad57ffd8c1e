"""The documents of the bench: real, all different, each for one use."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.edxml.format import EdxmlFormat
from relay.model.message import Kind
from relay.model.verdict import ParseLimits
from relay.sandbox.bench.plan import KIB, RECIPIENTS
from relay.sandbox.bench.stock import CHUNK, Order, Ready, Signer, Stock, make, read
from relay.sandbox.ca import DevelopmentCa
from relay.trust.chain import TrustStore
from relay.trust.verifier import DocumentVerifier

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCa:
    ca = DevelopmentCa(tmp_path_factory.mktemp("bench") / "ca")
    ca.ensure(NOW)
    return ca


@pytest.fixture(scope="module")
def signers(ca: DevelopmentCa) -> tuple[Signer, ...]:
    found = []
    for number in (1, 2, 3):
        code, name = f"H40.0{number}", f"Cơ quan H40.0{number} (mẫu)"
        kind = "rsa-2048" if number == 1 else "ec-p256"
        issued = ca.agency(ca.folder.parent / "keys", code, name, NOW, kind=kind)  # type: ignore[arg-type]
        found.append(Signer(code, name, issued.key, issued.cert))
    return tuple(found)


def chunk(tmp_path: Path, signers: tuple[Signer, ...], size: int, count: int, seed: int = 1) -> list[Ready]:
    order = Order(tmp_path / str(seed), count, size, signers, RECIPIENTS, seed, NOW)
    return list(read(make(order)))


@pytest.mark.parametrize("size", [5 * KIB, 64 * KIB])
def test_documents_are_of_the_size_and_verify(
    tmp_path: Path, ca: DevelopmentCa, signers: tuple[Signer, ...], size: int
) -> None:
    documents = chunk(tmp_path, signers, size, 9)
    form = EdxmlFormat()
    verifier = DocumentVerifier(TrustStore.from_files([ca.root_cert], ca.crls), ParseLimits())
    for document in documents:
        verification = verifier.verify(document.body, form.place(Kind.EDOC), datetime.now(UTC))
        assert verification.verdict.accepted, verification.verdict
        assert verification.view is not None
        envelope = form.read(verification.view, Kind.EDOC)
        assert envelope.sender == document.sender
        assert size * 0.95 < len(document.body) < size * 1.15
    assert Counter(document.sender for document in documents) == {signer.code: 3 for signer in signers}


def test_no_document_is_like_another(tmp_path: Path, signers: tuple[Signer, ...]) -> None:
    documents = chunk(tmp_path, signers, 5 * KIB, 20) + chunk(tmp_path, signers, 5 * KIB, 20, seed=2)
    assert len({document.transport_id for document in documents}) == 40
    assert len({document.body for document in documents}) == 40


def test_what_was_begun_is_never_handed_out_again(tmp_path: Path, signers: tuple[Signer, ...]) -> None:
    stock = Stock(tmp_path / "documents", 5 * KIB, signers, RECIPIENTS, 7)
    assert stock.fill(CHUNK + 1, NOW) == 2 * CHUNK
    first, second = stock.hand_out()
    assert stock.fill(2 * CHUNK, NOW) == 0
    stock.used(1)
    assert stock.hand_out() == [second]
    assert not first.exists()
    assert second.exists()
