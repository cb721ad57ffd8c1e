"""Time-stamps (RFC 3161): the question, the answer, and the judgement of a token. ASN.1 by ``asn1crypto``, keys by
``cryptography``; chains by the rules of ``path``.

What is taken: SHA-256 imprints; tokens by exactly one signer, RSA PKCS#1 v1.5 or ECDSA with SHA-2, over signed attributes
that name content, digest and certificate; a certificate whose one extended key usage is time-stamping, critical, that was
valid at the token's time and leads to a given root. Revocation of the authority is not asked for: a token that was good
when it came is kept, and others look later.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NoReturn
from urllib.parse import urlsplit

from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from relay.errors import Code, RefusedError, TransientError
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.path import (
    check_authority,
    check_authority_usage,
    check_extensions,
    check_hash,
    check_no_authority,
    check_path_length,
    check_usage,
    issued_by,
)

MAX_TOKEN: Final = 256 * 1024
_MAX_CHAIN: Final = 8
_HASHES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_SIGNATURES: Final = {"rsassa_pkcs1v15": "rsa", "ecdsa": "ecdsa"}


class Response(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    """TimeStampResp (2.4.2); that of the library knows no answer without a token, which every refusal is."""

    _fields: ClassVar = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


@dataclass(frozen=True, slots=True)
class Stamped:
    """What a token says, once it was judged."""

    at: datetime  # genTime, UTC
    serial: int
    policy: str  # object identifier
    authority: Certificate
    accuracy: float | None  # seconds, if the token states one


def question(digest: bytes, nonce: int) -> bytes:
    """Return a TimeStampReq over a SHA-256 digest that asks for the authority's certificate (2.4.1), DER."""
    octets: bytes = tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {
                "hash_algorithm": {"algorithm": "sha256"},
                "hashed_message": digest,
            },
            "nonce": nonce,
            "cert_req": True,
        }
    ).dump()
    return octets


def read_answer(octets: bytes) -> bytes:
    """Return the token of a TimeStampResp (2.4.2), DER.

    Raises:
        RefusedError: TIME-STAMP-INVALID: no answer of this form, or one that grants nothing.
    """
    if len(octets) > MAX_TOKEN:
        _refuse("the answer is too long")
    try:
        answer = Response.load(octets, strict=True)
        status = answer["status"]["status"].native
        texts = answer["status"]["status_string"].native or []
        failure = answer["status"]["fail_info"].native
        token = answer["time_stamp_token"]
        # Not by its value as Python: made of its parts, it is encoded anew, for seconds if it is long.
        there = isinstance(token, cms.ContentInfo)
        token_octets: bytes = token.dump() if there else b""
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise RefusedError(Code.TIME_STAMP_INVALID, "no answer of a time-stamp authority") from error
    if status not in ("granted", "granted_with_mods"):
        why = "; ".join([*map(str, texts), *sorted(map(str, failure or []))])[:200]
        _refuse(f"not granted: {status} {why}".strip())
    if not there:
        _refuse("granted, without a token")
    return token_octets


def check_time(stamped: Stamped, asked: datetime, answered: datetime, skew: timedelta) -> None:
    """Refuse a token that has just come and states another time than it was made in: one of the two clocks is wrong, and
    what such a token would vouch for is false.

    Args:
        stamped: what it says.
        asked: our time before the question, aware.
        answered: our time after the answer.
        skew: how far the two clocks may be apart, beyond the accuracy that the token states.

    Raises:
        RefusedError: TIME-STAMP-INVALID.
    """
    margin = skew + timedelta(seconds=stamped.accuracy or 0.0)
    if not asked - margin <= stamped.at <= answered + margin:
        _refuse(f"its time is {abs((stamped.at - answered).total_seconds()):.0f} s from ours")


