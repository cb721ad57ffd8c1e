"""Changes of bytes: encodings, line ends, entities, attachments, damage."""

from __future__ import annotations

import base64
import re

from tests.differential.cases import broken, holds, open_
from tests.differential.changes_tree import subject_of, swap, with_subject
from tests.differential.documents import Bench
from tests.differential.signing import sign

_DECLARED = b'encoding="UTF-8"'


def _text(body: bytes) -> str:
    return body.decode("utf-8")


# --- encoding


@open_("encoding/utf-16")
def _(b: Bench) -> bytes:
    text = _text(b.signed()).replace("UTF-8", "UTF-16", 1)
    return text.encode(b.rng.choice(("utf-16", "utf-16-le", "utf-16-be")))


@open_("encoding/utf-32")
def _(b: Bench) -> bytes:
    return _text(b.signed()).replace("UTF-8", "UTF-32", 1).encode("utf-32")


@open_("encoding/utf-7")
def _(b: Bench) -> bytes:
    return _text(b.signed()).replace("UTF-8", "UTF-7", 1).encode("utf-7")


@open_("encoding/latin-signed")
def _(b: Bench) -> bytes:
    """Letters beyond ASCII as references, so that nothing is lost; Latin 1 is declared and true."""
    body = sign(b.draft(), b.pen)
    return _text(body).replace("UTF-8", "ISO-8859-1", 1).encode("latin-1", "xmlcharrefreplace")


@open_("encoding/declared-falsely")
def _(b: Bench) -> bytes:
    """UTF-8 bytes under another name: who believes the name reads another text."""
    other = b.rng.choice((b"ISO-8859-1", b"windows-1258", b"US-ASCII", b"UTF-16"))
    return swap(b.signed(), _DECLARED, b'encoding="' + other + b'"')


@holds("encoding/byte-order-mark")
def _(b: Bench) -> bytes:
    return b"\xef\xbb\xbf" + b.signed()


@broken("encoding/two-byte-order-marks")
def _(b: Bench) -> bytes:
    return b"\xef\xbb\xbf\xef\xbb\xbf" + b.signed()


@holds("encoding/declared-otherwise")
def _(b: Bench) -> bytes:
    return swap(
        b.signed(),
        b'<?xml version="1.0" encoding="UTF-8"?>',
        b.rng.choice(
            (
                b"",
                b"<?xml version='1.0'?>",
                b"<?xml version='1.0' encoding='utf-8'?>",
                b'<?xml version="1.0" encoding="Utf-8" standalone="no" ?>',
            )
        ),
    )


@open_("encoding/version-1.1")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b'version="1.0" encoding', b'version="1.1" encoding')


@broken("encoding/no-utf-8")
def _(b: Bench) -> bytes:
    odd = b.rng.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80"))
    return swap(b.signed(), b"</edXML:Subject>", odd + b"</edXML:Subject>")


@broken("encoding/overlong")
def _(b: Bench) -> bytes:
    """A letter of a signed text in more bytes than it takes."""
    body = sign(with_subject(b.draft(), "V/v tin"), b.pen)
    return swap(
        body, b">V/v tin<", b.rng.choice((b">V\xc0\xafv tin<", b">\xc1\x96/v tin<", b">V\xe0\x80\xafv tin<"))
    )


@broken("encoding/control-letters")
def _(b: Bench) -> bytes:
    odd = b.rng.choice(
        (b"\x00", b"\x01", b"\x0b", b"\xef\xbf\xbe", b"&#0;", b"&#1;", b"&#xFFFE;", b"&#xD800;")
    )
    return swap(b.signed(), b"</edXML:Subject>", odd + b"</edXML:Subject>")


# --- line ends


@holds("line-ends/crlf")
def _(b: Bench) -> bytes:
    body = sign(with_subject(b.draft(), "một\nhai\n\nba"), b.pen.but(width=64))
    return body.replace(b"\n", b"\r\n")


@holds("line-ends/cr")
def _(b: Bench) -> bytes:
    body = sign(with_subject(b.draft(), "một\nhai\n\nba"), b.pen)
    return body.replace(b"\n", b"\r")


