"""The structure of the one ``ds:Signature``, checked by allow-lists before any arithmetic.

In: the parsed tree. Out: what the engine needs. Whatever is not named here is refused by its name, so that an engine
never meets a transform, key source or reference that was not meant. Each check is a function ``check_*`` that returns
nothing or raises; ``relay.trust.checks`` lists them.
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
MAX_URI: Final = 256
MAX_SIGNATURE_BYTES: Final = names.MAX_RSA_BITS // 8


@dataclass(frozen=True, slots=True)
class SignatureParts:
    """The signature as found in the tree; ``element`` lives only as long as the call that verifies."""

    element: Any
    algorithm: names.SignatureAlgorithm
    digest_hash: names.Hash
    digest: bytes
    value: bytes
    certificates: tuple[bytes, ...]  # DER, leaf first
    fragment: str = ""  # the id that the reference names; empty: the whole document
    signed_info: bytes = b""  # its canonical octets, where they are known already
    as_written: bool = False  # read from octets of the body that are one plain signature


def signatures(root: Any, place: SignaturePlace) -> list[Any]:  # noqa: ANN401 -- lxml ships no types
    """Return the elements that are signatures or the format's stub of one, found in one walk."""
    tags = (names.SIGNATURE,) if place.stub is None else (names.SIGNATURE, place.stub)
    return list(root.iter(*tags))


def locate(root: Any, place: SignaturePlace, found: list[Any]) -> Any:  # noqa: ANN401
    """Return the one signature element at its place; ``found``: of ``signatures``.

    Raises:
        RefusedError: UNSIGNED, MANY-SIGNATURES or SIGNATURE-MISPLACED.
    """
    own = iter([one for one in found if one.tag == names.SIGNATURE])
    signature = next(own, None)
    check_signed(signature)
    check_one_signature(own)
    check_place(root, signature, place)
    return signature


def check_signed(signature: Any) -> None:  # noqa: ANN401
    """Refuse a document without a signature. UNSIGNED."""
    if signature is None:
        raise RefusedError(Code.UNSIGNED, "no XML signature")


def check_one_signature(further: Any) -> None:  # noqa: ANN401
    """Refuse a second signature, anywhere. MANY-SIGNATURES."""
    if next(further, None) is not None:
        raise RefusedError(Code.MANY_SIGNATURES, "more than one XML signature")


def check_place(root: Any, signature: Any, place: SignaturePlace) -> None:  # noqa: ANN401
    """Refuse a signature that is not the last child of the one element at the format's path. SIGNATURE-MISPLACED."""
    parent = root
    for tag in place.path:
        steps = list(parent.iterchildren(tag))
        if len(steps) != 1:
            raise RefusedError(
                Code.SIGNATURE_MISPLACED, f"{len(steps)} elements {etree.QName(tag).localname}"
            )
        parent = steps[0]
    if signature.getparent() is not parent or next(signature.itersiblings(etree.Element), None) is not None:
        raise RefusedError(Code.SIGNATURE_MISPLACED, f"not the last child of {etree.QName(parent).localname}")


def read(signature: Any, *, by_manifest: bool = False) -> SignatureParts:  # noqa: ANN401
    """Check every node of the signature and return its parts.

    Args:
        signature: the element.
        by_manifest: whether the format takes a reference to a part of the document too.

    Raises:
        RefusedError: SIGNATURE-MALFORMED, FOREIGN-REFERENCE, FOREIGN-TRANSFORM, WEAK-ALGORITHM or KEYINFO-MALFORMED.
    """
    check_bare(signature)
    check_children(signature, "SignedInfo", "SignatureValue", "KeyInfo")
    signed_info, value, key_info = _child(signature, 0), _child(signature, 1), _child(signature, 2)
    check_bare(signed_info)
    check_one_reference(signed_info)
    check_children(signed_info, "CanonicalizationMethod", "SignatureMethod", "Reference")
    c14n, method, reference = _child(signed_info, 0), _child(signed_info, 1), _child(signed_info, 2)
    check_bare(c14n, "Algorithm")
    check_canonicalization(c14n)
    check_no_parameters(method)
    algorithm = signature_algorithm(method)
    fragment, digest_hash, digest = _reference(reference, by_manifest)
    return SignatureParts(
        element=signature,
        algorithm=algorithm,
        digest_hash=digest_hash,
        digest=digest,
        value=octets(value, Code.SIGNATURE_MALFORMED, MAX_SIGNATURE_BYTES),
        certificates=certificates(key_info),
        fragment=fragment,
    )


