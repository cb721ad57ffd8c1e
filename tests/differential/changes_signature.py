"""Changes of the signature itself: values, certificates, keys, base64, and what no signature covers."""

from __future__ import annotations

import base64
import re
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from tests.differential.cases import broken, holds, open_
from tests.differential.changes_tree import swap
from tests.differential.documents import Bench
from tests.differential.signing import HERE, Pen, sign
from tests.support.pki import Entity
from tests.support.xmlsign import key_info

_ORDER: Final = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}


def _value_of(body: bytes) -> bytes:
    found = re.search(rb"<SignatureValue>(.*?)</SignatureValue>", body)
    assert found
    return base64.b64decode(found[1])


def _with_value(body: bytes, octets: bytes) -> bytes:
    return _with_text(body, b"SignatureValue", base64.b64encode(octets))


def _with_text(body: bytes, element: bytes, text: bytes) -> bytes:
    made, count = re.subn(
        rb"(<%s>).*?(</%s>)" % (element, element), lambda m: m[1] + text + m[2], body, count=1
    )
    assert count == 1
    return made


def _text_of(body: bytes, element: bytes) -> bytes:
    found = re.search(rb"<%s>(.*?)</%s>" % (element, element), body)
    assert found
    return found[1]


def _ecdsa(b: Bench, number: int = 0) -> Pen:
    return Pen([one for one in b.people.good if isinstance(one.key, ec.EllipticCurvePrivateKey)][number])


# --- signature value and digest


@broken("signature-value/bit")
def _(b: Bench) -> bytes:
    body = b.signed()
    octets = bytearray(_value_of(body))
    octets[b.rng.randrange(len(octets))] ^= 1 << b.rng.randrange(8)
    return _with_value(body, bytes(octets))


@broken("signature-value/short")
def _(b: Bench) -> bytes:
    body = b.signed()
    octets = _value_of(body)
    return _with_value(body, octets[: b.rng.randrange(1, len(octets))])


@broken("signature-value/zero")
def _(b: Bench) -> bytes:
    body = b.signed()
    return _with_value(body, bytes(len(_value_of(body))))


@broken("signature-value/empty")
def _(b: Bench) -> bytes:
    return _with_text(b.signed(), b"SignatureValue", b"")


@broken("signature-value/of-another")
def _(b: Bench) -> bytes:
    other = sign(b.draft(), b.pen)
    return _with_value(b.signed(), _value_of(other))


@open_("signature-value/der")
def _(b: Bench) -> bytes:
    body = sign(b.draft(), _ecdsa(b))
    octets = _value_of(body)
    half = len(octets) // 2
    return _with_value(
        body, encode_dss_signature(int.from_bytes(octets[:half], "big"), int.from_bytes(octets[half:], "big"))
    )


@open_("signature-value/longer")
def _(b: Bench) -> bytes:
    """Leading zeros before r and s, or before an RSA value."""
    body = b.signed()
    octets = _value_of(body)
    half = len(octets) // 2
    if isinstance(b.pen.signer.key, ec.EllipticCurvePrivateKey):
        return _with_value(body, b"\0" + octets[:half] + b"\0" + octets[half:])
    return _with_value(body, b"\0" + octets)


@broken("signature-value/bytes-behind")
def _(b: Bench) -> bytes:
    body = b.signed()
    return _with_value(body, _value_of(body) + bytes(2))


@holds("signature-value/other-s")
def _(b: Bench) -> bytes:
    """(r, n - s) holds wherever (r, s) does: a second value of the same signer over the same words."""
    pen = _ecdsa(b)
    body = sign(b.draft(), pen)
    key = pen.signer.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    octets = _value_of(body)
    half = len(octets) // 2
    other = _ORDER[key.curve.name] - int.from_bytes(octets[half:], "big")
    return _with_value(body, octets[:half] + other.to_bytes(half, "big"))


@broken("digest/bit")
def _(b: Bench) -> bytes:
    body = b.signed()
    octets = bytearray(base64.b64decode(_text_of(body, b"DigestValue")))
    octets[b.rng.randrange(len(octets))] ^= 1 << b.rng.randrange(8)
    return _with_text(body, b"DigestValue", base64.b64encode(octets))


@broken("digest/bit-signed")
def _(b: Bench) -> bytes:
    """SignedInfo is truly signed, the digest in it is of nothing."""
    return sign(b.draft(), b.pen.but(octets=lambda _: b"nothing"))


@broken("digest/short-signed")
def _(b: Bench) -> bytes:
    return sign(
        b.draft(), b.pen.but(digest_text=lambda text: base64.b64encode(base64.b64decode(text)[:16]).decode())
    )


@broken("digest/longer-signed")
def _(b: Bench) -> bytes:
    return sign(
        b.draft(),
        b.pen.but(digest_text=lambda text: base64.b64encode(base64.b64decode(text) + b"\0").decode()),
    )


@broken("digest/empty-signed")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(digest_text=lambda _: ""))


@broken("digest/of-another")
def _(b: Bench) -> bytes:
    other = sign(b.draft(), b.pen)
    return _with_text(b.signed(), b"DigestValue", _text_of(other, b"DigestValue"))