class TokenJudge:
    """Judges tokens by the roots of the authorities that are trusted for it.

    Args:
        roots: certificates at which a chain may end.
        more: certificates that stand between and need not be in tokens.
    """

    def __init__(self, roots: Sequence[Certificate], more: Sequence[Certificate] = ()) -> None:
        self._roots = tuple(roots)
        self._more = tuple(more)

    def judge(self, token: bytes, message: bytes, nonce: int | None = None) -> Stamped:
        """Judge a token over ``message`` (which it binds by SHA-256).

        Args:
            token: TimeStampToken, DER.
            message: what was to be stamped.
            nonce: of the question, where the answer has just come; None for a token that is kept.

        Raises:
            RefusedError: TIME-STAMP-INVALID with what is wrong; WEAK-ALGORITHM, BAD-CERTIFICATE, KEYINFO-MALFORMED of a
                certificate.
        """
        try:
            return self._judge(token, message, nonce)
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError, IndexError) as error:
            # the reader is lazy: what is malformed inside raises when it is looked at
            raise RefusedError(Code.TIME_STAMP_INVALID, "the token cannot be read") from error

    def _judge(self, token: bytes, message: bytes, nonce: int | None) -> Stamped:
        if len(token) > MAX_TOKEN:
            _refuse("the token is too long")
        outer = cms.ContentInfo.load(token, strict=True)
        if outer["content_type"].native != "signed_data":
            _refuse("the token is no signed data")
        signed = outer["content"]
        content = signed["encap_content_info"]
        if content["content_type"].native != "tst_info" or len(signed["signer_infos"]) != 1:
            _refuse("the token is not one signature over a time-stamp")
        octets: bytes = bytes(content["content"])
        info = tsp.TSTInfo.load(octets, strict=True)
        imprint = info["message_imprint"]
        if info["version"].native != "v1" or imprint["hash_algorithm"]["algorithm"].native != "sha256":
            _refuse("the token is of another version, or binds by another hash than SHA-256")
        if imprint["hashed_message"].native != hashlib.sha256(message).digest():
            _refuse("the token is over something else")
        if nonce is not None and info["nonce"].native != nonce:
            _refuse("the answer is to another question")
        at: datetime = info["gen_time"].native.astimezone(UTC)
        signer = signed["signer_infos"][0]
        certificates = [
            read_certificate(one.chosen.dump()) for one in signed["certificates"] if one.name == "certificate"
        ]
        leaf = _signer(signer, (*certificates, *self._more))
        _check_signature(signer, leaf, octets)
        _check_leaf(leaf)
        self._check_chain(leaf, (*certificates, *self._more), at)
        return Stamped(at, info["serial_number"].native, info["policy"].dotted, leaf, _accuracy(info))

    def _check_chain(self, leaf: Certificate, between: Sequence[Certificate], at: datetime) -> None:
        trouble = RefusedError(Code.TIME_STAMP_INVALID, "the authority leads to no root that is trusted")
        roots = {one.sha256 for one in self._roots}
        ways: list[tuple[Certificate, ...]] = [(leaf,)]
        for _ in range(_MAX_CHAIN):
            further: list[tuple[Certificate, ...]] = []
            for way in ways:
                if way[-1].sha256 in roots:
                    return
                for issuer in (*self._roots, *between):
                    if issuer in way or not issued_by(way[-1], issuer):
                        continue
                    try:
                        _check_issuer(issuer, way, at)
                    except RefusedError as error:
                        trouble = error
                        continue
                    further.append((*way, issuer))
            ways = further[:64]
        raise trouble


def _check_issuer(issuer: Certificate, below: tuple[Certificate, ...], at: datetime) -> None:
    child = below[-1]
    for one in (child, issuer):
        if not one.not_before <= at <= one.not_after:
            _refuse(f"{one.subject} was not valid at the token's time")
    check_hash(child)
    check_extensions(child)
    check_authority(issuer)
    check_authority_usage(issuer)
    check_path_length(issuer, below)


def _check_leaf(leaf: Certificate) -> None:
    """RFC 3161, 2.3: one extended key usage, time-stamping, critical."""
    check_no_authority(leaf)
    check_usage(leaf)
    try:
        usage = leaf.x509.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        _refuse("the authority's certificate is not for time-stamping")
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        _refuse("the authority's certificate is not for time-stamping alone, or does not say so critically")


def _signer(signer: Any, certificates: Sequence[Certificate]) -> Certificate:  # noqa: ANN401 - asn1crypto has no types
    sid = signer["sid"]
    for one in certificates:
        if sid.name == "issuer_and_serial_number":
            named = sid.chosen
            # compared as octets: a name that is spelled in another way is another name here
            fits = named["serial_number"].native == one.x509.serial_number and (
                named["issuer"].dump() == one.x509.issuer.public_bytes()
            )
        else:
            try:
                key_id = one.x509.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
            except x509.ExtensionNotFound:
                continue
            fits = sid.chosen.native == key_id
        if fits:
            return one
    raise RefusedError(Code.TIME_STAMP_INVALID, "the signer's certificate is not there")


