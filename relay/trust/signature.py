"""The structure of the one ``ds:Signature`` of the ``whole`` profile, checked by allow-lists before any arithmetic.

In: the parsed tree. Out: what the engine needs. Whatever is not named here is refused by its name, so that an engine
never meets a transform, key source or reference that was not meant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from relay.errors import Code, RefusedError
from relay.model.verdict import XMLDSIG, SignaturePlace
from relay.trust import names

_SPACE: Final = " \t\r\n"
_NO_SPACE: Final = {ord(character): None for character in _SPACE}
MAX_CERTIFICATES: Final = 8
MAX_CERTIFICATE_BYTES: Final = 16 * 1024
_MAX_SIGNATURE_BYTES: Final = names.MAX_RSA_BITS // 8


@dataclass(frozen=True, slots=True)
class SignatureParts:
    """The signature as found in the tree; ``element`` lives only as long as the call that verifies."""

    element: Any
    algorithm: names.SignatureAlgorithm
    digest_hash: names.Hash
    digest: bytes
    value: bytes
    certificates: tuple[bytes, ...]  # DER, leaf first


def locate(root: Any, place: SignaturePlace) -> Any:  # noqa: ANN401 -- lxml ships no types
    """Return the one signature element at its place.

    Raises:
        RefusedError: UNSIGNED, MANY-SIGNATURES or SIGNATURE-MISPLACED.
    """
    found = root.iter(names.SIGNATURE)
    signature = next(found, None)
    if signature is None:
        raise RefusedError(Code.UNSIGNED, "no XML signature")
    if next(found, None) is not None:
        raise RefusedError(Code.MANY_SIGNATURES, "more than one XML signature")
    parent = root
    for tag in place.path:
        steps = parent.findall(tag)
        if len(steps) != 1:
            raise RefusedError(
                Code.SIGNATURE_MISPLACED, f"{len(steps)} elements {etree.QName(tag).localname}"
            )
        parent = steps[0]
    if signature.getparent() is not parent or next(signature.itersiblings(etree.Element), None) is not None:
        raise RefusedError(Code.SIGNATURE_MISPLACED, f"not the last child of {etree.QName(parent).localname}")
    return signature


def read(signature: Any) -> SignatureParts:  # noqa: ANN401
    """Check every node of the signature and return its parts.

    Raises:
        RefusedError: SIGNATURE-MALFORMED, FOREIGN-REFERENCE, FOREIGN-TRANSFORM, WEAK-ALGORITHM or KEYINFO-MALFORMED.
    """
    signed_info, value, key_info = _children(signature, "SignedInfo", "SignatureValue", "KeyInfo")
    algorithm, digest_hash, digest = _signed_info(signed_info)
    return SignatureParts(
        element=signature,
        algorithm=algorithm,
        digest_hash=digest_hash,
        digest=digest,
        value=_octets(value, Code.SIGNATURE_MALFORMED, _MAX_SIGNATURE_BYTES),
        certificates=_certificates(key_info),
    )


def _signed_info(signed_info: Any) -> tuple[names.SignatureAlgorithm, names.Hash, bytes]:  # noqa: ANN401
    _shape(signed_info)
    kinds = [child.tag for child in signed_info]
    references = kinds.count(_ds("Reference"))
    if references > 1:
        raise RefusedError(Code.FOREIGN_REFERENCE, f"{references} references, one is taken")
    c14n, method, reference = _children(signed_info, "CanonicalizationMethod", "SignatureMethod", "Reference")
    if _algorithm(c14n) != names.C14N or len(c14n):
        raise RefusedError(Code.FOREIGN_TRANSFORM, "canonicalisation is not plain exclusive C14N")
    algorithm = names.SIGNATURES.get(_algorithm(method))
    if algorithm is None:
        raise RefusedError(Code.WEAK_ALGORITHM, f"signature method {_shown(_algorithm(method))}")
    _children(method)

    _shape(reference, "URI")
    if reference.get("URI") != "":
        raise RefusedError(Code.FOREIGN_REFERENCE, "the reference is not to the whole document")
    transforms, digest_method, digest_value = _children(
        reference, "Transforms", "DigestMethod", "DigestValue"
    )
    _shape(transforms)
    chosen = []
    for transform in transforms:
        if transform.tag != _ds("Transform"):
            raise RefusedError(Code.SIGNATURE_MALFORMED, "unexpected child of Transforms")
        chosen.append(_algorithm(transform))
        if len(transform):
            raise RefusedError(Code.FOREIGN_TRANSFORM, "a transform has parameters")
    if chosen != [names.ENVELOPED, names.C14N]:
        raise RefusedError(Code.FOREIGN_TRANSFORM, "not exactly enveloped-signature and exclusive C14N")
    digest_hash = names.DIGESTS.get(_algorithm(digest_method))
    if digest_hash is None:
        raise RefusedError(Code.WEAK_ALGORITHM, f"digest method {_shown(_algorithm(digest_method))}")
    _children(digest_method)
    size = hashlib.new(digest_hash).digest_size
    digest = _octets(digest_value, Code.SIGNATURE_MALFORMED, size)
    if len(digest) != size:
        raise RefusedError(Code.SIGNATURE_MALFORMED, "the digest has a wrong length")
    return algorithm, digest_hash, digest


def _certificates(key_info: Any) -> tuple[bytes, ...]:  # noqa: ANN401
    _shape(key_info, code=Code.KEYINFO_MALFORMED)
    if [child.tag for child in key_info] != [_ds("X509Data")]:
        raise RefusedError(Code.KEYINFO_MALFORMED, "KeyInfo is not exactly one X509Data")
    data = key_info[0]
    _shape(data, code=Code.KEYINFO_MALFORMED)
    if not 1 <= len(data) <= MAX_CERTIFICATES:
        raise RefusedError(Code.KEYINFO_MALFORMED, f"1 to {MAX_CERTIFICATES} certificates are taken")
    ders = []
    for child in data:
        if child.tag != _ds("X509Certificate"):
            raise RefusedError(Code.KEYINFO_MALFORMED, "X509Data holds something else than certificates")
        der = _octets(child, Code.KEYINFO_MALFORMED, MAX_CERTIFICATE_BYTES)
        if not _one_sequence(der):
            raise RefusedError(Code.KEYINFO_MALFORMED, "not exactly one DER structure")
        ders.append(der)
    return tuple(ders)


def _ds(local: str) -> str:
    return f"{{{XMLDSIG}}}{local}"


def _shape(element: Any, *attributes: str, code: Code = Code.SIGNATURE_MALFORMED) -> None:  # noqa: ANN401
    """Only those attributes, no comment, no text but white space between children."""
    if element.attrib and any(name not in attributes for name in element.attrib):
        raise RefusedError(code, f"unexpected attribute in {_local(element)}")
    if (element.text or "").strip(_SPACE):
        raise RefusedError(code, f"text in {_local(element)}")
    for child in element:
        if not isinstance(child.tag, str):
            raise RefusedError(code, f"a comment in {_local(element)}")
        if (child.tail or "").strip(_SPACE):
            raise RefusedError(code, f"text in {_local(element)}")


def _children(element: Any, *expected: str) -> Any:  # noqa: ANN401
    """Return exactly the expected children, in that order."""
    if not expected:
        if len(element):
            raise RefusedError(Code.SIGNATURE_MALFORMED, f"{_local(element)} has parameters")
        return ()
    _shape(element, "URI" if element.tag == _REFERENCE else "")
    if [child.tag for child in element] != [_ds(local) for local in expected]:
        raise RefusedError(
            Code.SIGNATURE_MALFORMED, f"{_local(element)} is not exactly {', '.join(expected)}"
        )
    return tuple(element)


_REFERENCE: Final = _ds("Reference")


def _algorithm(element: Any) -> str:  # noqa: ANN401
    _shape(element, "Algorithm")
    return str(element.get("Algorithm", ""))


def _octets(element: Any, code: Code, most: int) -> bytes:  # noqa: ANN401
    """Decode strict base64; white space is free, also the carriage returns that the JDK writes as ``&#13;``."""
    if element.attrib or len(element):
        raise RefusedError(code, f"{_local(element)} holds more than base64")
    text = (element.text or "").translate(_NO_SPACE)
    if len(text) > 4 * (most // 3 + 2):
        raise RefusedError(code, f"{_local(element)} is too long")
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(code, f"{_local(element)} is not base64") from error
    if not octets:
        raise RefusedError(code, f"{_local(element)} is empty")
    return octets


def _one_sequence(der: bytes) -> bool:
    """Whether the bytes are one DER SEQUENCE and end with it."""
    if len(der) < 2 or der[0] != 0x30:
        return False
    length = der[1]
    if length < 0x80:
        return len(der) == 2 + length
    count = length & 0x7F
    if not 1 <= count <= 3:
        return False
    return len(der) == 2 + count + int.from_bytes(der[2 : 2 + count], "big")


def _local(element: Any) -> str:  # noqa: ANN401
    return str(etree.QName(element).localname)


def _shown(uri: str) -> str:
    """A foreign URI as it may stand in a detail."""
    return "".join(character if character.isprintable() else "?" for character in uri[:80])
