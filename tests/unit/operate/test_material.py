"""Dates and faults of the relay's own material."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from relay.evidence.signer import RelaySigner
from relay.observe.metrics import Metrics
from relay.operate.material import MaterialWatch
from relay.trust.chain import TrustStore
from tests.support import pki
from tests.support.rewriting import rewrite


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> dt.datetime:
        return pki.NOW + dt.timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def test_days_left_and_failed_changes_of_the_files_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = pki.house(tmp_path / "house")
    clock, metrics = Clock(), Metrics(version="0", process=False)
    store = TrustStore.from_files(house.anchors, house.crls, monotonic=clock.monotonic)
    key, certificate = tmp_path / "relay.key", tmp_path / "relay.pem"

    def renew(days: int) -> None:
        entity = pki.issue("Relay", house.issuing, relay="truc-test", not_after=pki.NOW + days * pki.DAY)
        rewrite(key, entity.key_pem)
        rewrite(certificate, entity.chain_pem)

    renew(9)
    signer = RelaySigner("truc-test", key, (certificate,), clock, store)
    watch = MaterialWatch(store, signer, lambda: None, lambda: 7, metrics, clock)
    well = {"trust_files": "", "relay_key": ""}

    def days(purpose: str) -> float | None:
        left = metrics.value("truc_certificate_left_seconds", purpose=purpose)
        return None if left is None else left / 86_400

    def unusable() -> list[float | None]:
        return [metrics.value("truc_material_unusable", purpose=one) for one in ("trust", "relay")]

    assert watch.look() == well
    assert [days(one) for one in ("relay", "anchor", "crl", "tls")] == [9, 30, 1, None]
    assert metrics.value("truc_confirms_outstanding") == 7
    assert unusable() == [0, 0]

    rewrite(house.folder / "issuing.crl", b"half")
    kept = key.read_bytes()
    rewrite(key, b"half a key")
    clock.seconds += 2
    with caplog.at_level("INFO", logger="truc"):
        told = watch.look()
        assert "issuing.crl" in str(told["trust_files"])
        assert "relay.key" in str(told["relay_key"])
        watch.look()
        assert [one.message for one in caplog.records] == [
            "trust-files-unusable",
            "relay-key-unusable",
        ], "said once"
        assert unusable() == [1, 1]

        longer = pki.crl(house.issuing, next_update=pki.NOW + 20 * pki.DAY)
        rewrite(house.folder / "issuing.crl", longer)
        rewrite(house.folder / "root.crl", pki.crl(house.root, next_update=pki.NOW + 5 * pki.DAY))
        rewrite(key, kept)
        clock.seconds += 2
        assert watch.look() == well
        renew(12)
        clock.seconds += 2
        assert watch.look() == well
    assert [one.message for one in caplog.records[2:]] == [
        "trust-files-taken",
        "relay-key-taken",
        "relay-key-taken",
    ]
    assert "half a key" not in caplog.text
    assert days("crl") == pytest.approx(5, abs=0.01)
    assert days("relay") == pytest.approx(12, abs=0.01), "a change shows at once"
    assert unusable() == [0, 0]
