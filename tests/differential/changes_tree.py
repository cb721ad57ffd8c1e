"""Changes of what was signed, and of where the signature stands: text, attributes, namespaces, order, wrapping, limits."""

from __future__ import annotations

import random
import re
import unicodedata
from typing import Final

from tests.differential.cases import broken, holds, open_
from tests.differential.documents import Bench
from tests.differential.signing import HERE, sign
from tests.support.spelling import SPELLINGS

_TEXT: Final = re.compile(rb"(?<=<edXML:Subject>)[^<]+(?=</edXML:Subject>)")
_SIGNATURE: Final = re.compile(rb"<Signature .*?</Signature>", re.DOTALL)
_TO: Final = re.compile(rb"<edXML:To>.*?</edXML:To>", re.DOTALL)


def swap(body: bytes, old: bytes, new: bytes) -> bytes:
    """Replace the first ``old``, which has to be there."""
    assert old in body, old
    return body.replace(old, new, 1)


def signature_of(body: bytes) -> bytes:
    found = _SIGNATURE.search(body)
    assert found
    return found[0]


def subject_of(body: bytes) -> str:
    found = _TEXT.search(body)
    assert found
    return found[0].decode()


def with_subject(body: bytes, text: str) -> bytes:
    return _TEXT.sub(lambda _: text.encode(), body, count=1)


def place_in(text: str, rng: random.Random) -> int:
    """A position in a text that is inside no reference."""
    allowed = [at for at in range(1, len(text)) if "&" not in text[max(0, at - 5) : at + 1]]
    return rng.choice(allowed)


# --- valid: every spelling, every kind of key


@holds("valid/document")
def _(b: Bench) -> bytes:
    return b.signed()


@holds("valid/status")
def _(b: Bench) -> bytes:
    return sign(b.status(), b.pen)


@holds("valid/prefix")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(prefix=b.rng.choice(("ds", "dsig", "chữ.ký"))))


@holds("valid/lines")
def _(b: Bench) -> bytes:
    line = b.rng.choice(("\n", "\r\n", "&#13;\n", "\n    "))
    return sign(b.draft(), b.pen.but(width=b.rng.choice((64, 76)), line=line, between="\n"))


@holds("valid/under-the-anchor")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(signer=b.people.under_root, hash="sha256"))


@holds("valid/each-key")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(signer=b.people.good[b.number % 5]))


@holds("spelling/odd")
def _(b: Bench) -> bytes:
    return sign(b.spelled(b.rng.choice(list(SPELLINGS))), b.pen)


@holds("spelling/all-at-once")
def _(b: Bench) -> bytes:
    return sign(b.spelled("all at once"), b.pen)


@holds("spelling/references")
def _(b: Bench) -> bytes:
    return sign(b.spelled("numeric references"), b.pen)


# --- signed text


@broken("signed-text/letter")
def _(b: Bench) -> bytes:
    text = subject_of(body := b.signed())
    at = place_in(text, b.rng)
    new = b.rng.choice([c for c in "aăâđeê19 " if c != text[at]])
    return with_subject(body, text[:at] + new + text[at + 1 :] if text[at] not in "&;" else new + text)


@broken("signed-text/inserted")
def _(b: Bench) -> bytes:
    text = subject_of(body := b.signed())
    at = place_in(text, b.rng)
    return with_subject(body, text[:at] + b.rng.choice(("x", " ", "\u200b", "\u00a0", "\ufeff")) + text[at:])


@broken("signed-text/decomposed")
def _(b: Bench) -> bytes:
    body = sign(with_subject(b.draft(), f"Kế hoạch năm {b.number}"), b.pen)
    return with_subject(body, unicodedata.normalize("NFD", subject_of(body)))


@broken("signed-text/recipient")
def _(b: Bench) -> bytes:
    body = b.signed()
    first = re.findall(rb"<edXML:To><edXML:OrganId>([^<]+)<", body)[0]
    return swap(body, b"<edXML:To><edXML:OrganId>" + first, b"<edXML:To><edXML:OrganId>H53.31")


@broken("signed-text/look-alike")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<edXML:From><edXML:OrganId>", "<edXML:From><edXML:OrganId>Н".encode())


