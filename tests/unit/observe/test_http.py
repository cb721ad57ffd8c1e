"""The HTTP port."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest

from relay.errors import Code, ConfigurationError
from relay.observe.http import HttpServer


def get(url: str, method: str = "GET") -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers["Content-Type"], refused.read()


def test_metrics_life_and_readiness() -> None:
    state: dict[str, object] = {"broker": "connected"}
    good = True

    def ready() -> tuple[bool, Mapping[str, object]]:
        return good, state

    with HttpServer(lambda: b"truc_x 1\n", ready) as server:
        assert server.port > 0
        status, kind, body = get(f"{server.url}/metrics")
        assert (status, body) == (200, b"truc_x 1\n")
        assert kind.startswith("text/plain; version=0.0.4")
        assert get(f"{server.url}/live?x=1")[0] == 200
        status, _, body = get(f"{server.url}/ready")
        assert (status, json.loads(body)) == (200, {"ready": True, "broker": "connected"})
        good, state["broker"] = False, "blocked"
        status, _, body = get(f"{server.url}/ready")
        assert (status, json.loads(body)) == (503, {"ready": False, "broker": "blocked"})
        assert get(f"{server.url}/ready", "HEAD")[::2] == (503, b"")
        assert get(f"{server.url}/")[0] == 404
        assert get(f"{server.url}/metrics", "POST")[0] == 501


def test_a_check_that_fails_means_not_ready_and_tells_nothing() -> None:
    def broken() -> tuple[bool, Mapping[str, object]]:
        raise RuntimeError("password=hunter2")

    with HttpServer(lambda: b"", broken) as server:
        status, _, body = get(f"{server.url}/ready")
    assert status == 503
    assert b"RuntimeError" in body
    assert b"hunter2" not in body


def test_a_port_that_is_taken_is_a_configuration_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError) as caught:
            HttpServer(lambda: b"", lambda: (True, {}), port=taken.getsockname()[1])
    assert caught.value.code is Code.CONFIG_INVALID


def test_stopping_frees_the_port_also_with_a_client_that_says_nothing() -> None:
    server = HttpServer(lambda: b"", lambda: (True, {}))
    server.start()
    port = server.port
    with socket.create_connection(("127.0.0.1", port)):
        server.stop()
        server.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
