"""Every case of the corpus against the verifier and the first steps of the pipeline: its code, in bounded time and memory."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path

import pytest
from lxml import etree

from relay.errors import Code
from relay.sandbox.attacks import CASES, FAMILIES, Outcome, Where
from relay.sandbox.attacks.canonical import canonical
from relay.trust import quick
from relay.trust.engine import XmlsecEngine
from relay.trust.verifier import DocumentVerifier
from tests.attacks.world import answer, answers, baseline, stateless, world

# what a library says of a certificate of the corpus is no fault of a test
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

CPU_SECONDS = 5.0  # of one case; the slowest takes some twenty milliseconds on a quiet machine
MEMORY_MIB = 512  # by which all cases together may grow the process

ROOT = Path(__file__).resolve().parents[2]


def test_the_corpus_is_large_and_each_case_is_described() -> None:
    assert len(CASES) >= 120
    assert len(FAMILIES) >= 12
    assert all(len(family.cases) >= 4 for family in FAMILIES)
    assert len({case.key for case in CASES}) == len(CASES)
    for case in CASES:
        assert len(case.source) > 6, case.key
        assert len(case.target) > 3, case.key
        assert case.stops, case.key
        known = set(Code) | {"", "403", "406"}
        assert set(case.codes) <= known, case.key
        assert Code.OK not in case.codes, case.key


def test_at_least_as_many_families_can_be_run_without_a_broker() -> None:
    inside = [family for family in FAMILIES if any(case.where is not Where.OUTSIDE for case in family.cases)]
    assert len(inside) >= 12
    assert len(stateless()) >= 300


def test_pages_and_headings_that_sources_name_are_there() -> None:
    named = {
        one for case in CASES for one in re.findall(r"(docs/[a-z-]+\.md)(?:, ([A-Z][^;(]+))?", case.source)
    }
    assert len(named) >= 8
    for page, heading in sorted(named):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not heading or re.search(rf"^##+ {re.escape(heading.strip())}", text, re.MULTILINE), (
            page,
            heading,
        )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_is_refused_by_its_code(family: object) -> None:
    wrong = [
        (case.name, baseline()[case.key], case.codes)
        for case in stateless()
        if case.family == family.name and baseline()[case.key] not in case.codes  # type: ignore[attr-defined]
    ]
    assert wrong == []


def test_none_is_a_surprise_of_ours() -> None:
    assert [key for key, code in baseline().items() if code.startswith("surprise")] == []


def test_the_short_way_and_the_long_way_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature in its plain form is read by one look where its certificates are known; nothing may hang on that."""
    from relay.sandbox.attacks import Shot

    here = world()
    directory, warm = here.directory, here.verifier()
    for signer in (here.forge.signer(), here.forge.rsa()):
        assert answer(Shot(here.forge.sign(here.forge.unsigned(), signer)), here, warm, directory) == "OK"
    short = {case.key: answer(here.built[case.key][-1], here, warm, directory) for case in stateless()}
    monkeypatch.setattr(quick, "read", lambda *_args, **_how: None)
    long = answers(stateless(), here)
    assert short == long == baseline()


def test_the_other_engine_takes_none_of_them() -> None:
    """libxmlsec1 in the place of our arithmetic: it may give another reason, never another answer."""
    here = world()
    verifier, directory = DocumentVerifier(here.store(), engine=XmlsecEngine()), here.directory
    others = {
        case.key: got
        for case in stateless()
        if (got := answer(here.built[case.key][-1], here, verifier, directory)) != baseline()[case.key]
    }
    assert set(others.values()) <= {"DIGEST-MISMATCH", "SIGNATURE-INVALID"}
    assert len(others) <= 3


def test_what_needs_a_history_is_good_by_itself() -> None:
    """Replays are stopped by what was before: by themselves they are documents like any other."""
    here = world()
    for case in CASES:
        if case.outcome is Outcome.REPEATED:
            assert answers([case], here) == {case.key: "OK"}


def test_a_good_document_gets_through() -> None:
    here = world()
    verifier, directory = here.verifier(), here.directory
    from relay.sandbox.attacks import Shot

    assert answer(Shot(here.forge.good()), here, verifier, directory) == "OK"
    assert (
        answer(Shot(here.forge.sign(here.forge.unsigned(), here.forge.rsa())), here, verifier, directory)
        == "OK"
    )


def test_a_good_package_by_manifest_gets_through() -> None:
    from relay.sandbox.attacks import Shot
    from relay.sandbox.attacks.manifest import prepared, sealed

    here = world()
    body = sealed(here.forge, prepared(here.forge))
    assert answer(Shot(body), here, here.verifier(), here.directory) == "OK"


def test_a_right_answer_about_revocation_is_believed() -> None:
    """What the false ones are changed from: without it nothing would be shown by them."""
    from relay.sandbox.attacks import Shot
    from relay.sandbox.attacks.answers import answered, by_issuer

    here = world()
    body = answered(by_issuer)(here.forge)
    assert answer(Shot(body), here, here.verifier(), here.directory) == "OK"


def test_time_and_memory_are_bounded() -> None:
    here = world()
    verifier, directory = here.verifier(), here.directory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slow = []
    for case in stateless():
        began = time.process_time()
        answer(here.built[case.key][-1], here, verifier, directory)
        if time.process_time() - began > CPU_SECONDS:
            slow.append(case.key)
    assert slow == []
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEMORY_MIB * 1024


def test_the_forges_canonical_form_is_that_of_libxml2() -> None:
    """Two implementations that know nothing of each other: an attack must not fail for a fault of its own making."""
    forge = world().forge
    odd = (
        b'<?xml version="1.0"?>\n<!-- c --><?p q?>\n<a xmlns="urn:u" xmlns:b="urn:v" xmlns:c="urn:w" b:z="1" y="&lt;&#9;\r\n" a="\'">'
        b"<b:x xmlns:b='urn:v'/><d xmlns=''>&gt;<![CDATA[<&]]>&#13;<c:e xmlns:c='urn:x' c:f=''/></d><?p?><!-- --></a>\n<?r?>"
    )
    for body in (forge.unsigned(), forge.good(), odd):
        tree = etree.fromstring(body).getroottree()
        assert canonical(body) == etree.tostring(tree, method="c14n", exclusive=True, with_comments=False)