@broken("signed-text/date")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"2026/03/02</edXML:PromulgationDate>", b"2026/03/03</edXML:PromulgationDate>")


# --- attributes


@broken("attribute/added")
def _(b: Bench) -> bytes:
    extra = b.rng.choice((b' x="1"', b' id="a"', b' xml:lang="vi"', b' xml:space="preserve"', b' xml:id="a"'))
    return swap(b.signed(), b"<edXML:Subject", b"<edXML:Subject" + extra)


@broken("attribute/changed")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b'version="1.0">', b'version="1.1">')


@broken("attribute/removed")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b'<edXML:edXMLManifest version="1.0">', b"<edXML:edXMLManifest>")


@holds("attribute/order-and-quotes")
def _(b: Bench) -> bytes:
    signed = sign(swap(b.draft(), b"<edXML:Subject>", b'<edXML:Subject a="1" b="2">'), b.pen)
    return swap(signed, b'<edXML:Subject a="1" b="2">', b"<edXML:Subject  b = '2'\n a='&#49;' >")


@holds("attribute/normalised")
def _(b: Bench) -> bytes:
    signed = sign(swap(b.draft(), b"<edXML:Subject>", b'<edXML:Subject a="x y">'), b.pen)
    return swap(signed, b'a="x y"', b.rng.choice((b'a="x\ty"', b'a="x\ny"', b'a="x\r\ny"')))


@broken("attribute/normalised-not")
def _(b: Bench) -> bytes:
    signed = sign(swap(b.draft(), b"<edXML:Subject>", b'<edXML:Subject a="x y">'), b.pen)
    return swap(signed, b'a="x y"', b.rng.choice((b'a="x&#9;y"', b'a="x&#10;y"', b'a="x  y"', b'a=" x y"')))


@broken("attribute/twice")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b'version="1.0">', b'version="1.0" version="1.0">')


# --- namespaces


@holds("namespace/unused")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<edXML xmlns=", b'<edXML xmlns:u="urn:unused" xmlns=')


@holds("namespace/declared-again")
def _(b: Bench) -> bytes:
    again = b'<edXML:Subject xmlns:edXML="http://www.mic.gov.vn/TBT/QCVN_102_2016">'
    return swap(b.signed(), b"<edXML:Subject>", again)


@broken("namespace/other")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<edXML:Subject>", b'<edXML:Subject xmlns:edXML="urn:other">')


@broken("namespace/none")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<AttachmentEncoded>", b'<AttachmentEncoded xmlns="">')


@broken("namespace/prefix-renamed")
def _(b: Bench) -> bytes:
    body = b.signed()
    return re.sub(rb"(</?|xmlns:)edXML(?=[:=])", rb"\1vb", body)


@open_("namespace/relative-unused")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<edXML xmlns=", b'<edXML xmlns:u="relative" xmlns=')


@broken("namespace/undeclared")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<edXML:Subject>", b"<none:Subject>").replace(
        b"</edXML:Subject>", b"</none:Subject>"
    )


@holds("namespace/foreign-element")
def _(b: Bench) -> bytes:
    extra = b'<f:Note xmlns:f="urn:foreign" f:a="1"><g xmlns=""/></f:Note><edXML:Subject>'
    return sign(swap(b.draft(), b"<edXML:Subject>", extra), b.pen)


# --- white space


@broken("whitespace/between-elements")
def _(b: Bench) -> bytes:
    space = b.rng.choice((b" ", b"\n", b"\t", b"\r\n"))
    return swap(b.signed(), b"<edXML:Subject>", space + b"<edXML:Subject>")


@holds("whitespace/in-tags")
def _(b: Bench) -> bytes:
    return swap(
        swap(b.signed(), b"<edXML:Subject>", b"<edXML:Subject\n\t>"),
        b"</edXML:Subject>",
        b"</edXML:Subject >",
    )


@holds("whitespace/around-the-root")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"?>\n<edXML", b"?>\n\n \t<edXML") + b.rng.choice((b"\n", b" \r\n\n", b"\t"))


@broken("whitespace/before-the-declaration")
def _(b: Bench) -> bytes:
    return b" " + b.signed()


