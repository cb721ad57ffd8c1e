"""From bytes to a verdict: parse, structure, arithmetic, chain, signed view. Behind the port ``Verifier``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from relay.errors import Code, RefusedError
from relay.model.verdict import Node, ParseLimits, SignaturePlace, SignedView, Verdict, Verification
from relay.trust import view
from relay.trust.certificate import Certificate, CertificateCache
from relay.trust.chain import ChainResult, Purpose, TrustStore
from relay.trust.engine import Engine, Outcome, XmlsecEngine
from relay.trust.parse import parse
from relay.trust.signature import SignatureParts, locate, read

_NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Known:
    """What was learnt on the way, for the verdict on a document that fails later."""

    signer: str = ""
    certificate_sha256: str = ""
    algorithm: str = ""
    detail: str = ""


class DocumentVerifier:
    """Verifies packages of the ``whole`` profile. Safe to use from several threads.

    Whether the certificate belongs to the sender is not judged here: the verdict names it (``certificate_sha256``),
    the directory knows.

    Args:
        store: anchors and revocation lists.
        limits: bounds of parsing.
        engine: the arithmetic; by default that of xmlsec.
        purpose: what the signer's certificate must be meant for.

    Raises:
        ConfigurationError: LIBXML-MISMATCH, when made with the default engine.
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
        self._engine = engine or XmlsecEngine()
        self._purpose = purpose
        self._certificates = CertificateCache()

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
            root, chain = self._intact(body, place, known)
            node = view.copy(root[0], root[1].element, _NOTHING if with_opaque else place.opaque)
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
            detail="; ".join(filter(None, (result.detail, known.detail))),
        )
        return Verification(verdict, _signed(node, body)), result

    def _intact(
        self, body: bytes, place: SignaturePlace, known: _Known
    ) -> tuple[tuple[Any, SignatureParts], list[Certificate]]:
        """Return tree and signature if the signature holds, else raise ``RefusedError``."""
        root = parse(body, place.root, place.opaque, self._limits)
        if place.stub is not None and next(root.iter(place.stub), None) is not None:
            known.detail = "a stub signature stands in the package; it is signed content and proves nothing"
        parts = read(locate(root, place))
        known.algorithm = parts.algorithm.name
        chain = [self._certificates.read(der) for der in parts.certificates]
        leaf = chain[0]
        known.signer = leaf.subject
        known.certificate_sha256 = leaf.sha256
        if leaf.kind != parts.algorithm.kind:
            raise RefusedError(
                Code.SIGNATURE_INVALID, f"{parts.algorithm.name} with a key of the kind {leaf.kind}"
            )
        outcome = self._engine.check(root, parts, leaf.key, leaf.sha256)
        if outcome is Outcome.DIGEST_DIFFERS:
            raise RefusedError(Code.DIGEST_MISMATCH, "the content is not what was signed")
        if outcome is not Outcome.HOLDS:
            raise RefusedError(Code.SIGNATURE_INVALID, "the signature value does not hold")
        return (root, parts), chain


def _signed(node: Node, body: bytes) -> SignedView:
    return SignedView(node, hashlib.sha256(body).hexdigest(), len(body))


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
            detail="; ".join(filter(None, (detail, known.detail))),
        )
    )
