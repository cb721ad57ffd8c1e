"""The short form of fuzzing: the same inputs each time, without coverage. ``make fuzz`` is the long one."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.fuzz.mutations import inputs, seeds
from tests.fuzz.targets import TARGETS, run_one

RUNS = {"package": 4000, "attachment": 2500, "code": 20_000, "status": 2000, "evidence": 700} | {
    "revocation-list": 4000,
    "ocsp-answer": 4000,
    "certificate": 4000,
    "signature": 2000,
    "recognise": 6000,
    "time-stamp": 2000,
    "edition": 2000,
    "proof-of-key": 3000,
    "pdf": 60,
    "shown": 1500,
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_pass(name: str) -> None:
    for body in seeds(name):
        run_one(TARGETS[name], body)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_bring_nothing_but_our_own_errors(name: str) -> None:
    for number, body in enumerate(islice(inputs(name, seed=28), RUNS[name])):
        try:
            run_one(TARGETS[name], body)
        except Exception as error:
            raise AssertionError(f"input {number}: {body[:3000]!r}") from error
