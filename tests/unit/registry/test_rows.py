"""What is stored of a verdict comes back whole, stays small, and older rows are read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from relay.errors import Code
from relay.model.verdict import Revocation, RevocationSource, RevocationState, TimeSource, Verdict
from relay.registry.rows import verdict_from, verdict_text

NOW = datetime(2030, 5, 4, 3, 2, 1, tzinfo=UTC)
LEAF, ISSUER, ROOT = "a" * 64, "b" * 64, "c" * 64
PLAIN = Verdict(True, True, Code.OK, NOW, "CN=Sở A", LEAF, "rsa-sha256", "manifest", "a note")
FULL = Verdict(
    *(True, True, Code.OK, NOW, "CN=Sở A", LEAF, "rsa-sha256", "whole", ""),
    chain=(LEAF, ISSUER, ROOT),
    revocation=Revocation(RevocationState.GOOD, RevocationSource.OCSP, NOW),
    on_behalf_of="H53.31",
    vouched=TimeSource.TIME_STAMP,
)


@pytest.mark.parametrize("verdict", [PLAIN, FULL, Verdict(False, False, Code.NOT_XML, NOW)])
def test_it_comes_back(verdict: Verdict) -> None:
    assert verdict_from(verdict_text(verdict)) == verdict


def test_it_stays_small() -> None:
    assert verdict_text(PLAIN).endswith('"manifest","a note"]')
    assert len(verdict_text(FULL)) < 400


def test_rows_of_before_are_read() -> None:
    old = '[true,true,"OK",1904094121000000,"CN=A","aa","rsa-sha256","whole",""]'
    verdict = verdict_from(old)
    assert (verdict.signer, verdict.chain, verdict.revocation.state) == (
        "CN=A",
        (),
        RevocationState.NOT_CHECKED,
    )
