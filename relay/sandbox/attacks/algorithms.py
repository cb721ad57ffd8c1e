"""Algorithms, keys and values: another arithmetic than the signer meant, or one that proves nothing."""

# ruff: noqa: PLW0108, S505 -- what must be refused has to be made; builders stand below what names them

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.errors import Code
from relay.sandbox.attacks import der
from relay.sandbox.attacks.case import Family
from relay.sandbox.attacks.forge import DS, MORE, Forge, b64, ecdsa_value, inserted, rsa_value
from relay.sandbox.attacks.papers import Signer, position_of_key

ALGORITHMS = Family("algorithms", "RFC 6931; W3C, XML Signature Best Practices, best practice 1")
KEYS = Family("weak keys", "NIST SP 800-57 part 1, section 5.6; FIPS 186-5")
VALUES = Family("signature values", "FIPS 186-5, section 6.4.2; RFC 8017, section 8.2.2")

_WEAK: Final = Code.WEAK_ALGORITHM
_INVALID: Final = Code.SIGNATURE_INVALID


def _public_as_secret(key: Any, octets: bytes, name: str) -> bytes:  # noqa: ANN401
    """HMAC with what everybody knows: the public key."""
    shown = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.digest(shown, octets, name)


def _pss(key: Any, octets: bytes, _name: str) -> bytes:  # noqa: ANN401
    return bytes(
        key.sign(octets, padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH), hashes.SHA256())
    )


def _hmac(method: str, inside: str = "") -> Callable[[Forge], bytes]:
    return lambda forge: forge.with_recipe(method=method, method_inside=inside, value=_public_as_secret)


ALGORITHMS.add("HMAC with the public key", _WEAK, "signature.signature_algorithm", "the key that everybody has, taken for a secret", _hmac(f"{MORE}hmac-sha256"), source="CVE-2015-9235 and CVE-2016-5431 (the same in JSON)")  # fmt: skip
ALGORITHMS.add("HMAC cut to one bit", Code.SIGNATURE_MALFORMED, "signature.check_no_parameters", "a value that fits every second document", _hmac(f"{DS}hmac-sha1", "<HMACOutputLength>1</HMACOutputLength>"), source="CVE-2009-0217")  # fmt: skip
ALGORITHMS.add("RSA-PSS", _WEAK, "signature.signature_algorithm", "an algorithm that not every recipient checks", lambda forge: forge.sign(forge.unsigned(), forge.rsa(), method="http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", value=_pss), source="docs/protocol.md, Signing")  # fmt: skip
ALGORITHMS.add("RSA-PSS under the name of PKCS#1 v1.5", _INVALID, "verifier.check_value", "a value of another padding", lambda forge: forge.sign(forge.unsigned(), forge.rsa(), value=_pss), source="RFC 8017, section 8.2.2")  # fmt: skip
ALGORITHMS.add("RSA with SHA-1", _WEAK, "signature.signature_algorithm", "a second document with the same digest", lambda forge: forge.sign(forge.unsigned(), forge.rsa(), hash="sha1"), source="Stevens and others, SHAttered (2017)")  # fmt: skip
ALGORITHMS.add("ECDSA with SHA-1", _WEAK, "signature.signature_algorithm", "a second document with the same digest", lambda forge: forge.with_recipe(hash="sha1", method=f"{MORE}ecdsa-sha1"), source="Leurent and Peyrin, SHA-1 is a Shambles (2020)")  # fmt: skip
ALGORITHMS.add("RSA with MD5", _WEAK, "signature.signature_algorithm", "a second document with the same digest", lambda forge: forge.sign(forge.unsigned(), forge.rsa(), hash="md5", method=f"{MORE}rsa-md5"), source="RFC 6151")  # fmt: skip
ALGORITHMS.add("ECDSA with SHA-224", _WEAK, "signature.signature_algorithm", "less than 128 bits", lambda forge: forge.with_recipe(hash="sha224", method=f"{MORE}ecdsa-sha224"))  # fmt: skip
ALGORITHMS.add("a digest by SHA-1", _WEAK, "signature.digest_algorithm", "a second document with the same digest", lambda forge: forge.with_recipe(digest="sha1"), source="Stevens and others, SHAttered (2017)")  # fmt: skip
ALGORITHMS.add("a digest by MD5", _WEAK, "signature.digest_algorithm", "a second document with the same digest", lambda forge: forge.with_recipe(digest="md5"), source="RFC 6151")  # fmt: skip
ALGORITHMS.add("a digest by SHA-224", _WEAK, "signature.digest_algorithm", "less than 128 bits", lambda forge: forge.with_recipe(digest="sha224"))  # fmt: skip
ALGORITHMS.add("an unknown digest", _WEAK, "signature.digest_algorithm", "engines that skip what they do not know", lambda forge: forge.with_recipe(digest_uri="urn:x"))  # fmt: skip
ALGORITHMS.add("an unknown signature method", _WEAK, "signature.signature_algorithm", "engines that skip what they do not know", lambda forge: forge.with_recipe(method="urn:none"), source="CVE-2015-9235 (alg none, the same in JSON)")  # fmt: skip
ALGORITHMS.add("a parameter in the signature method", Code.SIGNATURE_MALFORMED, "signature.check_no_parameters", "parameters that one engine reads and another does not", lambda forge: forge.with_recipe(method_inside="<HMACOutputLength>8</HMACOutputLength>"), source="CVE-2009-0217")  # fmt: skip
ALGORITHMS.add("ECDSA named, an RSA key shown", _INVALID, "verifier.check_key_kind", "a key of one kind read as another", lambda forge: forge.sign(forge.unsigned(), forge.rsa(), method=f"{MORE}ecdsa-sha256"), source="CVE-2015-9235")  # fmt: skip
ALGORITHMS.add("RSA named, an EC key shown", _INVALID, "verifier.check_key_kind", "a key of one kind read as another", lambda forge: forge.with_recipe(method=f"{MORE}rsa-sha256"), source="CVE-2015-9235")  # fmt: skip
ALGORITHMS.add("SHA-512 named, SHA-256 used", _INVALID, "verifier.check_value", "a hash of one name under another", lambda forge: forge.with_recipe(method=f"{MORE}ecdsa-sha512"))  # fmt: skip


