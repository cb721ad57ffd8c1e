"""The broker's clock over HTTP: any answer tells it, no login is sent, no silence hurts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from relay.broker.clock import BrokerClock, clock_offset
from relay.errors import BrokerError, Code
from relay.observe.clock import SystemClock
from tests.support.waits import until


class Management(BaseHTTPRequestHandler):
    ahead = timedelta()
    dated = True
    asked: list[dict[str, str]] = []  # noqa: RUF012 - replaced by each fixture

    def do_HEAD(self) -> None:
        self.asked.append(dict(self.headers))
        self.send_response_only(401)
        if self.dated:
            self.send_header("Date", format_datetime(datetime.now(UTC) + self.ahead, usegmt=True))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def broker() -> Iterator[tuple[type[Management], str]]:
    class Mine(Management):
        asked: list[dict[str, str]] = []  # noqa: RUF012 - this test's alone

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Mine, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("ahead", [0, 3600, -90])
def test_the_distance_is_told_to_about_a_second_and_nobody_logs_in(
    broker: tuple[type[Management], str], ahead: int
) -> None:
    management, url = broker
    management.ahead = timedelta(seconds=ahead)
    # An answer that took long tells less: one comes that did not.
    until(lambda: abs(clock_offset(url, SystemClock()).seconds + ahead) <= 1.5)
    assert not [one for one in management.asked if set(one) & {"Authorization", "Cookie"}]


def test_an_answer_without_a_date_or_none_at_all_is_no_measurement(
    broker: tuple[type[Management], str],
) -> None:
    management, url = broker
    management.dated = False
    for address in (url, "http://127.0.0.1:9"):
        with pytest.raises(BrokerError) as caught:
            clock_offset(address, SystemClock())
        assert caught.value.code is Code.BROKER_UNREACHABLE


def test_the_last_answer_is_given_until_it_is_old(broker: tuple[type[Management], str]) -> None:
    management, url = broker

    class Clock(SystemClock):
        passed = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.passed

    clock = Clock()
    asked = BrokerClock(url, clock, every=0.02)
    assert asked.offset() is None
    asked.start()
    end = time.monotonic() + 60
    while asked.offset() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    management.dated = False
    asked.stop()
    clock.passed = 60
    assert asked.offset() is None


def test_it_asks_at_once_when_told_to(broker: tuple[type[Management], str]) -> None:
    management, url = broker
    asked = BrokerClock(url, SystemClock(), every=3600)
    asked.start()
    for count in (1, 2):
        end = time.monotonic() + 60
        while len(management.asked) < count:
            assert time.monotonic() < end
            time.sleep(0.01)
        asked.again()
    asked.stop()


def test_a_surprise_does_not_end_the_asking(broker: tuple[type[Management], str]) -> None:
    _, url = broker

    class Clock(SystemClock):
        failures = 2

        def now(self) -> datetime:
            if self.failures:
                self.failures -= 1
                raise RuntimeError
            return super().now()

    asked = BrokerClock(url, Clock(), every=0.02)
    asked.start()
    end = time.monotonic() + 60
    while asked.offset() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    asked.stop()
