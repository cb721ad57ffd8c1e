"""Until when the agencies' certificates hold, for whoever scrapes. Worked out once for each state of the directory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from typing import Final

from cryptography import x509

from relay.directory.snapshot import AgencyDirectory
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.ports import Clock
from relay.model.times import VIETNAM, vietnam_day

SOON: Final = timedelta(days=30)


class AgencyCertificates:
    """The ends of what the directory says agencies sign with.

    An agency counts by its last certificate: one that ends while the next one holds already is no trouble. Codes that
    are closed or suspended, and agencies that their gateway signs for, do not count.

    Args:
        directory: the snapshot in use.
        clock: time.
    """

    def __init__(self, directory: Callable[[], AgencyDirectory], clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._version = ""
        self._ends: tuple[datetime, ...] = ()

    def left(self) -> Mapping[tuple[str, ...], float]:
        """Return the seconds until the first agency is without a certificate."""
        ends = self._known()
        left = min(ends) - self._clock.now() if ends else None
        return {} if left is None else {("agency",): left.total_seconds()}

    def ending(self) -> Mapping[tuple[str, ...], float]:
        """Return how many agencies are without a certificate within ``SOON``."""
        until = self._clock.now() + SOON
        return {(): sum(end <= until for end in self._known())}

    def _known(self) -> tuple[datetime, ...]:
        directory = self._directory()
        with self._lock:
            if directory.version != self._version:
                day = vietnam_day(self._clock.now())
                self._ends = tuple(
                    max(map(end_of, agency.certificates))
                    for agency in directory.agencies()
                    if agency.certificates and agency.valid_on(day) and _takes_part(agency)
                )
                self._version = directory.version
            return self._ends


def end_of(certificate: AgencyCertificate) -> datetime:
    """Return until when a certificate signs for its agency: its own end, or an earlier one that the directory sets."""
    ends = [x509.load_pem_x509_certificate(certificate.pem.encode("ascii")).not_valid_after_utc]
    if certificate.not_after is not None:
        ends.append(datetime.combine(certificate.not_after + timedelta(days=1), time(), VIETNAM))
    if certificate.retired_at is not None:
        ends.append(certificate.retired_at)
    return min(ends)


def _takes_part(agency: Agency) -> bool:
    return agency.admission in {Admission.TRIAL, Admission.ADMITTED}