# --- keys

_BAD: Final = Code.BAD_CERTIFICATE


def _keyed(key: Any) -> Callable[[Forge], bytes]:  # noqa: ANN401
    return lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(key=key()))


def _with_exponent(exponent: int) -> Callable[[Forge], bytes]:
    """An RSA key whose exponent no library would make; signatures of exponent 1 are the padded digest itself."""

    def build(forge: Forge) -> bytes:
        key = rsa.generate_private_key(65537, 2048)
        modulus = key.public_key().public_numbers().n
        false = der.bits(der.sequence(der.integer(modulus), der.integer(exponent)).octets())
        good = forge.papers.signer(key=key, enrol=False)

        def change(inner: der.Value) -> der.Value:
            return inner.but((position_of_key(inner), 1), lambda _: false)

        leaf = forge.papers.rebuilt(good.chain[0], change)
        signer = forge.papers.enrolled(Signer(key, (leaf, *good.chain[1:])), "H97")
        return forge.sign(forge.unsigned(), signer, value=_padded if exponent == 1 else rsa_value)

    return build


def _padded(key: Any, octets: bytes, _name: str) -> bytes:  # noqa: ANN401
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    tail = prefix + hashlib.sha256(octets).digest()
    size = int(key.key_size) // 8
    return b"\0\1" + b"\xff" * (size - len(tail) - 3) + b"\0" + tail


def _endless(forge: Forge) -> bytes:
    """A key that nobody has: only its size matters."""
    modulus = int.from_bytes(b"\xc1" + hashlib.shake_256(b"modulus").digest(1025), "big") | 1
    numbers = der.bits(der.sequence(der.integer(modulus), der.integer(65537)).octets())
    template = forge.rsa().key

    def change(inner: der.Value) -> der.Value:
        return inner.but((position_of_key(inner), 1), lambda _: numbers)

    good = forge.papers.signer(key=template, enrol=False)
    leaf = forge.papers.rebuilt(good.chain[0], change)
    return forge.sign(
        forge.unsigned(), forge.papers.enrolled(Signer(template, (leaf, *good.chain[1:])), "H97")
    )