@broken("whitespace/in-text")
def _(b: Bench) -> bytes:
    return with_subject(body := b.signed(), subject_of(body) + b.rng.choice((" ", "\n", "\t")))


@broken("whitespace/in-signed-info")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<SignatureMethod", b"\n<SignatureMethod")


@holds("whitespace/between-signature-and-neighbours")
def _(b: Bench) -> bytes:
    return sign(swap(b.draft(), HERE, b"\n  " + HERE + b"\n"), b.pen)


@holds("whitespace/in-signature-unsigned")
def _(b: Bench) -> bytes:
    return swap(
        swap(b.signed(), b"<SignatureValue>", b"\n  <SignatureValue>"), b"<X509Data>", b"\t<X509Data>\n"
    )


# --- comments and processing instructions


@holds("comment/between-elements")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<edXML:Subject>", b"<!-- n --><edXML:Subject>")


@open_("comment/in-text")
def _(b: Bench) -> bytes:
    text = subject_of(body := b.signed())
    at = place_in(text, b.rng)
    return with_subject(body, f"{text[:at]}<!---->{text[at:]}")


@open_("comment/in-organ-id")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<edXML:From><edXML:OrganId>", b"<edXML:From><edXML:OrganId><!-- -->")


@holds("comment/outside-the-root")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"?>\n<edXML", b"?>\n<!-- n --><edXML") + b"<!-- n -->"


@open_("comment/in-signature")
def _(b: Bench) -> bytes:
    where = b.rng.choice((b"<SignatureValue>", b"<KeyInfo>", b"</Signature>", b"<X509Certificate>"))
    return swap(b.signed(), where, b"<!-- n -->" + where)


@open_("comment/in-signed-info")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<DigestMethod", b"<!-- n --><DigestMethod")


@open_("comment/in-base64")
def _(b: Bench) -> bytes:
    where = b.rng.choice((b"</SignatureValue>", b"</X509Certificate>", b"</DigestValue>"))
    return swap(b.signed(), where, b"<!-- n -->" + where)


@broken("comment/unfinished")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<edXML:Subject>", b"<!-- a -- b --><edXML:Subject>")


@open_("instruction/inside-signed")
def _(b: Bench) -> bytes:
    return sign(swap(b.draft(), b"<edXML:Subject>", b"<?note x?><edXML:Subject>"), b.pen)


@broken("instruction/inside-added")
def _(b: Bench) -> bytes:
    where = b.rng.choice((b"<edXML:Subject>", b"</edXML:Subject>", b"<AttachmentEncoded>"))
    return swap(b.signed(), where, b"<?note x?>" + where)


@holds("instruction/before-the-root-signed")
def _(b: Bench) -> bytes:
    return sign(swap(b.draft(), b"?>\n<edXML", b'?>\n<?xml-stylesheet href="a.xsl"?>\n<edXML'), b.pen)


@broken("instruction/before-the-root-added")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"?>\n<edXML", b"?>\n<?note x?>\n<edXML")


@broken("instruction/behind-the-root-added")
def _(b: Bench) -> bytes:
    return b.signed() + b"<?note x?>"


@open_("instruction/in-signature")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<KeyInfo>", b"<?note x?><KeyInfo>")


# --- order


@broken("order/siblings")
def _(b: Bench) -> bytes:
    first, second = b"<edXML:SteeringType>1</edXML:SteeringType>", b"<edXML:Direction>false</edXML:Direction>"
    return b.signed().replace(first, b"\0", 1).replace(second, first, 1).replace(b"\0", second, 1)


@open_("order/recipients")
def _(b: Bench) -> bytes:
    body = b.signed()
    found = _TO.findall(body)
    return body.replace(b"".join(found), b"".join(reversed(found)))  # the same again where there is one


@open_("order/signature-first")
def _(b: Bench) -> bytes:
    body = b.signed()
    whole = signature_of(body)
    return swap(swap(body, whole, b""), b"<edXML:MessageHeader>", whole + b"<edXML:MessageHeader>")


