"""Directory files for tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(*entries: dict[str, Any], **more: Any) -> Path:
        path = tmp_path / "directory.yaml"
        full = [{"name": f"Agency {entry.get('code')}", **entry} for entry in entries]
        path.write_text(yaml.safe_dump({"agencies": full, **more}, sort_keys=False), encoding="utf-8")
        return path

    return put


@pytest.fixture(scope="session")
def pems() -> tuple[str, ...]:
    """Three self-signed certificates; trust is not asked here."""
    return tuple(_certificate(f"test {number}") for number in range(3))


def _certificate(name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=3650))
        .sign(key, SHA256())
    )
    return built.public_bytes(Encoding.PEM).decode()