@broken("line-ends/reference")
def _(b: Bench) -> bytes:
    body = sign(with_subject(b.draft(), "một\nhai"), b.pen)
    return swap(body, "một\nhai".encode(), "một&#13;\nhai".encode())


@holds("line-ends/reference-signed")
def _(b: Bench) -> bytes:
    return sign(with_subject(b.draft(), "một&#13;\nhai&#xD;"), b.pen)


@broken("line-ends/reference-removed")
def _(b: Bench) -> bytes:
    return swap(sign(with_subject(b.draft(), "một&#13;\nhai"), b.pen), b"&#13;", b"")


@open_("line-ends/other")
def _(b: Bench) -> bytes:
    """Line ends of XML 1.1 are letters in XML 1.0."""
    odd = b.rng.choice(("\u0085", "\u2028"))
    return sign(with_subject(b.draft(), f"một{odd}hai"), b.pen)


@broken("line-ends/other-as-line-end")
def _(b: Bench) -> bytes:
    body = sign(with_subject(b.draft(), "một\nhai"), b.pen)
    odd = b.rng.choice(("\u0085", "\u2028"))
    return swap(body, "một\nhai".encode(), f"một{odd}hai".encode())


# --- entities and other ways to write a letter


@holds("entities/reference")
def _(b: Bench) -> bytes:
    text = subject_of(body := b.signed())
    at = next(at for at, letter in enumerate(text) if letter not in "&;")
    form = b.rng.choice(("&#{};", "&#x{:x};", "&#x{:X};", "&#x0000{:x};"))
    return with_subject(body, text[:at] + form.format(ord(text[at])) + text[at + 1 :])


@holds("entities/cdata")
def _(b: Bench) -> bytes:
    text = subject_of(body := b.signed())
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return with_subject(body, f"<![CDATA[{plain}]]>")


@holds("entities/predefined")
def _(b: Bench) -> bytes:
    body = sign(with_subject(b.draft(), "a 'b' \"c\" &gt; &amp;"), b.pen)
    return swap(body, b"a 'b' \"c\" &gt; &amp;", b"a &apos;b&apos; &quot;c&#34; > &#38;")


@broken("entities/escaped-twice")
def _(b: Bench) -> bytes:
    return swap(sign(with_subject(b.draft(), "a &amp; b"), b.pen), b"a &amp; b", b"a &amp;amp; b")


@open_("entities/document-type")
def _(b: Bench) -> bytes:
    kind = b.rng.choice((b"<!DOCTYPE edXML>", b"<!DOCTYPE edXML []>", b"<!DOCTYPE other>"))
    return swap(b.signed(), b"?>\n<edXML", b"?>\n" + kind + b"<edXML")


@open_("entities/internal")
def _(b: Bench) -> bytes:
    body = sign(with_subject(b.draft(), "một hai"), b.pen)
    kind = b'<!DOCTYPE edXML [<!ENTITY e "hai">]>'
    return swap(swap(body, b"?>\n<edXML", b"?>\n" + kind + b"<edXML"), b" hai<", b" &e;<")


@broken("entities/external")
def _(b: Bench) -> bytes:
    kind = b'<!DOCTYPE edXML [<!ENTITY e SYSTEM "file:///nonexistent/truc">]>'
    return swap(with_subject(b.signed(), "&e;"), b"?>\n<edXML", b"?>\n" + kind + b"<edXML")


@broken("entities/growing")
def _(b: Bench) -> bytes:
    lines = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 8))
    kind = b'<!DOCTYPE edXML [<!ENTITY e0 "ha">' + lines + b"]>"
    return swap(with_subject(b.signed(), "&e7;"), b"?>\n<edXML", b"?>\n" + kind + b"<edXML")


@open_("entities/default-attribute")
def _(b: Bench) -> bytes:
    kind = b'<!DOCTYPE edXML [<!ATTLIST edXML extra CDATA "1">]>'
    return swap(b.signed(), b"?>\n<edXML", b"?>\n" + kind + b"<edXML")