def _explicit_parameters(forge: Forge) -> bytes:
    """Curveball: the sender's public key with a generator of the attacker's, for which the private key is 1."""
    numbers = forge.signer().key.public_key().public_numbers()
    point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    p = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
    a = p - 3
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    def octets(number: int) -> der.Value:
        return der.Value(4, number.to_bytes(32, "big"))

    parameters = der.sequence(
        der.integer(1),
        der.sequence(der.Value(6, bytes.fromhex("2a8648ce3d0101")), der.integer(p)),
        der.sequence(octets(a), octets(b)),
        der.Value(4, point),
        der.integer(n),
        der.integer(1),
    )
    return _rekeyed(forge, lambda key: key.but((0, 1), lambda _: parameters))


def _rekeyed(forge: Forge, change: Callable[[der.Value], der.Value]) -> bytes:
    good = forge.papers.signer(enrol=False)

    def inside(inner: der.Value) -> der.Value:
        return inner.but((position_of_key(inner),), change)

    leaf = forge.papers.rebuilt(good.chain[0], inside)
    return forge.sign(
        forge.unsigned(), forge.papers.enrolled(Signer(good.key, (leaf, *good.chain[1:])), "H97")
    )


def _off_the_curve(key: der.Value) -> der.Value:
    point = key[1].content
    assert isinstance(point, bytes)
    return key.but((1,), lambda _: der.Value(der.BIT_STRING, point[:-1] + bytes([point[-1] ^ 1])))


KEYS.add("RSA of 1024 bits", _WEAK, "certificate._key", "a key that can be factored", _keyed(lambda: rsa.generate_private_key(65537, 1024)), source="NIST SP 800-131A, section 3")  # fmt: skip
KEYS.add("RSA of 1536 bits", _WEAK, "certificate._key", "less than 112 bits", _keyed(lambda: rsa.generate_private_key(65537, 1536)), source="NIST SP 800-131A, section 3")  # fmt: skip
KEYS.add("RSA with exponent 3", Code.WEAK_ALGORITHM, "certificate.check_exponent", "forged paddings where a verifier is lax", _keyed(lambda: rsa.generate_private_key(3, 2048)), source="CVE-2006-4339; FIPS 186-5, section 5.1")  # fmt: skip
KEYS.add("RSA with exponent 1", Code.BAD_CERTIFICATE, "certificate._key", "a signature that anybody can write down", _with_exponent(1), source="FIPS 186-5, section 5.1")  # fmt: skip
KEYS.add("RSA with an even exponent", Code.BAD_CERTIFICATE, "certificate._key", "a key that is none", _with_exponent(65538), source="FIPS 186-5, section 5.1")  # fmt: skip
KEYS.add("curve P-192", Code.WEAK_ALGORITHM, "certificate._key", "96 bits", _keyed(lambda: ec.generate_private_key(ec.SECP192R1())))  # fmt: skip
KEYS.add("curve P-224", _WEAK, "certificate._key", "112 bits", _keyed(lambda: ec.generate_private_key(ec.SECP224R1())))  # fmt: skip
KEYS.add("curve secp256k1", _WEAK, "certificate._key", "a curve that the profile does not name", _keyed(lambda: ec.generate_private_key(ec.SECP256K1())), source="docs/protocol.md, Signing")  # fmt: skip
KEYS.add("Ed25519", _BAD, "certificate._key", "a kind of key that the profile does not name", lambda forge: forge.with_recipe(key_info=_shown(forge, ed25519.Ed25519PrivateKey.generate())), source="docs/protocol.md, Signing")  # fmt: skip
KEYS.add("DSA", _BAD, "certificate._key", "a kind of key that the profile does not name", lambda forge: forge.with_recipe(key_info=_shown(forge, dsa.generate_private_key(1024))), source="FIPS 186-5, section 1")  # fmt: skip
KEYS.add("RSA of 8208 bits", _BAD, "certificate._key", "time: one check costs milliseconds", lambda forge: _endless(forge), source="CVE-2006-2940")  # fmt: skip
KEYS.add("explicit curve parameters", Code.BAD_CERTIFICATE, "certificate._key", "a generator of the attacker's: the private key is known", _explicit_parameters, source="CVE-2020-0601; RFC 5480, section 2.1.1")  # fmt: skip
KEYS.add("a point that is not on the curve", Code.BAD_CERTIFICATE, "certificate._key", "small subgroups", lambda forge: _rekeyed(forge, _off_the_curve), source="Biehl, Meyer and Müller, Differential Fault Attacks on Elliptic Curve Cryptosystems (2000)")  # fmt: skip
KEYS.add("the signer's key, another agency's certificate", _INVALID, "verifier.check_value", "a certificate that is shown without its key", lambda forge: forge.sign(forge.unsigned(), Signer(forge.signer("H98").key, forge.signer().chain)))  # fmt: skip


