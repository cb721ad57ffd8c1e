"""As of when a file is judged, by evidence; the command's own tests hold it against real time-stamps and certificates."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from relay.errors import Code, RefusedError
from relay.evidence.headlist import HeadReader
from relay.evidence.judging import Checked, StampSeen, check_case
from relay.evidence.said import Said
from relay.evidence.synthetic import relay_key
from relay.evidence.vouching import material, vouching
from relay.model.verdict import TimeSource
from tests.support.evidencecase import RECEIPT, small_case

KEY = relay_key("truc-a")
READER = HeadReader(None, frozenset({KEY.sha256}))
AT = datetime(2026, 1, 6, tzinfo=UTC)
SHA256 = hashlib.sha256(RECEIPT).hexdigest()


def checked(reader: HeadReader = READER) -> Checked:
    return check_case(small_case(KEY)[1], reader)


def code_of(found: Checked, sha256: str = SHA256) -> Code:
    with pytest.raises(RefusedError) as caught:
        vouching(found, sha256)
    return caught.value.code


def test_a_receipt_is_bound_by_its_own_record() -> None:
    found = vouching(checked(), SHA256)
    assert (found.kind, found.source, found.relay) == ("receipt", TimeSource.RECORD, "truc-a")
    assert found.at == found.accepted_at


def test_the_earliest_time_stamp_counts() -> None:
    stamps = tuple(StampSeen(1, AT + timedelta(hours=hours), f"CN={hours}") for hours in (3, 1, 2))
    found = vouching(replace(checked(), time_stamps=stamps), SHA256)
    assert (found.source, found.at, found.authority) == (
        TimeSource.TIME_STAMP,
        AT + timedelta(hours=1),
        "CN=1",
    )


def test_one_over_a_head_that_is_not_in_the_row_counts_for_nothing() -> None:
    found = vouching(replace(checked(), time_stamps=(StampSeen(7, AT, "CN=1"),)), SHA256)
    assert found.source is TimeSource.RECORD


def test_what_shows_nothing() -> None:
    assert code_of(checked(), "ab" * 32) is Code.NOT_ON_RECORD
    assert code_of(checked(HeadReader(None))) is Code.NOT_ON_RECORD, "nobody vouches for who signed"
    assert code_of(replace(checked(), faults=(Said("unbound-receipt"),))) is Code.EVIDENCE_BROKEN


def test_what_cannot_be_read_in_a_case_is_left_out() -> None:
    case = small_case(KEY)[1]
    broken = replace(case, certificates=(b"x",), revocation_lists=(b"x",), ocsp_answers=(b"x",))
    assert material(broken) == ([], [], [])
