"""Namespaces and qualified names of edXML. The misspelling *Bussiness* is the standard's own and normative."""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
CONTENT_TYPE: Final = "application/edxml+xml"


def q(local: str) -> str:
    """Return ``{namespace}local`` for a name of edXML."""
    return f"{{{NAMESPACE}}}{local}"


def local_name(tag: str) -> str:
    """Return a tag's name without its namespace."""
    return tag.rpartition("}")[2]


ROOT: Final = q("edXML")
ENVELOPE: Final = q("edXMLEnvelope")
HEADER: Final = q("edXMLHeader")
MESSAGE_HEADER: Final = q("MessageHeader")
BODY: Final = q("edXMLBody")
MANIFEST: Final = q("edXMLManifest")
REFERENCE: Final = q("Reference")
ATTACHMENTS: Final = q("AttachmentEncoded")
ATTACHMENT: Final = q("Attachment")
PAYLOAD: Final = q("ContentTransferEncoded")
STUB_SIGNATURE: Final = q("Signature")
