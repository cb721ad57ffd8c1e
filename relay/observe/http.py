"""The HTTP port of a process: ``/metrics``, ``/live``, ``/ready``. Reads only, no secret behind it, loopback by default.

``/ready`` answers 200, or 503 with the reasons (``relay.observe.ready``) as JSON: the process cannot do its work now and
will again once the cause is gone. ``/live`` answers 503 only where nothing but a restart helps.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from relay.errors import Code, ConfigurationError
from relay.observe.ready import Reason

Ready = Callable[[], tuple[bool, Mapping[str, object]]]
"""Gives whether the process can work now, and facts that say why (or why not): ``reasons`` among them."""
Live = Callable[[], tuple[bool, Mapping[str, object]]]
"""Gives whether the process can still come to work by itself, and facts."""

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json"


class HttpServer:
    """Serves one process. ``port`` 0 takes a free one; ``url`` tells which. Use as a context manager or start/stop."""

    def __init__(
        self,
        exposition: Callable[[], bytes],
        ready: Ready,
        *,
        live: Live = lambda: (True, {}),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Bind, without answering yet.

        Raises:
            ConfigurationError: CONFIG-INVALID, the address cannot be had.
        """
        routes: dict[str, Callable[[], tuple[HTTPStatus, str, bytes]]] = {
            "/metrics": lambda: (HTTPStatus.OK, _TEXT, exposition()),
            "/live": lambda: _answer("live", live),
            "/ready": lambda: _answer("ready", ready),
        }

        class Handler(_Handler):
            answers = routes

        try:
            self._server = _Server((host, port), Handler)
        except (OSError, OverflowError) as fault:
            raise ConfigurationError(
                Code.CONFIG_INVALID, f"http.port: {host}:{port} cannot be used: {fault}"
            ) from fault
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True
        )
        self._host = host

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Base address, without a slash at its end."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self.port}"

    def start(self) -> None:
        """Answer from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port. May be called more than once."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that reads slowly must not hold up the end of the process

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hung up is no event of ours."""


class _Handler(BaseHTTPRequestHandler):
    answers: Mapping[str, Callable[[], tuple[HTTPStatus, str, bytes]]]
    timeout = 10  # seconds for a client to send its request
    server_version = "truc"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answer = self.answers.get(self.path.partition("?")[0])
        status, kind, body = (
            answer() if answer else (HTTPStatus.NOT_FOUND, _JSON, _json({"error": "not found"}))
        )
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name is that of the method in HTTP

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: scrapes are no events."""


def _answer(name: str, ask: Ready) -> tuple[HTTPStatus, str, bytes]:
    try:
        good, facts = ask()
    except Exception as fault:  # noqa: BLE001 - a check that fails means "no", never a broken answer
        good, facts = (
            False,
            {"reasons": [Reason.CHECK_FAILED.value], "check": f"failed: {type(fault).__name__}"},
        )
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, _JSON, _json({name: good, **facts})


def _json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, default=str) + "\n").encode()
