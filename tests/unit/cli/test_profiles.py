"""Both signature profiles through send, inbox and verify, and libxmlsec1 as verify's judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.trust.sign import MANIFEST_FROM
from tests.unit.cli.conftest import Truc, Wire
from tests.unit.cli.test_mail import ID, deliver, send


def verdict(truc: Truc, home: Path, body: bytes, folder: Path, *more: object) -> dict[str, object]:
    file = folder / "one.edxml"
    file.write_bytes(body)
    facts: dict[str, object] = json.loads(truc("verify", file, "--home", home, "--json", *more).stdout)
    return facts


@pytest.mark.parametrize(
    ("size", "chosen", "profile"),
    [
        (100, (), "whole"),
        (100, ("--profile", "manifest"), "manifest"),
        (MANIFEST_FROM, (), "manifest"),
        (MANIFEST_FROM, ("--profile", "whole"), "whole"),
    ],
)
def test_a_profile_goes_all_the_way(
    truc: Truc, home: Path, wire: Wire, tmp_path: Path, size: int, chosen: tuple[str, ...], profile: str
) -> None:
    file = tmp_path / "kế hoạch.bin"
    file.write_bytes(bytes(index % 251 for index in range(size)))
    send(truc, home, "--attach", file, *chosen)
    body = wire.published[0].body
    found = [verdict(truc, home, body, tmp_path, "--engine", engine) for engine in ("fast", "xmlsec")]
    assert found[0] == found[1] or _untimed(found[0]) == _untimed(found[1])
    told = found[0]["verdict"]
    assert isinstance(told, dict)
    assert (found[0]["valid"], told["profile"], told["on_behalf_of"]) == (True, profile, "")
    assert told["chain"][0] == told["certificate_sha256"]
    assert told["revocation"]["state"] == "good"
    deliver(wire, wire.published[0], "H53")
    out = tmp_path / "out"
    facts = json.loads(truc("inbox", "--as", "H53", "--out", out, "--json", "--home", home).stdout)
    (document,) = facts["documents"]
    package, taken = (Path(name) for name in document["files"])
    assert (package.read_bytes(), taken.read_bytes()) == (body, file.read_bytes())
    # the same once more under its id: neither is made anew
    send(truc, home, "--attach", file)
    assert wire.published[-1].body == body or wire.published[-2].body == body
    # altered in its attachment
    at = body.rindex(b"</edXML:ContentTransferEncoded>") - 8
    altered = verdict(
        truc, home, body[:at] + (b"B" if body[at:][:1] != b"B" else b"C") + body[at + 1 :], tmp_path
    )
    assert altered["code"] == ("ATTACHMENT-ALTERED" if profile == "manifest" else "DIGEST-MISMATCH")
    words = truc("verify", tmp_path / "one.edxml", "--home", home)
    assert words.exit_code == 1


def _untimed(facts: dict[str, object]) -> dict[str, object]:
    told = facts["verdict"]
    assert isinstance(told, dict)
    return {**facts, "verdict": {**told, "verified_at": ""}}


def test_words_on_what_was_signed(truc: Truc, home: Path, wire: Wire, tmp_path: Path) -> None:
    send(truc, home, "--profile", "manifest")
    file = tmp_path / "one.edxml"
    file.write_bytes(wire.published[0].body)
    assert "each attachment by its digest" in truc("verify", file, "--home", home).stdout
    assert "giá trị băm" in truc("--lang", "vi", "verify", file, "--home", home).stdout
    assert wire.published[0].message_id == ID
