"""The window and the choice among lanes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from relay.model.message import Incoming, Lane, Properties
from relay.pipeline.lanes import Lanes

WEIGHTS = {Lane.URGENT: 60, Lane.STATUS: 25, Lane.NORMAL: 10, Lane.DUE: 5}


def message(size: int = 1) -> Incoming:
    return Incoming("q", "e", "k", Properties(), b"x" * size, False, 0, 1, 1)


def test_an_urgent_one_is_next_whatever_waits() -> None:
    lanes = Lanes(WEIGHTS, 1, 1000)
    for _ in range(5000):
        lanes.put(Lane.NORMAL, message())
    taken = lanes.take()
    assert taken is not None
    lanes.put(Lane.URGENT, message())
    lanes.done(taken[1])
    chosen = [one[0] for _ in range(2) if (one := _next(lanes))]
    assert Lane.URGENT in chosen


def test_no_lane_starves_in_an_endless_flood() -> None:
    lanes = Lanes(WEIGHTS, 1, 1000)
    counted: Counter[Lane] = Counter()
    for _ in range(2000):
        for lane in WEIGHTS:
            lanes.put(lane, message())
        taken = _next(lanes)
        assert taken is not None
        counted[taken[0]] += 1
    assert {lane: counted[lane] / 2000 for lane in WEIGHTS} == {
        Lane.URGENT: 0.6,
        Lane.STATUS: 0.25,
        Lane.NORMAL: 0.1,
        Lane.DUE: 0.05,
    }


def _next(lanes: Lanes) -> tuple[Lane, Incoming] | None:
    taken = lanes.take()
    if taken is not None:
        lanes.done(taken[1])
    return taken


def test_one_message_above_the_byte_window_passes_alone() -> None:
    lanes = Lanes(WEIGHTS, 10, 100)
    lanes.put(Lane.NORMAL, message(500))
    lanes.put(Lane.NORMAL, message(1))
    first = lanes.take()
    assert first is not None
    assert lanes.take() is None
    lanes.done(first[1])
    assert lanes.take() is not None


@given(
    st.lists(st.tuples(st.sampled_from(list(WEIGHTS)), st.integers(0, 120)), max_size=60),
    st.integers(1, 8),
)
def test_the_window_holds_and_nothing_is_lost(arrivals: list[tuple[Lane, int]], window: int) -> None:
    lanes = Lanes(WEIGHTS, window, 100)
    for lane, size in arrivals:
        lanes.put(lane, message(size))
    in_hand: list[Incoming] = []
    done = 0
    while done < len(arrivals):
        while (taken := lanes.take()) is not None:
            in_hand.append(taken[1])
            assert len(in_hand) <= window
            assert len(in_hand) == 1 or sum(len(one.body) for one in in_hand) <= 100
        lanes.done(in_hand.pop())
        done += 1
    assert (lanes.documents, lanes.bytes, lanes.waiting()) == (0, 0, 0)
