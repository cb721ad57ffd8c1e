"""The profile for big attachments: the envelope is signed, its lines hold the digests of what hangs beside it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from lxml import etree

from tests.differential.cases import broken, holds, open_
from tests.differential.changes_algorithms import envelope
from tests.differential.changes_bytes import payloads
from tests.differential.changes_tree import signature_of, subject_of, swap, with_subject
from tests.differential.documents import Bench
from tests.differential.signing import HERE, URIS, Pen, sign
from tests.support.xmlsign import DS

_LINE: Final = re.compile(rb"<edXML:Reference>.*?</edXML:Reference>", re.DOTALL)
_ATTACHMENT: Final = re.compile(rb"<Attachment>.*?</Attachment>", re.DOTALL)
_ENVELOPE: Final = b"<edXML:edXMLEnvelope "


def lined(draft: bytes, digest: str = "sha256", id_value: str = "signed") -> bytes:
    """Put the id on the envelope and a digest into each line."""
    digests = iter(
        base64.b64encode(hashlib.new(digest, base64.b64decode(text)).digest()) for text in payloads(draft)
    )
    body = _LINE.sub(
        lambda line: line[0].replace(
            b"</edXML:Reference>",
            f'<ds:DigestMethod xmlns:ds="{DS}" Algorithm="{URIS[digest]}"/><ds:DigestValue xmlns:ds="{DS}">'.encode()
            + next(digests)
            + b"</ds:DigestValue></edXML:Reference>",
        ),
        draft,
    )
    return swap(body, _ENVELOPE, _ENVELOPE + f'Id="{id_value}" '.encode())


def pen(b: Bench, id_value: str = "signed") -> Pen:
    return b.pen.but(uri=f' URI="#{id_value}"', octets=envelope)


def signed(b: Bench, attachments: int | None = None) -> bytes:
    """A valid document of this profile."""
    return sign(lined(b.draft(attachments)), pen(b))


def resigned(b: Bench, body: bytes) -> bytes:
    """The same once more after a change: the signature holds over what stands there now."""
    return sign(swap(body, signature_of(body), HERE), pen(b))


# --- what is right


@holds("manifest/document")
def _(b: Bench) -> bytes:
    return signed(b)


@holds("manifest/digests")
def _(b: Bench) -> bytes:
    return sign(lined(b.draft(), b.rng.choice(("sha384", "sha512"))), pen(b))


@holds("manifest/other-id")
def _(b: Bench) -> bytes:
    return sign(lined(b.draft(), id_value="_Phan-ky.1"), pen(b, "_Phan-ky.1"))


@open_("manifest/id-beyond-ascii")
def _(b: Bench) -> bytes:
    return sign(lined(b.draft(), id_value="phần-ký"), pen(b, "phần-ký"))


@holds("manifest/status")
def _(b: Bench) -> bytes:
    return sign(swap(b.status(), _ENVELOPE, _ENVELOPE + b'Id="signed" '), pen(b))


@holds("manifest/white-space-in-bulk")
def _(b: Bench) -> bytes:
    body = signed(b, attachments=1)
    (text,) = payloads(body)
    gap = b.rng.choice((b"\n", b"\r\n", b" ", b"\t"))
    return swap(body, text, gap.join(text[at : at + 76] for at in range(0, len(text), 76)) + gap)


@holds("manifest/white-space-beside")
def _(b: Bench) -> bytes:
    return swap(
        swap(signed(b), b"<AttachmentEncoded>", b"\n  <AttachmentEncoded>\n"),
        b"<Attachment>",
        b"\t<Attachment>\r\n ",
    )


@holds("manifest/order-of-attachments")
def _(b: Bench) -> bytes:
    body = signed(b, attachments=2)
    first, second = _ATTACHMENT.findall(body)
    return body.replace(first + second, second + first)


@holds("manifest/without-name-and-type")
def _(b: Bench) -> bytes:
    body = signed(b, attachments=1)
    found = _ATTACHMENT.findall(body)[0]
    bare = re.sub(rb"<(AttachmentName|ContentType)>.*?</\1>", b"", found)
    return swap(body, found, bare)


# --- attachments


@broken("manifest-attachment/bytes")
def _(b: Bench) -> bytes:
    body = signed(b)
    text = b.rng.choice(payloads(body))
    octets = bytearray(base64.b64decode(text))
    octets[b.rng.randrange(len(octets))] ^= 1 << b.rng.randrange(8)
    return swap(body, b">" + text + b"<", b">" + base64.b64encode(octets) + b"<")


@broken("manifest-attachment/longer")
def _(b: Bench) -> bytes:
    body = signed(b)
    text = b.rng.choice(payloads(body))
    return swap(body, b">" + text + b"<", b">" + base64.b64encode(base64.b64decode(text) + b"\0") + b"<")


@broken("manifest-attachment/swapped")
def _(b: Bench) -> bytes:
    body = signed(b, attachments=2)
    first, second = payloads(body)
    return body.replace(first, b"\0").replace(second, first).replace(b"\0", second)


@broken("manifest-attachment/removed")
def _(b: Bench) -> bytes:
    return _ATTACHMENT.sub(b"", signed(b), count=1)


@broken("manifest-attachment/all-removed")
def _(b: Bench) -> bytes:
    return re.sub(rb"<AttachmentEncoded>.*</AttachmentEncoded>", b"", signed(b), flags=re.DOTALL)


@broken("manifest-attachment/twice")
def _(b: Bench) -> bytes:
    body = signed(b)
    found = _ATTACHMENT.findall(body)[0]
    return swap(body, found, found * 2)


@broken("manifest-attachment/added")
def _(b: Bench) -> bytes:
    body = signed(b)
    found = _ATTACHMENT.findall(body)[0]
    return swap(body, found, found + found.replace(b"<ContentId>", b"<ContentId>x"))


@broken("manifest-attachment/other-id")
def _(b: Bench) -> bytes:
    return swap(signed(b), b"<Attachment><ContentId>", b"<Attachment><ContentId>x")


@open_("manifest-attachment/other-name")
def _(b: Bench) -> bytes:
    return swap(signed(b), "<AttachmentName>Phụ".encode(), b"<AttachmentName>Phu")


@open_("manifest-attachment/other-type")
def _(b: Bench) -> bytes:
    return swap(signed(b), b"<ContentType>application/octet", b"<ContentType>application/x-octet")


@open_("manifest-attachment/spare-bits")
def _(b: Bench) -> bytes:
    """Another last letter, the same octets."""
    body = sign(lined(_padded(b.draft(attachments=1))), pen(b))
    (text,) = payloads(body)
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters.index(text[-3:-2])
    return swap(body, text, text[:-3] + letters[last + 1 : last + 2] + b"==")


def _padded(draft: bytes) -> bytes:
    (text,) = payloads(draft)
    octets = base64.b64decode(text)
    return swap(draft, text, base64.b64encode(octets[: len(octets) // 3 * 3] + b"x"))


@broken("manifest-attachment/foreign-letters")
def _(b: Bench) -> bytes:
    body = signed(b, attachments=1)
    (text,) = payloads(body)
    odd = b.rng.choice((b"*", b"-", b"=", b"\xc2\xa0"))
    return swap(body, text, text[:4] + odd + text[4:])


@open_("manifest-attachment/comment")
def _(b: Bench) -> bytes:
    body = signed(b, attachments=1)
    (text,) = payloads(body)
    return swap(body, text, text[:4] + b"<!-- -->" + text[4:])


# --- lines


@broken("manifest-line/digest")
def _(b: Bench) -> bytes:
    """A line that was signed so: its digest is another attachment's."""
    body = lined(b.draft())
    made = base64.b64encode(hashlib.sha256(b"another").digest())
    return sign(
        re.sub(rb"(?<=<ds:DigestValue xmlns:ds=\"%s\">)[^<]+" % DS.encode(), made, body, count=1), pen(b)
    )