@broken("entities/unknown")
def _(b: Bench) -> bytes:
    return with_subject(b.signed(), b.rng.choice(("&nbsp;", "&e;", "&;", "& ", "&#;", "&#x;", "&amp")))


# --- attachments


def payloads(body: bytes) -> list[bytes]:
    return re.findall(rb'(?<=QCVN_102_2016">)[A-Za-z0-9+/=]+(?=</edXML:ContentTransferEncoded>)', body)


@broken("attachment/bytes")
def _(b: Bench) -> bytes:
    body = b.signed()
    text = b.rng.choice(payloads(body))
    octets = bytearray(base64.b64decode(text))
    octets[b.rng.randrange(len(octets))] ^= 1 << b.rng.randrange(8)
    return swap(body, b">" + text + b"<", b">" + base64.b64encode(octets) + b"<")


@broken("attachment/white-space")
def _(b: Bench) -> bytes:
    body = b.signed()
    text = b.rng.choice(payloads(body))
    return swap(body, b">" + text + b"<", b">" + text + b"\n<")


@broken("attachment/swapped")
def _(b: Bench) -> bytes:
    body = sign(b.draft(attachments=2), b.pen)
    first, second = payloads(body)
    return body.replace(first, b"\0").replace(second, first).replace(b"\0", second)


@broken("attachment/removed")
def _(b: Bench) -> bytes:
    return re.sub(rb"<Attachment>.*?</Attachment>", b"", b.signed(), count=1, flags=re.DOTALL)


@broken("attachment/added")
def _(b: Bench) -> bytes:
    body = b.signed()
    found = re.search(rb"<Attachment>.*?</Attachment>", body, re.DOTALL)
    assert found
    return swap(body, found[0], found[0] * 2)


@broken("attachment/name")
def _(b: Bench) -> bytes:
    return swap(b.signed(), "<AttachmentName>Phụ".encode(), b"<AttachmentName>Phu")


@holds("attachment/lines-signed")
def _(b: Bench) -> bytes:
    draft = b.draft(attachments=1)
    (text,) = payloads(draft)
    lines = b.rng.choice((b"\n", b"\r\n", b"&#13;\n")).join(
        text[at : at + 76] for at in range(0, len(text), 76)
    )
    return sign(swap(draft, text, lines), b.pen)


# --- damage


@open_("damage/byte")
def _(b: Bench) -> bytes:
    body = bytearray(b.signed())
    at = b.rng.randrange(len(body))
    body[at] ^= 1 << b.rng.randrange(8)
    return bytes(body)


@open_("damage/cut")
def _(b: Bench) -> bytes:
    body = b.signed()
    return body[: b.rng.randrange(len(body))]


@open_("damage/stretch")
def _(b: Bench) -> bytes:
    body = b.signed()
    at = b.rng.randrange(len(body))
    return body[:at] + body[at + b.rng.choice((1, 2, 30, 400)) :]


@open_("damage/tag")
def _(b: Bench) -> bytes:
    """An element goes with its tags, or its tags alone."""
    body = b.signed()
    names = sorted(set(re.findall(rb"<((?:edXML:)?[A-Za-z0-9]+)[ >]", body)))
    name = re.escape(b.rng.choice(names))
    if b.rng.random() < 0.5:
        return re.sub(rb"<%s(?: [^>]*)?>" % name, b"", body, count=1)
    return re.sub(rb"</?%s(?: [^>]*)?>" % name, b"", body)


@open_("damage/twice")
def _(b: Bench) -> bytes:
    body = b.signed()
    at = b.rng.randrange(len(body))
    piece = body[at : at + b.rng.choice((1, 8, 60))]
    return body[:at] + piece + body[at:]


@open_("damage/crossed")
def _(b: Bench) -> bytes:
    """The beginning of one, the end of another."""
    first, second = b.signed(), sign(b.draft(), b.pen)
    at = b.rng.randrange(len(first))
    return first[:at] + second[at:]