def _check_signature(signer: Any, leaf: Certificate, content: bytes) -> None:  # noqa: ANN401
    name = signer["digest_algorithm"]["algorithm"].native
    kind = signer["signature_algorithm"].signature_algo
    if name not in _HASHES or _SIGNATURES.get(kind) != leaf.kind:
        raise RefusedError(Code.WEAK_ALGORITHM, f"time-stamp by {kind} with {name}")
    hash_name = name
    if signer["signature_algorithm"]["algorithm"].native not in ("rsassa_pkcs1v15", "ecdsa"):
        hash_name = signer["signature_algorithm"].hash_algo
    if hash_name not in _HASHES:
        raise RefusedError(Code.WEAK_ALGORITHM, f"time-stamp by {kind} with {hash_name}")
    attributes = {one["type"].native: one["values"] for one in signer["signed_attrs"]}
    if len(attributes) != len(signer["signed_attrs"]):
        _refuse("a signed attribute stands twice")
    if [one.native for one in attributes["content_type"]] != ["tst_info"]:
        _refuse("the signed attributes name another content")
    if [one.native for one in attributes["message_digest"]] != [hashlib.new(name, content).digest()]:
        _refuse("the digest of the content is another one")
    _check_named(attributes, leaf)
    digest = _HASHES[hash_name]()
    octets = signer["signed_attrs"].untag().dump()
    value = signer["signature"].native
    try:
        if isinstance(leaf.key, rsa.RSAPublicKey):
            leaf.key.verify(value, octets, padding.PKCS1v15(), digest)
        else:
            leaf.key.verify(value, octets, ec.ECDSA(digest))
    except InvalidSignature as error:
        raise RefusedError(Code.TIME_STAMP_INVALID, "the signature does not hold") from error


def _check_named(attributes: dict[str, Any], leaf: Certificate) -> None:
    """The certificate is named in the signed attributes (RFC 3161, 2.4.2; RFC 5816)."""
    if "signing_certificate_v2" in attributes:
        named = attributes["signing_certificate_v2"][0]["certs"][0]
        algorithm = named["hash_algorithm"]["algorithm"].native
        if algorithm not in _HASHES:
            raise RefusedError(Code.WEAK_ALGORITHM, f"the certificate is named by {algorithm}")
        found = hashlib.new(algorithm, leaf.der).digest()
    elif "signing_certificate" in attributes:
        named = attributes["signing_certificate"][0]["certs"][0]
        # ESSCertID knows SHA-1 alone. It binds nothing here that the signature over the token's own chain does not.
        found = hashlib.sha1(leaf.der, usedforsecurity=False).digest()
    else:
        _refuse("the signed attributes do not name the certificate")
    if named["cert_hash"].native != found:
        _refuse("the signed attributes name another certificate")


def _accuracy(info: Any) -> float | None:  # noqa: ANN401
    native = info["accuracy"].native
    if not native:
        return None
    parts = ((native.get("seconds"), 1.0), (native.get("millis"), 1e-3), (native.get("micros"), 1e-6))
    return float(sum((value or 0) * unit for value, unit in parts))


def ask(address: str, octets: bytes, seconds: float) -> bytes:
    """Send a question by HTTP (3.4) and return the answer's octets. ``seconds`` bounds each wait for the other side.

    Raises:
        TransientError: TIME-STAMP-AWAY: it cannot be reached, or does not answer like an authority.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        tls = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=tls)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=seconds)
    try:
        headers = {"Content-Type": "application/timestamp-query", "Connection": "close"}
        connection.request("POST", path, octets, headers)
        with connection.getresponse() as response:
            kind = response.getheader("Content-Type", "").split(";")[0].strip().lower()
            if response.status != 200 or kind != "application/timestamp-reply":
                raise TransientError(Code.TIME_STAMP_AWAY, f"{host}: HTTP {response.status} {kind}"[:200])
            answer = response.read(MAX_TOKEN + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransientError(Code.TIME_STAMP_AWAY, f"{host}: {type(error).__name__}") from error
    finally:
        connection.close()
    return answer


def _refuse(why: str) -> NoReturn:
    raise RefusedError(Code.TIME_STAMP_INVALID, why)
