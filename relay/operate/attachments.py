"""What was told of the signatures inside a document's attachments, as it stands in the registry."""

from __future__ import annotations

from typing import Any

from relay.evidence import attachments
from relay.evidence.receipts import read
from relay.model.inspection import AttachmentVerdict
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind
from relay.model.standing import Standing


def told(registry: Registry, standing: Standing) -> tuple[AttachmentVerdict, ...]:
    """Return the verdicts on a submission's attachments, of the first submission of the same bytes; none: nothing was
    told, or there was nothing to inspect."""
    document = standing.document
    row = document.row if document.same_content_as is None else document.same_content_as
    if registry.inspected(row) is None:
        return ()
    for one in registry.receipts(row):
        if one.kind is ReceiptKind.ATTACHMENT_VERDICT:
            return read(one.body).attachments
    return ()


def facts(verdict: AttachmentVerdict) -> dict[str, Any]:
    """Return a verdict as values for programs, the words in both languages among them."""
    return {
        "name": verdict.name,
        "sha256": verdict.sha256,
        "bytes": verdict.size,
        "kind": verdict.kind.value,
        "finding": verdict.finding.value,
        "reason": verdict.reason,
        "result": verdict.result.value,
        "more": verdict.more,
        "words": {
            language: attachments.of_attachment(verdict, language) for language in attachments.LANGUAGES
        },
        "signatures": [
            {
                "signer": one.signer,
                "name": one.name,
                "organisation": one.organisation,
                "whose": one.whose.value,
                "own": one.own,
                "integrity": one.integrity.value,
                "later": one.later.value,
                "certificate": one.certificate.value,
                "certificate_sha256": one.certificate_sha256,
                "revocation_known": one.revocation_known,
                "at": one.at,
                "vouched": one.vouched.value,
                "algorithm": one.algorithm,
                "legacy": one.legacy,
                "covers_all": one.covers_all,
                "time_stamp": one.time_stamp,
                "reason": one.reason,
                "words": {
                    language: attachments.of_signature(one, language) for language in attachments.LANGUAGES
                },
            }
            for one in verdict.signatures
        ],
    }
