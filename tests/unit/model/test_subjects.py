"""Names of certificates, as people read them."""

from __future__ import annotations

import pytest
from cryptography import x509

from relay.model.subjects import readable


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("CN=H26 (mẫu),2.5.4.5=H26,O=Hà Nội,C=VN", "CN=H26 (mẫu),serialNumber=H26,O=Hà Nội,C=VN"),
        ("2.5.4.5=H26+2.5.4.42=A,CN=x", "serialNumber=H26+givenName=A,CN=x"),
        ("CN=x, 2.5.4.97=VATVN-1", "CN=x, organizationIdentifier=VATVN-1"),
        ("CN=a\\,2.5.4.5=b", "CN=a\\,2.5.4.5=b"),
        ("CN=a\\\\,2.5.4.5=b", "CN=a\\\\,serialNumber=b"),
        ("CN=2.5.4.5=b", "CN=2.5.4.5=b"),
        ("1.3.6.1.4.1.5=x,12.5.4.5=y", "1.3.6.1.4.1.5=x,12.5.4.5=y"),
        ("no authority of H26", "no authority of H26"),
        ("", ""),
    ],
)
def test_only_types_of_attributes_become_words(name: str, read: str) -> None:
    assert readable(name) == read


def test_what_is_read_means_the_same_name() -> None:
    """The words are those that a reader of RFC 4514 takes back."""
    oid = x509.NameOID
    subject = x509.Name(
        [
            x509.NameAttribute(oid.COUNTRY_NAME, "VN"),
            x509.NameAttribute(oid.SERIAL_NUMBER, "H26"),
            x509.NameAttribute(oid.EMAIL_ADDRESS, "a@example.vn"),
            x509.NameAttribute(oid.COMMON_NAME, "a,2.5.4.5=b"),
        ]
    )
    read = readable(subject.rfc4514_string())
    assert read == "CN=a\\,2.5.4.5=b,emailAddress=a@example.vn,serialNumber=H26,C=VN"
    words = {"emailAddress": oid.EMAIL_ADDRESS, "serialNumber": oid.SERIAL_NUMBER}
    assert x509.Name.from_rfc4514_string(read, words) == subject
