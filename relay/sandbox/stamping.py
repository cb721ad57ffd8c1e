"""A development time-stamp authority: answers RFC 3161 questions over HTTP on loopback, with a root of its own.

Never for production: its keys lie unencrypted in the sandbox, and its clock is the machine's. What asks it and judges its
answers is what asks and judges a real one.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.errors import Code, ConfigurationError
from relay.sandbox.files import private_folder, write_private
from relay.sandbox.issuing import (
    CA_LIFE,
    LEAF_LIFE,
    Issued,
    authority_id,
    builder,
    new_key,
    usable,
    usage,
    write_key,
)
from relay.trust.timestamp import Response

POLICY: Final = f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, 'urn:truc:development-time-stamps').int}"
MAX_QUESTION: Final = 16 * 1024
_ASKED: Final = "application/timestamp-query"
_ANSWERED: Final = "application/timestamp-reply"
_PATIENCE: Final = 10.0  # seconds for one who asks and does not go on


class StampAuthority:
    """The authority in one folder: ``root.pem`` and ``authority.pem`` with their keys. What is there and valid is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._issued = Issued(folder / "authority.key", folder / "authority.pem")
        self._loaded: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None

    @property
    def root_cert(self) -> Path:
        """The anchor of time-stamps."""
        return self.folder / "root.pem"

    def ensure(self, now: datetime) -> None:
        """Make root and certificate where they are missing or at their end."""
        private_folder(self.folder)
        root = Issued(self.folder / "root.key", self.root_cert)
        if not usable(root, now):
            self._issued.cert.unlink(missing_ok=True)
            name = _name("Trục development time-stamp root (mẫu)")
            key = new_key("ec-p256")
            certificate = (
                builder(name, name, key, now, CA_LIFE)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(usage(authority=True), critical=True)
                .add_extension(authority_id(None, key), critical=False)
                .sign(key, hashes.SHA256())
            )
            write_key(root.key, key)
            write_private(root.cert, certificate.public_bytes(serialization.Encoding.PEM))
        if not usable(self._issued, now):
            parent, signer = _load(root)
            key = new_key("ec-p256")
            certificate = (
                builder(_name("Trục development time-stamps (mẫu)"), parent.subject, key, now, LEAF_LIFE)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(usage(authority=False, signs_documents=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
                .add_extension(authority_id(parent, signer), critical=False)
                .sign(signer, hashes.SHA256())
            )
            write_key(self._issued.key, key)
            write_private(self._issued.cert, certificate.public_bytes(serialization.Encoding.PEM))
            self._loaded = None

    def answer(self, question: bytes, now: datetime) -> bytes:
        """Return the TimeStampResp to a TimeStampReq: a token, or why there is none.

        Args:
            question: DER.
            now: the time that the token states.
        """
        try:
            asked = tsp.TimeStampReq.load(question, strict=True)
            imprint = asked["message_imprint"]
            algorithm = imprint["hash_algorithm"]["algorithm"].native
            digest = imprint["hashed_message"].native
            nonce = asked["nonce"].native
            bring = bool(asked["cert_req"].native)
        except (ValueError, TypeError, KeyError):
            return _refused("bad_data_format")
        if (
            algorithm not in ("sha256", "sha384", "sha512")
            or len(digest) != hashlib.new(algorithm).digest_size
        ):
            return _refused("bad_alg")
        info = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": imprint.copy(),
            "serial_number": uuid.uuid4().int,
            "gen_time": now.replace(microsecond=0),
            "accuracy": {"seconds": 1},
            **({} if nonce is None else {"nonce": nonce}),
        }
        granted = {"status": {"status": "granted"}, "time_stamp_token": self._token(tsp.TSTInfo(info), bring)}
        return bytes(tsp.TimeStampResp(granted).dump())

    def _token(self, info: tsp.TSTInfo, bring: bool) -> cms.ContentInfo:
        content = info.dump()
        leaf, key = self._loaded = self._loaded or _load(self._issued)
        der = leaf.public_bytes(serialization.Encoding.DER)
        certificate = asn1_x509.Certificate.load(der)
        by_hash = {
            "hash_algorithm": {"algorithm": "sha256"},
            "cert_hash": hashlib.sha256(der).digest(),
        }
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "message_digest", "values": [hashlib.sha256(content).digest()]},
                {"type": "signing_certificate_v2", "values": [{"certs": [by_hash]}]},
            ]
        )
        named = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier({"issuer_and_serial_number": named}),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
            "signature": key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        signed: dict[str, Any] = {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(content)},
            "signer_infos": [signer],
        }
        if bring:
            signed["certificates"] = [certificate]
        return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)})


class StampServer:
    """Serves an authority on a port of loopback, in threads of its own, until it is closed.

    Raises:
        OSError: somebody else has the port.
    """

    def __init__(self, authority: StampAuthority, port: int, now: Callable[[], datetime]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = _PATIENCE

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                if self.headers.get("Content-Type") != _ASKED:
                    self.send_error(415)
                elif not length.isdecimal() or int(length) > MAX_QUESTION:
                    self.send_error(413)
                else:
                    answer = authority.answer(self.rfile.read(int(length)), now())
                    self.send_response(200)
                    self.send_header("Content-Type", _ANSWERED)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing: the keeper says what it got."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                """One who went away in the middle is no news."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.5,), name="time-stamps", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End it; the port is free afterwards."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_PATIENCE)


def _refused(why: str) -> bytes:
    status = {"status": "rejection", "fail_info": {why}}
    return bytes(Response({"status": status}).dump())


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _load(issued: Issued) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        key = serialization.load_pem_private_key(issued.key.read_bytes(), None)
        certificate = issued.leaf()
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, f"{issued.cert}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(Code.KEY_UNUSABLE, f"{issued.cert}: no EC key")
    return certificate, key