@open_("order/signature-elsewhere")
def _(b: Bench) -> bytes:
    body = b.signed()
    whole = signature_of(body)
    where = b.rng.choice(
        (b"</edXML:edXMLBody>", b"</edXML:edXMLEnvelope>", b"</edXML>", b"<AttachmentEncoded>")
    )
    return swap(swap(body, whole, b""), where, whole + where)


@open_("order/signature-above-the-header")
def _(b: Bench) -> bytes:
    body = b.signed()
    whole = signature_of(body)
    return swap(swap(body, whole, b""), b"<edXML:edXMLHeader>", whole + b"<edXML:edXMLHeader>")


@broken("order/children-of-signature")
def _(b: Bench) -> bytes:
    body = b.signed()
    found = re.search(rb"<SignatureValue>.*?</SignatureValue>", body)
    assert found
    return swap(swap(body, found[0], b""), b"</Signature>", found[0] + b"</Signature>")


# --- wrapping


@open_("wrapping/second-signature")
def _(b: Bench) -> bytes:
    body = b.signed()
    whole = signature_of(body)
    return swap(body, whole, whole + whole)


@broken("wrapping/signed-part-moved")
def _(b: Bench) -> bytes:
    """The document that was signed stands inside another one that says something else."""
    body = b.signed()
    inner = body[body.index(b"<edXML ") :]
    outer = with_subject(b.draft(), "khác").replace(HERE, b"")
    return swap(outer, b"</edXML:edXMLHeader>", inner + b"</edXML:edXMLHeader>")


@broken("wrapping/second-envelope")
def _(b: Bench) -> bytes:
    body = b.signed()
    found = re.search(rb"<edXML:edXMLEnvelope.*?</edXML:edXMLEnvelope>", body, re.DOTALL)
    assert found
    other = with_subject(swap(found[0], signature_of(body), b""), "khác")
    return swap(body, found[0], b.rng.choice((other + found[0], found[0] + other)))


@open_("wrapping/second-envelope-signed")
def _(b: Bench) -> bytes:
    draft = b.draft()
    found = re.search(rb"<edXML:edXMLEnvelope.*?</edXML:edXMLEnvelope>", draft, re.DOTALL)
    assert found
    other = with_subject(swap(found[0], HERE, b""), "khác")
    return sign(swap(draft, found[0], b.rng.choice((other + found[0], found[0] + other))), b.pen)


@broken("wrapping/content-in-object")
def _(b: Bench) -> bytes:
    body = b.signed()
    found = re.search(rb"<edXML:edXMLBody>.*?</edXML:edXMLBody>", body, re.DOTALL)
    assert found
    return swap(swap(body, found[0], b""), b"</Signature>", b"<Object>" + found[0] + b"</Object></Signature>")


@open_("wrapping/other-root-signed")
def _(b: Bench) -> bytes:
    draft = b.draft()
    start = draft.index(b"<edXML ")
    return sign(b'<wrap xmlns="urn:wrap">' + draft[start:].strip() + b"</wrap>", b.pen)


@broken("wrapping/two-roots")
def _(b: Bench) -> bytes:
    body = b.signed()
    return body + body[body.index(b"<edXML ") :]


# --- limits


@open_("limits/deep")
def _(b: Bench) -> bytes:
    deep = b"<d>" * 40 + b"</d>" * 40
    return sign(swap(b.draft(), b"<edXML:Subject>", deep + b"<edXML:Subject>"), b.pen)


@open_("limits/very-deep")
def _(b: Bench) -> bytes:
    deep = b"<d>" * 300 + b"</d>" * 300
    return swap(b.signed(), b"<edXML:Subject>", deep + b"<edXML:Subject>")


@open_("limits/attributes")
def _(b: Bench) -> bytes:
    many = b"".join(b' a%d="1"' % number for number in range(80))
    return sign(swap(b.draft(), b"<edXML:Subject>", b"<edXML:Subject" + many + b">"), b.pen)


@open_("limits/long-text")
def _(b: Bench) -> bytes:
    return sign(with_subject(b.draft(), "dài " * 20_000), b.pen)


@holds("limits/at-the-edge")
def _(b: Bench) -> bytes:
    deep = b"<d>" * 28 + b"</d>" * 28
    return sign(swap(b.draft(), b"<edXML:Subject>", deep + b"<edXML:Subject>"), b.pen)
