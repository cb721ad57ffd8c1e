"""Documents are found by what stands on them: number, document id, sender, day."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest

from relay.errors import Code, OperationError
from relay.model.message import Kind
from relay.model.ports import Registry
from relay.model.record import Document
from relay.operate.finding import found
from tests.support.registry import START, Maker

NUMBER = "123/QĐ-UBND"


@pytest.fixture
def known(registry: Registry, make: Maker) -> Registry:
    registry.claim(
        [
            make.claim("first", code=NUMBER, document_id="H26,2026,1"),
            make.claim("second", code=NUMBER, document_id="H29,2026,1", sender="H29"),
            make.claim("third", code=NUMBER, promulgation_date="2025-03-01", document_id="H26,2025,1"),
            make.claim("bare", code="124/", document_id="H26,2026,2"),
            make.claim("other", code="124/CV", document_id="H26,2026,3", refusal=Code.UNKNOWN_RECIPIENT),
        ],
        "w1",
        START,
    )
    return registry


def ids(documents: list[Document]) -> list[str]:
    return [one.document_id for one in documents]


def test_by_number_the_newest_first(known: Registry) -> None:
    assert ids(found(known, number=NUMBER)) == ["H26,2025,1", "H29,2026,1", "H26,2026,1"]
    assert ids(found(known, number=NUMBER, limit=2)) == ["H26,2025,1", "H29,2026,1"]
    assert ids(found(known, number=f" {unicodedata.normalize('NFD', NUMBER)} ")) == ids(
        found(known, number=NUMBER)
    )


def test_sender_and_day_narrow_it(known: Registry) -> None:
    assert ids(found(known, number=NUMBER, sender="H29")) == ["H29,2026,1"]
    assert ids(found(known, number=NUMBER, on=date(2026, 3, 1), sender="H26")) == ["H26,2026,1"]
    assert ids(found(known, number=NUMBER, on=date(2025, 3, 1))) == ["H26,2025,1"]


def test_a_number_without_a_notation_is_that_number_alone(known: Registry) -> None:
    assert ids(found(known, number="124")) == ["H26,2026,2"]


def test_by_document_id_what_was_refused_too(known: Registry) -> None:
    (one,) = found(known, document_id="H26,2026,3")
    assert one.refusal is Code.UNKNOWN_RECIPIENT
    with pytest.raises(OperationError) as caught:
        found(known, document_id="H26,2026,3", number=NUMBER)
    assert (caught.value.code, caught.value.detail) == (Code.NOT_FOUND, f"{NUMBER} H26,2026,3")


def test_statuses_are_no_documents(registry: Registry, make: Maker) -> None:
    registry.claim([make.claim("s", kind=Kind.STATUS, status_code="01", code=NUMBER)], "w1", START)
    with pytest.raises(OperationError):
        found(registry, number=NUMBER)