def _shown(forge: Forge, key: Any) -> str:  # noqa: ANN401
    from relay.sandbox.attacks.forge import key_info

    return key_info(forge.papers.signer(key=key).chain)


# --- values

_N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _fixed(r: int, s: int) -> Callable[[Any, bytes, str], bytes]:
    return lambda _key, _octets, _name: r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _valued(value: Callable[[Any, bytes, str], bytes]) -> Callable[[Forge], bytes]:
    return lambda forge: forge.with_recipe(value=value)


def _in_der(key: Any, octets: bytes, _name: str) -> bytes:  # noqa: ANN401
    return bytes(key.sign(octets, ec.ECDSA(hashes.SHA256())))


def _larger(key: Any, octets: bytes, _name: str) -> bytes:  # noqa: ANN401
    """R as r + n where it fits: the same number to who computes modulo n."""
    while True:
        r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(hashes.SHA256())))
        for one, other in ((r + _N, s), (r, s + _N)):
            if one < 1 << 256 and other < 1 << 256:
                return one.to_bytes(32, "big") + other.to_bytes(32, "big")
        # the chance is one in four thousand million: the wider form says the same
        return (r + _N).to_bytes(33, "big") + (s + _N).to_bytes(33, "big")


VALUES.add("r and s are zero", Code.SIGNATURE_INVALID, "verifier.check_value", "a value that fits every document", _valued(_fixed(0, 0)), source="CVE-2022-21449")  # fmt: skip
VALUES.add("r and s are the order of the curve", Code.SIGNATURE_INVALID, "verifier.check_value", "zero in another spelling", _valued(_fixed(_N, _N)), source="CVE-2022-21449")  # fmt: skip
VALUES.add("r is one, s is zero", Code.SIGNATURE_INVALID, "verifier.check_value", "a value that fits every document", _valued(_fixed(1, 0)), source="CVE-2022-21449")  # fmt: skip
VALUES.add("ECDSA in DER", Code.SIGNATURE_INVALID, "verifier.check_value_size", "two spellings of one value", _valued(_in_der), source="RFC 4050, section 3.3; CVE-2016-1000342")  # fmt: skip
VALUES.add("r and s with leading zeros", Code.SIGNATURE_INVALID, "verifier.check_value_size", "two spellings of one value", _valued(lambda key, octets, name: (v := ecdsa_value(key, octets, name)) and b"\0" + v[:32] + b"\0" + v[32:]), source="CVE-2020-13822")  # fmt: skip
VALUES.add("r and s larger than the order", Code.SIGNATURE_INVALID, "verifier.check_value_size", "two spellings of one value", _valued(_larger), source="CVE-2020-13822")  # fmt: skip
VALUES.add("one byte behind the value", Code.SIGNATURE_INVALID, "verifier.check_value_size", "two spellings of one value", _valued(lambda key, octets, name: ecdsa_value(key, octets, name) + b"\0"), source="CVE-2020-13822")  # fmt: skip
VALUES.add("half a value", Code.SIGNATURE_INVALID, "verifier.check_value_size", "readers beyond the end", _valued(lambda key, octets, name: ecdsa_value(key, octets, name)[:32]))  # fmt: skip
VALUES.add("an RSA value in front of zeros", Code.SIGNATURE_INVALID, "verifier.check_value_size", "two spellings of one value", lambda forge: forge.sign(forge.unsigned(), forge.rsa(), value=lambda key, octets, name: b"\0" + rsa_value(key, octets, name)), source="RFC 8017, section 8.2.2, step 1")  # fmt: skip
VALUES.add("an RSA value plus the modulus", Code.SIGNATURE_INVALID, "verifier.check_value", "two spellings of one value", lambda forge: _plus_modulus(forge), source="RFC 8017, section 5.2.2")  # fmt: skip
VALUES.add("an RSA padding with a hash of another name", _INVALID, "verifier.check_value", "lax readers of the padding", lambda forge: forge.sign(forge.unsigned(), forge.rsa(), value=lambda key, octets, _name: rsa_value(key, octets, "sha384")), source="CVE-2014-1568")  # fmt: skip
VALUES.add("a value over other octets", _INVALID, "verifier.check_value", "engines that check the digest alone", _valued(lambda key, octets, name: ecdsa_value(key, octets + b" ", name)))  # fmt: skip


