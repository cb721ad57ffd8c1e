"""Fetching a list or asking a responder: bounded in time and size to the last byte, and only where it is allowed.

A host may be asked if the settings name the address itself, or name the host (for addresses that stand in
certificates, and for redirects). Proxies of the environment are not used; nothing is sent but the question.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from relay.trust.outcome import Outcome

_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = 3
_CHUNK: Final = 65_536
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_MOVED_WITH_BODY: Final = frozenset({307, 308})


@dataclass(frozen=True, slots=True)
class FetchRules:
    """Who may be asked, and how long and how much an answer may be."""

    hosts: frozenset[str] = frozenset()  # "host" (on the scheme's own port) or "host:port", lower case
    seconds: float = 20.0
    max_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Got:
    """What came. ``octets`` are there only with TAKEN."""

    outcome: Outcome
    octets: bytes = b""
    detail: str = ""  # for people


class Fetcher:
    """Fetches. Safe to use from several threads."""

    def __init__(
        self,
        rules: FetchRules,
        *,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``tls``: whom to believe on ``https``; the authorities of the system without."""
        self._rules = rules
        self._tls = tls
        self._monotonic = monotonic

    def allowed(self, address: str) -> bool:
        """Whether an address that stands in a certificate may be asked."""
        parts = _parts(address)
        return parts is not None and parts.scheme in _PORTS and _place(parts) in self._places()

    def get(self, address: str, *, configured: bool) -> Got:
        """Return what stands at an address: ``http``, ``https``; ``file`` if it is a configured one. Never raises."""
        parts = _parts(address)
        if parts is not None and parts.scheme == "file" and configured:
            return self._file(Path(unquote(parts.path)))
        return self._http("GET", address, None, configured=configured, limit=self._rules.max_bytes)

    def ask(self, address: str, question: bytes, limit: int, *, configured: bool) -> Got:
        """Put a question to an OCSP responder (RFC 6960, A.1, by POST). Never raises."""
        return self._http("POST", address, question, configured=configured, limit=limit)

    def _places(self) -> frozenset[tuple[str, int]]:
        found = set()
        for host in self._rules.hosts:
            parts = _parts(f"http://{host}")
            if parts is not None and parts.hostname:
                ports = (parts.port,) if parts.port is not None else tuple(_PORTS.values())
                found |= {(parts.hostname, port) for port in ports}
        return frozenset(found)

    def _file(self, path: Path) -> Got:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return Got(Outcome.UNREACHABLE, detail="not a file")
            with path.open("rb") as file:
                octets = file.read(self._rules.max_bytes + 1)
        except (OSError, ValueError) as error:
            return Got(Outcome.UNREACHABLE, detail=type(error).__name__)
        if len(octets) > self._rules.max_bytes:
            return Got(Outcome.TOO_LARGE)
        return Got(Outcome.TAKEN, octets)

    def _http(self, method: str, address: str, body: bytes | None, *, configured: bool, limit: int) -> Got:
        end = self._monotonic() + self._rules.seconds
        before: SplitResult | None = None
        for _ in range(_REDIRECTS + 1):
            parts = _parts(address)
            if parts is None or parts.scheme not in _PORTS or not parts.hostname:
                return Got(Outcome.NOT_ALLOWED, detail="not an address of http")
            if before is None:
                allowed = configured or _place(parts) in self._places()
            else:
                same = _place(parts) == _place(before) and parts.scheme == before.scheme
                allowed = same or _place(parts) in self._places()
                allowed = allowed and not (before.scheme == "https" and parts.scheme == "http")
            if not allowed:
                return Got(Outcome.NOT_ALLOWED, detail=f"{parts.hostname} is not named in the settings")
            got = self._once(method, parts, body, end, limit)
            if isinstance(got, Got):
                return got
            before, address = parts, urljoin(address, got)
        return Got(Outcome.HTTP_ERROR, detail="too many redirects")

    def _once(self, method: str, parts: SplitResult, body: bytes | None, end: float, limit: int) -> Got | str:
        """Make one exchange; a text is where we are sent to."""
        host, port = _place(parts)
        with self._watched(end) as watch:
            try:
                connection = watch.connect(host, port, self._context() if parts.scheme == "https" else None)
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                headers = {"Accept-Encoding": "identity", "Connection": "close"}
                if body is not None:
                    headers["Content-Type"] = "application/ocsp-request"
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                moved = _MOVED if body is None else _MOVED_WITH_BODY
                location = response.getheader("Location")
                if response.status in moved and location:
                    return location
                if response.status != 200:
                    return Got(Outcome.HTTP_ERROR, detail=str(response.status))
                if response.getheader("Content-Encoding", "identity").lower() != "identity":
                    return Got(Outcome.UNREADABLE, detail="it is encoded")
                return watch.told(_body(response, limit))
            except ssl.SSLError as error:
                return watch.told(Got(Outcome.UNREACHABLE, detail=f"TLS: {error.reason}"))
            except TimeoutError:
                return Got(Outcome.TIMEOUT)
            except http.client.IncompleteRead:
                return watch.told(Got(Outcome.UNREADABLE, detail="cut off"))
            except (OSError, http.client.HTTPException, ValueError) as error:
                return watch.told(Got(Outcome.UNREACHABLE, detail=type(error).__name__))

    def _context(self) -> ssl.SSLContext:
        return self._tls or ssl.create_default_context()

    @contextmanager
    def _watched(self, end: float) -> Iterator[_Watch]:
        watch = _Watch(end, self._monotonic)
        try:
            yield watch
        finally:
            watch.close()


class _Watch:
    """Ends an exchange when its time is over, whatever it waits for: a byte now and then is no sign of life."""

    def __init__(self, end: float, monotonic: Callable[[], float]) -> None:
        self._end = end
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._over = False
        self._timer: threading.Timer | None = None

    def connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
        left = self._end - self._monotonic()
        if left <= 0:
            raise TimeoutError
        connection = http.client.HTTPConnection(host, port, timeout=left)
        self._keep(socket.create_connection((host, port), timeout=left))
        self._timer = threading.Timer(max(0.0, self._end - self._monotonic()), self._stop)
        self._timer.daemon = True
        self._timer.start()
        if tls is not None and self._socket is not None:
            self._keep(tls.wrap_socket(self._socket, server_hostname=host))
        connection.sock = self._socket
        return connection

    def told(self, got: Got) -> Got:
        """Return what came, or TIMEOUT if it only ended because its time was over."""
        with self._lock:
            return Got(Outcome.TIMEOUT) if self._over else got

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            if self._socket is not None:
                self._socket.close()

    def _keep(self, one: socket.socket) -> None:
        with self._lock:
            self._socket = one

    def _stop(self) -> None:
        with self._lock:
            self._over = True
            if self._socket is not None:
                try:
                    # of the descriptor: the TLS layer would wait for the other side's farewell
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    pass


def _body(response: http.client.HTTPResponse, limit: int) -> Got:
    if response.length is not None and response.length > limit:
        return Got(Outcome.TOO_LARGE, detail=f"{response.length} bytes")
    parts: list[bytes] = []
    size = 0
    while chunk := response.read(min(_CHUNK, limit + 1 - size)):
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            return Got(Outcome.TOO_LARGE)
    if response.length:
        return Got(Outcome.UNREADABLE, detail="cut off")
    return Got(Outcome.TAKEN, b"".join(parts))


def _parts(address: str) -> SplitResult | None:
    """Return an address taken apart; None: it is none, or names a user."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return None if "@" in parts.netloc else parts


def _place(parts: SplitResult) -> tuple[str, int]:
    return (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)
