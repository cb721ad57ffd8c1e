"""From bytes to a verdict: parse, structure, arithmetic, chain, signed view. Behind the port ``Verifier``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from relay.errors import Code, RefusedError
from relay.model.elements import Elements
from relay.model.kept import Kept
from relay.model.verdict import (
    MANIFEST,
    NOT_CHECKED,
    WHOLE,
    ManifestPlace,
    ParseLimits,
    Revocation,
    RevocationSource,
    RevocationState,
    SignaturePlace,
    SignedView,
    Verdict,
    Verification,
)
from relay.trust import canonical, content, manifest, payload, quick, written
from relay.trust.cdata import check_no_section
from relay.trust.certificate import Certificate, CertificateCache
from relay.trust.chain import ChainResult, Purpose, TrustStore
from relay.trust.cut import AmbiguousMarkError, Cut, check_marks, cut
from relay.trust.engine import Engine, FastEngine, Outcome, value_size
from relay.trust.parse import check_size, parse
from relay.trust.signature import SignatureParts, locate, read, signatures
from relay.trust.view import Views

_NOTHING: frozenset[str] = frozenset()
_MOST_CHAINS = 8192
_ROOM_FOR_CHAINS = 64 * 1024 * 1024  # bytes, roughly
_PER_CERTIFICATE = 8 * 1024


@dataclass(slots=True)
class _Known:
    """What was learnt on the way, for the verdict on a document that fails later."""

    signer: str = ""
    certificate_sha256: str = ""
    algorithm: str = ""
    profile: str = WHOLE
    detail: str = ""


class DocumentVerifier:
    """Verifies packages of both profiles. Safe to use from several threads.

    Whether the certificate belongs to the sender is not judged here: the verdict names it (``certificate_sha256``),
    the directory knows.

    Args:
        store: anchors and revocation lists.
        limits: bounds of parsing.
        engine: the arithmetic; ``FastEngine`` unless told otherwise.
        purpose: what the signer's certificate must be meant for.
    """

    def __init__(
        self,
        store: TrustStore,
        limits: ParseLimits | None = None,
        engine: Engine | None = None,
        purpose: Purpose = Purpose.DOCUMENT,
    ) -> None:
        self._store = store
        self._limits = limits or ParseLimits()
        self._engine = engine or FastEngine()
        self._purpose = purpose
        self._certificates = CertificateCache()
        self._chains: Kept[bytes, tuple[Certificate, ...]] = Kept(_MOST_CHAINS, _ROOM_FOR_CHAINS)
        self._views = Views()

    def verify(
        self, body: bytes, place: SignaturePlace, at: datetime, *, with_opaque: bool = False
    ) -> Verification:
        """Return the verdict on ``body`` as of ``at`` (aware), and the signed view if the signature is intact.

        Never raises on any bytes (only where this machine has no memory left). With ``with_opaque`` the view also
        holds the bulk texts.
        """
        return self.judge(body, place, at, with_opaque=with_opaque)[0]

    def judge(
        self, body: bytes, place: SignaturePlace, at: datetime, *, with_opaque: bool = False
    ) -> tuple[Verification, ChainResult | None]:
        """Do as ``verify`` and tell what the chain said; None if the arithmetic was not reached or failed."""
        known = _Known()
        try:
            check_size(body, self._limits)
            elements, chain = self._intact(body, place, known, with_opaque)
        except RefusedError as error:
            return _refused(error.code, error.detail, at, known), None
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- fail closed: no bytes may stop a worker
            return _refused(
                Code.SIGNATURE_MALFORMED, f"a surprise of ours: {type(error).__name__}", at, known
            ), None
        result = self._store.check(chain, at, self._purpose)
        verdict = Verdict(
            intact=True,
            trusted=result.code is Code.OK,
            reason=result.code,
            verified_at=at,
            signer=known.signer,
            certificate_sha256=known.certificate_sha256,
            algorithm=known.algorithm,
            profile=known.profile,
            detail=f"{result.detail}; {known.detail}"
            if result.detail and known.detail
            else result.detail or known.detail,
            chain=tuple([certificate.sha256 for certificate in result.chain]),
            revocation=_revocation(result),
        )
        return Verification(verdict, _signed(elements, body)), result

    def signature(
        self,
        element: Any,  # noqa: ANN401 -- lxml ships no types
        *,
        by_manifest: bool,
        octets: bytes = b"",
    ) -> tuple[SignatureParts, tuple[Certificate, ...]]:
        """Return the parts of the signature and its certificates, leaf first; ``octets`` as ``quick.read``."""
        found = quick.read(element, by_manifest=by_manifest, written=octets)
        held = b""  # digest of the octets that hold the certificates
        if found is not None:
            held = hashlib.sha256(found[1]).digest()
            known = self._chains.get(held)
            if known is not None:
                return found[0], known
        parts = read(element, by_manifest=by_manifest)
        chain = tuple(self._certificates.read(der) for der in parts.certificates)
        if found is not None:
            size = sum([_PER_CERTIFICATE + 2 * len(der) for der in parts.certificates])
            self._chains.keep(held, chain, size)
        return parts, chain

    def as_written(self, octets: bytes, opaque: frozenset[str]) -> Elements | None:
        """Return the view of what stands in a body as its own canonical form; None where that is not known."""
        return self._views.as_written(octets, opaque)

    def _intact(
        self, body: bytes, place: SignaturePlace, known: _Known, with_opaque: bool
    ) -> tuple[Elements, tuple[Certificate, ...]]:
        """Return view and certificates if the signature holds, else raise ``RefusedError``."""
        without = cut(body) if place.opaque else None
        if without is not None:
            try:
                return self._of_tree(without.skeleton, without, place, known, with_opaque)
            except AmbiguousMarkError:
                known.detail = ""
        return self._of_tree(body, None, place, known, with_opaque)

    def _of_tree(
        self, source: bytes, without: Cut | None, place: SignaturePlace, known: _Known, with_opaque: bool
    ) -> tuple[Elements, tuple[Certificate, ...]]:
        root = self._parsed(source, without, place)
        element = _located(root, place, known)
        check_no_section(source)
        opaque = _NOTHING if with_opaque else place.opaque
        rest, seal = written.apart(source, element)
        elements = self.as_written(rest, opaque)
        # where the rest is not known, what was cut out may be a comment that looks like the signature
        seal = b"" if elements is None else seal
        parts, chain = self.signature(element, by_manifest=place.manifest is not None, octets=seal)
        known.algorithm = parts.algorithm.name
        signed = root
        if place.manifest is not None and parts.fragment:
            known.profile = MANIFEST
            signed = manifest.open_envelope(root, place.manifest, parts.fragment)
        if without is not None:
            if signed is root:
                self._check_plain(without, with_opaque=with_opaque)
            elif next(signed.iter(*place.opaque), None) is not None:
                raise AmbiguousMarkError
        leaf = chain[0]
        known.signer = leaf.subject
        known.certificate_sha256 = leaf.sha256
        check_key_kind(parts, leaf)
        check_value_size(parts, leaf)
        by_manifest = place.manifest is not None and bool(parts.fragment)
        bulk = without.texts if without is not None and not by_manifest else {}
        if by_manifest or not parts.as_written:
            elements = None  # a part is signed; or what was cut out is more than the signature, or less
        octets = b"" if elements is None else rest
        outcome = self._engine.check(root, signed, parts, leaf.key, leaf.sha256, bulk, octets)
        check_digest(outcome)
        check_value(outcome)
        if elements is None:
            canonical.detach(parts.element)
            octets = outcome.octets or canonical.signed_octets(root, signed)
            elements = self._views.view(octets, opaque, b"" if by_manifest else rest)
        attributes = elements.attributes
        content.check_ids(attributes)
        content.check_types(attributes)
        if place.manifest is None or not by_manifest:
            return elements, chain
        attached = _attached(root, signed, place.manifest, without, with_opaque)
        return manifest.view_of(root.tag, elements, attached, place.manifest), chain

    def _parsed(self, source: bytes, without: Cut | None, place: SignaturePlace) -> Any:  # noqa: ANN401 -- lxml ships no types
        """Return the tree; raise ``AmbiguousMarkError`` where the body has to be parsed whole to know what it is."""
        try:
            root = parse(source, place.root, place.opaque, self._limits)
        except RefusedError as error:
            if without is None:
                raise
            raise AmbiguousMarkError from error  # white space became a mark, perhaps
        if without is not None:
            check_marks(root, without, place.opaque)
        return root

    def _check_plain(self, without: Cut, *, with_opaque: bool) -> None:
        """Have the body parsed whole unless the engine can hash each stretch as it stands."""
        plain = self._engine.fills and all(map(payload.is_plain, without.texts.values()))
        if with_opaque or not plain:
            raise AmbiguousMarkError


def _located(root: Any, place: SignaturePlace, known: _Known) -> Any:  # noqa: ANN401
    """Return the one signature, at its place."""
    found = signatures(root, place)
    if place.stub in [one.tag for one in found]:
        known.detail = "a stub signature stands in the package; it is signed content and proves nothing"
    return locate(root, place, found)


def _attached(
    root: Any,  # noqa: ANN401 -- lxml ships no types
    envelope: Any,  # noqa: ANN401
    place: ManifestPlace,
    without: Cut | None,
    with_opaque: bool,
) -> list[tuple[manifest.Line, bytes | None]]:
    """Return the signed lines of the attachments with their base64 texts, if these are asked for and hold what was signed."""
    found: list[tuple[manifest.Line, bytes | None]] = []
    for one in manifest.pair(root, envelope, place):
        text = one.payload.text or ""
        stretch = without.texts.get(text) if without is not None else None
        octets = text.encode() if stretch is None else stretch
        try:
            digest = payload.digest(octets, one.line.digest_hash)
        except payload.NotBase64Error as error:
            if without is not None:
                raise AmbiguousMarkError from error
            raise RefusedError(Code.ATTACHMENT_ALTERED, "an attachment is no base64") from error
        manifest.check_payload(one.line, digest)
        found.append((one.line, bytes(octets) if with_opaque else None))
    return found


def check_key_kind(parts: SignatureParts, leaf: Certificate) -> None:
    """Refuse a method that is not for the certificate's kind of key. SIGNATURE-INVALID."""
    if leaf.kind != parts.algorithm.kind:
        raise RefusedError(
            Code.SIGNATURE_INVALID, f"{parts.algorithm.name} with a key of the kind {leaf.kind}"
        )


