"""The relay's own material under watch: until when keys and lists hold, whether the last change of the files was taken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal

from relay.model.ports import Clock
from relay.observe import logs
from relay.observe.metrics import Metrics
from relay.trust.chain import TrustStore

_log = logs.get("operate.material")
_EVERY: Final = 60.0  # seconds between two looks at the dates
_DAY: Final = 86_400.0
Purpose = Literal["relay", "anchor", "crl", "tls"]


class MaterialWatch:
    """Feeds ``truc_certificate_days_left`` and ``truc_confirms_outstanding``; says what is wrong with the trust files.

    Args:
        store: the anchors and lists in force.
        own: further ends by purpose: the relay's certificate, the authority of TLS.
        outstanding: publishes that the broker has not confirmed.
        metrics: where the numbers go.
        clock: time.
    """

    def __init__(
        self,
        store: TrustStore,
        own: Mapping[Purpose, datetime],
        outstanding: Callable[[], int],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._store = store
        self._own = dict(own)
        self._outstanding = outstanding
        self._metrics = metrics
        self._clock = clock
        self._looked = float("-inf")
        self._problem = ""

    def look(self) -> dict[str, object]:
        """Look; cheap enough for each tick of a worker. Returns facts for ``/ready``: ``trust_files``, "" if all is well."""
        self._metrics.confirms_outstanding(self._outstanding())
        self._store.refresh()
        problem = self._store.problem
        if problem != self._problem:
            self._problem = problem
            level = logging.ERROR if problem else logging.INFO
            logs.event(
                _log,
                level,
                "trust-files-unusable" if problem else "trust-files-taken",
                detail=problem or None,
            )
        if self._clock.monotonic() - self._looked >= _EVERY:
            self._looked = self._clock.monotonic()
            self._days()
        return {"trust_files": problem}

    def _days(self) -> None:
        now = self._clock.now()
        anchors, lists = self._store.ends()
        ends: dict[Purpose, datetime | None] = {**self._own, "anchor": anchors, "crl": lists}
        for purpose, end in ends.items():
            if end is not None:
                self._metrics.certificate_days(purpose, (end - now).total_seconds() / _DAY)
