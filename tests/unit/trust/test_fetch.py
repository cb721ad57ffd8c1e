"""Fetching from a real server on loopback that behaves badly in every way: bounded, and never taken for an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.trust.certificate import read_certificate
from relay.trust.fetch import Fetcher, FetchRules
from relay.trust.ocsp import question
from relay.trust.outcome import Outcome
from tests.support import pki
from tests.support.authority import Mode, Server, serving

BODY = b"x" * 4000


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        found.lists["/a.crl"] = BODY
        yield found


def rules(*hosts: str, seconds: float = 30.0, max_bytes: int = 1 << 20) -> FetchRules:
    return FetchRules(frozenset(hosts), seconds, max_bytes)


def test_what_is_there_is_got(server: Server) -> None:
    got = Fetcher(rules()).get(server.url("/a.crl"), configured=True)
    assert (got.outcome, got.octets) == (Outcome.TAKEN, BODY)
    exactly = Fetcher(rules(max_bytes=len(BODY))).get(server.url("/a.crl"), configured=True)
    assert exactly.outcome is Outcome.TAKEN


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("down", Outcome.UNREACHABLE),
        ("error", Outcome.HTTP_ERROR),
        ("truncated", Outcome.UNREADABLE),
        ("huge", Outcome.TOO_LARGE),
        ("endless", Outcome.TOO_LARGE),
        ("zipped", Outcome.UNREADABLE),
    ],
)
def test_a_server_that_goes_wrong(server: Server, mode: Mode, wanted: Outcome) -> None:
    server.mode = mode
    got = Fetcher(rules()).get(server.url("/a.crl"), configured=True)
    assert (got.outcome, got.octets) == (wanted, b"")


@pytest.mark.parametrize("mode", ["drip", "slow-head"])
def test_a_byte_now_and_then_is_no_sign_of_life(server: Server, mode: Mode) -> None:
    """The server would go on for two minutes, each byte well within any time-out of a socket."""
    server.mode, server.patience = mode, 120.0
    server.lists["/a.crl"] = b"x" * 100_000
    started = time.monotonic()
    got = Fetcher(rules(seconds=1.0)).get(server.url("/a.crl"), configured=True)
    assert got.outcome is Outcome.TIMEOUT
    assert time.monotonic() - started < 60


def test_nobody_listens(server: Server) -> None:
    with serving() as gone:
        port = gone.port
    got = Fetcher(rules()).get(f"http://127.0.0.1:{port}/a.crl", configured=True)
    assert got.outcome is Outcome.UNREACHABLE
    assert Fetcher(rules()).get(server.url("/b.crl"), configured=True).outcome is Outcome.HTTP_ERROR


def test_where_it_may_ask(server: Server) -> None:
    address = server.url("/a.crl")
    assert Fetcher(rules()).get(address, configured=False).outcome is Outcome.NOT_ALLOWED
    assert Fetcher(rules("127.0.0.1")).get(address, configured=False).outcome is Outcome.NOT_ALLOWED
    assert Fetcher(rules(server.host)).get(address, configured=False).outcome is Outcome.TAKEN
    assert Fetcher(rules(server.host)).allowed(address)
    assert not Fetcher(rules(server.host)).allowed(address.replace("http", "ftp"))
    for wrong in (
        f"http://x@{server.host}/a.crl",
        f"ftp://{server.host}/a.crl",
        "gopher://x",
        "http://",
        "http://[",
        "x",
        "",
        f"http://{server.host}/a b\r\nX: y",
    ):
        assert not Fetcher(rules("")).get(wrong, configured=True).outcome.good, wrong


def test_redirects(server: Server, tmp_path: Path) -> None:
    with serving() as other:
        other.lists["/b.crl"] = BODY
        server.mode = "elsewhere"
        address = server.url("/a.crl")

        def sent_to(where: str, *hosts: str) -> Outcome:
            server.elsewhere = where
            return Fetcher(rules(*hosts)).get(address, configured=True).outcome

        assert sent_to(other.url("/b.crl"), other.host) is Outcome.TAKEN
        assert sent_to(other.url("/b.crl")) is Outcome.NOT_ALLOWED
        assert sent_to("/a.crl") is Outcome.HTTP_ERROR, "round and round"
        assert sent_to((tmp_path / "a.crl").as_uri()) is Outcome.NOT_ALLOWED
        assert sent_to("ftp://127.0.0.1/a.crl", "127.0.0.1") is Outcome.NOT_ALLOWED
        # a question goes along only where its method does
        server.elsewhere = other.url("/b.crl")
        other.answers = lambda _request: b"answer"
        issuing = pki.issue("Issuing", ca=True)
        asked = question(read_certificate(pki.issue("Leaf", issuing).der), read_certificate(issuing.der))
        got = Fetcher(rules(other.host)).ask(server.url("/o"), asked, 100, configured=True)
        assert (got.outcome, got.octets) == (Outcome.TAKEN, b"answer")
        assert (
            Fetcher(rules()).ask(server.url("/o"), asked, 100, configured=True).outcome is Outcome.NOT_ALLOWED
        )


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a b.crl"
    path.write_bytes(BODY)
    fetcher = Fetcher(rules())
    assert fetcher.get(path.as_uri(), configured=True).octets == BODY
    assert fetcher.get(path.as_uri(), configured=False).outcome is Outcome.NOT_ALLOWED
    assert Fetcher(rules(max_bytes=100)).get(path.as_uri(), configured=True).outcome is Outcome.TOO_LARGE
    assert fetcher.get((tmp_path / "c").as_uri(), configured=True).outcome is Outcome.UNREACHABLE
    assert fetcher.get(tmp_path.as_uri(), configured=True).outcome is Outcome.UNREACHABLE
