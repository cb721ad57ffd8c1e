"""Base64 in pieces: strict, and the same whichever library decodes it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.trust import payload
from relay.trust.cut import cut


def plain(piece: Any) -> bytes:
    return binascii.a2b_base64(piece, strict_mode=True)


def decoded(text: bytes) -> bytes | None:
    try:
        return b"".join(payload.pieces(text))
    except payload.NotBase64Error:
        return None


@pytest.fixture(params=["as installed", "the interpreter's own"])
def each_decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "the interpreter's own":
        monkeypatch.setattr(payload, "_decode", plain)
        monkeypatch.setattr(payload, "_FAST", False)


@pytest.mark.usefixtures("each_decoder")
@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (b"", b""),
        (b" \r\n\t", b""),
        (b"QUJD", b"ABC"),
        (b"Q U\r\nJ\tD", b"ABC"),
        (b"QUI=", b"AB"),
        (b"QQ==", b"A"),
        (b"QQ= =\n", b"A"),
        (b"QUJDQQ==", b"ABCA"),
        (b"QQ", None),
        (b"QUI", None),
        (b"QUJDQ", None),
        (b"QR==", None),  # a second spelling of "A"
        (b"QUJ=", None),
        (b"QQ===", None),
        (b"QQ==QUJD", None),
        (b"Q===", None),
        (b"====", None),
        (b"=QUJ", None),
        (b"QU=D", None),
        (b"QUJD*", None),
        (b"QU-_", None),
        (b"QUJD\0", None),
        (b"QUJD\x0b", None),
        (b"QUJD\xc3\xa9", None),
    ],
)
def test_strict(text: bytes, octets: bytes | None) -> None:
    assert decoded(text) == octets


@pytest.mark.usefixtures("each_decoder")
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 1000])
@pytest.mark.parametrize("fold", [0, 3, 76])
def test_pieces_at_every_cut(monkeypatch: pytest.MonkeyPatch, size: int, fold: int) -> None:
    octets = bytes(index * 7 % 256 for index in range(size))
    text = base64.b64encode(octets)
    if fold:
        text = b"\r\n".join(text[at : at + fold] for at in range(0, len(text), fold)) + b"\n"
    for piece in (4, 8, 64, 4096):
        monkeypatch.setattr(payload, "_PIECE", piece)
        assert decoded(text) == octets
        assert payload.digest(memoryview(text), "sha384") == hashlib.sha384(octets).digest()
        if octets:
            assert decoded(text + b"QUJD") == (None if size % 3 else octets + b"ABC")
            assert decoded(text + b"*") is None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"QUJD", b"QQ==", b"Q", b"=", b" ", b"\n", b"*", b"AAAA", b"/+9z"]), max_size=8)
)
def test_both_decoders_say_the_same(parts: list[bytes]) -> None:
    text = b"".join(parts)
    first = decoded(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "_decode", plain)
        assert decoded(text) == first
    if first is not None:
        assert base64.b64encode(first) == b"".join(text.split())


@pytest.mark.usefixtures("each_decoder")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", True),
        (b"QUJD", True),
        (b"Q U\nJ\tD==A", True),
        (b"QUJD\r\n", False),
        (b"QU&D", False),
        (b"QUJD>", False),
        (b"QUJD\0", False),
        ("QUé".encode(), False),
    ],
)
def test_plain_text(text: bytes, expected: bool) -> None:
    assert payload.is_plain(text) is expected


def test_the_marks_of_a_body_are_its_own() -> None:
    """Who knew them could spell one where its stretch does not stand."""
    body = b"<a><b>" + b"QUJD" * 20_000 + b"</b><c>" + b"REVG" * 20_000 + b"</c></a>"
    first, second = cut(body), cut(body)
    assert first is not None
    assert second is not None
    assert len(first.texts) == len(second.texts) == 2
    assert not {*first.texts} & {*second.texts}
    assert first.skeleton != second.skeleton
    assert all(len(mark) >= 32 for mark in first.texts)
    assert first.filled(first.skeleton) == second.filled(second.skeleton) == body
