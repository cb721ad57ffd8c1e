"""The files that are judged: how each is made. What a clerk reads of each stands in ``expected.yaml`` beside this."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, reduce
from typing import Final

from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter

from tests.support import pdfs
from tests.support.pdfs import DAY, NOW, THEN, YEAR, office, plain, signed

RECENT: Final = NOW - DAY


@cache
def good() -> bytes:
    return signed(plain())


@cache
def by_both() -> bytes:
    """First the leader, then the agency, as it is done."""
    return signed(signed(plain(), office().leader), office().agency, field="Sig2")


def first_page_content(content: bytes) -> int:
    found = re.search(rb"/Contents (\d+) 0 R", content)
    assert found is not None
    return int(found.group(1))


def sha1(**more: object) -> bytes:
    return signed(plain(), office().rsa, digest="sha1", **more)  # type: ignore[arg-type]


CASES: Final[dict[str, Callable[[], bytes]]] = {
    # good
    "good": good,
    "good, cross-reference streams": lambda: signed(plain(streams=True)),
    "good, PAdES": lambda: signed(plain(), subfilter=SigSeedSubFilter.PADES),
    "good, CMS in BER": lambda: signed(plain(), ber=True),
    "good, RSA": lambda: signed(plain(), office().rsa),
    "good, no time told": lambda: signed(plain(), at=None),
    "time-stamp": lambda: signed(plain(), office().leader, stamp=RECENT),
    "leader and agency": by_both,
    "leader and agency, time-stamp over both": lambda: pdfs.stamped(by_both(), RECENT),
    "time-stamp of nobody that is trusted": lambda: signed(plain(), stamp=RECENT, tsa=pdfs.own_tsa()),
    "good, by a word processor": lambda: signed(pdfs.hybrid(plain())),
    "leader and agency, by a word processor": lambda: signed(
        signed(pdfs.hybrid(plain()), office().leader), office().agency, field="Sig2"
    ),
    # no signature
    "no signature": plain,
    "empty field": lambda: plain(field=True),
    # saved again
    "form filled in": lambda: pdfs.filled_in(signed(plain(field=True))),
    "form filled in, allowed": lambda: pdfs.filled_in(signed(plain(field=True), certify=MDPPerm.FILL_FORMS)),
    "form filled in, not allowed": lambda: pdfs.filled_in(
        signed(plain(field=True), certify=MDPPerm.NO_CHANGES)
    ),
    "saved again, nothing changed": lambda: pdfs.saved_again(good()),
    "saved again five times": lambda: reduce(lambda content, _: pdfs.saved_again(content), range(5), good()),
    # altered after signing
    "content replaced": lambda: pdfs.other_content(good()),
    "content replaced, by a word processor": lambda: pdfs.other_content(signed(pdfs.hybrid(plain()))),
    "two kinds of cross-references behind": lambda: pdfs.hybrid(good()),
    "comment over the page": lambda: pdfs.with_comment(good()),
    "altered between two signatures": lambda: signed(
        pdfs.other_content(signed(plain(), office().leader)), office().agency, field="Sig2"
    ),
    "signed bytes changed": lambda: pdfs.flipped(good(), b"(0) Tj", b"(9) Tj"),
    "signed bytes changed under a time-stamp": lambda: pdfs.flipped(
        signed(plain(), office().leader, stamp=RECENT), b"(0) Tj", b"(9) Tj"
    ),
    # the certificate
    "expired at signing": lambda: signed(plain(), office().expired),
    "expired since": lambda: signed(plain(), office().expired, at=NOW - 2 * YEAR),
    "expired since, time-stamp": lambda: signed(plain(), office().expired, stamp=NOW - 2 * YEAR),
    "not yet valid": lambda: signed(plain(), office().future, at=NOW - YEAR),
    "revoked": lambda: signed(plain(), office().revoked),
    "revoked, claims to be older": lambda: signed(plain(), office().revoked, at=NOW - YEAR),
    "revoked, time-stamp before": lambda: signed(plain(), office().revoked, stamp=NOW - YEAR),
    "of a stranger": lambda: signed(plain(), office().stranger),
    "not for signing": lambda: signed(plain(), office().encrypting),
    "claims the future": lambda: signed(plain(), at=NOW + YEAR),
    # SHA-1
    "SHA-1 before the date": lambda: sha1(at=THEN, stamp=THEN),
    "SHA-1, claims to be old": lambda: sha1(at=THEN),
    "SHA-1, stamped after the date": lambda: sha1(stamp=NOW - YEAR),
    "SHA-1, document stamped after the date": lambda: pdfs.stamped(sha1(), NOW - YEAR),
    # shadow attacks (Mainka, Mladenov, Rohlmann, NDSS 2021)
    "shadow: hide": lambda: pdfs.freed(good(), first_page_content(good())),
    "shadow: replace": lambda: pdfs.other_letters(good()),
    "shadow: hide and replace": lambda: pdfs.other_pages(good()),
    "shadow: signatures out of sight": lambda: pdfs.without_fields(by_both()),
    # universal signature forgery (Mladenov et al., CCS 2019)
    "forgery: empty range": lambda: pdfs.with_byte_range(good(), b"0 0 0 0"),
    "forgery: short range": lambda: pdfs.with_byte_range(good(), b"0 10 20 1"),
    "forgery: negative range": lambda: pdfs.with_byte_range(good(), b"0 -1 -1 10"),
    "forgery: no range": lambda: good().replace(b"/ByteRange", b"/BeteRange"),
    "forgery: value null": lambda: pdfs.without_value(good(), b"null"),
    "forgery: value empty": lambda: pdfs.without_value(good(), b"<>"),
    "forgery: value 00": lambda: pdfs.without_value(good(), b"<00>"),
    # incremental saving attack (the same)
    "saving: objects behind": lambda: pdfs.appended(good(), b"4 0 obj\n<< /Type /Page >>\nendobj\n"),
    "saving: with a trailer": lambda: pdfs.appended(
        good(), b"4 0 obj\n<< /Type /Page >>\nendobj\n", trailer=True
    ),
    "saving: second half": lambda: good() + good(),
    # signature wrapping: what was signed moved aside, something else in its place
    "wrapping: range with a gap": lambda: pdfs.wrapped(good()),
    # what cannot be read
    "cut off": lambda: good()[: len(good()) // 2],
    "broken cross-references": lambda: pdfs.other_startxref(plain()),
    "broken cross-references, signed": lambda: pdfs.other_startxref(good()),
    "encrypted": lambda: plain(password="mật khẩu"),
    "not a PDF": lambda: b"Quy\xe1\xba\xbft \xc4\x91\xe1\xbb\x8bnh",
    "nested": lambda: plain().replace(b"/Type /Catalog", b"/Type /Catalog /X " + b"[" * 5000 + b"]" * 5000),
    "bomb": pdfs.bomb,
    "one hundred saves": lambda: pdfs.many_revisions(101),
    "old kind of signature": lambda: good().replace(b"/adbe.pkcs7.detached", b"/adbe.pkcs7.sha1    "),
}
