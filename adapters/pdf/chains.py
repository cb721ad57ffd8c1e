"""The certificate of a signature at the time of signing, and the time-stamps that vouch for that time. Offline: nothing
is fetched, whatever a certificate points to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, Final

from asn1crypto import algos, cms, crl, keys
from asn1crypto import x509 as asn1
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation, validate_tst_signed_data
from pyhanko.sign.validation.status import TimestampSignatureStatus
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator import CertificateValidator
from pyhanko_certvalidator import errors as faults
from pyhanko_certvalidator.context import ValidationContext
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import (
    NO_REVOCATION,
    AlgorithmUsageConstraint,
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)

from adapters.pdf.material import JudgePolicy, Material
from relay.model.inspection import CertificateState

STRONG: Final = frozenset({"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512"})
SHA1: Final = "sha1"
MIN_RSA_BITS: Final = 2048
_SCHEMES: Final = frozenset({"rsassa_pkcs1v15", "rsassa_pss", "ecdsa"})
_PURE: Final = frozenset({"ed25519", "ed448"})  # what they hash with is part of them
_MOST_CERTIFICATES: Final = 50  # taken out of one signature
_SECOND: Final = timedelta(seconds=1)
_ASKED: Final = CertRevTrustPolicy(
    RevocationCheckingPolicy(RevocationCheckingRule.CRL_REQUIRED, RevocationCheckingRule.CRL_REQUIRED),
    retroactive_revinfo=True,  # today's list speaks of the past too
)
_UNASKED: Final = CertRevTrustPolicy(NO_REVOCATION)


@lru_cache(maxsize=256)
def revocation_list(der: bytes) -> crl.CertificateList:
    """Return a list parsed to its last entry. Parsed once for all files: a large one takes seconds."""
    parsed = crl.CertificateList.load(der)
    for entry in parsed["tbs_cert_list"]["revoked_certificates"]:
        _ = entry["user_certificate"].native, entry["revocation_date"].native, entry["crl_entry_extensions"]
    return parsed


class Algorithms(CMSAlgorithmUsagePolicy):
    """What may sign: a closed list, and SHA-1 where the policy lets it pass."""

    def __init__(self, *, legacy: bool) -> None:
        self._digests = STRONG | {SHA1} if legacy else STRONG

    def digest_algorithm_allowed(
        self, algo: algos.DigestAlgorithm, moment: datetime | None
    ) -> AlgorithmUsageConstraint:
        """Whether a digest may be used."""
        return AlgorithmUsageConstraint(allowed=algo["algorithm"].native in self._digests)

    def signature_algorithm_allowed(
        self,
        algo: algos.SignedDigestAlgorithm,
        moment: datetime | None,
        public_key: keys.PublicKeyInfo | None,
    ) -> AlgorithmUsageConstraint:
        """Whether a signature may be made so, with such a key."""
        if public_key is not None and weak_key(public_key):
            return AlgorithmUsageConstraint(allowed=False, failure_reason="weak key")
        if algo["algorithm"].native in _PURE:
            return AlgorithmUsageConstraint(allowed=True)
        try:
            scheme = algo.signature_algo
        except ValueError:
            return AlgorithmUsageConstraint(allowed=False)
        try:
            digest = algo.hash_algo
        except (
            ValueError
        ):  # the signature names its scheme alone; its digest stands beside it and is judged there
            digest = None
        return AlgorithmUsageConstraint(
            allowed=scheme in _SCHEMES and (digest is None or digest in self._digests)
        )


def weak_key(public_key: keys.PublicKeyInfo) -> bool:
    """Whether a key is too short, or of a kind that is not taken."""
    kind = public_key.algorithm
    if kind in {"rsa", "rsassa_pss"}:
        return int(public_key.bit_size) < MIN_RSA_BITS
    return kind not in {"ec", *_PURE}


@dataclass(frozen=True, slots=True)
class CertificateFinding:
    """What is known of a certificate at a moment."""

    state: CertificateState
    reason: str = ""
    revocation_known: bool = False


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time-stamp that holds."""

    at: datetime
    legacy: bool


