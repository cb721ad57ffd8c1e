"""Figures of publishing by gateways of many sizes: what is compared with what, and who is served."""

from __future__ import annotations

import asyncio
import json
import re
from types import SimpleNamespace

import pytest

from relay.broker.topology import LISTED_CODES, topic_pattern
from relay.errors import OperationError
from relay.model.codes import normal_form
from relay.sandbox.bench.gateways import GatewayReport, Turn, _Publisher, as_json, markdown, served

REPORT = GatewayReport(
    at="2026-03-02T08:00:00.000Z",
    command="truc bench --serves 1 --serves 455",
    seconds=1.0,
    machine={"cores": "2"},
    load_before=0.0,
    apply_seconds=1.25,
    again=0,
    patterns={1: 30, 455: 45},
    turns=(
        Turn(0, 1, 1000.0, 80.0),
        Turn(0, 455, 900.0, 90.0),
        Turn(1, 455, 400.0, 100.0),
        Turn(1, 1, 500.0, 82.0),
        Turn(2, 1, 1000.0, 84.0),
        Turn(2, 455, 950.0, 95.0),
    ),
)


@pytest.mark.parametrize("size", [1, 2, LISTED_CODES, 455, 10_000])
def test_a_gateway_serves_as_many_as_it_says_and_may_speak_for_each(size: int) -> None:
    codes = served("K01", size)
    assert len(set(codes)) == size
    assert codes[0] == "K01"
    assert all(normal_form(code) == code for code in codes)
    pattern = topic_pattern(codes)
    assert len(pattern) < 1500
    for code in (codes[0], codes[-1]):
        assert re.search(pattern, f"normal.{code}")
    assert not re.search(pattern, "normal.K010")


def test_a_ratio_compares_turns_of_one_pair() -> None:
    assert REPORT.sizes == (1, 455)
    assert REPORT.ratio(455) == 0.9  # median of 0.9, 0.8, 0.95, whatever the machine did between the pairs
    assert REPORT.rate(455) == 900.0
    assert REPORT.broker_us(455) == 95.0


def test_the_report_says_what_was_measured() -> None:
    text = markdown(REPORT)
    assert "| 455 | 45 | 900 | 0.90 | 95 µs |" in text
    assert "a second time 0 changes" in text
    assert json.loads(json.dumps(as_json(REPORT)))["ratios"] == {"1": 1.0, "455": 0.9}


def frame(name: str, tag: int, *, multiple: bool = False) -> SimpleNamespace:
    return SimpleNamespace(method=SimpleNamespace(NAME=name, delivery_tag=tag, multiple=multiple))


def test_each_confirm_counts_once_in_whatever_order() -> None:
    async def main() -> None:
        publisher = _Publisher("K01", ["K01"])
        published: list[str] = []
        publisher._channel = SimpleNamespace(
            basic_publish=lambda _exchange, key, *_rest: published.append(key)
        )
        for _ in range(6):
            publisher._one()
        publisher._told(frame("Basic.Ack", 5))
        publisher._told(frame("Basic.Ack", 4, multiple=True))
        assert (publisher._confirmed, list(publisher._open)) == (5, [6])
        publisher._told(frame("Basic.Ack", 6, multiple=True))
        assert (publisher._confirmed, publisher._open) == (6, {})
        assert published == ["normal.K01"] * 6
        publisher._one()
        publisher._told(frame("Basic.Nack", 7))
        with pytest.raises(OperationError):
            await publisher.run(0.0)

    asyncio.run(main())
