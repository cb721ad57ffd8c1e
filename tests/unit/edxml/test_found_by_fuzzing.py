"""Inputs that long fuzz runs found, each with what was wrong about it."""

from __future__ import annotations

import base64
import re
from datetime import date, datetime
from typing import Any

import pytest

from adapters.edxml.content import BytesSource
from adapters.edxml.oddities import Oddity
from adapters.edxml.reader import survey
from adapters.edxml.values import read_time
from adapters.edxml.walker import written
from relay.model.times import VIETNAM
from tests.fuzz.shown import fuzz_shown
from tests.fuzz.targets import Pieces, fuzz_package
from tests.support.edxml_corpus import CORPUS

PAYLOAD = re.compile(rb"(<(?:edXML:)?ContentTransferEncoded[^>]*>)[^<]*<")
PLAIN = next(
    case.body
    for case in CORPUS
    if b"<edXML:Timestamp>2026/03/02 08:30:00" in case.body and PAYLOAD.search(case.body)
)


@pytest.mark.parametrize("year", ["0098", "0001", "0999"])
def test_years_before_1000_keep_their_four_digits(year: str) -> None:
    """Seen: ``0098/03/02 08:30:00`` was written back as ``98/03/02 08:30:00``, which nobody can read."""
    body = PLAIN.replace(b"Timestamp>2026/03/02", f"Timestamp>{year}/03/02".encode())
    assert body != PLAIN
    assert not survey(body).faults
    fuzz_package(body)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(98, 3, 2, 8, 30, tzinfo=VIETNAM), "0098/03/02 08:30:00"),
        (date(98, 3, 2), "0098/03/02"),
        (datetime(2026, 3, 2, 8, 30, tzinfo=VIETNAM), "2026/03/02 08:30:00"),
    ],
)
def test_what_is_written_of_a_time_is_read_again(value: Any, text: str) -> None:
    assert written(value) == text


@pytest.mark.parametrize("fold", [b"\n", b"\r\n", b"\r"])
def test_folded_base64_is_told_however_the_package_comes(fold: bytes) -> None:
    """Seen: a carriage return alone in a payload that is cut out was no line end."""
    long = base64.b64encode(b"x" * 600)
    body = PAYLOAD.sub(rb"\g<1>" + long[:400] + fold + long[400:] + b"<", PLAIN, count=1)
    for source in (BytesSource(body), Pieces(body)):
        found = [one.oddity for one in survey(source).findings]
        assert Oddity.BASE64_FOLDED in found


def test_an_early_year_with_an_offset_is_read() -> None:
    value, _ = read_time("0098-03-02T08:30:00+08:00")
    assert value == datetime(98, 3, 2, 7, 30, tzinfo=VIETNAM)


@pytest.mark.parametrize("code", ["68\n%P", "01\u202e", "0\t1"])
def test_the_title_of_a_status_is_one_line(code: str) -> None:
    """Seen: a line break in a StatusCode broke the first line of the page in two."""
    status = next(case.body for case in CORPUS if b"<edXML:StatusCode>" in case.body)
    body = re.sub(rb"(<edXML:StatusCode>)[^<]*<", rb"\g<1>" + code.encode() + b"<", status)
    assert body != status
    fuzz_shown(body)
