"""Each check of the verifier switched off in turn: the corpus has to notice, and mostly something has to get through."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from types import CodeType
from typing import Any, Final

import pytest

from relay import errors
from relay.sandbox.attacks import Case
from relay.trust.chain import TrustStore
from relay.trust.verifier import DocumentVerifier
from tests.attacks.mutants import Mutant, mutants
from tests.attacks.second import SAME_CODE, SECOND, reason
from tests.attacks.world import answers, baseline, stateless, world

# what a library says of a certificate of the corpus is no fault of a test
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

_LIGHT: Final = 200_000  # bytes of a body that is asked of mutants that name no code
_CHAIN: Final = ("path", "crl", "ocsp", "constraints", "certificate")
"""What is worked out once for a chain and kept: such a check has to be missing from the first day on."""
# Who answers without raising anything, or before anything of ours has looked: shown by its own tests.
_ELSEWHERE: Final = (
    "path._Builder.paths",  # no way leads to an anchor
    "route.route",
    "admission.may_send",  # asked twice: by who may speak, and by the route
    "accept._refusal",
    "receipts.ReceiptVerifier.verify",
)


@dataclass
class Run:
    """What came of switching off everything, one by one."""

    noticed: dict[str, dict[str, str]] = field(default_factory=dict)  # by mutant: case and its new answer
    by_case: dict[str, set[str]] = field(
        default_factory=lambda: defaultdict(set)
    )  # functions that a case needs


@cache
def run() -> Run:
    here, base, cases = world(), baseline(), stateless()
    light = [case for case in cases if len(here.built[case.key][-1].body) < _LIGHT]
    found, kept = Run(), here.store()
    for mutant in mutants():
        chosen = [case for case in cases if base[case.key] in mutant.codes] or light
        with mutant.off():
            got = answers(chosen, here, _verifier(mutant, kept))
        found.noticed[mutant.name] = {key: code for key, code in got.items() if code != base[key]}
        for key in found.noticed[mutant.name]:
            found.by_case[key].add(mutant.where)
    return found


def _verifier(mutant: Mutant, kept: TrustStore) -> DocumentVerifier | None:
    """A verifier that remembers nothing; what is known of chains may stay where the mutant has no part in it."""
    return None if mutant.where.startswith(_CHAIN) else DocumentVerifier(kept)


def _through(mutant: Mutant) -> list[str]:
    return [key for key, code in run().noticed[mutant.name].items() if code == "OK"]


def test_there_are_many() -> None:
    assert len(mutants()) >= 150
    assert {each.where.partition(".")[0] for each in mutants()} >= {
        *("parse", "signature", "manifest", "content", "payload", "verifier"),
        *("certificate", "path", "constraints", "crl", "codes", "fields", "format", "accept", "verify"),
    }


def test_switching_off_leaves_nothing_behind() -> None:
    assert answers(stateless()[:40], world()) == {case.key: baseline()[case.key] for case in stateless()[:40]}


def test_none_survives() -> None:
    survivors = [each.name for each in mutants() if not run().noticed[each.name]]
    assert [name for name in survivors if reason(SAME_CODE, name) is None] == []


def test_nearly_each_is_the_only_one_that_stops_something() -> None:
    alone = [each.name for each in mutants() if _through(each)]
    others = [each.name for each in mutants() if run().noticed[each.name] and not _through(each)]
    assert [name for name in others if reason(SECOND, name) is None] == []
    assert len(alone) >= 100


@pytest.mark.parametrize("table", [SAME_CODE, SECOND], ids=["same code", "second line"])
def test_no_excuse_is_stale(table: dict[str, str]) -> None:
    """Each entry of the two tables excuses a mutant that needs it."""
    weak = [each.name for each in mutants() if not _through(each)]
    assert [key for key in table if not any(name.startswith(key) for name in weak)] == []


def test_each_case_names_the_check_that_stops_it() -> None:
    """The check that a case names refuses it: it raised what was answered, or without it the answer is another."""
    wrong, kept = [], world().verifier()
    for case in stateless():
        raised = _raised(case, kept)
        if case.stops in {"libxml2", *raised[-1:]} or case.stops in run().by_case[case.key]:
            continue
        if not case.stops.startswith(_ELSEWHERE):
            wrong.append((case.key, case.stops, raised[-1:], sorted(run().by_case[case.key])))
    assert wrong == []


def test_a_weakened_verifier_is_found() -> None:
    """What an operator would see of a verifier that has lost a check: cases that miss."""
    mutant = next(each for each in mutants() if each.name == "signature.check_one_signature (whole)")
    with mutant.off():
        got = answers(stateless(), world())
    missed = [case.key for case in stateless() if got[case.key] not in case.codes]
    assert "wrapping: a signature in the body that the sender signed along" in missed
    assert all(got[case.key] in case.codes for case in stateless() if case.key not in missed)


def _raised(case: Case, verifier: DocumentVerifier) -> list[str]:
    """Where refusals were raised while a case was judged, as ``module.function``, in order."""
    found: list[str] = []
    original = errors.RefusedError.__init__

    def noting(self: Any, *args: Any, **how: Any) -> None:
        frame = sys._getframe(1)
        code: CodeType = frame.f_code
        found.append(f"{frame.f_globals['__name__'].rpartition('.')[2]}.{code.co_qualname}")
        original(self, *args, **how)

    errors.RefusedError.__init__ = noting  # type: ignore[method-assign]
    try:
        answers([case], world(), verifier)
    finally:
        errors.RefusedError.__init__ = original  # type: ignore[method-assign]
    return found
