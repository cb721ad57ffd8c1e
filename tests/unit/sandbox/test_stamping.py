"""The sandbox's time-stamp authority: asked by the real protocol, judged like any other, and refusing what is no question."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.errors import Code, RefusedError, TransientError
from relay.sandbox.stamping import MAX_QUESTION, StampAuthority, StampServer
from relay.trust.chain import read_certificates
from relay.trust.timestamp import TokenJudge, ask, question, read_answer

NOW = datetime(2026, 5, 4, 3, 2, 1, 500, tzinfo=UTC)
TEXT = b"truc-head 1\n"


@pytest.fixture
def authority(tmp_path: Path) -> StampAuthority:
    made = StampAuthority(tmp_path / "stamps")
    made.ensure(NOW)
    return made


@pytest.fixture
def server(authority: StampAuthority) -> Iterator[StampServer]:
    running = StampServer(authority, 0, lambda: NOW)
    yield running
    running.close()


def judge(authority: StampAuthority) -> TokenJudge:
    return TokenJudge(read_certificates(authority.root_cert))


def test_a_stamp_over_http_is_taken_by_whoever_judges_real_ones(
    authority: StampAuthority, server: StampServer
) -> None:
    asked = question(hashlib.sha256(TEXT).digest(), 7)
    token = read_answer(ask(f"http://127.0.0.1:{server.port}/", asked, 60.0))
    stamped = judge(authority).judge(token, TEXT, 7)
    assert stamped.at == NOW.replace(microsecond=0)
    assert "Trục development time-stamps" in stamped.authority.subject
    assert stamped.accuracy == 1.0
    with pytest.raises(RefusedError) as caught:
        judge(authority).judge(token, b"another text", 7)
    assert caught.value.code is Code.TIME_STAMP_INVALID
    with pytest.raises(RefusedError):
        judge(authority).judge(token, TEXT, 8)


def test_another_authority_vouches_for_nothing(authority: StampAuthority, tmp_path: Path) -> None:
    other = StampAuthority(tmp_path / "other")
    other.ensure(NOW)
    asked = question(hashlib.sha256(TEXT).digest(), 7)
    token = read_answer(other.answer(asked, NOW))
    with pytest.raises(RefusedError):
        judge(authority).judge(token, TEXT, 7)


@pytest.mark.parametrize("asked", [b"", b"\x30\x03\x02\x01", b"no question at all"])
def test_what_is_no_question_is_rejected_in_the_protocols_own_words(
    authority: StampAuthority, asked: bytes
) -> None:
    with pytest.raises(RefusedError, match="rejection"):
        read_answer(authority.answer(asked, NOW))


def test_a_digest_that_does_not_fit_its_algorithm_is_rejected(authority: StampAuthority) -> None:
    with pytest.raises(RefusedError, match="bad_alg"):
        read_answer(authority.answer(question(b"short", 7), NOW))


def test_what_is_no_question_of_the_protocol_gets_no_answer(server: StampServer) -> None:
    address = f"http://127.0.0.1:{server.port}/"
    with pytest.raises((RefusedError, TransientError)):
        ask(address, bytes(MAX_QUESTION + 1), 60.0)
    with socket.create_connection(("127.0.0.1", server.port), 60.0) as link:
        link.sendall(b"POST / HTTP/1.0\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi")
        assert b" 415 " in link.recv(4096)


def test_what_is_there_is_kept_and_renewed_before_its_end(authority: StampAuthority) -> None:
    before = {path.name: path.read_bytes() for path in authority.folder.iterdir()}
    authority.ensure(NOW + timedelta(days=30))
    assert {path.name: path.read_bytes() for path in authority.folder.iterdir()} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in authority.folder.glob("*.key"))
    later = NOW + timedelta(days=820)
    authority.ensure(later)
    after = {path.name: path.read_bytes() for path in authority.folder.iterdir()}
    assert after["root.pem"] == before["root.pem"]
    assert after["authority.pem"] != before["authority.pem"]
    token = read_answer(authority.answer(question(hashlib.sha256(TEXT).digest(), 7), later))
    assert judge(authority).judge(token, TEXT, 7).at == later.replace(microsecond=0)


def test_a_port_that_somebody_has_is_an_error_and_a_closed_one_is_free(authority: StampAuthority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        StampServer(authority, taken.getsockname()[1], lambda: NOW)
    first = StampServer(authority, 0, lambda: NOW)
    first.close()
    second = StampServer(authority, first.port, lambda: NOW)
    assert second.port == first.port
    second.close()
