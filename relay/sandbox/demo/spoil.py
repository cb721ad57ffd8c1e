"""Making wrong documents out of right ones."""

from __future__ import annotations

from typing import Final

_SUBJECT: Final = b"<edXML:Subject>"


def altered(signed: bytes) -> bytes:
    """Return a signed package with one letter added to its subject, the signature as it was."""
    at = signed.index(_SUBJECT) + len(_SUBJECT)
    return signed[:at] + b"X" + signed[at:]