# --- certificates


def _x509(*entities: Entity) -> str:
    inner = "".join(f"<X509Certificate>{_b64(one)}</X509Certificate>" for one in entities)
    return f"<KeyInfo><X509Data>{inner}</X509Data></KeyInfo>"


def _b64(entity: Entity) -> str:
    return base64.b64encode(entity.certificate.public_bytes(Encoding.DER)).decode()


@open_("certificates/leaf-last")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(key_info=_x509(b.people.issuing, b.pen.signer)))


@holds("certificates/with-the-root")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(key_info=_x509(b.pen.signer, b.people.issuing, b.people.root)))


@holds("certificates/leaf-twice")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(key_info=_x509(b.pen.signer, b.pen.signer, b.people.issuing)))


@holds("certificates/stranger-among-them")
def _(b: Bench) -> bytes:
    return sign(
        b.draft(), b.pen.but(key_info=_x509(b.pen.signer, b.people.issuing, b.people.wrong["unknown-ca"]))
    )


@broken("certificates/issuer-missing")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(key_info=_x509(b.pen.signer)))


@broken("certificates/none")
def _(b: Bench) -> bytes:
    return sign(
        b.draft(), b.pen.but(key_info=b.rng.choice(("", "<KeyInfo/>", "<KeyInfo><X509Data/></KeyInfo>")))
    )


@broken("certificates/two-signers")
def _(b: Bench) -> bytes:
    """The certificate of another, trusted agency first, the signer's behind it."""
    other = b.people.good[(b.signer_number + 1) % 5]
    return sign(b.draft(), b.pen.but(key_info=_x509(other, b.people.issuing)))


@open_("certificates/other-signer-first")
def _(b: Bench) -> bytes:
    other = b.people.good[(b.signer_number + 1) % 5]
    return sign(b.draft(), b.pen.but(key_info=_x509(other, b.pen.signer, b.people.issuing)))


@open_("certificates/two-x509data")
def _(b: Bench) -> bytes:
    inner = f"<X509Data><X509Certificate>{_b64(b.people.issuing)}</X509Certificate></X509Data></KeyInfo>"
    return sign(b.draft(), b.pen.but(key_info=_x509(b.pen.signer).replace("</KeyInfo>", inner)))


@open_("certificates/bytes-behind")
def _(b: Bench) -> bytes:
    text = base64.b64encode(b.pen.signer.der + b"\0\0\0").decode()
    return sign(b.draft(), b.pen.but(key_info=key_info(b.pen.signer).replace(_b64(b.pen.signer), text)))


@open_("certificates/ten")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(key_info=_x509(b.pen.signer, *[b.people.issuing] * 9)))


# --- whose key


def _by(name: str) -> None:
    @broken(f"key/{name}")
    def _(b: Bench) -> bytes:
        return sign(b.draft(), Pen(b.people.wrong[name]))


for _name in (
    *("unknown-ca", "self-signed", "expired", "not-yet", "path-length", "under-no-ca", "expired-issuer"),
    *("name-constraints", "key-usage", "authority-signs", "rsa-1024", "other-curve"),
):
    _by(_name)


@broken("key/swapped")
def _(b: Bench) -> bytes:
    """Signed with one agency's key, certificate of another with the same kind of key."""
    first, second = (b.people.good[0], b.people.good[4])
    return sign(b.draft(), Pen(first, key_info=key_info(second)))


@broken("key/swapped-kind")
def _(b: Bench) -> bytes:
    return sign(b.draft(), Pen(b.people.good[0], key_info=key_info(b.people.good[1])))


# --- base64


@holds("base64/lines-in-the-value")
def _(b: Bench) -> bytes:
    body = b.signed()
    text = _text_of(body, b"SignatureValue")
    gap = b.rng.choice((b"\n", b"\r\n", b"&#13;\n", b" ", b"\t"))
    return _with_text(
        body, b"SignatureValue", gap + gap.join(text[at : at + 64] for at in range(0, len(text), 64)) + gap
    )


@holds("base64/lines-in-certificates")
def _(b: Bench) -> bytes:
    body = b.signed()
    text = _text_of(body, b"X509Certificate")
    gap = b.rng.choice((b"\n", b"\r\n", b"&#13;\n", b" "))
    return _with_text(
        body, b"X509Certificate", gap.join(text[at : at + 76] for at in range(0, len(text), 76))
    )


@broken("base64/lines-in-the-digest")
def _(b: Bench) -> bytes:
    body = b.signed()
    return _with_text(body, b"DigestValue", _text_of(body, b"DigestValue") + b"\n")


@holds("base64/lines-in-the-digest-signed")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(digest_text=lambda text: f"\n{text[:20]}\n  {text[20:]}\n"))


@open_("base64/no-padding")
def _(b: Bench) -> bytes:
    pen = b.pen_of("rsa")
    body = sign(b.draft(), pen)
    return _with_text(body, b"SignatureValue", _text_of(body, b"SignatureValue").rstrip(b"="))


