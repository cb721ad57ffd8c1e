"""Duty: fetching revocation lists and OCSP answers. Beside the keeper's rounds, in threads of its own: a server that does
not answer holds up no other duty.

One batch at a time. Within it each host is asked by one thread, and left alone for the rest of the batch once it has
not answered twice. Readers are told after each host, so that what has come is in force within seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime
from threading import BoundedSemaphore, Thread
from typing import Final
from urllib.parse import urlsplit

from relay.keeper.duty import Tools
from relay.model.ports import Clock
from relay.observe import logs
from relay.observe.metrics import Metrics
from relay.trust.outcome import Outcome
from relay.trust.renew import Renewed, Renewer, Signer, Wanted

_log = logs.get("keeper.revocation")
HOSTS: Final = 4  # asked at a time
PORTION: Final = 500  # of one host in one batch
_PUBLISH_EVERY: Final = 100
_AWAY: Final = frozenset({Outcome.UNREACHABLE, Outcome.TIMEOUT})
_WANTED_EVERY: Final = 900.0  # seconds between two looks at who signs, while the directory stays the same
_WAYLESS: Final = "certificates whose authorities stand neither in the settings nor in the directory"
_TIDY_EVERY: Final = 3600.0
REST: Final = 60.0  # seconds for which a host that did not answer twice is left alone


class RevocationDuty:
    """Keeps the shelf full.

    Args:
        renewer: what fetches and judges.
        signers: gives the certificates in use, with what came with them.
        version: of the directory that they are from: they are asked for again when it changes, and now and then.
    """

    def __init__(
        self,
        renewer: Renewer,
        signers: Callable[[datetime], Iterable[Signer]],
        version: Callable[[], str] = str,
    ) -> None:
        self._renewer = renewer
        self._signers = signers
        self._version = version
        self._known = ""
        self._batch: Future[list[Renewed]] | None = None
        self._wanted: Sequence[Wanted] = ()
        self._looked = self._tidied = float("-inf")
        self._rests: dict[str, float] = {}  # hosts that did not answer, until when they are left alone

    async def run(self, tools: Tools) -> int:
        """Tell what the last batch brought and begin the next one; never waits for a server. Returns how much was taken."""
        if self._batch is not None and not self._batch.done():
            return 0
        taken = 0
        if self._batch is not None:
            batch, self._batch = self._batch, None
            taken = tell(batch.result(), tools.metrics)
        batch = self._batch = Future()
        # No executor: its threads would be waited for at the end of the process.
        Thread(target=self._lead, args=(batch, tools.clock), name="fetch", daemon=True).start()
        return taken

    def _lead(self, batch: Future[list[Renewed]], clock: Clock) -> None:
        try:
            batch.set_result(self._round(clock))
        except Exception as error:  # noqa: BLE001 - told by the next round of the keeper
            batch.set_exception(error)

    def _round(self, clock: Clock) -> list[Renewed]:
        time = clock.monotonic()
        version = self._version()
        if time - self._looked >= _WANTED_EVERY or version != self._known:
            self._looked, self._known = time, version
            self._wanted = self._renewer.wanted(self._signers(clock.now()), clock.now())
            if wayless := len(self._renewer.wayless):
                logs.event(_log, logging.WARNING, "no-way-to-an-anchor", count=wayless, detail=_WAYLESS)
        if time - self._tidied >= _TIDY_EVERY:
            self._tidied = time
            self._renewer.tidy(self._wanted, clock.now())
        hosts: dict[str, list[Wanted]] = {}
        for one in self._renewer.due(self._wanted, clock.now()):
            host = urlsplit(one.addresses[0]).netloc
            if self._rests.get(host, time) <= time:
                hosts.setdefault(host, []).append(one)
        results: list[Renewed] = []
        turns = BoundedSemaphore(HOSTS)
        threads = [
            Thread(target=self._host, args=(host, wanted[:PORTION], clock, turns, results), daemon=True)
            for host, wanted in hosts.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def _host(
        self,
        host: str,
        wanted: Sequence[Wanted],
        clock: Clock,
        turns: BoundedSemaphore,
        results: list[Renewed],
    ) -> None:
        fresh: list[Renewed] = []
        away = 0
        with turns:
            for one in wanted:
                fresh.append(self._renewer.renew(one, clock.now()))
                results.append(fresh[-1])
                away = away + 1 if fresh[-1].outcome in _AWAY else 0
                if away == 2:
                    self._rests[host] = clock.monotonic() + REST
                    break
                if len(fresh) == _PUBLISH_EVERY:
                    self._publish(fresh)
                    fresh = []
            self._publish(fresh)

    def _publish(self, fresh: Sequence[Renewed]) -> None:
        try:
            self._renewer.publish(fresh)
        except OSError as error:
            # What lies there is noticed by the time of the folder, or with the next batch.
            logs.event(_log, logging.ERROR, "fetch-not-published", exc=error)


def tell(results: Iterable[Renewed], metrics: Metrics) -> int:
    """Count what came of each fetch and log what went wrong. Returns how many were taken."""
    taken = 0
    for one in results:
        metrics.fetched(one.wanted.source, one.outcome.value)
        taken += one.outcome is Outcome.TAKEN
        if not one.outcome.good:
            logs.event(
                _log,
                logging.WARNING,
                "fetch-failed",
                url=one.wanted.addresses[0],
                outcome=one.outcome.value,
                detail=one.detail,
            )
    return taken
