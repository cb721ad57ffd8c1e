"""In whose name a certificate stands: an organisation's or a person's, by its subject.

Vietnamese authorities write the identity of the holder into the subject, each by its own practice statement: a person has
an identity number in UID (``CMND:``, ``CCCD:``, ``CC:``, ``HC:``), a given name, a surname or a title; an organisation has
a tax or budget number (``MST:``, ``MSN:``, ``MNS:``, ``MQHNS:``) or an organizationIdentifier, and its common name is its
name.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from relay.model.inspection import Whose

_PERSON: Final = re.compile(r"^(CMND|CCCD|CC|HC|GCMND|PASSPORT)\s*:", re.IGNORECASE)
_BODY: Final = re.compile(r"^(MST|MSN|MNS|MQHNS|MSDN|GP)\s*:", re.IGNORECASE)
_OF_PERSONS: Final = (NameOID.GIVEN_NAME, NameOID.SURNAME, NameOID.TITLE)
_LONGEST: Final = 300


def whose(subject: x509.Name) -> Whose:
    """Return whether a subject is an organisation, a person, or neither to tell."""
    uids = [_text(one) for one in subject.get_attributes_for_oid(NameOID.USER_ID)]
    if any(subject.get_attributes_for_oid(oid) for oid in _OF_PERSONS) or any(map(_PERSON.match, uids)):
        return Whose.LEADER
    if subject.get_attributes_for_oid(NameOID.ORGANIZATION_IDENTIFIER) or any(map(_BODY.match, uids)):
        return Whose.AGENCY
    name, organisation = first(subject, NameOID.COMMON_NAME), first(subject, NameOID.ORGANIZATION_NAME)
    if name and organisation and alike(name) == alike(organisation):
        return Whose.AGENCY
    return Whose.UNKNOWN


def first(subject: x509.Name, oid: x509.ObjectIdentifier) -> str:
    """Return the first value of an attribute, empty if there is none."""
    found = subject.get_attributes_for_oid(oid)
    return _text(found[0]) if found else ""


def written(subject: x509.Name) -> str:
    """Return a subject as RFC 4514, for people: without control characters, and not without end."""
    return plain(subject.rfc4514_string())


def plain(text: str) -> str:
    """Return a foreign text on one line, NFC, without control and format characters, of bounded length."""
    kept = "".join(
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", text)
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= _LONGEST else f"{kept[:_LONGEST]}…"


def alike(text: str) -> str:
    """Return a name as it is compared."""
    return plain(text).casefold()


def _text(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    return plain(value if isinstance(value, str) else value.hex())