def check_value_size(parts: SignatureParts, leaf: Certificate) -> None:
    """Refuse a signature value of another length than the key's, such as one with zeros before it. SIGNATURE-INVALID."""
    if len(parts.value) != value_size(leaf.key):
        raise RefusedError(Code.SIGNATURE_INVALID, "the signature value has a wrong length")


def check_digest(outcome: Outcome) -> None:
    """Refuse content that is not what was signed. DIGEST-MISMATCH."""
    if not outcome.digest:
        raise RefusedError(Code.DIGEST_MISMATCH, "the content is not what was signed")


def check_value(outcome: Outcome) -> None:
    """Refuse a signature value that the certificate's key did not make. SIGNATURE-INVALID."""
    if not outcome.value:
        raise RefusedError(Code.SIGNATURE_INVALID, "the signature value does not hold")


def _signed(elements: Elements, body: bytes) -> SignedView:
    return SignedView(elements, hashlib.sha256(body).hexdigest(), len(body))


_STATES = {
    "good": RevocationState.GOOD,
    "revoked": RevocationState.REVOKED,
    "unknown": RevocationState.UNKNOWN,
}
_SOURCES = {"crl": RevocationSource.CRL, "ocsp": RevocationSource.OCSP}


def _revocation(result: ChainResult) -> Revocation:
    state = _STATES.get(result.revocation.value)
    if state is None:
        return NOT_CHECKED
    return Revocation(state, _SOURCES.get(result.source or "", RevocationSource.NONE), result.made_at)


def _refused(code: Code, detail: str, at: datetime, known: _Known) -> Verification:
    return Verification(
        Verdict(
            intact=False,
            trusted=False,
            reason=code,
            verified_at=at,
            signer=known.signer,
            certificate_sha256=known.certificate_sha256,
            algorithm=known.algorithm,
            profile=known.profile,
            detail="; ".join(filter(None, (detail, known.detail))),
        )
    )
