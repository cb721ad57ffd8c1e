"""Dates and faults of the relay's own material."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from relay.observe.metrics import Metrics
from relay.operate.material import MaterialWatch
from relay.trust.chain import TrustStore
from tests.support import pki


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> dt.datetime:
        return pki.NOW + dt.timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def test_days_left_and_a_failed_change_of_the_files_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = pki.house(tmp_path / "house")
    clock, metrics = Clock(), Metrics(version="0", process=False)
    store = TrustStore.from_files(house.anchors, house.crls, monotonic=clock.monotonic)
    ends = {"relay": pki.NOW + 9 * pki.DAY}
    watch = MaterialWatch(store, ends, lambda: 7, metrics, clock)  # type: ignore[arg-type]

    def days(purpose: str) -> float | None:
        return metrics.value("truc_certificate_days_left", purpose=purpose)

    assert watch.look() == {"trust_files": ""}
    assert [days(one) for one in ("relay", "anchor", "crl", "tls")] == [9, 30, 1, None]
    assert metrics.value("truc_confirms_outstanding") == 7

    whole = (house.folder / "issuing.crl").read_bytes()
    (house.folder / "issuing.crl").write_bytes(b"half")
    clock.seconds += 2
    with caplog.at_level("INFO", logger="truc"):
        assert "issuing.crl" in str(watch.look()["trust_files"])
        watch.look()
        assert [one.message for one in caplog.records] == ["trust-files-unusable"], "said once"
        longer = pki.crl(house.issuing, next_update=pki.NOW + 20 * pki.DAY)
        (house.folder / "issuing.crl").write_bytes(longer)
        (house.folder / "root.crl").write_bytes(pki.crl(house.root, next_update=pki.NOW + 5 * pki.DAY))
        clock.seconds += 61
        assert watch.look() == {"trust_files": ""}
    assert caplog.records[-1].message == "trust-files-taken"
    assert days("crl") == pytest.approx(5, abs=0.01)
    assert whole != longer
