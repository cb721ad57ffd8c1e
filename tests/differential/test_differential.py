"""Our verdict beside libxmlsec1's and the JDK's: 500 documents here, ``make attacks`` takes 10,000."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.differential.__main__ import run
from tests.differential.cases import Case, Truth, cases, kinds
from tests.differential.compare import Report, compare, read_expected
from tests.differential.judges import Ours, Word, Words
from tests.differential.people import AT, Maker, People, people

SEED = 28
COUNT = 500


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(COUNT, SEED, tmp_path_factory.mktemp("differential"))


@pytest.mark.jdk
@pytest.mark.timeout(900)
def test_every_difference_is_explained_by_name(report: Report) -> None:
    assert not report.wrong, "\n".join(
        f"{case.name} (number {case.number} of seed {SEED}): {complaint}" for case, complaint in report.wrong
    )
    assert not report.idle, "entries of expected.yaml that explain nothing"


@pytest.mark.jdk
@pytest.mark.timeout(900)
def test_every_kind_of_change_has_its_share(report: Report) -> None:
    print(report.table())
    assert report.total == COUNT
    assert len(report.kinds) >= 15
    assert min(report.kinds.values()) >= 0.02 * COUNT
    assert (
        min(report.agreed["all take"], report.agreed["all refuse"], report.explained.total()) >= 0.1 * COUNT
    )
    assert len(report.codes) >= 18


@pytest.fixture(scope="module")
def signers() -> People:
    return people(5)


def test_the_same_seed_makes_the_same_documents(signers: People) -> None:
    second = people(5)
    assert signers.root.der == second.root.der
    again = cases(second, 5, 60)
    assert all(one == next(again) or one.variant == "rsa-pss" for one in cases(signers, 5, 60))
    assert Maker(5).issue("x").der != Maker(6).issue("x").der


def test_every_case_in_the_list_of_what_is_expected_exists() -> None:
    names = {f"{kind}/{one.name}" for kind, listed in kinds().items() for one in listed}
    expected = read_expected()
    for entry in (*expected.stricter, *expected.laxer):
        assert set(entry.cases) <= names, entry.name


# --- the comparison itself can fail

TAKES, REFUSES = Word(True, "OK"), Word(False, "WEAK-ALGORITHM")
CASE = Case(0, "algorithm", "digest-md5", Truth.OPEN, b"")


def compared(ours: Word, xmlsec: Word, java: Word, case: Case = CASE, *, slow: Word | None = None) -> Report:
    return compare([case], [Words(ours, xmlsec, java, slow or ours)], read_expected())


def test_a_known_difference_is_told_by_its_name() -> None:
    found = compared(REFUSES, TAKES, Word(False, "?"))
    assert not found.wrong
    assert found.explained == {"weak-digest": 1}


OTHERS = Word(False, "?")


@pytest.mark.parametrize(
    ("ours", "xmlsec", "java", "case"),
    [
        (TAKES, TAKES, OTHERS, CASE),
        (TAKES, OTHERS, TAKES, CASE),
        (replace(REFUSES, why="NOT-XML"), TAKES, TAKES, CASE),
        (REFUSES, TAKES, TAKES, replace(CASE, variant="other")),
        (TAKES, TAKES, TAKES, replace(CASE, truth=Truth.BROKEN)),
        (REFUSES, OTHERS, OTHERS, replace(CASE, truth=Truth.HOLDS)),
        (replace(TAKES, reads="a"), TAKES, replace(TAKES, reads="b"), CASE),
    ],
)
def test_what_is_not_explained_is_told(ours: Word, xmlsec: Word, java: Word, case: Case) -> None:
    assert compared(ours, xmlsec, java, case).wrong


def test_two_engines_that_differ_are_told() -> None:
    assert not compared(TAKES, TAKES, TAKES).wrong
    assert compared(TAKES, TAKES, TAKES, slow=replace(TAKES, reads="c")).wrong
    assert compared(REFUSES, TAKES, TAKES, slow=OTHERS).wrong


def test_an_entry_that_explains_nothing_is_told() -> None:
    assert compared(REFUSES, OTHERS, OTHERS).idle == ["weak-digest"]


def test_what_is_read_is_compared(signers: People, tmp_path: Path) -> None:
    """The digest over the view is one over names, attributes and texts: each of them changes it."""
    ours = Ours(signers.write_anchor(tmp_path))
    found = {
        ours.judge(one.body).reads for one in cases(signers, 5, 200) if one.kind in {"valid", "namespace"}
    } - {""}
    assert len(found) >= 8
    assert AT.tzinfo is not None
