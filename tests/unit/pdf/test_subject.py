"""Whether a certificate is a person's or an organisation's, by its subject alone."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from adapters.pdf.subject import first, plain, whose, written
from relay.model.inspection import Whose
from tests.support.pdfs import name_of

BODY = (NameOID.ORGANIZATION_NAME, "Sở Mẫu")


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (name_of("Lê Văn Thử", BODY, (NameOID.TITLE, "Giám đốc")), Whose.LEADER),
        (name_of("Lê Văn Thử", (NameOID.GIVEN_NAME, "Thử")), Whose.LEADER),
        (name_of("Lê Văn Thử", (NameOID.SURNAME, "Lê")), Whose.LEADER),
        (name_of("Lê Văn Thử", (NameOID.USER_ID, "CMND:012345678")), Whose.LEADER),
        (name_of("Lê Văn Thử", (NameOID.USER_ID, "cccd: 001200000000")), Whose.LEADER),
        (name_of("Sở Mẫu", (NameOID.USER_ID, "MST:0100000000")), Whose.AGENCY),
        (name_of("Sở Mẫu", (NameOID.USER_ID, "MQHNS:1234567")), Whose.AGENCY),
        (name_of("Sở Mẫu", (NameOID.ORGANIZATION_IDENTIFIER, "VATVN-0100000000")), Whose.AGENCY),
        (name_of("SỞ  MẪU", BODY), Whose.AGENCY),
        (name_of("Sở Mẫu", (NameOID.TITLE, "x"), (NameOID.USER_ID, "MST:1")), Whose.LEADER),
        (name_of("Lê Văn Thử", BODY), Whose.UNKNOWN),
        (name_of("Lê Văn Thử", (NameOID.USER_ID, "XMST:1")), Whose.UNKNOWN),
        (x509.Name([]), Whose.UNKNOWN),
    ],
)
def test_whose(subject: x509.Name, expected: Whose) -> None:
    assert whose(subject) is expected


def test_what_is_shown_is_one_bounded_line() -> None:
    assert plain("a\nb\u202e\tc\x00") == "a b c"
    assert plain("x" * 999) == "x" * 300 + "…"
    assert first(name_of("e\u0301"), NameOID.COMMON_NAME) == "é"
    assert first(name_of("a"), NameOID.TITLE) == ""
    assert "\n" not in written(name_of("a\nb"))