class Chains:
    """Judges certificates by the relay's own material."""

    def __init__(self, material: Material, policy: JudgePolicy, at: datetime) -> None:
        """``at``: now, by the relay's clock."""
        self._material = material
        self._policy = policy
        self._at = at

    @cached_property
    def _anchors(self) -> list[asn1.Certificate]:
        return [asn1.Certificate.load(one) for one in self._material.anchors]

    @cached_property
    def _others(self) -> list[asn1.Certificate]:
        return [asn1.Certificate.load(one) for one in self._material.others]

    @cached_property
    def _lists(self) -> list[crl.CertificateList]:
        return [revocation_list(one) for one in self._material.lists]

    def legacy_at(self, moment: datetime) -> bool:
        """Whether SHA-1 is trusted in what is proven to have been made at that moment."""
        return moment < self._policy.sha1_until

    async def certificate(
        self,
        certificate: asn1.Certificate,
        others: Iterable[asn1.Certificate],
        moment: datetime,
        *,
        proven: bool,
    ) -> CertificateFinding:
        """Return the state of a signer's certificate at a moment.

        Without anything that proves the moment (``proven``) a certificate that is revoked now counts as revoked
        whenever that was: the claimed time may have been chosen to stand before it. SHA-1 in the chain is taken only
        where the moment is proven to be early enough.
        """
        usage = certificate.key_usage_value
        if usage is not None and not {"digital_signature", "non_repudiation"} & set(usage.native):
            return CertificateFinding(CertificateState.UNSUITABLE, "not-for-signing")
        if certificate.ca:
            return CertificateFinding(CertificateState.UNSUITABLE, "not-for-signing")
        known = [*others][:_MOST_CERTIFICATES]
        legacy = proven and self.legacy_at(moment)
        found, path = await self._path(certificate, known, moment, _ASKED, legacy=legacy)
        revocation_known = True
        if found is not None and found.reason == "revocation-unknown":
            revocation_known = False
            found, path = await self._path(certificate, known, moment, _UNASKED, legacy=legacy)
        if found is not None:
            return CertificateFinding(found.state, found.reason, revocation_known)
        if not proven and revocation_known and path is not None:
            last = min(
                (self._at, *(one.not_valid_after - _SECOND for one in path.iter_certs(include_root=False)))
            )
            if last > moment:
                later, _ = await self._path(certificate, known, last, _ASKED, legacy=legacy)
                if later is not None and later.state is CertificateState.REVOKED:
                    return CertificateFinding(CertificateState.REVOKED, "time-unproven", revocation_known)
        return CertificateFinding(CertificateState.VALID, "", revocation_known)

    async def _path(
        self,
        certificate: asn1.Certificate,
        others: list[asn1.Certificate],
        moment: datetime,
        revocation: CertRevTrustPolicy,
        *,
        legacy: bool,
    ) -> tuple[CertificateFinding | None, ValidationPath | None]:
        """Build and check a path; None: nothing is against it."""
        validator = CertificateValidator(
            certificate,
            intermediate_certs=others,
            validation_context=self._context(moment, revocation, legacy),
        )
        state = CertificateState
        try:
            return None, await validator.async_validate_path()
        except faults.RevokedError:
            return CertificateFinding(state.REVOKED), None
        except faults.InsufficientRevinfoError:
            return CertificateFinding(state.UNKNOWN, "revocation-unknown"), None
        except faults.ExpiredError as error:
            return CertificateFinding(state.EXPIRED, "" if error.is_ee_cert else "authority"), None
        except faults.NotYetValidError as error:
            return CertificateFinding(state.NOT_YET_VALID, "" if error.is_ee_cert else "authority"), None
        except faults.DisallowedAlgorithmError:
            return CertificateFinding(state.UNSUITABLE, "weak-algorithm"), None
        except (faults.PathError, faults.ValidationError):
            return CertificateFinding(state.UNTRUSTED), None

    def _context(self, moment: datetime, revocation: CertRevTrustPolicy, legacy: bool) -> ValidationContext:
        return ValidationContext(
            trust_roots=self._anchors,
            other_certs=self._others,
            moment=moment,
            allow_fetching=False,
            crls=self._lists,
            revinfo_policy=revocation,
            algorithm_usage_policy=Algorithms(legacy=legacy),
        )

    async def stamp(self, token: cms.SignedData, imprint: Callable[[str], bytes]) -> Stamp | None:
        """Return the time that an RFC 3161 token proves; None where it does not hold.

        Its authority must have been trusted at the time that it names. SHA-1 is taken in a token of the years in which
        it was taken in signatures.
        """
        try:
            info = token["encap_content_info"]["content"].parsed
            at = info["gen_time"].native
            legacy = self.legacy_at(at)
            digests = {
                info["message_imprint"]["hash_algorithm"]["algorithm"].native,
                token["signer_infos"][0]["digest_algorithm"]["algorithm"].native,
            }
            if at > self._at + timedelta(days=1) or not digests <= (STRONG | ({SHA1} if legacy else set())):
                return None
            for revocation in (_ASKED, _UNASKED):
                context = self._context(at, revocation, legacy)
                facts: dict[str, Any] = await validate_tst_signed_data(
                    token, context, imprint, algorithm_policy=Algorithms(legacy=legacy)
                )
                status = TimestampSignatureStatus(**facts)
                if status.trusted:
                    return Stamp(at, SHA1 in digests)
                if status.revoked:
                    return None
        except Exception:  # noqa: BLE001 - a token is foreign bytes; the libraries raise more kinds than they name
            return None
        return None


def certificates_of(data: cms.SignedData) -> tuple[asn1.Certificate, list[asn1.Certificate]]:
    """Return the signer's certificate and the others that came with it."""
    found = extract_certs_for_validation(data)
    return found.signer_cert, list(found.other_certs)
