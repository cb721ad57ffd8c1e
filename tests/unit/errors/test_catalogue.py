"""The catalogue: complete, in both languages, and honest about who can mend what."""

from __future__ import annotations

import unicodedata
from typing import get_args

import pytest
import yaml

from relay.errors import Code
from relay.errors.catalogue import Language, Owner, catalogue, entry
from relay.resources import shipped

TRANSIENT = {Code.BODY_LOST, Code.UNDELIVERABLE, Code.QUEUE_FULL, Code.NO_CONFIRM, Code.UNROUTABLE}


def test_each_code_has_one_entry_and_no_entry_is_unknown() -> None:
    raw = yaml.safe_load(shipped("config/errors.yaml").read_text(encoding="utf-8"))
    assert set(raw) == {code.value for code in Code}
    assert set(catalogue()) == set(Code)


def test_no_key_stands_twice() -> None:
    lines = shipped("config/errors.yaml").read_text(encoding="utf-8").splitlines()
    keys = [line.rstrip(":") for line in lines if line and line[0] not in " #"]
    assert len(keys) == len(set(keys)) == len(Code)


@pytest.mark.parametrize("code", list(Code))
def test_texts_are_whole_sentences_in_both_languages(code: Code) -> None:
    one = entry(code)
    assert one.code is code
    assert one.owner in get_args(Owner)
    for texts in (one.message, one.remedy):
        assert set(texts) == set(get_args(Language))
        for text in texts.values():
            assert text == text.strip()
            assert text.endswith(".")
            assert unicodedata.normalize("NFC", text) == text
            assert "\n" not in text
        assert texts["vi"] != texts["en"]
        assert not texts["vi"].isascii(), "Vietnamese is written with its diacritics"


def test_what_passes_is_retryable_and_a_bad_signature_is_not() -> None:
    assert all(entry(code).retryable for code in TRANSIENT)
    assert not any(
        entry(code).retryable for code in (Code.SIGNATURE_INVALID, Code.STATE_SECRET, Code.ID_REUSED)
    )
