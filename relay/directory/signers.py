"""In whose name a signature inside an attachment stands, as far as the directory tells: the sending agency's or another's,
the agency's seal or the leader's."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import replace

from relay.model.agency import Agency
from relay.model.inspection import AttachmentSignature, Whose
from relay.model.ports import Directory


def owned(
    signature: AttachmentSignature, sender: str, leaders: Collection[str], directory: Directory
) -> AttachmentSignature:
    """Return the signature with what the directory and the package add to its certificate.

    A certificate that is registered for the sender is the agency's; so is one whose common name is one of the agency's
    names. A person is known by the certificate itself, or by being named in the package as the one who signs. Names are
    compared without regard to letter case and spacing, and to nothing else.

    Args:
        signature: as judged.
        sender: code of the sending agency.
        leaders: names of the persons whom the package says that they signed.
        directory: the agencies.
    """
    if signature.time_stamp or not (signature.name or signature.organisation):
        return signature
    agency = directory.agency(sender)
    names = names_of(agency)
    registered = any(one.sha256 == signature.certificate_sha256 for one in directory.signers(sender))
    name, organisation = alike(signature.name), alike(signature.organisation)
    whose = signature.whose
    if name and name in {alike(one) for one in leaders}:
        whose = Whose.LEADER
    elif registered or name in names:
        whose = Whose.AGENCY
    if registered or name in names or organisation in names:
        return replace(signature, whose=whose, own=True)
    named = name if whose is Whose.AGENCY else organisation
    return replace(signature, whose=whose, own=False if named and names else None)


def names_of(agency: Agency | None) -> frozenset[str]:
    """Return the names of an agency, present and former, as they are compared."""
    if agency is None:
        return frozenset()
    written = (
        agency.name,
        agency.short_name,
        agency.english_name,
        *agency.other_names,
        *(former.name for former in agency.former_names),
    )
    return frozenset(alike(one) for one in written if one)


def alike(name: str) -> str:
    """Return a name as it is compared."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())
