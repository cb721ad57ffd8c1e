"""What the measure of verification measures: real verdicts, every stage, and memory that does not grow with a package."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.edxml.format import EdxmlFormat
from relay.model.message import Kind
from relay.model.verdict import MANIFEST, WHOLE, ParseLimits
from relay.sandbox.bench import trusting
from relay.trust.verifier import DocumentVerifier

PLACE = EdxmlFormat().place(Kind.EDOC)
LARGE = 40_000_000


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> trusting._Bench:
    return trusting._Bench(tmp_path_factory.mktemp("trust"), datetime.now(UTC))


def test_figures_of_both_profiles(bench: trusting._Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusting, "SIGNERS", 3)
    whole = tuple(trusting._whole(bench, "ec-p256", size, 6, 1) for size in (5_000, 64_000))
    assert [one.documents for one in whole] == [6, 6]
    assert all(abs(one.bytes - size) < 600 for one, size in zip(whole, (5_000, 64_000), strict=True))
    for one in whole:
        assert one.ratio == pytest.approx(one.relay_us / one.xmlsec_chain_us)
        assert min(one.stages_us[name] for name in ("c14n", "digest", "signature", "chain", "view")) > 0
    manifest = trusting._by_manifest(bench, 100_000, 1)
    page = trusting.markdown(trusting.Trusting(0.5, whole, (manifest,)))
    assert f"| ec-p256 | {whole[0].bytes:,} |" in page
    assert f"**{manifest.ratio:.2f}**" in page


@pytest.mark.parametrize("profile", [WHOLE, MANIFEST])
def test_memory_does_not_grow_with_the_package(bench: trusting._Bench, profile: str) -> None:
    (signer,) = bench.signers("ec-p256", 1)
    body = bench.package(signer, LARGE, profile)
    verifier = DocumentVerifier(bench.store, ParseLimits(max_bytes=2 * LARGE))
    assert verifier.verify(body, PLACE, bench.now).verdict.accepted
    assert trusting.peak_mib(body, verifier, PLACE, bench.now) < 24
