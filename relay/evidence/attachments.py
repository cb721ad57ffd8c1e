"""Verdicts on signatures inside attachments: in words, and as the section ``attachment`` of a receipt.

The words are data, ``config/attachments.yaml``, both languages. The section stands in receipts of the kind
``attachment-verdict`` and in no other (``schemas/receipt.xsd`` 1.1); whatever of a file's own words gets into it is one
line of bounded length.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from functools import cache
from typing import Final, Literal

import yaml

from relay.model.inspection import (
    AttachmentKind,
    AttachmentSignature,
    AttachmentVerdict,
    CertificateState,
    Finding,
    InspectionResult,
    Integrity,
    Later,
    Vouched,
    Whose,
)
from relay.model.times import VIETNAM, rfc3339
from relay.model.verdict import Node
from relay.resources import shipped

Language = Literal["vi", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("vi", "en")
_LONGEST: Final = 200


@cache
def texts() -> dict[str, dict[Language, str]]:
    """Return the words by key. Raises ``ValueError`` when the shipped file is damaged."""
    raw = yaml.safe_load(shipped("config/attachments.yaml").read_text(encoding="utf-8"))
    return {str(key): {"vi": both["vi"], "en": both["en"]} for key, both in raw.items()}


def known(key: str) -> bool:
    """Whether there are words for a key."""
    return key in texts()


def said(key: str, language: Language, **values: object) -> str:
    """Return the words for a key. Raises ``KeyError``."""
    return texts()[key][language].format(**values)


def of_attachment(verdict: AttachmentVerdict, language: Language) -> str:
    """Return what is said of an attachment, its name aside, e.g. "no digital signature"."""
    parts = [said(f"finding.{verdict.finding.value}", language)]
    if verdict.reason and known(f"reason.{verdict.reason}"):
        parts.append(said(f"reason.{verdict.reason}", language))
    words = ": ".join(parts)
    if verdict.more:
        words += "; " + said("more", language, count=verdict.more)
    return words


def of_signature(signature: AttachmentSignature, language: Language) -> str:
    """Return what is said of a signature, in one sentence."""
    if signature.integrity is Integrity.BROKEN:
        # Nothing that stands in it is proven, the name least of all.
        name = signature.name or signature.signer
        who = said("whose.claimed", language, name=name) if name else said("whose.unread", language)
        parts = [said("integrity.broken", language)]
        if known(f"detail.{signature.reason}"):
            parts.append(said(f"detail.{signature.reason}", language))
        return f"{who}: {'; '.join(parts)}."
    head = [_who(signature, language)]
    if signature.own is not None and not signature.time_stamp:
        head.append(said(f"own.{'true' if signature.own else 'false'}", language))
    parts = [said(f"integrity.{signature.integrity.value}", language)]
    if signature.integrity is Integrity.INTACT and signature.later is not Later.NOTHING:
        parts.append(said(f"later.{signature.later.value}", language))
    detail = signature.reason if known(f"detail.{signature.reason}") else ""
    if detail and signature.integrity is not Integrity.INTACT:
        parts.append(said(f"detail.{detail}", language))
        detail = ""
    parts.append(_time(signature, language))
    state = signature.certificate.value
    if signature.certificate is CertificateState.VALID and signature.vouched is Vouched.NOTHING:
        state = "valid-now"
    parts.append(said(f"certificate.{state}", language))
    if detail:
        parts.append(said(f"detail.{detail}", language))
    if signature.legacy:
        parts.append(said("legacy", language))
    if signature.certificate is CertificateState.VALID and not signature.revocation_known:
        parts.append(said("revocation-unknown", language))
    return f"{' '.join(head)}: {'; '.join(parts)}."


def lines(verdict: AttachmentVerdict, language: Language) -> tuple[str, ...]:
    """Return an attachment and its signatures, one line each."""
    return (
        f"{verdict.name}: {of_attachment(verdict, language)}",
        *(of_signature(one, language) for one in verdict.signatures),
    )


def of_all(result: InspectionResult, language: Language) -> str:
    """Return what all attachments of a document come to."""
    return said(f"result.{result.value}", language)


def _who(signature: AttachmentSignature, language: Language) -> str:
    name = signature.name or signature.signer
    whose = "time-stamp" if signature.time_stamp else signature.whose.value
    words = said(f"whose.{whose}", language, name=name)
    other = signature.organisation and signature.organisation != signature.name
    if other and not signature.time_stamp:
        words += f", {said('organisation', language, organisation=signature.organisation)}"
    return words


def _time(signature: AttachmentSignature, language: Language) -> str:
    if signature.at is None or signature.vouched is Vouched.NOTHING:
        return said("time.nothing", language)
    at = signature.at.astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M:%S +07:00")
    key = "stamped" if signature.time_stamp else signature.vouched.value
    return said(f"time.{key}", language, at=at)


# --- the section of a receipt


def attributes(verdict: AttachmentVerdict) -> dict[str, str]:
    """Return the attributes of an ``attachment``, in the order of the canonical form."""
    return {
        "bytes": str(verdict.size),
        "finding": verdict.finding.value,
        "kind": verdict.kind.value,
        "more": str(verdict.more),
        "name": one_line(verdict.name),
        "reason": verdict.reason,
        "result": verdict.result.value,
        "sha256": verdict.sha256,
    }


def signature_attributes(one: AttachmentSignature) -> dict[str, str]:
    """Return the attributes of a ``signature``, in the order of the canonical form."""
    return {
        "algorithm": one_line(one.algorithm),
        "at": "" if one.at is None else rfc3339(one.at),
        "certificate": one.certificate.value,
        "certificate_sha256": one.certificate_sha256,
        "covers_all": _boolean(one.covers_all),
        "integrity": one.integrity.value,
        "later": one.later.value,
        "legacy": _boolean(one.legacy),
        "name": one_line(one.name),
        "organisation": one_line(one.organisation),
        "own": "" if one.own is None else _boolean(one.own),
        "reason": one.reason,
        "revocation_known": _boolean(one.revocation_known),
        "signer": one_line(one.signer),
        "time_stamp": _boolean(one.time_stamp),
        "vouched": one.vouched.value,
        "whose": one.whose.value,
    }


def read(node: Node, signature_tag: str) -> AttachmentVerdict:
    """Read one ``attachment`` of a receipt. Raises ``KeyError``, ``ValueError``."""
    values = dict(node.attributes)
    return AttachmentVerdict(
        name=values["name"],
        sha256=values["sha256"],
        size=int(values["bytes"]),
        kind=AttachmentKind(values["kind"]),
        finding=Finding(values["finding"]),
        reason=values["reason"],
        signatures=tuple(_read_signature(dict(one.attributes)) for one in node.all(signature_tag)),
        more=int(values["more"]),
    )


def _read_signature(values: dict[str, str]) -> AttachmentSignature:
    at = values["at"]
    own = values["own"]
    return AttachmentSignature(
        integrity=Integrity(values["integrity"]),
        certificate=CertificateState(values["certificate"]),
        signer=values["signer"],
        name=values["name"],
        organisation=values["organisation"],
        whose=Whose(values["whose"]),
        own=None if not own else _truth(own),
        at=datetime.fromisoformat(at) if at else None,
        vouched=Vouched(values["vouched"]),
        algorithm=values["algorithm"],
        legacy=_truth(values["legacy"]),
        revocation_known=_truth(values["revocation-known"]),
        covers_all=_truth(values["covers-all"]),
        later=Later(values["later"]),
        certificate_sha256=values["certificate-sha256"],
        time_stamp=_truth(values["time-stamp"]),
        reason=values["reason"],
    )


def one_line(text: str) -> str:
    """Return a foreign text on one line, without control and format characters, cut where it has no end."""
    kept = "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= _LONGEST else f"{kept[:_LONGEST]}…"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _truth(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false")
    return value == "true"
