"""An urgent document and a status pass what is ordinary; an urgent flood never starves what is ordinary."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.conftest import Axis
from tests.support.stranger import Stranger
from tests.support.stranger_xml import Facts, document, sign

FROM, TO = "H26.15.01", "H53.31.20"
BEHIND = 5_000
IN_HAND = 300  # what the worker has taken and waits in its own memory
FLOOD, ORDINARY = 2_000, 150
SHARE = 0.10


def pool(sender: Stranger, count: int, priority: int) -> list[tuple[str, bytes, str, str]]:
    """Return signed documents of 5 KB, each different, ready to be published."""
    filler = (("Phụ lục.txt", b"0123456789abcdef" * 55),)
    key = sender.key(urgent=priority > 0)
    made = []
    for _ in range(count):
        body = sign(document(Facts(FROM, (TO,), priority=priority, files=filler)), sender.signer())
        made.append((str(uuid.uuid4()), body, "edoc", key))
    assert 4_500 < len(made[0][1]) < 5_500
    return made


@contextmanager
def standing_still(axis: Axis) -> Iterator[None]:
    """Let the workers stand while the queue is filled: what is measured lies behind all of it."""
    pids = json.loads((axis.home / "sandbox.json").read_text(encoding="utf-8"))["pids"]["workers"]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def stands(sender: Stranger, queue: str, count: int) -> None:
    """Wait until the broker has taken in what was published without waiting for confirms."""
    end = time.monotonic() + 90
    while sender.depth(queue) <= count - IN_HAND:
        assert time.monotonic() < end, f"{queue} holds {sender.depth(queue)} only"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def pair(axis: Axis) -> tuple[Stranger, Stranger]:
    return axis.gateway(FROM), axis.gateway(TO)


def test_urgent_and_status_pass_five_thousand_ordinary_ones(
    axis: Axis, pair: tuple[Stranger, Stranger]
) -> None:
    sender, recipient = pair
    about, _ = sender.send(Facts(FROM, (TO,)))
    asked = recipient.arrival(about)
    waiting = pool(sender, BEHIND, 0)
    with standing_still(axis):
        sender.flood(waiting)
        stands(sender, "ingress.normal", BEHIND)
        urgent, _ = sender.send(Facts(FROM, (TO,), priority=1), urgent=True)
        told, _ = recipient.answer(asked)
    passed = (sender.acknowledgement(urgent).arrived, sender.arrival(told, kind="status").arrived)
    sender.wait(
        lambda: all(sender.by_transport_id[each[0]] for each in waiting) or None,
        240,
        "the receipts of the ordinary ones",
    )
    assert all(len(sender.by_transport_id[each[0]]) == 1 for each in waiting)
    before = [
        sum(sender.by_transport_id[each[0]][0].arrived < moment for each in waiting) for moment in passed
    ]
    assert max(before) < BEHIND / 4, f"so many ordinary ones came first: {before}"
    recipient.wait(lambda: len(recipient.documents) >= len(waiting) or None, 240, "the ordinary ones")
    assert not any(each.repeated for each in recipient.documents)


def test_an_urgent_flood_leaves_ordinary_ones_a_tenth(axis: Axis, pair: tuple[Stranger, Stranger]) -> None:
    sender, _ = pair
    axis.settled(240)
    urgent, ordinary = pool(sender, FLOOD, 2), pool(sender, ORDINARY, 0)
    started = len(sender.receipts)
    with standing_still(axis):
        sender.flood(urgent)
        sender.flood(ordinary)
        stands(sender, "ingress.urgent", FLOOD)
    everything = {each[0] for each in (*urgent, *ordinary)}
    sender.wait(lambda: all(sender.by_transport_id[each] for each in everything) or None, 240, "all receipts")
    plain = {each[0] for each in ordinary}
    order = [each.transport_id for each in sender.receipts[started:] if each.transport_id in everything]
    places = [index for index, each in enumerate(order) if each in plain]
    assert places[-1] < len(order) - 1, "starved: the ordinary ones came after all of the flood"
    assert ORDINARY / (places[-1] - places[0] + 1) >= SHARE
