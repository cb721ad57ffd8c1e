"""A time-stamp authority for tests: answers RFC 3161 questions over HTTP on loopback, and fails in the ways a test asks for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.trust.timestamp import Response

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = "1.3.6.1.4.1.99999.1"
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def certificate(
    name: str,
    key: _Key,
    issuer: tuple[str, _Key] | None = None,
    *,
    authority: bool = False,
    usage: tuple[x509.ObjectIdentifier, ...] | None = None,
    critical: bool = True,
    begin: datetime = START,
    until: datetime = START + timedelta(days=3650),
) -> x509.Certificate:
    """Make a certificate; ``usage`` is the extended one."""
    by, by_key = issuer or (name, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=critical)
    return builder.sign(by_key, hashes.SHA256())


@dataclass
class Authority:
    """An authority with a root, and knobs for what is wrong with its answers."""

    kind: str = "ecdsa"
    usage: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.TIME_STAMPING,)
    critical: bool = True
    now: datetime = START + timedelta(days=30, seconds=7)
    begin: datetime = START
    until: datetime = START + timedelta(days=3650)
    status: str = "granted"
    http: int = 200
    content_type: str = "application/timestamp-reply"
    spoil: str = (
        ""  # "imprint", "nonce", "signature", "digest", "named", "attributes", "two", "hash", "content"
    )
    asked: list[bytes] = field(default_factory=list)
    serial: int = 0

    def __post_init__(self) -> None:
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = certificate("TSA root", self.root_key, authority=True, begin=self.begin, until=self.until)
        self.key: _Key = (
            rsa.generate_private_key(65537, 2048)
            if self.kind == "rsa"
            else ec.generate_private_key(ec.SECP256R1())
        )
        self.leaf = certificate(
            "TSA",
            self.key,
            ("TSA root", self.root_key),
            usage=self.usage,
            critical=self.critical,
            begin=self.begin,
            until=self.until,
        )

    @property
    def root_pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    def answer(self, question: bytes) -> bytes:
        """Return the TimeStampResp to a TimeStampReq."""
        self.asked.append(question)
        asked = tsp.TimeStampReq.load(question, strict=True)
        if self.status not in ("granted", "granted_with_mods"):
            status = {"status": self.status, "status_string": ["bận"], "fail_info": {"system_failure"}}
            return bytes(Response({"status": status}).dump())
        granted = {"status": {"status": self.status}, "time_stamp_token": self.token(asked)}
        return bytes(tsp.TimeStampResp(granted).dump())

    def token(self, asked: Any) -> cms.ContentInfo:
        """Return the token to a question."""
        self.serial += 1
        imprint = asked["message_imprint"].copy()
        if self.spoil == "imprint":
            imprint["hashed_message"] = bytes(32)
        if self.spoil == "hash":
            imprint = tsp.MessageImprint(
                {"hash_algorithm": {"algorithm": "sha1"}, "hashed_message": bytes(20)}
            )
        nonce = asked["nonce"].native
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": POLICY,
                "message_imprint": imprint,
                "serial_number": self.serial,
                "gen_time": self.now,
                "accuracy": {"seconds": 1, "millis": 500},
                "nonce": nonce + 1 if self.spoil == "nonce" else nonce,
            }
        )
        content = info.dump()
        signer = self.signer(content)
        leaf = asn1_x509.Certificate.load(self.leaf.public_bytes(Encoding.DER))
        signed = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [{"algorithm": "sha256"}],
                "encap_content_info": {
                    "content_type": "data" if self.spoil == "content" else "tst_info",
                    "content": core.ParsableOctetString(content),
                },
                "certificates": [leaf],
                "signer_infos": [signer, signer] if self.spoil == "two" else [signer],
            }
        )
        return cms.ContentInfo({"content_type": "signed_data", "content": signed})

    def signer(self, content: bytes) -> cms.SignerInfo:
        """Return the signature over the content."""
        der = self.leaf.public_bytes(Encoding.DER)
        leaf = asn1_x509.Certificate.load(der)
        named = hashlib.sha256(b"another" if self.spoil == "named" else der).digest()
        digest = hashlib.sha256(b"another" if self.spoil == "digest" else content).digest()
        attributes = [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [digest]},
            {
                "type": "signing_certificate_v2",
                "values": [{"certs": [{"hash_algorithm": {"algorithm": "sha256"}, "cert_hash": named}]}],
            },
        ]
        if self.spoil == "attributes":
            attributes.pop()
        signed = cms.CMSAttributes(attributes)
        octets = signed.dump()
        if isinstance(self.key, rsa.RSAPrivateKey):
            value = self.key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
            algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa"})
        else:
            value = self.key.sign(octets, ec.ECDSA(hashes.SHA256()))
            algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
        if self.spoil == "signature":
            value = value[:-1] + bytes([value[-1] ^ 1])
        return cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    {
                        "issuer_and_serial_number": {
                            "issuer": leaf.issuer,
                            "serial_number": leaf.serial_number,
                        }
                    }
                ),
                "digest_algorithm": {"algorithm": "sha256"},
                "signed_attrs": signed,
                "signature_algorithm": algorithm,
                "signature": value,
            }
        )


@contextmanager
def serving(authority: Authority, port: int = 0) -> Iterator[str]:
    """Serve on loopback; yields the address. ``port``: any, or the one of an earlier service."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            right = self.headers["Content-Type"] == "application/timestamp-query"
            answer = authority.answer(body) if right and authority.http == 200 else b"no"
            self.send_response(authority.http if right else 415)
            self.send_header("Content-Type", authority.content_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/tsa"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)