@broken("manifest-line/changed")
def _(b: Bench) -> bytes:
    return swap(signed(b), b"<edXML:ContentId>", b"<edXML:ContentId>x")


@open_("manifest-line/without-digest")
def _(b: Bench) -> bytes:
    body = lined(b.draft())
    return sign(re.sub(rb"<ds:DigestMethod.*?</ds:DigestValue>", b"", body, count=1), pen(b))


@open_("manifest-line/sha1")
def _(b: Bench) -> bytes:
    return sign(lined(b.draft(), "sha1"), pen(b))


@open_("manifest-line/twice")
def _(b: Bench) -> bytes:
    body = lined(b.draft())
    found = _LINE.findall(body)[0]
    return sign(swap(body, found, found * 2), pen(b))


@open_("manifest-line/without-attachment")
def _(b: Bench) -> bytes:
    body = lined(b.draft())
    found = _LINE.findall(body)[0]
    return sign(swap(body, found, found + found.replace(b"<edXML:ContentId>", b"<edXML:ContentId>x")), pen(b))


@broken("manifest-line/digest-of-the-text")
def _(b: Bench) -> bytes:
    """Over the letters of base64 and not over what they stand for."""
    body = lined(b.draft(attachments=1))
    (text,) = payloads(body)
    made = base64.b64encode(hashlib.sha256(text).digest())
    return sign(
        re.sub(rb"(?<=<ds:DigestValue xmlns:ds=\"%s\">)[^<]+" % DS.encode(), made, body, count=1), pen(b)
    )


# --- what stands beside the signed part


@open_("manifest-beside/element")
def _(b: Bench) -> bytes:
    extra = b.rng.choice(
        (
            b"<x/>",
            b'<x xmlns="urn:foreign"/>',
            b"<edXML:To xmlns:edXML='http://www.mic.gov.vn/TBT/QCVN_102_2016'/>",
        )
    )
    return swap(signed(b), b"<AttachmentEncoded>", extra + b"<AttachmentEncoded>")


@open_("manifest-beside/in-attachment")
def _(b: Bench) -> bytes:
    return swap(signed(b), b"</Attachment>", b"<Note>x</Note></Attachment>")


