"""The broker's clock, as its management listener tells it with every answer (RFC 9110, section 6.6.1, field Date).

No login is needed for that, and none is used: the answer may be a refusal. To about a second.
"""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from relay.broker.tls import client_context
from relay.errors import BrokerError, Code
from relay.model.ports import Clock

EVERY: Final = 60.0  # seconds between two looks
_TIMEOUT: Final = 5.0
_BEHIND: Final = (
    1.0  # seconds that are missing in the mean: the field is cut to whole ones and renewed once in one
)


@dataclass(frozen=True, slots=True)
class Offset:
    """How far our clock is ahead of the broker's."""

    seconds: float
    measured: float  # monotonic


def clock_offset(url: str, clock: Clock, ca_file: Path | None = None) -> Offset:
    """Ask once.

    Args:
        url: of the management listener, ``http://`` or ``https://``.
        clock: ours.
        ca_file: authority of its TLS certificate; the system's store if None.

    Raises:
        BrokerError: BROKER-UNREACHABLE: no answer, or one without a date.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, port, timeout=_TIMEOUT, context=client_context(ca_file)
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        before = clock.now()
        connection.request("HEAD", "/")
        answer = connection.getresponse()
        after = clock.now()
        theirs = _moment(answer.getheader("Date"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BrokerError(Code.BROKER_UNREACHABLE, f"the broker's clock: {type(error).__name__}") from error
    finally:
        connection.close()
    ours = before + (after - before) / 2
    return Offset((ours - theirs).total_seconds() - _BEHIND, clock.monotonic())


def _moment(written: str | None) -> datetime:
    if written is None:
        raise ValueError("no Date")
    return parsedate_to_datetime(written).astimezone(UTC)


class BrokerClock:
    """Asks now and then, in a thread of its own; whoever wants to know gets the last answer without waiting."""

    def __init__(self, url: str, clock: Clock, ca_file: Path | None = None, every: float = EVERY) -> None:
        self._url = url
        self._clock = clock
        self._ca_file = ca_file
        self._every = every
        self._last: Offset | None = None
        self._stopped = False
        self._bell = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker-clock", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped = True
        self._bell.set()

    def again(self) -> None:
        """Ask now, without waiting for the answer."""
        self._bell.set()

    def offset(self) -> Offset | None:
        """Return the last answer that is not older than five looks; None if there is none."""
        last = self._last
        if last is None or self._clock.monotonic() - last.measured > 5 * self._every:
            return None
        return last

    def _run(self) -> None:
        while not self._stopped:
            self._bell.clear()
            try:
                self._last = clock_offset(self._url, self._clock, self._ca_file)
            except Exception:  # noqa: BLE001, S110
                # Whether the broker is there, and whether its certificate holds, is said elsewhere; and nothing that an
                # answer may hold ends the thread: the guard of the clock would be gone without a word.
                pass
            self._bell.wait(self._every)
