"""What names a version that nobody has defined is refused in our own words: the library's error is of no kind that its
others are."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from adapters.pdf.material import MaterialFiles
from relay.directory.file import check
from relay.errors import Code, ConfigurationError, RefusedError
from relay.trust.certificate import read_certificate, read_pem
from relay.trust.chain import TrustStore, read_certificates, read_lists
from relay.trust.keys import load_chain
from relay.trust.possession import requested_by
from tests.support import pki
from tests.support.pki import NOW


def _later(der: bytes, version: bytes) -> bytes:
    """Return the same with version 9."""
    at = der.index(version) + len(version)
    return der[: at - 1] + b"\x08" + der[at:]


def _pem(der: bytes, kind: str) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        kind.encode(),
        base64.encodebytes(der),
        kind.encode(),
    )


ROOT = pki.issue("Root", ca=True)
CERTIFICATE = _later(ROOT.der, b"\xa0\x03\x02\x01\x02")
PEM = _pem(CERTIFICATE, "CERTIFICATE")
LIST = _later(x509.load_pem_x509_crl(pki.crl(ROOT)).public_bytes(Encoding.DER), b"\x02\x01\x01")
REQUEST = _later(
    x509.CertificateSigningRequestBuilder()
    .subject_name(ROOT.certificate.subject)
    .sign(ROOT.key, hashes.SHA256())
    .public_bytes(Encoding.DER),
    b"\x02\x01\x00",
)


def test_certificates() -> None:
    with pytest.raises(RefusedError) as caught:
        read_certificate(CERTIFICATE)
    assert caught.value.code is Code.KEYINFO_MALFORMED
    with pytest.raises(RefusedError) as caught:
        read_pem(PEM.decode())
    assert caught.value.code is Code.KEYINFO_MALFORMED


@pytest.mark.parametrize("content", [CERTIFICATE, PEM])
def test_files_of_certificates(tmp_path: Path, content: bytes) -> None:
    (file := tmp_path / "file").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_certificates(file)
    assert caught.value.code is Code.CONFIG_INVALID
    with pytest.raises(ConfigurationError) as caught:
        MaterialFiles((file,)).read()
    assert caught.value.code is Code.CONFIG_INVALID


def test_the_chain_of_a_key(tmp_path: Path) -> None:
    (file := tmp_path / "file").write_bytes(PEM)
    with pytest.raises(ConfigurationError) as caught:
        load_chain(file)
    assert caught.value.code is Code.KEY_UNUSABLE


@pytest.mark.parametrize("content", [LIST, _pem(LIST, "X509 CRL")])
def test_a_store_that_runs_keeps_its_lists(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_lists(tmp_path / "bad")
    assert caught.value.code is Code.CONFIG_INVALID
    (anchor := tmp_path / "root.pem").write_bytes(ROOT.pem)
    (lists := tmp_path / "root.crl").write_bytes(pki.crl(ROOT))
    times = iter(range(0, 100, 10))
    store = TrustStore.from_files([anchor], [lists], monotonic=lambda: float(next(times)))
    leaf = read_certificate(pki.issue("Leaf", ROOT).der)
    assert store.check((leaf,), NOW).code is Code.OK
    lists.write_bytes(content)
    assert store.check((leaf,), NOW).code is Code.OK
    assert "no revocation list" in store.problem


def test_a_request() -> None:
    with pytest.raises(RefusedError) as caught:
        requested_by(read_certificate(ROOT.der), REQUEST)
    assert caught.value.code is Code.PROOF_INVALID


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(PEM)
    file = tmp_path / "directory.yaml"
    file.write_text(
        "agencies:\n- {code: H01, name: A, level: province, gateway: H01, certificates: [a.pem]}\n"
    )
    (finding,) = check(file).findings
    assert finding.problem == "certificates: not a certificate in PEM"