@open_("base64/url-letters")
def _(b: Bench) -> bytes:
    body = sign(b.draft(), b.pen_of("rsa"))
    return _with_text(
        body, b"SignatureValue", _text_of(body, b"SignatureValue").translate(bytes.maketrans(b"+/", b"-_"))
    )


@open_("base64/foreign-letters")
def _(b: Bench) -> bytes:
    body = b.signed()
    text = _text_of(body, b"SignatureValue")
    odd = b.rng.choice(("*", ".", "\u200b", "\u00a0", "!", "ä")).encode()
    return _with_text(body, b"SignatureValue", text[:10] + odd + text[10:])


@open_("base64/behind-the-padding")
def _(b: Bench) -> bytes:
    body = sign(b.draft(), b.pen_of("rsa"))
    return _with_text(
        body, b"SignatureValue", _text_of(body, b"SignatureValue") + b.rng.choice((b"AAAA", b"=", b"Q"))
    )


@open_("base64/spare-bits")
def _(b: Bench) -> bytes:
    """Bits of the last letter that stand for nothing are set: other letters, the same octets."""
    body = sign(b.draft(), b.pen_of("rsa"))  # 256 octets: the last letter before == has four spare bits
    text = _text_of(body, b"SignatureValue")
    assert text.endswith(b"==")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(text[-3:-2])
    return _with_text(body, b"SignatureValue", text[:-3] + alphabet[last + 1 : last + 2] + b"==")


@holds("base64/references")
def _(b: Bench) -> bytes:
    body = b.signed()
    text = _text_of(body, b"SignatureValue")
    return _with_text(body, b"SignatureValue", b"&#x%x;" % text[0] + text[1:])


@holds("base64/cdata")
def _(b: Bench) -> bytes:
    body = b.signed()
    text = _text_of(body, b"SignatureValue")
    return _with_text(body, b"SignatureValue", b"<![CDATA[" + text + b"]]>")


@holds("base64/cdata-in-part")
def _(b: Bench) -> bytes:
    body = b.signed()
    text = _text_of(body, b"SignatureValue")
    at = b.rng.randrange(1, len(text))
    return _with_text(body, b"SignatureValue", text[:at] + b"<![CDATA[" + text[at:] + b"]]>")


# --- what no signature covers


@open_("unsigned/key-name")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<KeyInfo>", b"<KeyInfo><KeyName>H53</KeyName>")


@open_("unsigned/key-value")
def _(b: Bench) -> bytes:
    inner = (
        b"<KeyValue><RSAKeyValue><Modulus>AQAB</Modulus><Exponent>AQAB</Exponent></RSAKeyValue></KeyValue>"
    )
    return swap(b.signed(), b"<KeyInfo>", b"<KeyInfo>" + inner)


@open_("unsigned/retrieval")
def _(b: Bench) -> bytes:
    uri = b.rng.choice((b"http://127.0.0.1:9/key", b"file:///nonexistent/truc", b"#k"))
    return swap(b.signed(), b"</KeyInfo>", b'<RetrievalMethod URI="' + uri + b'"/></KeyInfo>')


@open_("unsigned/subject-name")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"</X509Data>", b"<X509SubjectName>CN=Agency</X509SubjectName></X509Data>")


@open_("unsigned/foreign-in-key-info")
def _(b: Bench) -> bytes:
    where = b.rng.choice((b"</KeyInfo>", b"</X509Data>"))
    return swap(b.signed(), where, b'<note xmlns="urn:foreign">x</note>' + where)


@open_("unsigned/object")
def _(b: Bench) -> bytes:
    inner = b.rng.choice((b"<Object/>", b'<Object Id="o"><x xmlns=""/></Object>', b"<Object>text</Object>"))
    return swap(b.signed(), b"</Signature>", inner + b"</Signature>")


@open_("unsigned/attribute-of-signature")
def _(b: Bench) -> bytes:
    where = b.rng.choice((b"<Signature", b"<SignatureValue", b"<KeyInfo", b"<X509Data", b"<X509Certificate"))
    return swap(
        b.signed(),
        where + (b" " if where == b"<Signature" else b">"),
        where + b' Id="s"' + (b" " if where == b"<Signature" else b">"),
    )


@open_("unsigned/text-in-signature")
def _(b: Bench) -> bytes:
    where = b.rng.choice((b"<SignatureValue>", b"<KeyInfo>", b"</Signature>", b"<X509Data>", b"</KeyInfo>"))
    return swap(b.signed(), where, b"text" + where)


@holds("unsigned/declared-in-signature")
def _(b: Bench) -> bytes:
    return swap(b.signed(), b"<KeyInfo>", b'<KeyInfo xmlns:u="urn:unused">')


@open_("unsigned/no-place")
def _(b: Bench) -> bytes:
    """No signature at all."""
    return b.draft().replace(HERE, b"")


@open_("unsigned/stub")
def _(b: Bench) -> bytes:
    """A look-alike in the format's own namespace is signed content like any other."""
    stub = b"<edXML:Signature><edXML:SignatureValue>AAAA</edXML:SignatureValue></edXML:Signature>"
    return sign(swap(b.draft(), HERE, stub + HERE), b.pen)
