"""Names of certificates as people read them. What is stored, sealed and signed keeps the form that it was written in."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = {
    "2.5.4.4": "sn",
    "2.5.4.5": "serialNumber",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.42": "givenName",
    "2.5.4.43": "initials",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "1.2.840.113549.1.9.1": "emailAddress",
}
"""Attribute types by their descriptors: RFC 4519, RFC 2985, and X.520 for what these leave out."""

# What is escaped is passed over, so that no value looks like the next attribute.
_TYPES: Final = re.compile(r"(\\.)|((?:^|[,+]) ?)(\d+(?:\.\d+)+)(?==)", re.DOTALL)


def readable(name: str) -> str:
    """Return a distinguished name (RFC 4514) with words for the numbers of attribute types, where one is known.

    RFC 4514 (2.3) lets both stand for the same. Anything else comes back as it is.
    """
    return _TYPES.sub(lambda found: found[0] if found[1] else found[2] + _WORDS.get(found[3], found[3]), name)
