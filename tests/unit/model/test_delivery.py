"""The delivery's id and its table of moves."""

from __future__ import annotations

import uuid

from relay.model.delivery import ENDED, MOVES, State, delivery_id


def test_the_id_is_that_of_the_protocol() -> None:
    space = uuid.uuid5(uuid.NAMESPACE_URL, "urn:truc:delivery")
    digest = "ab" * 32
    assert delivery_id("H53", digest, "H26.15") == str(uuid.uuid5(space, f"H53\n{digest}\nH26.15"))


def test_each_part_counts() -> None:
    ids = {
        delivery_id(*parts)
        for parts in (("H5", "a", "3"), ("H53", "a", ""), ("H5", "a3", ""), ("H5", "", "a3"))
    }
    assert len(ids) == 4


def test_what_has_ended_stays_and_the_rest_can_end() -> None:
    assert set(MOVES) == set(State)
    assert {state for state, to in MOVES.items() if not to} == ENDED
    assert State.REFUSED not in MOVES[State.QUEUED], "what is in a queue is not refused by us"
    assert State.WITHDRAWN not in MOVES[State.QUEUED], "a queued one stays; the take-back follows it"
