"""Each file with what a clerk reads of it, in both languages. Judged as in production: by the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.pdf.inspector import PdfInspector
from relay.evidence import attachments
from relay.model.inspection import (
    AttachmentVerdict,
    CertificateState,
    Finding,
    Integrity,
    Later,
    Vouched,
    Whose,
)
from tests.support import pdfs
from tests.unit.pdf.cases import CASES

EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("expected.yaml").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PdfInspector]:
    made = pdfs.inspector(tmp_path_factory.mktemp("material"))
    yield made
    made.close()


def judged(inspector: PdfInspector, name: str) -> AttachmentVerdict:
    return inspector.inspect(CASES[name](), "a.pdf", pdfs.NOW)


@pytest.mark.parametrize("name", CASES)
def test_what_a_clerk_reads(inspector: PdfInspector, name: str) -> None:
    verdict = judged(inspector, name)
    read: dict[str, object] = {"result": verdict.result.value}
    for language in attachments.LANGUAGES:
        read[language] = list(attachments.lines(verdict, language))
    assert read == EXPECTED[name]


def test_no_expectation_is_left_over() -> None:
    assert EXPECTED.keys() == CASES.keys()
    assert len(CASES) >= 30


def test_the_facts_behind_the_words(inspector: PdfInspector) -> None:
    leader, agency, stamp = judged(inspector, "leader and agency, time-stamp over both").signatures
    assert (leader.whose, agency.whose) == (Whose.LEADER, Whose.AGENCY)
    assert (leader.name, leader.organisation) == (pdfs.LEADER, pdfs.AGENCY)
    assert "Chủ tịch" in leader.signer
    assert leader.vouched is agency.vouched is Vouched.TIME_STAMP
    assert leader.at == pdfs.NOW - pdfs.DAY
    assert (leader.later, agency.later, stamp.later) == (Later.SIGNATURES, Later.ARCHIVE, Later.NOTHING)
    assert (leader.covers_all, stamp.covers_all) == (False, True)
    assert stamp.time_stamp
    assert leader.algorithm == "ecdsa-sha256"
    assert leader.revocation_known
    assert agency.certificate_sha256 == pdfs.sha256(pdfs.office().agency)


@pytest.mark.parametrize(
    ("name", "state", "legacy"),
    [
        ("SHA-1 before the date", CertificateState.VALID, True),
        ("SHA-1, claims to be old", CertificateState.UNSUITABLE, True),
        ("expired at signing", CertificateState.EXPIRED, False),
        ("revoked, claims to be older", CertificateState.REVOKED, False),
        ("of a stranger", CertificateState.UNTRUSTED, False),
    ],
)
def test_certificates(inspector: PdfInspector, name: str, state: CertificateState, legacy: bool) -> None:
    (signature,) = judged(inspector, name).signatures
    assert (signature.certificate, signature.legacy) == (state, legacy)
    assert signature.integrity is Integrity.INTACT
    assert signature.good is (state is CertificateState.VALID)


def test_without_a_revocation_list_that_is_said(tmp_path: Path) -> None:
    anchors, _ = pdfs.office().write(tmp_path)
    bare = pdfs.inspector(tmp_path, lists=())
    try:
        (signature,) = bare.inspect(CASES["good"](), "a.pdf", pdfs.NOW).signatures
    finally:
        bare.close()
    assert anchors
    assert (signature.certificate, signature.revocation_known) == (CertificateState.VALID, False)
    assert "danh sách thu hồi" in attachments.of_signature(signature, "vi")


def test_more_signatures_than_are_judged_are_counted(tmp_path: Path) -> None:
    few = pdfs.inspector(tmp_path, signatures=1)
    try:
        verdict = few.inspect(CASES["leader and agency"](), "a.pdf", pdfs.NOW)
    finally:
        few.close()
    assert (verdict.finding, len(verdict.signatures), verdict.more) == (Finding.SIGNED, 1, 1)
    assert verdict.result.value == "doubtful"
    assert "1 further signatures were not checked" in attachments.of_attachment(verdict, "en")
