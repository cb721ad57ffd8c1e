"""Judging the signatures of one PDF. Runs in a process of its own (``child``): whatever happens here harms nobody else.

pyHanko reads the file, checks digests and signatures and compares revisions. What it finds is put into the words of
``relay.model.inspection``; where it leaves a doubt, the answer here is the stricter one.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils import misc
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, DiffResult, ModificationLevel
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation.generic_cms import (
    extract_tst_data_iter,
    message_imprint_checker,
    validate_sig_integrity,
)
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from adapters.pdf.chains import SHA1, STRONG, Chains, Stamp, certificates_of, weak_key
from adapters.pdf.material import JudgePolicy, Material
from adapters.pdf.recognise import byte_ranges, signed_ends
from adapters.pdf.subject import first, whose, written
from relay.model.inspection import (
    HIDDEN,
    AttachmentSignature,
    CertificateState,
    Finding,
    Integrity,
    Later,
    Vouched,
)
from relay.model.times import VIETNAM

_DETACHED: Final = frozenset({"/adbe.pkcs7.detached", "/ETSI.CAdES.detached", "/PBAD.PAdES"})
_TIME_STAMP: Final = "/ETSI.RFC3161"
_HEX: Final = re.compile(rb"<[0-9A-Fa-f\s]*>")
_ENDS: Final = b" \t\r\n\x00\x0c"
_TOLERANCE: Final = timedelta(days=1)  # of a signer's clock that runs ahead
_LATER: Final = {
    ModificationLevel.NONE: Later.NOTHING,
    ModificationLevel.LTA_UPDATES: Later.ARCHIVE,
    ModificationLevel.FORM_FILLING: Later.FORM,
    ModificationLevel.ANNOTATIONS: Later.ANNOTATIONS,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found in a PDF."""

    finding: Finding
    reason: str = ""
    signatures: tuple[AttachmentSignature, ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """One signature as it stands in the file, and what pyHanko made of it."""

    embedded: EmbeddedPdfSignature
    integrity: Integrity
    reason: str
    later: Later
    covers_all: bool
    end: int  # of what it covers


async def judge(content: bytes, material: Material, policy: JudgePolicy, at: datetime) -> Judged:
    """Judge a PDF as of ``at``. Raises whatever a hostile file makes the libraries raise; ``judged`` does not."""
    reader, strict = _reader(content)
    if reader is None:
        return await _without_what_follows(content, material, policy, at)
    if reader.encrypted:
        return Judged(Finding.UNREADABLE, "encrypted")
    if reader.xrefs.total_revisions > policy.max_revisions:
        return Judged(Finding.UNREADABLE, "too-many-revisions")
    fields = []
    for name, value, field in enumerate_sig_fields(reader, filled_status=True):
        fields.append((str(name), value, field))
        if len(fields) > policy.max_signatures + 1000:
            return Judged(Finding.UNREADABLE, "too-many-signatures")
    if not fields:
        return _none(content, reader)
    chosen, unsupported = [], 0
    for name, value, field in fields:
        subfilter = str(value.get_object().get("/SubFilter", ""))
        if subfilter in _DETACHED or subfilter == _TIME_STAMP:
            chosen.append((name, field))
        else:
            unsupported += 1
    if not chosen:
        return Judged(Finding.UNSUPPORTED, "pdf-signature-kind", (), unsupported - 1)
    judging = _Judging(content, reader, Chains(material, policy, at), at, strict=strict)
    found = await judging.all(chosen[: policy.max_signatures])
    beyond = max(0, len(chosen) - policy.max_signatures)
    return Judged(Finding.SIGNED, "", found, unsupported + beyond)


def _reader(content: bytes) -> tuple[PdfFileReader | None, bool]:
    """Open a file by the rules, else leniently; None: it cannot be read at all."""
    for strict in (True, False):
        try:
            reader = PdfFileReader(io.BytesIO(content), strict=strict)
            if reader.encrypted:
                return reader, strict
            reader.root["/Pages"]
            for _ in enumerate_sig_fields(reader, filled_status=True):
                pass
        except misc.PdfDecodeLimitError:
            raise
        except (misc.PdfError, KeyError, ValueError, TypeError, IndexError, AttributeError, AssertionError):
            continue
        return reader, strict
    return None, False


async def _without_what_follows(
    content: bytes, material: Material, policy: JudgePolicy, at: datetime
) -> Judged:
    """Judge a file that cannot be read, up to where its last signature says that it ended: what was appended there, and
    makes it unreadable, came after signing."""
    for end in reversed(signed_ends(content)[-3:]):
        if end >= len(content) or not content[end:].strip(_ENDS):
            continue
        reader, _ = _reader(content[:end])
        if reader is None:
            continue
        before = await judge(content[:end], material, policy, at)
        if before.finding is Finding.SIGNED:
            altered = tuple(
                replace(one, integrity=Integrity.ALTERED, reason="bytes-behind", covers_all=False)
                if one.integrity is Integrity.INTACT
                else one
                for one in before.signatures
            )
            return replace(before, signatures=altered)
    return Judged(Finding.UNREADABLE, "damaged-signed" if byte_ranges(content) else "damaged")


def _none(content: bytes, reader: PdfFileReader) -> Judged:
    """No signature field: but is there something that was one, or looks like one to others?"""
    rights = 0
    try:
        permissions = reader.root["/Perms"]
        rights = sum(name in permissions for name in ("/UR3", "/UR"))  # of the author's program, no signature
    except (KeyError, TypeError, misc.PdfError):
        pass
    if byte_ranges(content) > rights:
        return Judged(Finding.UNREADABLE, HIDDEN)
    return Judged(Finding.NO_SIGNATURE)


class _Judging:
    """The signatures of one file, judged together: time-stamps over the document vouch for what they cover."""

    def __init__(
        self, content: bytes, reader: PdfFileReader, chains: Chains, at: datetime, *, strict: bool
    ) -> None:
        self._content = content
        self._reader = reader
        self._chains = chains
        self._at = at
        self._strict = strict

    async def all(self, fields: list[tuple[str, Any]]) -> tuple[AttachmentSignature, ...]:
        """Judge each field, in the order of the revisions."""
        broken: list[AttachmentSignature] = []
        read: list[_Read] = []
        for name, field in fields:
            try:
                read.append(self._read(EmbeddedPdfSignature(self._reader, field, name)))
            except RecursionError:
                raise
            except Exception as fault:  # noqa: BLE001 - the libraries raise more kinds than they name
                _out_of_bounds(fault)
                broken.append(
                    AttachmentSignature(Integrity.BROKEN, CertificateState.UNKNOWN, reason="malformed")
                )
        read.sort(key=lambda one: one.embedded.signed_revision)
        stamps: list[tuple[int, Stamp]] = []
        made: list[tuple[_Read, AttachmentSignature]] = []
        for one in read:
            if one.embedded.sig_object.get("/SubFilter") == _TIME_STAMP:
                signature, stamp = await self._document_stamp(one)
                if stamp is not None:
                    stamps.append((one.end, stamp))
                made.append((one, signature))
        for one in read:
            if one.embedded.sig_object.get("/SubFilter") != _TIME_STAMP:
                vouching = [stamp for end, stamp in stamps if end > one.end]
                made.append((one, await self._signature(one, vouching)))
        made.sort(key=lambda pair: pair[0].embedded.signed_revision)
        signers = [one for one, _ in made]
        return (*(_with_signers_after(pair, signers) for pair in made), *broken)

    # --- what the bytes say

    def _read(self, embedded: EmbeddedPdfSignature) -> _Read:
        hole = self._hole(embedded)
        if hole is None:
            return _Read(embedded, Integrity.BROKEN, "byte-range", Later.NOTHING, covers_all=False, end=0)
        end = hole
        embedded.compute_digest()
        coverage = embedded.evaluate_signature_coverage()
        embedded.coverage = coverage  # type: ignore[assignment] # where the comparison of revisions looks
        whole = end == len(self._content) and coverage is SignatureCoverageLevel.ENTIRE_FILE
        try:
            # Not compute_integrity_info: it refuses each file with two kinds of cross-references, as word processors
            # write them. They are no harm in what was signed; in what came later they would mean two readings.
            if self._reader.xrefs.hybrid_xrefs_present and b"/XRefStm" in self._content[end:]:
                integrity, reason, later = Integrity.ALTERED, "not-comparable", Later.NOTHING
            else:
                found = embedded.evaluate_modifications(DEFAULT_DIFF_POLICY)
                integrity, reason, later = self._after(embedded, coverage, found)
        except RecursionError:
            raise
        except Exception as fault:  # noqa: BLE001 - as above: what cannot be compared is not called allowed
            _out_of_bounds(fault)
            integrity, reason, later = Integrity.ALTERED, "not-comparable", Later.NOTHING
        if integrity is Integrity.INTACT and not whole and not self._strict:
            # by the letter there are several ways to read such a file
            integrity, reason = Integrity.ALTERED, "not-comparable"
        return _Read(embedded, integrity, reason, later, covers_all=whole, end=end)

    def _hole(self, embedded: EmbeddedPdfSignature) -> int | None:
        """Return where the covered bytes end; None unless the only hole in them is the signature's own value.

        Universal signature forgery plays with these four numbers (Mladenov et al., CCS 2019).
        """
        numbers = list(embedded.byte_range)
        if len(numbers) != 4 or not all(isinstance(one, int) and 0 <= one < 1 << 40 for one in numbers):
            return None
        start, length, second, rest = (int(one) for one in numbers)
        if start != 0 or second <= length or second + rest > len(self._content):
            return None
        if _HEX.fullmatch(self._content, length, second) is None:
            return None
        digits = self._content[length + 1 : second - 1]
        try:
            value = bytes.fromhex(digits.decode("ascii"))
        except ValueError:
            return None
        if value != bytes(embedded.pkcs7_content):
            return None
        return second + rest

    def _after(
        self, embedded: EmbeddedPdfSignature, coverage: SignatureCoverageLevel, found: object
    ) -> tuple[Integrity, str, Later]:
        """Judge what came after the signed revision."""
        if coverage is SignatureCoverageLevel.ENTIRE_FILE:
            return Integrity.INTACT, "", Later.NOTHING
        if coverage is not SignatureCoverageLevel.ENTIRE_REVISION:
            return Integrity.ALTERED, "coverage", Later.NOTHING
        if not isinstance(found, DiffResult) or found.modification_level is ModificationLevel.OTHER:
            return Integrity.ALTERED, "content", Later.NOTHING
        level = found.modification_level
        allowed = embedded.docmdp_level
        if allowed is not None and level.value > allowed.value:
            return Integrity.ALTERED, "not-permitted", Later.NOTHING
        if not self._accounted():
            return Integrity.ALTERED, "bytes-behind", Later.NOTHING
        if (
            level is ModificationLevel.NONE
            and self._reader.xrefs.total_revisions - 1 <= embedded.signed_revision
        ):
            return Integrity.ALTERED, "bytes-behind", Later.NOTHING
        return Integrity.INTACT, "", _LATER[level]

    def _accounted(self) -> bool:
        """Whether the file ends where its last revision does."""
        end = self._content.rfind(b"%%EOF")
        return end >= 0 and not self._content[end + 5 :].strip(_ENDS)

    # --- whose, when, by what right

    async def _signature(self, one: _Read, vouching: list[Stamp]) -> AttachmentSignature:
        embedded = one.embedded
        certificate, others = certificates_of(embedded.signed_data)
        facts = _facts(certificate)
        algorithm, digest = _algorithm(embedded)
        integrity, reason = one.integrity, one.reason
        if integrity is not Integrity.BROKEN and not _holds(
            embedded, certificate, embedded.compute_digest(), "data"
        ):
            integrity, reason = Integrity.BROKEN, "digest"
        checker = message_imprint_checker(embedded.signer_info)
        tokens = [await self._chains.stamp(token, checker) for token in _tokens(embedded)]
        proven = min((stamp.at for stamp in (*vouching, *tokens) if stamp is not None), default=None)
        claimed = _claimed(embedded)
        if claimed is not None and claimed > self._at + _TOLERANCE:
            claimed = None
        moment = proven or claimed or self._at
        found = await self._chains.certificate(certificate, others, moment, proven=proven is not None)
        state, why = found.state, found.reason
        legacy = digest == SHA1
        if state is CertificateState.VALID:
            if legacy and proven is None:
                state, why = CertificateState.UNSUITABLE, "sha1-without-time-stamp"
            elif legacy and proven is not None and not self._chains.legacy_at(proven):
                state, why = CertificateState.UNSUITABLE, "sha1-too-late"
            elif (digest not in STRONG and not legacy) or weak_key(certificate.public_key):
                state, why = CertificateState.UNSUITABLE, "weak-algorithm"
        vouched = Vouched.TIME_STAMP if proven else Vouched.CLAIMED if claimed else Vouched.NOTHING
        return AttachmentSignature(
            integrity=integrity,
            certificate=state,
            at=proven or claimed,
            vouched=vouched,
            algorithm=algorithm,
            legacy=legacy,
            revocation_known=found.revocation_known,
            covers_all=one.covers_all,
            later=one.later,
            reason=reason or why,
            **facts,
        )

    async def _document_stamp(self, one: _Read) -> tuple[AttachmentSignature, Stamp | None]:
        embedded = one.embedded
        certificate, _ = certificates_of(embedded.signed_data)
        algorithm, digest = _algorithm(embedded)
        stamp = None
        integrity, reason = one.integrity, one.reason
        if integrity is not Integrity.BROKEN:
            if _holds_stamp(embedded):
                stamp = await self._chains.stamp(embedded.signed_data, embedded.compute_digest)
            else:
                integrity, reason = Integrity.BROKEN, "digest"
        made = AttachmentSignature(
            integrity=integrity,
            certificate=CertificateState.VALID if stamp else CertificateState.UNTRUSTED,
            at=stamp.at if stamp else None,
            vouched=Vouched.TIME_STAMP if stamp else Vouched.NOTHING,
            algorithm=algorithm,
            legacy=digest == SHA1,
            revocation_known=stamp is not None,
            covers_all=one.covers_all,
            later=one.later,
            reason=reason,
            time_stamp=True,
            **_facts(certificate),
        )
        return made, stamp


def _with_signers_after(
    pair: tuple[_Read, AttachmentSignature], all_of_them: list[_Read]
) -> AttachmentSignature:
    """Say that what came after a signature were further signatures, where it was."""
    one, signature = pair
    after = [each for each in all_of_them if each.embedded.signed_revision > one.embedded.signed_revision]
    signers = [each for each in after if each.embedded.sig_object.get("/SubFilter") != _TIME_STAMP]
    if signature.later is Later.FORM and signers:
        return replace(signature, later=Later.SIGNATURES)
    return replace(signature, later=Later.ARCHIVE) if signature.later is Later.FORM and after else signature


def _holds(
    embedded: EmbeddedPdfSignature, certificate: asn1.Certificate, digest: bytes, content_type: str
) -> bool:
    """Whether digest and signature hold."""
    try:
        if embedded.signed_data["encap_content_info"]["content"].native is not None:
            return False  # a detached signature with a content of its own
        intact, valid = validate_sig_integrity(
            embedded.signer_info, certificate, expected_content_type=content_type, actual_digest=digest
        )
    except RecursionError:
        raise
    except Exception as fault:  # noqa: BLE001 - the libraries raise more kinds than they name
        _out_of_bounds(fault)
        return False
    return bool(intact and valid)


def _holds_stamp(embedded: EmbeddedPdfSignature) -> bool:
    """Whether a document time-stamp names the digest of what it covers."""
    info = embedded.signed_data["encap_content_info"]["content"].parsed
    imprint = info["message_imprint"]
    name = imprint["hash_algorithm"]["algorithm"].native
    return bool(imprint["hashed_message"].native == embedded.compute_digest(name))


def _tokens(embedded: EmbeddedPdfSignature) -> list[Any]:
    try:
        return list(extract_tst_data_iter(embedded.signer_info, signed=False))[:3]
    except Exception as fault:  # noqa: BLE001 - foreign bytes; no token then
        _out_of_bounds(fault)
        return []


def _claimed(embedded: EmbeddedPdfSignature) -> datetime | None:
    try:
        said = embedded.self_reported_timestamp
    except Exception as fault:  # noqa: BLE001 - foreign bytes; nothing is claimed then
        _out_of_bounds(fault)
        return None
    if said is not None and said.tzinfo is None:
        said = said.replace(tzinfo=VIETNAM)
    return said


def _algorithm(embedded: EmbeddedPdfSignature) -> tuple[str, str]:
    """Return the algorithm by a short name, and the weakest digest in it."""
    info = embedded.signer_info
    digest = str(info["digest_algorithm"]["algorithm"].native)
    signature = info["signature_algorithm"]
    try:
        scheme = {"rsassa_pkcs1v15": "rsa", "rsassa_pss": "rsa-pss"}.get(
            signature.signature_algo, signature.signature_algo
        )
    except ValueError:
        scheme = str(signature["algorithm"].native)
    try:
        signed_with = str(signature.hash_algo)
    except ValueError:
        signed_with = digest
    weakest = next((one for one in (digest, signed_with) if one not in STRONG), digest)
    return f"{scheme}-{weakest}", weakest


def _facts(certificate: asn1.Certificate) -> dict[str, Any]:
    """Return who the holder of a certificate is."""
    der = certificate.dump()
    read = x509.load_der_x509_certificate(der)
    return {
        "signer": written(read.subject),
        "name": first(read.subject, NameOID.COMMON_NAME),
        "organisation": first(read.subject, NameOID.ORGANIZATION_NAME),
        "whose": whose(read.subject),
        "certificate_sha256": hashlib.sha256(der).hexdigest(),
    }


def _out_of_bounds(fault: BaseException) -> None:
    """Let through what says that a bound was met."""
    if isinstance(fault, MemoryError | misc.PdfDecodeLimitError):
        raise fault


async def judged(content: bytes, material: Material, policy: JudgePolicy, at: datetime) -> Judged:
    """Judge a PDF as of ``at``; never raises but ``MemoryError``."""
    try:
        return await judge(content, material, policy, at)
    except MemoryError:
        raise
    except RecursionError:
        return Judged(Finding.UNREADABLE, "too-deep")
    except misc.PdfDecodeLimitError:
        return Judged(Finding.UNREADABLE, "too-large")
    except Exception:  # noqa: BLE001 - the libraries raise more kinds than they name
        return Judged(Finding.UNREADABLE, "damaged-signed" if byte_ranges(content) else "damaged")
