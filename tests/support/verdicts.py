"""Verdicts on attachments for tests, with names as strangers may write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from relay.model.inspection import (
    AttachmentKind,
    AttachmentSignature,
    AttachmentVerdict,
    CertificateState,
    Finding,
    Integrity,
    Later,
    Vouched,
    Whose,
)

SHA: Final = "0123456789abcdef" * 4
LEADER: Final = AttachmentSignature(
    integrity=Integrity.INTACT,
    certificate=CertificateState.VALID,
    signer='CN=Trần Thị Mẫu,O="UBND <tỉnh> & Mẫu"',
    name="Trần Thị Mẫu",
    organisation='UBND <tỉnh> & "Mẫu"',
    whose=Whose.LEADER,
    own=True,
    at=datetime(2026, 3, 1, 3, 0, tzinfo=UTC),
    vouched=Vouched.TIME_STAMP,
    algorithm="rsa-sha256",
    revocation_known=True,
    later=Later.SIGNATURES,
    certificate_sha256=SHA,
)
BROKEN: Final = AttachmentSignature(Integrity.BROKEN, CertificateState.UNKNOWN, reason="malformed")
ATTACHMENTS: Final = (
    AttachmentVerdict(
        "quyết định.pdf", SHA, 9, AttachmentKind.PDF, Finding.SIGNED, signatures=(LEADER, BROKEN), more=2
    ),
    AttachmentVerdict("a.docx", SHA, 9, AttachmentKind.OOXML, Finding.UNSUPPORTED, "ooxml-signature"),
    AttachmentVerdict("", SHA, 0, AttachmentKind.OTHER, Finding.NOT_INSPECTED),
)
