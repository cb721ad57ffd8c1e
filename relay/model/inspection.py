"""What the relay says of the signatures inside attachments: frozen findings, and the ports behind them.

A package is signed as a whole; that is ``relay.model.verdict``. What stands here concerns the files inside it, most of
all the PDF that bears the signatures of the leader and of the agency (Decree 30/2020/ND-CP, annex I). No finding
changes a byte, and whether one may hold up a delivery is a matter of policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

HIDDEN: Final = "hidden-signature"
"""The reason of UNREADABLE that means: there was a signature, and somebody took it out of reach."""


class AttachmentKind(StrEnum):
    """What an attachment is by its first bytes, whatever its name says."""

    PDF = "pdf"
    OOXML = "ooxml"
    XML = "xml"
    OTHER = "other"


class Finding(StrEnum):
    """What was found in one attachment."""

    SIGNED = "signed"  # at least one signature was judged
    NO_SIGNATURE = "no-signature"
    UNREADABLE = (
        "unreadable"  # damaged, encrypted, hostile or beyond a limit: nothing is said of its signatures
    )
    UNSUPPORTED = "unsupported"  # it bears a signature of a kind that is recognised and not judged
    NOT_INSPECTED = "not-inspected"  # of a kind that is not looked into


class Integrity(StrEnum):
    """Whether the file is what was signed."""

    INTACT = "intact"
    ALTERED = (
        "altered-after-signing"  # what was signed is there, and something that is not allowed came after it
    )
    BROKEN = "broken"  # the signature does not hold over the bytes that it names


class CertificateState(StrEnum):
    """The signer's certificate at the time of signing."""

    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REVOKED = "revoked"
    UNTRUSTED = "untrusted"  # leads to no anchor
    UNSUITABLE = "unsuitable"  # not for signing documents, or with an algorithm that is not taken
    UNKNOWN = "unknown"  # there is none to be judged


class Vouched(StrEnum):
    """What vouches for the time of signing."""

    TIME_STAMP = "time-stamp"  # RFC 3161, of an authority that is trusted
    CLAIMED = "claimed"  # the signer's own clock
    NOTHING = "nothing"


class Later(StrEnum):
    """What was added after signing and is allowed."""

    NOTHING = "nothing"
    ARCHIVE = "archive"  # certificates, lists and time-stamps for safe keeping
    FORM = "form"  # entries in form fields
    SIGNATURES = "signatures"  # further signatures, perhaps with form entries
    ANNOTATIONS = "annotations"  # comments


class Whose(StrEnum):
    """In whose name a signature stands, as far as the certificate tells."""

    AGENCY = "agency"  # the seal of an organisation
    LEADER = "leader"  # a person, who signs for the organisation
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AttachmentSignature:
    """One signature inside an attachment."""

    integrity: Integrity
    certificate: CertificateState
    signer: str = ""  # subject, RFC 4514
    name: str = ""  # its common name
    organisation: str = ""
    whose: Whose = Whose.UNKNOWN
    own: bool | None = None  # whether it is the sending agency's; None: nothing tells
    at: datetime | None = None  # of signing
    vouched: Vouched = Vouched.NOTHING
    algorithm: str = ""  # e.g. rsa-sha256
    legacy: bool = False  # SHA-1, trusted only with a time-stamp before the date that the policy sets
    revocation_known: bool = False  # whether a revocation list was there to ask
    covers_all: bool = False  # whether the signature covers the file to its last byte
    later: Later = Later.NOTHING
    certificate_sha256: str = ""  # lower-case hex over the DER
    time_stamp: bool = False  # a time-stamp over the document, in nobody's name
    reason: str = ""  # a word of a closed list that says more; see config/attachments.yaml

    @property
    def good(self) -> bool:
        """Whether nothing speaks against it."""
        return self.integrity is Integrity.INTACT and self.certificate is CertificateState.VALID


@dataclass(frozen=True, slots=True)
class AttachmentVerdict:
    """What is said of one attachment."""

    name: str  # as written in the package
    sha256: str  # of the bytes that its base64 holds, lower-case hex
    size: int  # of them, in bytes
    kind: AttachmentKind
    finding: Finding
    reason: str = ""  # of UNREADABLE and UNSUPPORTED: a word of a closed list
    signatures: tuple[AttachmentSignature, ...] = ()
    more: int = 0  # signatures beyond the limit, which were not judged

    @property
    def result(self) -> InspectionResult:
        """Return the one word for it."""
        if self.finding is Finding.SIGNED:
            if any(one.integrity is not Integrity.INTACT for one in self.signatures):
                return InspectionResult.ALTERED
            good = not self.more and all(one.good for one in self.signatures)
            return InspectionResult.GOOD if good else InspectionResult.DOUBTFUL
        if self.finding is Finding.UNREADABLE:
            hidden = self.reason == HIDDEN
            return InspectionResult.ALTERED if hidden else InspectionResult.DOUBTFUL
        if self.finding is Finding.UNSUPPORTED:
            return InspectionResult.UNJUDGED
        return InspectionResult.NOTHING


class InspectionResult(StrEnum):
    """What an attachment, or all of a document's together, comes to. From best to worst."""

    NOTHING = "nothing"  # no signature
    GOOD = "good"
    UNJUDGED = "unjudged"
    DOUBTFUL = "doubtful"  # unreadable, or a certificate that was not good
    ALTERED = "altered"  # altered after signing, or a signature that does not hold


def worst(verdicts: Sequence[AttachmentVerdict]) -> InspectionResult:
    """Return the worst result of several attachments."""
    ranks = list(InspectionResult)
    return max((one.result for one in verdicts), key=ranks.index, default=InspectionResult.NOTHING)


@dataclass(frozen=True, slots=True)
class Attached:
    """One attachment of a package, as its base64 holds it, taken out of its transport archive if it was in one."""

    name: str  # as written
    content_type: str  # as declared; may be wrong
    content: Callable[[], bytes]  # may raise RefusedError: no base64
    size: int  # of the base64, in characters: what ``content`` gives is smaller, but for what an archive unpacks to


@dataclass(frozen=True, slots=True)
class AttachedFiles:
    """The attachments of a package, in their order, and who it says has signed the document."""

    files: tuple[Attached, ...] = ()
    leaders: tuple[str, ...] = ()


class AttachmentInspector(Protocol):
    """Judges the signatures inside one file. Knows no package and no agency."""

    def inspect(self, content: bytes, name: str, at: datetime) -> AttachmentVerdict:
        """Return the verdict as of ``at`` (aware). Never raises on any bytes; bounded in time and memory."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class AttachmentSource(Protocol):
    """What a package format knows of its attachments, for inspection."""

    def may_be_signed(self, body: bytes, *, unsigned_too: bool) -> bool:
        """Whether a package holds a file that may bear a signature; cheap, wrong to the safe side only.

        ``unsigned_too``: every file of a kind that can be signed counts, not only one with a mark of a signature.
        """
        ...

    def attached(self, body: bytes) -> AttachedFiles:
        """Return the attachments. Raises ``RefusedError`` on what is no package."""
        ...
