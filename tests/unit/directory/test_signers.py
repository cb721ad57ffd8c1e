"""In whose name a signature inside an attachment stands, by directory and package."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from relay.directory.signers import owned
from relay.directory.snapshot import AgencyDirectory
from relay.model.agency import Agency, AgencyCertificate, FormerName
from relay.model.inspection import AttachmentSignature, CertificateState, Integrity, Whose
from relay.model.levels import Level

NAME = "Ủy ban nhân dân tỉnh Mẫu"
DIRECTORY = AgencyDirectory.of(
    (
        Agency(
            "H26",
            NAME,
            Level.PROVINCE,
            gateway="H26",
            own_queue=True,
            short_name="UBND tỉnh Mẫu",
            former_names=(FormerName("Ủy ban nhân dân tỉnh Cũ", date(2025, 6, 30)),),
            certificates=(AgencyCertificate("ab" * 32, ""),),
        ),
        Agency("H53", "", Level.PROVINCE, gateway="H53", own_queue=True),
    ),
    "v1",
)
BARE = AttachmentSignature(Integrity.INTACT, CertificateState.VALID)


@pytest.mark.parametrize(
    ("signature", "whose", "own"),
    [
        (replace(BARE, name=NAME), Whose.AGENCY, True),
        (replace(BARE, name="  ỦY BAN NHÂN DÂN   TỈNH MẪU"), Whose.AGENCY, True),
        (replace(BARE, name="ubnd tỉnh mẫu"), Whose.AGENCY, True),
        (replace(BARE, name="Ủy ban nhân dân tỉnh Cũ"), Whose.AGENCY, True),
        (replace(BARE, name="Con dấu", certificate_sha256="ab" * 32), Whose.AGENCY, True),
        (replace(BARE, name="Trần Thị Mẫu", organisation=NAME), Whose.LEADER, True),  # named in the package
        (replace(BARE, name="Lê Văn Thử", organisation=NAME), Whose.UNKNOWN, True),
        (replace(BARE, name="Lê Văn Thử", organisation=NAME, whose=Whose.LEADER), Whose.LEADER, True),
        (replace(BARE, name="Công ty Khác", whose=Whose.AGENCY), Whose.AGENCY, False),
        (replace(BARE, name="Lê Văn Thử", organisation="Sở Khác", whose=Whose.LEADER), Whose.LEADER, False),
        (replace(BARE, name="Lê Văn Thử", whose=Whose.LEADER), Whose.LEADER, None),
        (BARE, Whose.UNKNOWN, None),
    ],
)
def test_whose(signature: AttachmentSignature, whose: Whose, own: bool | None) -> None:
    found = owned(signature, "H26", ("Trần Thị Mẫu",), DIRECTORY)
    assert (found.whose, found.own) == (whose, own)
    assert replace(found, whose=signature.whose, own=signature.own) == signature


def test_a_time_stamp_is_nobodys() -> None:
    stamp = replace(BARE, name=NAME, time_stamp=True)
    assert owned(stamp, "H26", (), DIRECTORY) == stamp


@pytest.mark.parametrize("sender", ["H53", "H99"])
def test_an_agency_without_a_name_or_unknown_here_is_not_compared(sender: str) -> None:
    found = owned(replace(BARE, name="Công ty Khác", whose=Whose.AGENCY), sender, (), DIRECTORY)
    assert found.own is None
