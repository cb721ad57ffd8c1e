"""What may come of fetching a revocation list or an OCSP answer: a closed list, hence a label."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How one fetch ended. Only the first two leave us with what was asked for."""

    TAKEN = "taken"
    UNCHANGED = "unchanged"  # the same bytes as before
    NOT_ALLOWED = "not-allowed"  # an address that the settings do not let us ask
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"  # it came, or went on, too slowly
    TOO_LARGE = "too-large"
    HTTP_ERROR = "http-error"  # any status but 200
    UNREADABLE = "unreadable"  # not a list, not an answer, cut off, or with what nobody here understands
    OTHER_ISSUER = "other-issuer"  # a list of an authority that is not ours
    OTHER_CERTIFICATE = "other-certificate"  # an answer about another serial number or issuer
    BAD_SIGNATURE = "bad-signature"
    NO_RIGHT = "no-right"  # signed by one whom the issuer did not let answer
    NONCE = "nonce"  # not the answer to this question
    RESPONDER_ERROR = "responder-error"  # tryLater, unauthorized, …
    UNKNOWN = "unknown"  # the responder does not know the certificate
    EXPIRED = "expired"
    FUTURE = "future"  # made later than now: one of the clocks is wrong
    ROLLBACK = "rollback"  # older than the one we have
    NOT_STORED = "not-stored"  # the folder could not be written

    @property
    def good(self) -> bool:
        """Whether we now have what was asked for."""
        return self in {Outcome.TAKEN, Outcome.UNCHANGED}
