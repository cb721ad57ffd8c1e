"""Until when agencies have a certificate: their last one counts, and only of those who take part."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay.directory.snapshot import AgencyDirectory
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.levels import Level
from relay.operate.agencies import AgencyCertificates, end_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
DAY = 86_400


class Clock:
    at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


def certificate(
    days: float, *, not_after: date | None = None, retired_at: datetime | None = None
) -> AgencyCertificate:
    """A certificate that ends so many days from now."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mẫu")])
    made = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 7)
        .not_valid_before(NOW - timedelta(days=400))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(KEY, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    return AgencyCertificate("", pem, None, not_after, retired_at)


def agency(code: str, *certificates: AgencyCertificate, admission: Admission = Admission.ADMITTED) -> Agency:
    return Agency(code, "Mẫu", Level.PROVINCE, certificates=certificates, admission=admission)


def watched(*agencies: Agency, version: str = "1") -> tuple[AgencyCertificates, list[AgencyDirectory], Clock]:
    held, clock = [AgencyDirectory.of(agencies, version)], Clock()
    return AgencyCertificates(lambda: held[0], clock), held, clock


def test_the_first_agency_that_will_be_without_one() -> None:
    known, _, clock = watched(
        agency("H26", certificate(3), certificate(300)),  # the next one is registered
        agency("H29", certificate(20)),
        agency("H53", certificate(90)),
        agency("G22"),  # its gateway signs for it
    )
    assert known.left() == {("agency",): pytest.approx(20 * DAY)}
    assert known.ending() == {(): 1}
    clock.at += timedelta(days=65)
    assert known.left() == {("agency",): pytest.approx(-45 * DAY)}
    assert known.ending() == {(): 2}


def test_who_takes_no_part_counts_for_nothing() -> None:
    known, _, _ = watched(
        agency("H26", certificate(3), admission=Admission.SUSPENDED),
        agency("H29", certificate(3), admission=Admission.CLOSED),
        agency("H53", certificate(50), admission=Admission.TRIAL),
    )
    assert known.left() == {("agency",): pytest.approx(50 * DAY)}
    assert known.ending() == {(): 0}
    none, _, _ = watched(agency("G22"))
    assert (none.left(), none.ending()) == ({}, {(): 0})


def test_the_directory_may_end_one_sooner() -> None:
    day = date(2026, 3, 10)
    assert end_of(certificate(300, not_after=day)) == datetime(
        2026, 3, 10, 17, tzinfo=UTC
    )  # midnight in Vietnam
    assert end_of(certificate(300, retired_at=NOW)) == NOW
    assert end_of(certificate(2, not_after=day)) == NOW + timedelta(days=2)


def test_a_new_state_of_the_directory_is_worked_out_anew_and_an_old_one_is_not() -> None:
    known, held, _ = watched(agency("H26", certificate(10)))
    assert known.left() == {("agency",): pytest.approx(10 * DAY)}
    held[0] = AgencyDirectory.of([agency("H26", certificate(100))], "1")
    assert known.left() == {("agency",): pytest.approx(10 * DAY)}, "the same version is the same content"
    held[0] = AgencyDirectory.of([agency("H26", certificate(100))], "2")
    assert known.left() == {("agency",): pytest.approx(100 * DAY)}
