"""Who signed in whose name, and what the directory holds against a signature that is good in itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.envelope import Envelope, Recipient
from relay.model.levels import Level
from relay.model.message import Incoming, Kind, Lane, Properties
from relay.model.verdict import Verdict
from relay.pipeline.accept import Submission
from relay.pipeline.verify import Examined, Proven, Unproven, judge

ID = "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11"
NOW = datetime(2030, 5, 4, 3, 2, 1, tzinfo=UTC)
OWN, GATEWAYS, RETIRED = "a" * 64, "b" * 64, "c" * 64
AGENCIES = (
    Agency(
        "H53.31",
        "Sở",
        Level.PROVINCE,
        gateway="H53",
        certificates=(
            AgencyCertificate(OWN, ""),
            AgencyCertificate(RETIRED, "", retired_at=NOW - timedelta(days=1)),
        ),
    ),
    Agency("H53", "Tỉnh", Level.PROVINCE, gateway="H53", certificates=(AgencyCertificate(GATEWAYS, ""),)),
)
ENVELOPE = Envelope(Kind.EDOC, "H53.31", "H53.31", (Recipient("G22", "G22"),), "7")
"""What stands in the signed view."""


def judged(
    certificate: str, *agencies: Agency, user: str = "H53", sender: str = "H53.31"
) -> Proven | Unproven:
    verdict = Verdict(True, True, Code.OK, NOW, certificate_sha256=certificate)
    envelope = ENVELOPE._replace(sender=sender)
    directory = AgencyDirectory.of(agencies or AGENCIES, "1")
    return judge(_submission(user, sender), Examined(verdict, envelope), directory, NOW.date())


def _submission(user: str, sender: str) -> Submission:
    message = Incoming("ingress.normal", "ingress", f"normal.{sender}", Properties(), b"<a/>", False, 0, 1, 1)
    lane, kind = Lane.NORMAL, Kind.EDOC
    return Submission(
        message, ID, ID, kind, lane, user, "0" * 64, sender, None, None, None, 1, NOW, retry=False
    )


@pytest.mark.parametrize(("certificate", "behalf"), [(OWN, ""), (GATEWAYS, "H53.31")])
def test_in_whose_name(certificate: str, behalf: str) -> None:
    found = judged(certificate)
    assert isinstance(found, Proven)
    assert found.verdict.accepted
    assert found.verdict.on_behalf_of == behalf


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (judged(RETIRED), Code.WRONG_SIGNER),
        (judged("d" * 64), Code.WRONG_SIGNER),
        (judged(OWN, sender="H29"), Code.UNKNOWN_SENDER),
        (judged(OWN, user="H29"), Code.SENDER_NOT_ALLOWED),
        (
            judged(OWN, replace(AGENCIES[0], admission=Admission.SUSPENDED), AGENCIES[1]),
            Code.SENDER_SUSPENDED,
        ),
    ],
)
def test_what_the_directory_holds_against_it(found: Proven | Unproven, code: Code) -> None:
    assert isinstance(found, Unproven)
    assert found.verdict is not None
    assert (found.refusal, found.verdict.reason, found.verdict.trusted) == (code, code, False)
    assert found.verdict.intact