def _plus_modulus(forge: Forge) -> bytes:
    """A value that is larger than the modulus and still as long: some two of five are small enough to become one."""
    signer = forge.rsa()
    size, modulus = signer.key.key_size // 8, signer.key.public_key().public_numbers().n
    for _ in range(200):
        body = forge.unsigned()
        kept: list[int] = []

        def larger(key: Any, octets: bytes, name: str, kept: list[int] = kept) -> bytes:  # noqa: ANN401
            kept.append(int.from_bytes(rsa_value(key, octets, name), "big") + modulus)
            return kept[0].to_bytes(size + 1, "big")[-size:]

        signed = forge.sign(body, signer, value=larger)
        if kept[0] < 1 << (8 * size):
            return signed
    raise AssertionError("two hundred values in a row were too large")


MALLEABLE = Family("malleability", "RFC 4648, sections 3.3 and 3.5; CVE-2020-13822 and its kin")


def _last_bits(text: str) -> str:
    """The same octets to a lax decoder: bits that no octet takes are set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = text.rstrip("=")
    return bare[:-1] + alphabet[alphabet.index(bare[-1]) ^ 1] + "=" * (len(text) - len(bare))


def _text(change: Callable[[str], str]) -> Callable[[Forge], bytes]:
    return lambda forge: forge.with_recipe(value_text=change)


def _digest(change: Callable[[str], str]) -> Callable[[Forge], bytes]:
    return lambda forge: forge.with_recipe(digest_text=change)


def _certificate(change: Callable[[bytes], str]) -> Callable[[Forge], bytes]:
    def build(forge: Forge) -> bytes:
        leaf, *rest = forge.signer().chain
        texts = [change(leaf), *(b64(each) for each in rest)]
        inner = "".join(f"<X509Certificate>{each}</X509Certificate>" for each in texts)
        return forge.with_recipe(key_info=f"<KeyInfo><X509Data>{inner}</X509Data></KeyInfo>")

    return build


_MALFORMED: Final = Code.SIGNATURE_MALFORMED
_TWO: Final = "two bodies that say the same, so that one is told as new"
MALLEABLE.add(
    "loose bits at the end of the value",
    _MALFORMED,
    "signature.check_base64_spelling",
    _TWO,
    _text(_last_bits),
)
MALLEABLE.add(
    "loose bits at the end of the digest",
    _MALFORMED,
    "signature.check_base64_spelling",
    _TWO,
    _digest(_last_bits),
)
for _where, _change in (("value", _text), ("digest", _digest)):
    MALLEABLE.add(
        f"a CDATA section around the {_where}",
        _MALFORMED,
        "cdata.check_no_section",
        "readers that see text nodes alone, as the JDK does",
        _change(lambda text: f"<![CDATA[{text}]]>"),
    )
MALLEABLE.add(
    "a CDATA section in the middle of the value",
    _MALFORMED,
    "cdata.check_no_section",
    "readers that see the first text node alone",
    _text(lambda text: f"{text[:20]}<![CDATA[{text[20:]}]]>"),
)
MALLEABLE.add(
    "a CDATA section around a certificate",
    _MALFORMED,
    "cdata.check_no_section",
    "readers that find another certificate, or none",
    _certificate(lambda leaf: f"<![CDATA[{b64(leaf)}]]>"),
)
MALLEABLE.add(
    "an empty CDATA section between the children",
    _MALFORMED,
    "cdata.check_no_section",
    "readers that count nodes",
    lambda forge: inserted(forge.good(), "<KeyInfo>", "<![CDATA[]]>"),
)
MALLEABLE.add(
    "padding in excess",
    _MALFORMED,
    "signature.check_base64_spelling",
    _TWO,
    _text(lambda text: text + "===="),
)
MALLEABLE.add("padding left out", _MALFORMED, "signature.octets", _TWO, _text(lambda text: text.rstrip("=")))
MALLEABLE.add(
    "padding in the middle",
    _MALFORMED,
    "signature.check_base64_spelling",
    _TWO,
    _text(lambda text: text[:4] + "==" + text[4:]),
)
MALLEABLE.add(
    "letters of the other alphabet",
    _MALFORMED,
    "signature.check_base64_spelling",
    _TWO,
    _text(lambda text: text[:8] + "-_" + text[10:]),
)
MALLEABLE.add(
    "letters of no alphabet",
    _MALFORMED,
    "signature.check_base64_spelling",
    _TWO,
    _text(lambda text: text[:8] + "*" + text[8:]),
)
MALLEABLE.add(
    "a no-break space in the value",
    _MALFORMED,
    "signature.octets",
    _TWO,
    _text(lambda text: text[:8] + "\u00a0" + text[8:]),
)
MALLEABLE.add(
    "an element in the value",
    _MALFORMED,
    "signature.check_base64_holder",
    _TWO,
    _text(lambda text: text[:8] + "<x></x>" + text[8:]),
)
MALLEABLE.add(
    "a comment in the value",
    Code.COMMENT_IN_TEXT,
    "parse.check_comments",
    _TWO,
    _text(lambda text: text[:8] + "<!-- -->" + text[8:]),
)
MALLEABLE.add(
    "an empty value",
    _MALFORMED,
    "signature.check_base64_spelling",
    "a signature of nothing",
    _text(lambda _text: ""),
)
MALLEABLE.add(
    "a digest of one byte",
    _MALFORMED,
    "signature.check_digest_size",
    "a digest that fits one document in 256",
    _digest(lambda _text: b64(b"\1")),
    source="CVE-2009-0217",
)
MALLEABLE.add(
    "a digest with more behind",
    _MALFORMED,
    "signature.check_digest_size",
    _TWO,
    _digest(lambda _text: b64(bytes(33))),
)
MALLEABLE.add(
    "bytes behind the certificate",
    Code.KEYINFO_MALFORMED,
    "signature.check_one_structure",
    _TWO,
    _certificate(lambda leaf: b64(leaf + b"\0")),
    source="X.690, section 10",
)
MALLEABLE.add(
    "loose bits at the end of a certificate",
    Code.KEYINFO_MALFORMED,
    "signature.check_base64_spelling",
    _TWO,
    lambda forge: _loose_certificate(forge),
    source="RFC 4648, section 3.5",
)
MALLEABLE.add(
    "a certificate's length in BER",
    Code.KEYINFO_MALFORMED,
    "certificate.read_certificate",
    _TWO,
    _certificate(lambda leaf: b64(b"\x30\x83\0" + leaf[2:])),
    source="X.690, section 10.1",
)
MALLEABLE.add(
    "the subject altered in the document",
    Code.DIGEST_MISMATCH,
    "verifier.check_digest",
    "content changed after signing",
    lambda forge: forge.good().replace("phối hợp".encode(), "phân công".encode()),
    source="XML Signature 1.1, section 3.2.1",
)
MALLEABLE.add(
    "white space put between elements",
    Code.DIGEST_MISMATCH,
    "verifier.check_digest",
    "content changed after signing",
    lambda forge: forge.good().replace(b"<edXML:To>", b"\n<edXML:To>"),
    source="Canonical XML 1.1, section 1.1",
)
MALLEABLE.add(
    "composed letters decomposed",
    Code.DIGEST_MISMATCH,
    "verifier.check_digest",
    "content changed after signing by a tool that normalises",
    lambda forge: _decomposed(forge.good()),
    source="Unicode Standard Annex 15",
)


def _loose_certificate(forge: Forge) -> bytes:
    """A certificate whose last base64 group is not full, and therefore has bits to spare."""
    signer = forge.papers.signer()
    while len(signer.chain[0]) % 3 == 0:
        signer = forge.papers.signer()
    texts = [_last_bits(b64(signer.chain[0])), *(b64(each) for each in signer.chain[1:])]
    inner = "".join(f"<X509Certificate>{each}</X509Certificate>" for each in texts)
    return forge.sign(forge.unsigned(), signer, key_info=f"<KeyInfo><X509Data>{inner}</X509Data></KeyInfo>")


def _decomposed(body: bytes) -> bytes:
    import unicodedata

    return unicodedata.normalize("NFD", body.decode()).encode()
