"""Verdicts on attachments: as the section of a receipt, and in words of both languages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest

import adapters.pdf
import relay.keeper.inspect
from relay.errors import RefusedError
from relay.evidence import attachments, receipts
from relay.model.inspection import (
    AttachmentSignature,
    AttachmentVerdict,
    CertificateState,
    Finding,
    InspectionResult,
    Integrity,
    Later,
    Vouched,
    Whose,
    worst,
)
from tests.support.verdicts import ATTACHMENTS, LEADER
from tests.unit.evidence.test_receipts import BASE

# Words that the judge and the keeper give as reasons stand as literals in these files.
SOURCES = [
    *Path(adapters.pdf.__path__[0]).glob("*.py"),
    Path(relay.keeper.inspect.__file__),
]


def told(*verdicts: AttachmentVerdict) -> bytes:
    return receipts.write(replace(BASE, attachments=verdicts))


def test_what_is_written_is_read() -> None:
    assert receipts.read(told(*ATTACHMENTS)).attachments == ATTACHMENTS
    assert receipts.read(told()).attachments == ()


def test_a_foreign_name_is_one_bounded_line() -> None:
    odd = replace(LEADER, name="a\n\u202eb\x00" + "x" * 900, signer="", organisation="\t")
    verdict = replace(ATTACHMENTS[0], name="hai\ndòng\u202efdp.exe", signatures=(odd,))
    (read,) = receipts.read(told(verdict)).attachments
    assert read.name == "hai dòngfdp.exe"
    assert read.signatures[0].name == "a b" + "x" * 197 + "…"
    assert read.signatures[0].organisation == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'legacy="false"', b'legacy="odd"'),
        (b'kind="pdf"', b'kind="odd"'),
        (b'integrity="intact"', b'integrity="odd"'),
    ],
)
def test_a_section_that_is_not_one_is_refused(old: bytes, new: bytes) -> None:
    octets = told(ATTACHMENTS[0])
    assert old in octets
    octets = octets.replace(old, new)
    with pytest.raises(RefusedError):
        receipts.read(octets)


def test_each_word_of_the_model_has_words_for_people() -> None:
    keys = [
        *(f"finding.{one.value}" for one in Finding),
        *(f"integrity.{one.value}" for one in Integrity),
        *(f"certificate.{one.value}" for one in CertificateState),
        *(f"time.{one.value}" for one in Vouched),
        *(f"later.{one.value}" for one in Later if one is not Later.NOTHING),
        *(f"whose.{one.value}" for one in Whose),
        *(f"result.{one.value}" for one in InspectionResult),
    ]
    for key in keys:
        for language in attachments.LANGUAGES:
            assert attachments.texts()[key][language]


def test_each_reason_of_the_words_is_one_that_is_given() -> None:
    given = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    given += Path(receipts.__file__).parents[1].joinpath("model/inspection.py").read_text(encoding="utf-8")
    reasons = [key.partition(".")[2] for key in attachments.texts() if key.startswith(("reason.", "detail."))]
    assert [one for one in reasons if f'"{one}"' not in given] == []


def test_both_languages_leave_the_same_blanks() -> None:
    for key, both in attachments.texts().items():
        blanks = [sorted(name for _, name, _, _ in Formatter().parse(text) if name) for text in both.values()]
        assert blanks[0] == blanks[1], key


def test_what_a_broken_signature_says_is_not_repeated_as_true() -> None:
    broken = replace(LEADER, integrity=Integrity.BROKEN, reason="digest")
    said = attachments.of_signature(broken, "vi")
    assert said.startswith("Chữ ký mang tên Trần Thị Mẫu: CHỮ KÝ KHÔNG ĐÚNG")
    assert "hiệu lực" not in said
    assert "bên gửi" not in said


def test_the_worst_of_several_is_what_all_come_to() -> None:
    assert worst(()) is InspectionResult.NOTHING
    assert worst(ATTACHMENTS) is InspectionResult.ALTERED
    assert worst(ATTACHMENTS[1:]) is InspectionResult.UNJUDGED
    doubtful = AttachmentSignature(Integrity.INTACT, CertificateState.EXPIRED)
    assert replace(ATTACHMENTS[0], signatures=(LEADER,), more=0).result is InspectionResult.GOOD
    assert replace(ATTACHMENTS[0], signatures=(LEADER, doubtful), more=0).result is InspectionResult.DOUBTFUL
    assert replace(ATTACHMENTS[0], signatures=(LEADER,), more=1).result is InspectionResult.DOUBTFUL