@open_("manifest-beside/text")
def _(b: Bench) -> bytes:
    where = b.rng.choice((b"<AttachmentEncoded>", b"<Attachment>", b"</Attachment>", b"</AttachmentEncoded>"))
    return swap(signed(b), where, b"text" + where)


@open_("manifest-beside/attribute")
def _(b: Bench) -> bytes:
    old = b.rng.choice((b"<AttachmentEncoded", b"<Attachment", b"<ContentId"))
    return swap(signed(b), old + b">", old + b' a="1">')


@open_("manifest-beside/attribute-of-the-root")
def _(b: Bench) -> bytes:
    return swap(signed(b), b"<edXML xmlns=", b'<edXML version="2" xmlns=')


@open_("manifest-beside/comment")
def _(b: Bench) -> bytes:
    where = b.rng.choice((b"<AttachmentEncoded>", b"<Attachment>", b"</edXML>", b"<edXML "))
    return swap(signed(b), where, b"<!-- n -->" + where)


@open_("manifest-beside/instruction")
def _(b: Bench) -> bytes:
    return swap(signed(b), b"<AttachmentEncoded>", b"<?n x?><AttachmentEncoded>")


@open_("manifest-beside/second-holder")
def _(b: Bench) -> bytes:
    return swap(signed(b), b"</edXML>", b"<AttachmentEncoded></AttachmentEncoded></edXML>")


@open_("manifest-beside/envelope-last")
def _(b: Bench) -> bytes:
    body = signed(b)
    found = re.search(rb"<AttachmentEncoded>.*</AttachmentEncoded>", body, re.DOTALL)
    assert found
    return swap(swap(body, found[0], b""), _ENVELOPE, found[0] + _ENVELOPE)


@open_("manifest-beside/second-envelope")
def _(b: Bench) -> bytes:
    """Another envelope without an id, which says something else."""
    body = signed(b)
    found = re.search(rb"<edXML:edXMLEnvelope.*?</edXML:edXMLEnvelope>", body, re.DOTALL)
    assert found
    other = with_subject(swap(found[0], signature_of(body), b""), "khác").replace(b' Id="signed"', b"", 1)
    other = other.replace(b'Id="signed" ', b"", 1)
    return swap(body, found[0], b.rng.choice((other + found[0], found[0] + other)))


# --- ids


@open_("manifest-id/twice")
def _(b: Bench) -> bytes:
    return swap(signed(b), b"<Attachment>", b'<Attachment Id="signed">')


@open_("manifest-id/another")
def _(b: Bench) -> bytes:
    name = b.rng.choice((b"Id", b"ID", b"id", b"xml:id"))
    return swap(signed(b), b"<AttachmentEncoded>", b"<AttachmentEncoded " + name + b'="x">')


@open_("manifest-id/inside-signed")
def _(b: Bench) -> bytes:
    name = b.rng.choice(("Id", "ID", "id", "xml:id"))
    body = swap(lined(b.draft()), b"<edXML:Subject>", f'<edXML:Subject {name}="x">'.encode())
    return sign(body, pen(b))


@open_("manifest-id/spelled-otherwise")
def _(b: Bench) -> bytes:
    """The id is called ID or id: readers that know Id alone do not find it."""
    body = lined(b.draft()).replace(
        b'Id="signed"', b.rng.choice((b'ID="signed"', b'id="signed"', b'xml:id="signed"')), 1
    )
    return sign(body, pen(b))


@broken("manifest-id/signed-text")
def _(b: Bench) -> bytes:
    body = signed(b)
    return with_subject(body, subject_of(body) + " x")


@broken("manifest-id/moved")
def _(b: Bench) -> bytes:
    """The id stands on another element than was signed."""
    body = signed(b)
    return swap(swap(body, b'Id="signed" ', b""), b"<AttachmentEncoded>", b'<AttachmentEncoded Id="signed">')


@broken("manifest-id/changed-and-renamed")
def _(b: Bench) -> bytes:
    """The signed envelope goes elsewhere under its id, another takes its place: wrapping."""
    body = signed(b)
    found = re.search(rb"<edXML:edXMLEnvelope.*?</edXML:edXMLEnvelope>", body, re.DOTALL)
    assert found
    other = with_subject(found[0], "khác").replace(b'Id="signed"', b'Id="other"', 1)
    inner = swap(found[0], signature_of(body), b"")
    return swap(
        body, found[0], other.replace(b"</edXML:edXMLBody>", b"<w>" + inner + b"</w></edXML:edXMLBody>", 1)
    )


@open_("manifest-id/part-of-the-envelope")
def _(b: Bench) -> bytes:
    """The id stands on the header alone: nothing else is signed."""
    draft = lined(b.draft())
    draft = swap(
        swap(draft, b'Id="signed" ', b""), b"<edXML:edXMLHeader>", b'<edXML:edXMLHeader Id="signed">'
    )
    return sign(draft, pen(b).but(octets=_header))


def _header(tree: etree._ElementTree) -> bytes:
    return bytes(etree.tostring(tree.getroot()[0][0], method="c14n", exclusive=True, with_comments=False))
