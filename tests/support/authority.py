"""An authority's public side for tests: revocation lists and an OCSP responder over HTTP on loopback, that can go wrong."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from tests.support import pki
from tests.support.pki import DAY, NOW, Entity

Mode = Literal[
    "good", "down", "error", "truncated", "huge", "endless", "drip", "slow-head", "elsewhere", "zipped"
]
HOUR = dt.timedelta(hours=1)


def answer(
    entity: Entity,
    issuer: Entity,
    *,
    revoked_at: dt.datetime | None = None,
    this_update: dt.datetime | None = None,
    next_update: dt.datetime | None = NOW + DAY,
    responder: Entity | None = None,
    shown: bool = True,
    nonce: bytes | None = None,
    status: ocsp.OCSPCertStatus | None = None,
    certificate_id: Any = None,
    digest: Any = None,
    by_name: bool = False,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """Make an answer, DER. ``responder``: delegated; ``shown``: its certificate comes with the answer."""
    signer = responder or issuer
    status = status or (ocsp.OCSPCertStatus.REVOKED if revoked_at else ocsp.OCSPCertStatus.GOOD)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=entity.certificate,
        issuer=issuer.certificate,
        algorithm=certificate_id or hashes.SHA1(),
        cert_status=status,
        this_update=this_update or NOW - HOUR,
        next_update=next_update,
        revocation_time=revoked_at,
        revocation_reason=None,
    )
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    builder = builder.responder_id(encoding, signer.certificate)
    if responder is not None and shown:
        builder = builder.certificates([responder.certificate])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer.key, digest or hashes.SHA256()).public_bytes(Encoding.DER)


def responder(issuer: Entity, *, nocheck: bool = True, purpose: bool = True, **more: Any) -> Entity:
    """Make a certificate that may answer for its issuer."""
    extra: list[tuple[x509.ExtensionType, bool]] = list(more.pop("extra", ()))
    if purpose:
        extra.append((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False))
    if nocheck:
        extra.append((x509.OCSPNoCheck(), False))
    return pki.issue("Responder", issuer, key_usage=pki.usage(sign=True), extra=extra, **more)


def points_to(
    *, lists: Sequence[str] = (), responders: Sequence[str] = ()
) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extensions that name where lists and answers are."""
    found: list[tuple[x509.ExtensionType, bool]] = []
    if lists:
        names = [x509.UniformResourceIdentifier(one) for one in lists]
        found.append((x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]), False))
    if responders:
        access = [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(one))
            for one in responders
        ]
        found.append((x509.AuthorityInformationAccess(access), False))
    return found


class Server:
    """What is served, and how badly. ``lists``: by path; ``answers``: what is said to a question."""

    def __init__(self) -> None:
        self.mode: Mode = "good"
        self.lists: dict[str, bytes] = {}
        self.answers: Callable[[ocsp.OCSPRequest], bytes] = lambda _request: b""
        self.elsewhere = ""
        self.asked: list[str] = []
        self.port = 0
        self.patience = 30.0  # seconds that a slow one goes on
        self.stopping = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"


def nonce_in(request: ocsp.OCSPRequest) -> bytes | None:
    """Return the nonce of a question."""
    try:
        return request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server on a free port of loopback."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            body = server.lists.get(self.path)
            self.reply(body)

        def do_POST(self) -> None:
            server.asked.append(self.path)
            request = ocsp.load_der_ocsp_request(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(server.answers(request))

        def reply(self, body: bytes | None) -> None:
            mode = server.mode
            if mode == "down":
                self.close_connection = True
                return
            if mode == "slow-head":
                self.drip(b"HTTP/1.0 200 OK\r\nX-Long: " + b"x" * 60_000)
                return
            if body is None or mode == "error":
                self.send_error(404 if body is None else 503)
                return
            if mode == "elsewhere":
                self.send_response(302 if self.command == "GET" else 307)
                self.send_header("Location", server.elsewhere)
                self.end_headers()
                return
            self.send_response(200)
            if mode == "zipped":
                self.send_header("Content-Encoding", "gzip")
            if mode != "endless":
                length = {"huge": 1 << 40, "truncated": len(body) + 10}.get(mode, len(body))
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if mode == "drip":
                self.drip(body)
            elif mode == "endless":
                end = time.monotonic() + server.patience
                while time.monotonic() < end and not server.stopping.is_set():
                    self.wfile.write(b"0" * 65_536)
            else:
                self.wfile.write(body)

        def drip(self, body: bytes) -> None:
            end = time.monotonic() + server.patience
            for one in body:
                if time.monotonic() > end or server.stopping.wait(0.02):
                    return
                self.wfile.write(bytes((one,)))
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            return

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                pass  # the client had enough

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        http.shutdown()
        http.server_close()
        thread.join()