def _reference(reference: Any, by_manifest: bool) -> tuple[str, names.Hash, bytes]:  # noqa: ANN401
    check_bare(reference, "URI")
    check_uri(reference, by_manifest)
    check_children(reference, "Transforms", "DigestMethod", "DigestValue")
    transforms, digest_method, digest_value = _child(reference, 0), _child(reference, 1), _child(reference, 2)
    check_bare(transforms)
    check_transforms(transforms)
    check_no_parameters(digest_method)
    digest_hash = digest_algorithm(digest_method)
    digest = octets(digest_value, Code.SIGNATURE_MALFORMED, hashlib.new(digest_hash).digest_size)
    check_digest_size(digest, digest_hash)
    return str(reference.get("URI", "")).removeprefix("#"), digest_hash, digest


def check_bare(element: Any, *attributes: str, code: Code = Code.SIGNATURE_MALFORMED) -> None:  # noqa: ANN401
    """Refuse other attributes than these, any comment, and any text but white space between children.

    SIGNATURE-MALFORMED or ``code``.
    """
    if element.attrib and any(name not in attributes for name in element.attrib):
        raise RefusedError(code, f"unexpected attribute in {_local(element)}")
    if (element.text or "").strip(_SPACE):
        raise RefusedError(code, f"text in {_local(element)}")
    for child in element:
        if not isinstance(child.tag, str):
            raise RefusedError(code, f"a comment in {_local(element)}")
        if (child.tail or "").strip(_SPACE):
            raise RefusedError(code, f"text in {_local(element)}")


def check_children(element: Any, *expected: str) -> None:  # noqa: ANN401
    """Refuse other children than exactly these, in that order: no Object, no second value. SIGNATURE-MALFORMED."""
    if [child.tag for child in element] != [_ds(local) for local in expected]:
        raise RefusedError(
            Code.SIGNATURE_MALFORMED, f"{_local(element)} is not exactly {', '.join(expected)}"
        )


def check_one_reference(signed_info: Any) -> None:  # noqa: ANN401
    """Refuse a second reference. FOREIGN-REFERENCE."""
    references = sum(child.tag == _REFERENCE for child in signed_info)
    if references > 1:
        raise RefusedError(Code.FOREIGN_REFERENCE, f"{references} references, one is taken")


def check_canonicalization(method: Any) -> None:  # noqa: ANN401
    """Refuse another canonicalisation of SignedInfo than exclusive C14N without a PrefixList. FOREIGN-TRANSFORM."""
    if _algorithm(method) != names.C14N or len(method):
        raise RefusedError(Code.FOREIGN_TRANSFORM, "canonicalisation is not plain exclusive C14N")


def check_no_parameters(method: Any) -> None:  # noqa: ANN401
    """Refuse parameters of a method, such as the length of an HMAC. SIGNATURE-MALFORMED."""
    check_bare(method, "Algorithm")
    if len(method):
        raise RefusedError(Code.SIGNATURE_MALFORMED, f"{_local(method)} has parameters")


def signature_algorithm(method: Any) -> names.SignatureAlgorithm:  # noqa: ANN401
    """Look the signature method up. WEAK-ALGORITHM."""
    algorithm = names.SIGNATURES.get(_algorithm(method))
    if algorithm is None:
        raise RefusedError(Code.WEAK_ALGORITHM, f"signature method {_shown(_algorithm(method))}")
    return algorithm


def digest_algorithm(method: Any) -> names.Hash:  # noqa: ANN401
    """Look the digest method up. WEAK-ALGORITHM."""
    digest_hash = names.DIGESTS.get(_algorithm(method))
    if digest_hash is None:
        raise RefusedError(Code.WEAK_ALGORITHM, f"digest method {_shown(_algorithm(method))}")
    return digest_hash


def check_uri(reference: Any, by_manifest: bool) -> None:  # noqa: ANN401
    """Refuse a reference to anything but the whole document or, by manifest, one id in it. FOREIGN-REFERENCE."""
    uri = reference.get("URI")
    if uri == "":
        return
    if by_manifest and uri is not None and names.is_fragment(uri):
        return
    raise RefusedError(Code.FOREIGN_REFERENCE, "the reference is not to the whole document")


def check_transforms(transforms: Any) -> None:  # noqa: ANN401
    """Refuse other transforms than exactly enveloped-signature and exclusive C14N. FOREIGN-TRANSFORM."""
    chosen = []
    for transform in transforms:
        if transform.tag != _ds("Transform"):
            raise RefusedError(Code.SIGNATURE_MALFORMED, "unexpected child of Transforms")
        check_bare(transform, "Algorithm")
        chosen.append(_algorithm(transform))
        if len(transform):
            raise RefusedError(Code.FOREIGN_TRANSFORM, "a transform has parameters")
    if chosen != [names.ENVELOPED, names.C14N]:
        raise RefusedError(Code.FOREIGN_TRANSFORM, "not exactly enveloped-signature and exclusive C14N")


