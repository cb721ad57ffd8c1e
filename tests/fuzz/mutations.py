"""Seeds and mutations for fuzzing without coverage: repeatable, from a seed alone."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from tests.fuzz import evidence, inspection, material, stamped
from tests.fuzz.signature import TOKENS, change_elements, signature_seeds
from tests.support.edxml_corpus import CORPUS, PDF, TEXT, archive

_TOKENS: Final = tuple(
    token.encode()
    for token in (
        *(
            "<edXML:To>",
            "</edXML:To>",
            "<edXML:OrganId>",
            "</edXML:OrganId>",
            "<edXML:StatusCode>01</edXML:StatusCode>",
        ),
        *(
            "<edXML:Bussiness>",
            "<edXML:Business>",
            "<BussinessDocType>3</BussinessDocType>",
            "xmlns=''",
            "edXML:",
            "&amp;",
        ),
        *(
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "&#13;",
            "&#x0;",
            "<?x?>",
            "<!DOCTYPE a>",
            "@payload:0@",
            "null",
            "N/A",
        ),
        *(
            "<ContentTransferEncoded>",
            "</ContentTransferEncoded>",
            "<AttachmentEncoded>",
            "cid:",
            "\u202e",
            "\ufffd",
        ),
        *(
            "2026/02/30",
            "30/10/2020",
            "-1",
            "999999999999",
            "000.00.00.H53",
            "H53.31.20",
            " ",
            "\n",
            "\t",
            "=",
            "PK",
        ),
    )
)
_CODES: Final = (
    *("H53.31.20", "000.20.31.H53", "28.22.H17", "Z01.A7", "0101234567-001", "2026/03/02", "30/10/2020"),
    *(
        "2026-03-02T08:30:00+07:00",
        "000.00.00.G22,2015/09/30,7816/VP",
        "9fbfbad2-f1f8-4256-a2eb-50fb1061cddb",
        "true",
    ),
)


_SEEDS: Final[dict[str, Callable[[], tuple[bytes, ...]]]] = {
    "recognise": inspection.seeds,
    "pdf": inspection.pdf_seeds,
    "time-stamp": stamped.stamp_seeds,
    "edition": stamped.edition_seeds,
    "proof-of-key": stamped.proof_seeds,
}
_TOKENS_OF: Final = {
    "signature": TOKENS,
    "recognise": inspection.TOKENS,
    "pdf": inspection.PDF_TOKENS,
    "time-stamp": stamped.DER_TOKENS,
    "edition": stamped.JSON_TOKENS,
}


@cache
def seeds(target: str) -> tuple[bytes, ...]:
    """Return where a target's inputs start from."""
    if target == "evidence":
        return evidence.seeds()
    if target in {"revocation-list", "ocsp-answer", "certificate"}:
        return material.seeds(target)
    if target == "signature":
        return signature_seeds()
    if target in _SEEDS:
        return _SEEDS[target]()
    if target == "code":
        return tuple(code.encode() for code in _CODES)
    if target == "attachment":
        bodies = (PDF, TEXT, archive(("a.txt", TEXT)), archive(("a.txt", b"\0" * 90_000)), b"")
        found = [b"a.txt\n" + base64.b64encode(body) for body in bodies]
        starts = (
            *(
                b"MZ" + b"\0" * 58 + b"\x40\0\0\0",
                b"BM" + b"\0" * 20,
                b"\x89PNG\r\n\x1a\n",
                b"\xff\xd8\xff\xe0",
            ),
            *(
                b"<html>",
                b"\xef\xbb\xbf<?xml version='1.0'?>",
                b"{\\rtf1",
                b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            ),
        )
        found += [b"a.docx\n" + base64.b64encode(start + TEXT) for start in starts]
        found += [
            b"con.pdf\n" + base64.b64encode(archive(("9fbfbad2-f1f8-4256-a2eb-50fb1061cddb", PDF))),
            b"a.txt\n" + base64.b64encode(archive(("../a.txt", TEXT))),
            b"a.txt\n" + base64.b64encode(archive(("a.txt", archive(("b.txt", TEXT))))),
            b"a.pdf\n" + base64.b64encode(PDF + "\ufffd".encode() * 80),
            b"a.txt\nQUJD\r\nREVG\tQQ",
        ]
        return tuple(
            found + [b"a.pdf\n" + body for body in bodies] + [b"\xe2\x80\xae../con.zip\n" + bodies[2]]
        )
    small = [case.body for case in CORPUS if len(case.body) < 12_000]
    if target == "status":
        return tuple(body for body in small if b"StatusCode" in body)
    return tuple(small)


def inputs(target: str, seed: int) -> Iterator[bytes]:
    """Yield inputs without end: seeds changed in a few places, and seeds crossed with each other."""
    rng = random.Random(zlib.crc32(target.encode()) + seed)
    pool = seeds(target)
    tokens = _TOKENS_OF.get(target, _TOKENS)
    while True:
        body = bytearray(rng.choice(pool))
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            if target == "signature" and rng.random() < 0.7:
                change_elements(body, rng)
            else:
                _change(body, rng, pool, tokens)
        yield bytes(body)


def signature_mutated(data: bytes, most: int, seed: int) -> bytes:
    """Return an input of the target ``signature`` with whole elements changed; for a fuzzer that mutates bytes alone."""
    rng = random.Random(seed)
    body = bytearray(data or rng.choice(seeds("signature")))
    for _ in range(rng.choice((1, 1, 2, 3))):
        change_elements(body, rng)
    return bytes(body[:most])


def _change(body: bytearray, rng: random.Random, pool: tuple[bytes, ...], tokens: tuple[bytes, ...]) -> None:
    at = rng.randrange(len(body) + 1)
    end = min(len(body), at + rng.choice((0, 1, 1, 2, 8, 60, 400)))
    how = rng.randrange(7)
    if how == 0:
        del body[at:end]
    elif how == 1:
        body[at:end] = rng.randbytes(rng.choice((1, 1, 2, 8)))
    elif how == 2:
        body[at:at] = rng.choice(tokens)
    elif how == 3:
        body[at:at] = body[at:end] * rng.choice((1, 2, 30))
    elif how == 4:
        other = rng.choice(pool)
        start = rng.randrange(len(other) + 1)
        body[at:end] = other[start : start + 300]
    elif how == 5 and body:
        body[at % len(body)] ^= 1 << rng.randrange(8)
    else:
        _swap_elements(body, rng)


def _swap_elements(body: bytearray, rng: random.Random) -> None:
    """Exchange two stretches that begin with a tag: well-formed more often than other changes."""
    starts = [index for index in range(len(body)) if body[index] == 60]
    if len(starts) < 4:
        return
    first, second, third, fourth = sorted(rng.sample(starts, 4))
    body[first:fourth] = body[third:fourth] + body[second:third] + body[first:second]
