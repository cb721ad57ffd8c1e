"""What the hardened parser refuses, by code, and in which time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Code, RefusedError
from relay.model.verdict import ParseLimits
from relay.trust import parse as parsing
from relay.trust.parse import parse

ROOT = "{urn:t}r"
LIMITS = ParseLimits(max_bytes=200_000, max_depth=8, max_elements=100, max_attributes=5, max_text=1000)


def refused(body: bytes, limits: ParseLimits = LIMITS) -> Code:
    with pytest.raises(RefusedError) as caught:
        parse(body, ROOT, frozenset({"{urn:t}bulk"}), limits)
    return caught.value.code


def inside(inner: bytes) -> bytes:
    return b'<r xmlns="urn:t">' + inner + b"</r>"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.EMPTY_BODY),
        (b"   ", Code.NOT_XML),
        (b"hello", Code.NOT_XML),
        (b"%PDF-1.7", Code.NOT_XML),
        (b"<r", Code.NOT_XML),
        (b"<r xmlns='urn:t'><a></r>", Code.NOT_XML),
        (b"<r xmlns='urn:t'/><r/>", Code.NOT_XML),
        (b"<r xmlns='urn:t'/>\0", Code.NOT_XML),
        (b"<r xmlns='urn:t'>\0</r>", Code.NOT_XML),
        (b"<r xmlns='urn:t'><p:a/></r>", Code.NOT_XML),
        (b"<r xmlns='urn:t'>&foo;</r>", Code.NOT_XML),
        (b"<r xmlns='urn:t' a='1' a='2'/>", Code.NOT_XML),
        (b"<![CDATA[x]]><r xmlns='urn:t'/>", Code.NOT_XML),
        (b"<!--", Code.NOT_XML),
        (b"<?xml version='1.0'", Code.NOT_XML),
        (b"<?xml version='1.1'?><r xmlns='urn:t'/>", Code.NOT_XML),
        (b"x" * 200_001, Code.TOO_LARGE),
        ("<r xmlns='urn:t'/>".encode("utf-16"), Code.NOT_UTF8),
        ("<r xmlns='urn:t'/>".encode("utf-16-le"), Code.NOT_UTF8),
        ("<r xmlns='urn:t'/>".encode("utf-16-be"), Code.NOT_UTF8),
        ("<r xmlns='urn:t'/>".encode("utf-32"), Code.NOT_UTF8),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?><r xmlns='urn:t'/>", Code.NOT_UTF8),
        (b"<?xml version='1.0' encoding='UTF-7'?><r xmlns='urn:t'/>", Code.NOT_UTF8),
        (b"<?xml version='1.0' encoding=\"windows-1258\"?><r xmlns='urn:t'/>", Code.NOT_UTF8),
        (inside(b"\xff"), Code.NOT_UTF8),
        (inside(b"\xc0\xbc"), Code.NOT_UTF8),
        (inside(b"\xed\xa0\x80"), Code.NOT_UTF8),
        (b"<!DOCTYPE r><r xmlns='urn:t'/>", Code.DTD_FORBIDDEN),
        (b"<!DOCTYPE r SYSTEM 'http://127.0.0.1:9/x.dtd'><r xmlns='urn:t'/>", Code.DTD_FORBIDDEN),
        (b"<!-- <a> --><?x <a?>\n<!DOCTYPE r><r xmlns='urn:t'/>", Code.DTD_FORBIDDEN),
        (b"<!DOCTYPE r [<!ENTITY a 'b'>]><r xmlns='urn:t'>&a;</r>", Code.ENTITY_FORBIDDEN),
        (b"<!DOCTYPE r [<!ENTITY % a SYSTEM 'file:///etc/passwd'>%a;]><r/>", Code.ENTITY_FORBIDDEN),
        (inside(b"<?php x?>"), Code.PI_FORBIDDEN),
        (inside(b"<a>H<!-- -->53</a>"), Code.COMMENT_IN_TEXT),
        (inside(b"<a><!-- -->H53</a>"), Code.COMMENT_IN_TEXT),
        (inside(b"<a>H53<!-- --></a>"), Code.COMMENT_IN_TEXT),
        (inside(b"<bulk>QUJD<!-- -->QUJD</bulk>"), Code.COMMENT_IN_TEXT),
        (inside(b"<a>x<b/><!-- --></a>"), Code.COMMENT_IN_TEXT),
        (inside(b"<a>" * 8 + b"</a>" * 8), Code.TOO_DEEP),
        (inside(b"<a/>" * 100), Code.TOO_COMPLEX),
        (inside(b"<a/>" * 20_000), Code.TOO_COMPLEX),
        (inside(b"<a b='' c='' d='' e='' f='' g=''/>"), Code.TOO_COMPLEX),
        (inside(b"<a>" + b"x" * 1001 + b"</a>"), Code.TOO_COMPLEX),
        (inside(b"<a>" + b"x" * 600 + b"<b/>" + b"x" * 600 + b"</a>"), Code.TOO_COMPLEX),
        (inside(b"<a b='" + b"x" * 1001 + b"'/>"), Code.TOO_COMPLEX),
        (inside(b"=" * 101), Code.TOO_COMPLEX),
        (b"<s xmlns='urn:t'/>", Code.WRONG_ROOT),
        (b"<r/>", Code.WRONG_ROOT),
        (b"<r xmlns='urn:u'/>", Code.WRONG_ROOT),
    ],
)
def test_refusals(body: bytes, code: Code) -> None:
    assert refused(body) is code


@pytest.mark.parametrize(
    "body",
    [
        b"<r xmlns='urn:t'/>",
        b"\xef\xbb\xbf<r xmlns='urn:t'/>",
        b"<?xml version='1.0' encoding='utf-8' standalone='yes'?>\r\n<!-- c --><?pi?><r xmlns='urn:t'/><!-- c --><?pi?>\n",
        b'<?xml version="1.0" encoding="UTF-8"?><p:r xmlns:p="urn:t"/>',
        b"<?xml version='1.0'?>"
        + inside(b"<!-- <!DOCTYPE r> --><a><![CDATA[<!DOCTYPE x [<!ENTITY]]></a>\n<!-- -->"),
        inside(b"<a>" * 7 + b"</a>" * 7),
        inside(b"<a/>" * 99),
        inside(b"<a b='' c='' d='' e='' f=''/>"),
        inside(b"<a>" + b"x" * 1000 + b"</a>"),
        inside(b"<bulk>" + b"A" * 100_000 + b"</bulk>"),
        inside("<a>ă &#259; &amp; ă</a>".encode()),
    ],
)
def test_what_is_taken(body: bytes) -> None:
    assert parse(body, ROOT, frozenset({"{urn:t}bulk"}), LIMITS).tag == ROOT


def test_depth_beyond_the_parsers_own_bound() -> None:
    limits = ParseLimits(max_bytes=10**8)
    assert refused(inside(b"<a>" * 3000), limits) is Code.TOO_DEEP
    assert refused(inside(b"<a>" * 3000 + b"</a>" * 3000), limits) is Code.TOO_DEEP


def test_bulk_beyond_ten_megabytes_is_taken() -> None:
    body = inside(b"<bulk>" + b"A" * 11_000_000 + b"</bulk>")
    assert parse(body, ROOT, frozenset({"{urn:t}bulk"}), ParseLimits()).tag == ROOT


@pytest.mark.parametrize(
    "body",
    [
        inside(b"<a/>" * 4_000_000),
        inside(b"<a " + b" ".join(b"a%d=''" % i for i in range(300_000)) + b"/>"),
        inside(b"<a " + b" ".join(b"xmlns:a%d='u:%d'" % (i, i) for i in range(19_000)) + b"/>"),
        inside(b"<a>" * 2_000_000),
        b"<!--" * 2_000_000,
        b"<?" * 2_000_000,
        b" " * 8_000_000,
        b"<" * 8_000_000,
        b"&" * 8_000_000,
    ],
)
def test_attacks_are_answered_in_time(body: bytes) -> None:
    start = time.process_time()
    try:
        parse(body, ROOT, frozenset(), ParseLimits())
    except RefusedError:
        pass
    assert time.process_time() - start < 10.0


@given(
    st.lists(st.sampled_from([b"<", b"=", b"<!--", b"<?", b"<!", b"a", b"=="]), max_size=60),
    st.integers(0, 40),
)
def test_large_bodies_are_counted_like_small_ones(pieces: list[bytes], position: int) -> None:
    body = b"".join(pieces)
    large = b"A" * parsing._LARGE + body
    small = parsing._counted(body, position, LIMITS)
    counted = parsing._counted(large, parsing._LARGE + position, LIMITS)
    assert counted == small._replace(size=len(large), markup=body.count(b"<"))
    assert small.markup >= body.count(b"<")  # an upper bound does where it stays below the limit


def test_markup_of_small_bodies_is_counted_where_it_could_be_too_much() -> None:
    body = b'<r xmlns="urn:t">' + b"<b/>" * 60 + b"text" * 100 + b"</r>"
    parse(body, ROOT, frozenset(), ParseLimits(max_elements=61))
    assert refused(body, ParseLimits(max_elements=60)) is Code.TOO_COMPLEX
    assert refused(body, ParseLimits(max_elements=15)) is Code.TOO_COMPLEX


def test_texts_are_bounded_one_by_one_and_with_what_stands_around_comments() -> None:
    limits = ParseLimits(max_text=20)
    assert refused(b'<r xmlns="urn:t">' + b"<b>" + b"x" * 21 + b"</b></r>", limits) is Code.TOO_COMPLEX
    assert refused(b'<r xmlns="urn:t"><b a="' + b"x" * 21 + b'"/></r>', limits) is Code.TOO_COMPLEX
    parse(b'<r xmlns="urn:t">' + b"<b>xxxxxxxxxxxxxxx</b>" * 5 + b"</r>", ROOT, frozenset(), limits)
    between = b" " * 12
    assert (
        refused(b'<r xmlns="urn:t">' + between + b"<!-- c -->" + between + b"</r>", limits)
        is Code.TOO_COMPLEX
    )


@pytest.mark.parametrize("piece", [b"<", b"=", b"<!--"])
def test_a_large_body_of_nothing_but_markup_is_refused_at_once(piece: bytes) -> None:
    body = b'<r xmlns="urn:t">' + piece * (12_000_000 // len(piece))
    started = time.process_time()
    assert refused(body, ParseLimits(max_bytes=20_000_000)) is Code.TOO_COMPLEX
    assert time.process_time() - started < 10


@given(
    st.integers(parsing._LARGE - 6, parsing._LARGE + 2),
    st.sampled_from(
        [*(text.encode() for text in ("ệ", "a", "€", "😀")), b"\xe1\xbb", b"\xff", b"\xed\xa0\x80"]
    ),
    st.sampled_from([b"", b"A" * parsing._LARGE, "ộ".encode()]),
)
def test_letters_across_pieces_are_judged_like_the_whole(before: int, letter: bytes, after: bytes) -> None:
    body = b"A" * before + letter + after
    try:
        body.decode("utf-8")
        right = ""
    except UnicodeDecodeError as error:
        right = f"byte {error.start} is not UTF-8"
    if not right:
        parsing.check_letters(body)
        return
    with pytest.raises(RefusedError) as caught:
        parsing.check_letters(body)
    assert (caught.value.code, caught.value.detail) == (Code.NOT_UTF8, right)
