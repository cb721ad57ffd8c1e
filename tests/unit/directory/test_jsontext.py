"""Half a character, which JSON can name and nothing can write, is no text of a directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.directory.edition import KIND, read
from relay.directory.file import check
from relay.directory.jsontext import loads
from relay.errors import Code, ConfigurationError
from relay.trust.chain import TrustStore
from relay.trust.detached import sign_detached
from tests.support.pki import NOW, issue

ENTRY = '{"code":"H01","name":"%s","level":"province","gateway":"H01"}'
HALF = r"\ud83d"


@pytest.mark.parametrize("written", ["Đơn vị", r"\ud83d\udcc4", r"\\ud83d", r"\uDBFF\uDFFF"])
def test_whole_ones_are_read(tmp_path: Path, written: str) -> None:
    (file := tmp_path / "a.json").write_text(f'{{"agencies":[{ENTRY % written}]}}', encoding="utf-8")
    assert check(file).findings == ()


@pytest.mark.parametrize("written", [HALF, r"\uDFFF", r"\udcc4\ud83d", r"\\\ud83d"])
def test_half_of_one_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        loads(f'["{written}"]')
    (file := tmp_path / "a.json").write_text(f'{{"agencies":[{ENTRY % written}]}}', encoding="utf-8")
    (finding,) = check(file).findings
    assert finding.problem == "the file is not JSON"


def test_a_signed_directory_too(tmp_path: Path) -> None:
    root = issue("root", ca=True)
    (tmp_path / "root.pem").write_bytes(root.pem)
    relay = issue("relay", root, relay="truc-a")
    store = TrustStore.from_files([], anchors_without_crl=[tmp_path / "root.pem"])
    head = (
        '{"format":"urn:truc:directory:1","relay":"truc-a","serial":1,"ancestors":[],"note":"",'
        '"issued_at":"2030-05-04T00:00:00Z","expires_at":"2030-06-04T00:00:00Z","agencies":[%s]}'
    )
    for written, good in (("A", True), (HALF, False)):
        payload = (head % (ENTRY % written)).encode()
        content = sign_detached(payload, relay.key, relay.chain_pem, KIND) + b"\n" + payload
        if good:
            assert read(content, store, NOW).relay == "truc-a"  # type: ignore[union-attr]
            continue
        with pytest.raises(ConfigurationError) as caught:
            read(content, store, NOW)
        assert caught.value.code is Code.DIRECTORY_INVALID