def check_digest_size(digest: bytes, digest_hash: names.Hash) -> None:
    """Refuse a digest of another length than its method gives. SIGNATURE-MALFORMED."""
    if len(digest) != hashlib.new(digest_hash).digest_size:
        raise RefusedError(Code.SIGNATURE_MALFORMED, "the digest has a wrong length")


def certificates(key_info: Any) -> tuple[bytes, ...]:  # noqa: ANN401
    """Return the certificates of a KeyInfo, DER, leaf first.

    Raises:
        RefusedError: KEYINFO-MALFORMED.
    """
    check_key_info(key_info)
    data = key_info[0]
    check_x509_data(data)
    ders = []
    for child in data:
        der = octets(child, Code.KEYINFO_MALFORMED, MAX_CERTIFICATE_BYTES)
        check_one_structure(der)
        ders.append(der)
    return tuple(ders)


def check_key_info(key_info: Any) -> None:  # noqa: ANN401
    """Refuse other sources of a key than one X509Data: nothing is fetched, named or given bare. KEYINFO-MALFORMED."""
    check_bare(key_info, code=Code.KEYINFO_MALFORMED)
    if [child.tag for child in key_info] != [_ds("X509Data")]:
        raise RefusedError(Code.KEYINFO_MALFORMED, "KeyInfo is not exactly one X509Data")


def check_x509_data(data: Any) -> None:  # noqa: ANN401
    """Refuse anything but one to eight certificates. KEYINFO-MALFORMED."""
    check_bare(data, code=Code.KEYINFO_MALFORMED)
    if not 1 <= len(data) <= MAX_CERTIFICATES:
        raise RefusedError(Code.KEYINFO_MALFORMED, f"1 to {MAX_CERTIFICATES} certificates are taken")
    if any(child.tag != _ds("X509Certificate") for child in data):
        raise RefusedError(Code.KEYINFO_MALFORMED, "X509Data holds something else than certificates")


def check_one_structure(der: bytes) -> None:
    """Refuse bytes that are not one DER SEQUENCE to their end. KEYINFO-MALFORMED."""
    if not _one_sequence(der):
        raise RefusedError(Code.KEYINFO_MALFORMED, "not exactly one DER structure")


def octets(element: Any, code: Code, most: int) -> bytes:  # noqa: ANN401
    """Decode base64; white space is free, also the carriage returns that the JDK writes as ``&#13;``.

    Raises:
        RefusedError: ``code``: it is none, more than ``most`` bytes, or holds attributes or children.
    """
    check_base64_holder(element, code)
    text = (element.text or "").translate(_NO_SPACE)
    check_base64_length(text, most, element, code)
    try:
        found = base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(code, f"{_local(element)} is not base64") from error
    check_base64_spelling(text, found, element, code)
    return found


def check_base64_holder(element: Any, code: Code) -> None:  # noqa: ANN401
    """Refuse attributes, elements and comments around a value. ``code``."""
    if element.attrib or len(element):
        raise RefusedError(code, f"{_local(element)} holds more than base64")


def check_base64_length(text: str, most: int, element: Any, code: Code) -> None:  # noqa: ANN401
    """Refuse a value that is longer than it can be meant. ``code``."""
    if len(text) > 4 * (most // 3 + 2):
        raise RefusedError(code, f"{_local(element)} is too long")


def check_base64_spelling(text: str, found: bytes, element: Any, code: Code) -> None:  # noqa: ANN401
    """Refuse nothing at all, foreign characters, and a second spelling of the same octets (RFC 4648, 3.5). ``code``."""
    if not found:
        raise RefusedError(code, f"{_local(element)} is empty")
    if base64.b64encode(found) != text.encode("ascii", "replace"):
        raise RefusedError(code, f"{_local(element)} is not base64 in its one spelling")


def _child(element: Any, index: int) -> Any:  # noqa: ANN401
    """Return a child element; it is there, unless a check before was switched off."""
    if index >= len(element):
        raise RefusedError(Code.SIGNATURE_MALFORMED, f"{_local(element)} lacks a child")
    return element[index]


_REFERENCE: Final = f"{{{XMLDSIG}}}Reference"


def _ds(local: str) -> str:
    return f"{{{XMLDSIG}}}{local}"


def _algorithm(element: Any) -> str:  # noqa: ANN401
    return str(element.get("Algorithm", ""))


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
