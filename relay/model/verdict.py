"""The verdict of a verification and the signed view that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Final

from relay.errors import Code
from relay.model.elements import Elements
from relay.model.elements import Node as Node  # noqa: PLC0414 -- handed on: the view's tree stands where the view does


class RevocationState(StrEnum):
    """What is known of a chain's revocation at the moment it was judged."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"  # nothing usable says so
    NOT_CHECKED = "not-checked"  # it did not come to that, or nobody publishes anything and need not


class RevocationSource(StrEnum):
    """Who said so."""

    CRL = "crl"
    OCSP = "ocsp"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Revocation of the signer's certificate and of those above it, the worst of them."""

    state: RevocationState = RevocationState.NOT_CHECKED
    source: RevocationSource = RevocationSource.NONE
    made_at: datetime | None = None
    """When the list or answer about the signer's certificate (or about the one that is revoked) was made: its age is
    ``verified_at`` minus this."""


NOT_CHECKED: Final = Revocation()


class TimeSource(StrEnum):
    """Who vouches for the time as of which a verdict was made."""

    CLOCK = "clock"  # the clock of who judged: in what a relay stores and tells, the relay's
    GIVEN = "given"  # nobody: whoever asked named it
    RECORD = "record"  # the relay's sealed record of when it accepted: its clock of that day
    TIME_STAMP = (
        "time-stamp"  # an authority that is trusted for it (RFC 3161), over a head that covers the record
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The frozen result of verifying one package. No boolean stands for it."""

    intact: bool
    """The signature covers exactly the content that is read, and its digest and value hold."""
    trusted: bool
    """The certificate chains to a configured anchor, is valid and not revoked at ``verified_at``, and is the sender's."""
    reason: Code
    """``OK`` or the one reason against it, out of ``REASONS``."""
    verified_at: datetime
    """The time as of which it was judged; ``vouched`` says whose time that is. Nothing tells the time of signing."""
    signer: str = ""
    """Subject of the signer's certificate (RFC 4514), empty if none could be read."""
    certificate_sha256: str = ""
    """Lower-case hex over the certificate's DER."""
    algorithm: str = ""
    """Signature algorithm by its short name, e.g. ``ecdsa-sha256``."""
    profile: str = "whole"
    """``whole`` or ``manifest``."""
    detail: str = ""
    """Further facts for people, in English, e.g. that a stub signature stands in the package."""
    chain: tuple[str, ...] = ()
    """The path that was judged: SHA-256 of each certificate, lower-case hex, leaf first, anchor last; empty if none."""
    revocation: Revocation = NOT_CHECKED
    """What was known of revocation, from whom and how old."""
    on_behalf_of: str = ""
    """Code of the agency in whose name a gateway signed; empty where the agency's own certificate did."""
    vouched: TimeSource = TimeSource.CLOCK
    """Who vouches for ``verified_at``."""

    @property
    def accepted(self) -> bool:
        """Whether the document may go on."""
        return self.intact and self.trusted and self.reason is Code.OK


@dataclass(frozen=True)
class SignedView:
    """What was signed, and nothing else. Routing, receipts and registry read only this."""

    elements: Elements
    sha256: str  # of the body as received, lower-case hex
    size: int  # bytes of the body as received

    @cached_property
    def root(self) -> Node:
        """What was signed, as a tree; made when first asked for."""
        return self.elements.root

    @classmethod
    def of(cls, root: Node, sha256: str = "", size: int = 0) -> SignedView:
        """Return the view that says what a tree says."""
        return cls(Elements.of(root), sha256, size)


@dataclass(frozen=True, slots=True)
class ManifestPlace:
    """Where a format of the ``manifest`` profile keeps its signed part, its list of attachments and these themselves."""

    envelope: str
    """Tag of the root's first child: the signed part, which carries the one id."""
    references: tuple[str, ...]
    """Tags from below the envelope to the element that lists the attachments."""
    reference: str
    """Tag of one line of that list."""
    content_id: str
    """Tag, in a line and in an attachment, of the name by which they find each other."""
    described: tuple[str, ...]
    """Tags of what a line says of its attachment and the attachment may repeat."""
    attachments: str
    """Tag of the root's other child."""
    attachment: str
    """Tag of one attachment."""
    payload: str
    """Tag, in an attachment, of the base64 text."""
    id_name: str = "Id"
    """Attribute of the envelope that the signature refers to."""


@dataclass(frozen=True, slots=True)
class SignaturePlace:
    """Where a format keeps its signature: data from the format to ``trust``, which knows no format."""

    root: str
    """``{namespace}local`` of the root element."""
    path: tuple[str, ...]
    """Tags from below the root to the element whose last child is the one ``ds:Signature``."""
    opaque: frozenset[str] = frozenset()
    """Tags whose text is bulk (base64) and is left out of the signed view unless asked for."""
    stub: str | None = None
    """Tag of a signature look-alike in the format's own namespace: signed content, named in the verdict."""
    manifest: ManifestPlace | None = None
    """For a format that takes the ``manifest`` profile too; None: only ``whole``."""


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """Bounds that hold before any verification."""

    max_bytes: int = 48 * 1024 * 1024
    max_depth: int = 32
    max_elements: int = 20_000
    max_attributes: int = 64  # of one element
    max_text: int = 64 * 1024  # characters of one text that is not opaque


@dataclass(frozen=True, slots=True)
class Verification:
    """A verdict, and the signed view when (and only when) the signature is intact."""

    verdict: Verdict
    view: SignedView | None = None


XMLDSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"

WHOLE: Final = "whole"
MANIFEST: Final = "manifest"

REASONS: Final[frozenset[Code]] = frozenset(
    {
        Code.OK,
        # the bytes
        Code.EMPTY_BODY,
        Code.TOO_LARGE,
        Code.NOT_XML,
        Code.NOT_UTF8,
        Code.DTD_FORBIDDEN,
        Code.ENTITY_FORBIDDEN,
        Code.PI_FORBIDDEN,
        Code.COMMENT_IN_TEXT,
        Code.TOO_DEEP,
        Code.TOO_COMPLEX,
        Code.WRONG_ROOT,
        Code.HIDDEN_NAMESPACE,
        # the signature
        Code.UNSIGNED,
        Code.MANY_SIGNATURES,
        Code.SIGNATURE_MISPLACED,
        Code.SIGNATURE_MALFORMED,
        Code.FOREIGN_REFERENCE,
        Code.FOREIGN_TRANSFORM,
        Code.FOREIGN_ID,
        Code.WEAK_ALGORITHM,
        Code.KEYINFO_MALFORMED,
        Code.DIGEST_MISMATCH,
        Code.SIGNATURE_INVALID,
        # the manifest profile
        Code.MANIFEST_MALFORMED,
        Code.UNSIGNED_CONTENT,
        Code.ATTACHMENT_MISMATCH,
        Code.ATTACHMENT_ALTERED,
        # the signer
        Code.BAD_CERTIFICATE,
        Code.UNKNOWN_CA,
        Code.CERTIFICATE_EXPIRED,
        Code.CERTIFICATE_NOT_YET_VALID,
        Code.CERTIFICATE_REVOKED,
        Code.REVOCATION_UNKNOWN,
        # what the directory and the broker know of the signer
        Code.WRONG_SIGNER,
        Code.UNKNOWN_SENDER,
        Code.SENDER_SUSPENDED,
        Code.SENDER_NOT_ALLOWED,
        # of a receipt: the signer is no relay, or another one
        Code.RECEIPT_INVALID,
    }
)
"""The closed list of reasons that a verdict can have."""
