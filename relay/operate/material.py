"""The relay's own material under watch: until when keys and lists hold, whether the last change of the files was taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, Protocol

from relay.evidence.signer import RelaySigner
from relay.model.ports import Clock
from relay.observe import logs
from relay.observe.metrics import Metrics
from relay.trust.chain import TrustStore

_log = logs.get("operate.material")
_EVERY: Final = 60.0  # seconds between two looks at the dates
Purpose = Literal["relay", "anchor", "crl", "tls"]


class Material(Protocol):
    """Files in use that may change at any time; the former content holds until the new one can be taken."""

    @property
    def problem(self) -> str:
        """Why the last change was not taken, or what cannot be used; empty if all is well."""
        ...

    @property
    def taken(self) -> int:
        """How many changes were taken."""
        ...

    def refresh(self) -> None:
        """Look at the files if it is time to."""
        ...


class MaterialWatch:
    """Sees to it that changed files are taken; says which are not, and when what is in use ends.

    Feeds ``truc_certificate_left_seconds``, ``truc_material_unusable`` and ``truc_confirms_outstanding``.

    Args:
        store: the anchors and lists in force.
        signer: the relay's key in use.
        tls: gives when the first of the files for TLS to the broker ends; None where there is none.
        outstanding: publishes that the broker has not confirmed.
        metrics: where the numbers go.
        clock: time.
    """

    def __init__(
        self,
        store: TrustStore,
        signer: RelaySigner,
        tls: Callable[[], datetime | None],
        outstanding: Callable[[], int],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._store = store
        self._signer = signer
        self._tls = tls
        self._outstanding = outstanding
        self._metrics = metrics
        self._clock = clock
        self._looked = float("-inf")
        self._watched: dict[str, Material] = {"trust_files": store, "relay_key": signer}
        self._told = dict.fromkeys(self._watched, ("", 0))
        metrics.read(
            "truc_material_unusable",
            lambda: {("trust",): bool(store.problem), ("relay",): bool(signer.problem)},
        )

    def look(self) -> dict[str, object]:
        """Look; cheap enough for each tick of a worker.

        Returns facts for ``/ready``: ``trust_files`` and ``relay_key``, why the last change was not taken, "" if all is
        well. Neither makes a process unready: what holds is what held before.
        """
        self._metrics.confirms_outstanding(self._outstanding())
        for name, one in self._watched.items():
            one.refresh()
            self._tell(name, one)
        if self._clock.monotonic() - self._looked >= _EVERY:
            self._looked = self._clock.monotonic()
            self._days()
        return {name: one.problem for name, one in self._watched.items()}

    def _tell(self, name: str, one: Material) -> None:
        """Log each change once: taken, not taken and why, or taken back."""
        problem, taken = self._told[name]
        now = self._told[name] = (one.problem, one.taken)
        if now == (problem, taken):
            return
        event = name.replace("_", "-")
        if one.problem:
            logs.event(_log, logging.ERROR, f"{event}-unusable", detail=one.problem)
        elif one.taken != taken:
            self._looked = float("-inf")  # other dates
            detail = f"certificate {self._signer.certificate.sha256}" if one is self._signer else None
            logs.event(_log, logging.INFO, f"{event}-taken", detail=detail)
        else:
            logs.event(_log, logging.INFO, f"{event}-usable")

    def _days(self) -> None:
        now = self._clock.now()
        anchors, lists = self._store.ends()
        ends: dict[Purpose, datetime | None] = {
            "relay": self._signer.end(),
            "anchor": anchors,
            "crl": lists,
            "tls": self._tls(),
        }
        for purpose, end in ends.items():
            if end is not None:
                self._metrics.certificate_left(purpose, (end - now).total_seconds())
