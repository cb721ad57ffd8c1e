"""The structure of a signature, read from its canonical octets: the way that nearly all signatures take.

In its canonical form (with comments), in which many stand in their bodies too, a plain signature has one spelling, up
to prefix and white space, so one expression says at once that every node of it is one that ``signature.read`` takes. What
it captures is what was signed: the octets of SignedInfo are cut out of the same form. Whatever does not match, for
whatever reason, goes the long way, check by check; nothing is refused here, and nothing is taken here that the long way
refuses (a test compares).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from typing import Any, Final

from lxml import etree

from relay.model.verdict import XMLDSIG
from relay.trust import names
from relay.trust.signature import MAX_CERTIFICATES, MAX_SIGNATURE_BYTES, SignatureParts

_W: Final = r"(?:[ \t\n]++|&#xD;)*+"  # possessive: nothing is kept to come back to
_TEXT: Final = r"([^<]*)"


def _element(name: str, inner: str, attributes: str = "") -> str:
    return f"<(?P=p){name}{attributes}>{inner}</(?P=p){name}>"


def _method(name: str) -> str:
    return _element(name, _W, ' Algorithm="([^"]*)"')


_DS: Final = re.escape(XMLDSIG)
_C14N: Final = re.escape(names.C14N)
_TRANSFORMS: Final = _element(
    "Transforms",
    _W.join(
        (
            "",
            _element("Transform", _W, f' Algorithm="{re.escape(names.ENVELOPED)}"'),
            _element("Transform", _W, f' Algorithm="{_C14N}"'),
            "",
        )
    ),
)
_REFERENCE: Final = _element(
    "Reference",
    _W.join(("", _TRANSFORMS, _method("DigestMethod"), _element("DigestValue", _TEXT), "")),
    ' URI="([^"]*)"',
)
_INSIDE_INFO: Final = _W.join(
    (
        "",
        _element("CanonicalizationMethod", _W, f' Algorithm="{_C14N}"'),
        _method("SignatureMethod"),
        _REFERENCE,
        "",
    )
)
_CERTIFICATES: Final = f"((?:{_W}{_element('X509Certificate', '[^<]*')}){{1,{MAX_CERTIFICATES}}}){_W}"
_SIGNATURE: Final = re.compile(
    (
        # the prefix that is declared is that of the element: where another one stands, canonical form has another spelling
        r"<(?P<p>(?:(?P<n>[A-Za-z_][A-Za-z0-9_.-]*):)?)Signature(?P<ns> xmlns(?(n):(?P=n))="
        f'"{_DS}")>{_W}'
        f"<(?P=p)SignedInfo>(?P<info>{_INSIDE_INFO}</(?P=p)SignedInfo>){_W}"
        f"{_element('SignatureValue', _TEXT)}{_W}"
        f"{_element('KeyInfo', _W + _element('X509Data', _CERTIFICATES) + _W)}{_W}"
        "</(?P=p)Signature>"
    ).encode()
)
_SIGNATURES: Final = {uri.encode(): algorithm for uri, algorithm in names.SIGNATURES.items()}
_DIGESTS: Final = {uri.encode(): name for uri, name in names.DIGESTS.items()}
_SPACES: Final = b" \t\n"
_LONGEST: Final = 256 * 1024  # bytes; eight of the largest certificates, and room
_MOST: Final = 4 * (MAX_SIGNATURE_BYTES // 3 + 2)


def read(
    signature: Any,  # noqa: ANN401 -- lxml ships no types
    *,
    by_manifest: bool,
    written: bytes = b"",
) -> tuple[SignatureParts, bytes] | None:
    """Return the parts of a plain signature, without certificates, and the octets in which these stand.

    None where the signature is not plain; ``signature.read`` then says what it is.

    Args:
        signature: the element in its tree.
        by_manifest: whether the reference may name an element.
        written: octets of the body that may be that element. What matches is one element to any parser that meets it
            between tags or in a text, and its own canonical form (``SignatureParts.as_written``); where nothing does, that
            form is made.
    """
    match = _SIGNATURE.fullmatch(written) if 0 < len(written) <= _LONGEST else None
    as_written = match is not None
    if match is None:
        match = _SIGNATURE.fullmatch(_canonical(signature))
    if match is None:
        return None
    prefix, _, namespace, inside, method, uri, digest_method, digest_text, value_text, certificates = (
        match.groups()
    )
    algorithm = _SIGNATURES.get(method)
    digest_hash = _DIGESTS.get(digest_method)
    if algorithm is None or digest_hash is None or len(value_text) > _MOST:
        return None
    fragment = uri.decode()
    if fragment and not (by_manifest and names.is_fragment(fragment)):
        return None
    digest, value = _octets(digest_text), _octets(value_text)
    if digest is None or value is None or len(digest) != names.DIGEST_SIZES[digest_hash]:
        return None
    signed_info = b"".join((b"<", prefix, b"SignedInfo", namespace, b">", inside))
    return (
        SignatureParts(
            signature, algorithm, digest_hash, digest, value, (), fragment[1:], signed_info, as_written
        ),
        certificates,
    )


def _canonical(signature: Any) -> bytes:  # noqa: ANN401
    """Return the canonical form of a signature; empty if it has none, or a long one."""
    try:
        octets: bytes = etree.tostring(signature, method="c14n", exclusive=True, with_comments=True)
    except etree.LxmlError:
        return b""
    return octets if len(octets) <= _LONGEST else b""


def _octets(text: bytes) -> bytes | None:
    """Return what base64 in its one spelling holds, white space left aside."""
    if b"&" in text:
        text = text.replace(b"&#xD;", b"")
    text = text.translate(None, _SPACES)
    try:
        found = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return found if found and b64encode(found) == text else None
