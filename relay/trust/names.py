"""The allow-list of XML signature algorithms: what the ``whole`` profile takes, by its URI. All else is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from relay.model.verdict import EXC_C14N, XMLDSIG

SIGNATURE: Final = f"{{{XMLDSIG}}}Signature"
DIGEST_METHOD: Final = f"{{{XMLDSIG}}}DigestMethod"
DIGEST_VALUE: Final = f"{{{XMLDSIG}}}DigestValue"
ENVELOPED: Final = f"{XMLDSIG}enveloped-signature"
C14N: Final = EXC_C14N

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # above, one verification costs milliseconds of whoever receives it
CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})

Hash = Literal["sha256", "sha384", "sha512"]


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """One accepted signature method."""

    name: str
    kind: Literal["rsa", "ecdsa"]
    hash: Hash


_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"

DIGESTS: Final[dict[str, Hash]] = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}
DIGEST_SIZES: Final[dict[Hash, int]] = {"sha256": 32, "sha384": 48, "sha512": 64}  # bytes
SIGNATURES: Final[dict[str, SignatureAlgorithm]] = {
    f"{_MORE}rsa-sha256": SignatureAlgorithm("rsa-sha256", "rsa", "sha256"),
    f"{_MORE}rsa-sha384": SignatureAlgorithm("rsa-sha384", "rsa", "sha384"),
    f"{_MORE}rsa-sha512": SignatureAlgorithm("rsa-sha512", "rsa", "sha512"),
    f"{_MORE}ecdsa-sha256": SignatureAlgorithm("ecdsa-sha256", "ecdsa", "sha256"),
    f"{_MORE}ecdsa-sha384": SignatureAlgorithm("ecdsa-sha384", "ecdsa", "sha384"),
    f"{_MORE}ecdsa-sha512": SignatureAlgorithm("ecdsa-sha512", "ecdsa", "sha512"),
}

# Letters that every XML parser takes for a name, and no spelling that needs escaping in a URI.
_FRAGMENT: Final = re.compile(r"#[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def is_fragment(uri: str) -> bool:
    """Whether a reference names one id of the same document, plainly: ``#name``, no XPointer."""
    return _FRAGMENT.fullmatch(uri) is not None
