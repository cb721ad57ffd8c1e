"""Which document is meant, by the order of resolution; ambiguity is told with its candidates."""

from __future__ import annotations

import pytest

from adapters.edxml.model import Package
from adapters.edxml.reader import read
from adapters.edxml.references import By, KnownDocument, Meant, meant
from adapters.edxml.sense import IdForm, form_of
from tests.support.edxml_corpus import DOC, REPLACE, REVOKE, STATUS, UPDATE, edited, el, status_text, without


def known(key: str, document_id: str, sender: str = "H53", number: str = "", day: str = "") -> KnownDocument:
    return KnownDocument(key, sender, document_id, number, day)


def package(text: str) -> Package:
    found = read(text.encode()).package
    assert found is not None
    return found


def one(text: str, *stored: KnownDocument) -> Meant:
    (answer,) = meant(package(text), stored)
    return answer


SIX = known("six", "H53,2026,6")
BARE = edited(REVOKE, (el("DocumentId", "H53,2026,6"), ""))


def test_a_new_document_means_no_other() -> None:
    assert meant(package(DOC), [SIX]) == ()


@pytest.mark.parametrize("text", [REVOKE, UPDATE])
def test_the_business_id_comes_first(text: str) -> None:
    answer = one(text, known("own", "H53,2026,7"), SIX, known("stranger's", "H53,2026,6", "H26"))
    assert (answer.by, answer.document, answer.ambiguous) == (By.BUSINESS_ID, SIX, False)


def test_then_the_own_id() -> None:
    own = known("own", "H53,2026,7")
    assert (one(BARE, own, SIX).by, one(BARE, own, SIX).document) == (By.OWN_ID, own)
    assert one(REVOKE, own).document == own  # the business id is unknown


def test_then_an_answered_document_of_the_same_sender() -> None:
    text = edited(
        BARE, (el("OrganId", "G22") + el("Code", "1/VPCP"), el("OrganId", "H53") + el("Code", "1/VPCP"))
    )
    answered = known("answered", "G22,2026,1")
    assert (one(text, answered).by, one(text, answered).document) == (By.RESPONSE_ID, answered)
    assert one(BARE, known("G22's", "G22,2026,1", "G22"), answered).document is None  # issued by G22


def test_then_number_and_date() -> None:
    same = known("same", "other", number="7/UBND-VP", day="2026/03/02")
    assert (one(BARE, same).by, one(BARE, same).document) == (By.NUMBER, same)
    assert one(BARE, known("later", "other", number="7/UBND-VP", day="2026/03/03")).document is None


def test_nothing_found_says_what_was_looked_for() -> None:
    answer = one(REVOKE)
    assert (answer.by, answer.wanted, answer.candidates, answer.ambiguous) == (
        By.BUSINESS_ID,
        "H53,2026,6",
        (),
        False,
    )


def test_ambiguity_lists_the_candidates() -> None:
    twin = known("twin", "H53,2026,6")
    answer = one(REVOKE, SIX, twin)
    assert answer.document is None
    assert answer.ambiguous
    assert answer.candidates == (SIX, twin)


def test_a_replacement_names_several() -> None:
    four, five = known("four", "H53,2026,4"), known("five", "H53,2026,5")
    answers = meant(package(REPLACE), [four, five, known("x", "H53,2026,5", "G22")])
    assert [(item.by, item.document) for item in answers] == [
        (By.REPLACEMENT_ID, five),
        (By.REPLACEMENT_ID, four),
    ]


def test_a_status_is_about_a_document_of_its_addressee() -> None:
    theirs = known("theirs", "H53,2026,7")
    assert one(STATUS, theirs, known("own", "H53,2026,7", "G22")).document == theirs


def test_a_take_back_is_about_a_document_of_the_reporter() -> None:
    own = known("own", "H53,2026,7", "G22")
    assert one(status_text("13", "gửi nhầm"), own, known("theirs", "H53,2026,7")).document == own


def test_number_and_date_narrow_an_id_that_is_not_unique() -> None:
    first = known("first", "H53,2026,7", number="7/UBND-VP", day="2025/03/02")
    second = known("second", "H53,2026,7", number="7/UBND-VP", day="2026/03/02")
    third = known("third", "H53,2026,7", number="8/UBND-VP", day="2026/03/02")
    assert one(STATUS, first, second, third).document == second
    assert one(without(STATUS, "PromulgationDate"), first, second, third).candidates == (first, second)


def test_a_status_by_number_alone() -> None:
    text = without(STATUS, "DocumentId")
    first = known("first", "a", number="7/UBND-VP", day="2025/03/02")
    second = known("second", "b", number="7/UBND-VP", day="2026/03/02")
    answer = one(text, first, second, known("x", "c", number="8/UBND-VP", day="2026/03/02"))
    assert (answer.by, answer.document) == (By.NUMBER, second)


def test_a_status_about_nothing_has_no_answer() -> None:
    from adapters.edxml.model import StatusHeader, StatusMessage

    (answer,) = meant(StatusMessage(message_header=StatusHeader()), [SIX])
    assert (answer.by, answer.candidates) == (None, ())


@pytest.mark.parametrize(
    ("document_id", "form"),
    [
        ("000.00.00.G22,2015/09/30,7816/VP-TTĐT", IdForm.CLASSIC),
        ("000.00.00.H01,2018,10", IdForm.YEARLY),
        ("H53,2026,7", IdForm.YEARLY),
        ("9fbfbad2-f1f8-4256-a2eb-50fb1061cddb", IdForm.UUID),
        ("18661", IdForm.LOCAL),
        ("H53-2026-7/UBND", IdForm.VENDOR),
        ("văn bản bảy", IdForm.OTHER),
        ("H53,hôm nay,7", IdForm.OTHER),
        ("a-2026-b", IdForm.OTHER),
    ],
)
def test_the_five_forms_of_document_ids(document_id: str, form: IdForm) -> None:
    assert form_of(document_id) is form
