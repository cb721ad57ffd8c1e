"""``truc track`` for people, in both languages."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from relay.cli.words import _EVENTS, _STATES
from relay.errors import Code
from relay.errors.catalogue import entry
from relay.model.delivery import State
from relay.model.envelope import StatusCode
from relay.operate import quarantine, resend
from relay.registry import open_registry
from tests.support.registry import START, Maker, accepted, candidate
from tests.unit.cli.conftest import Truc

ROOT = Path(__file__).parents[3]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    monkeypatch.setattr("relay.registry.open_registry", lambda *_, **__: open_registry(url))
    make = Maker()
    claim = make.claim("a", code="123/QĐ-UBND", recipients=("H29", "H53", "H99"), refused=("H99",))
    claim = replace(claim, verdict=replace(claim.verdict, signer="CN=Mẫu,2.5.4.5=H26"))
    registry = open_registry(url)
    (made,) = registry.claim([claim], "w1", START)
    assert made.document
    registry.settle([make.queued(claim, made.document.row)], "w1", START + timedelta(seconds=1))
    registry.close()
    return claim.transport_id


def test_a_story_is_told_in_vietnamese(truc: Truc, home: Path, told: str) -> None:
    page = truc("track", told, "--lang", "vi", "--home", home).stdout
    for words in ("văn bản", "chữ ký", "đã vào hàng đợi", "bị từ chối", "biên nhận", "toàn bộ"):
        assert words in page
    for english in ("edoc", "queued", "refused", "acknowledgement", "receipt", "accepted", "the whole"):
        assert not re.search(rf"\b{english}\b", page), english
    assert f"UNKNOWN-RECIPIENT: {entry(Code.UNKNOWN_RECIPIENT).message['vi']}" in page


def test_the_same_in_english(truc: Truc, home: Path, told: str) -> None:
    page = truc("track", told, "--lang", "en", "--home", home).stdout
    assert page.count("CN=Mẫu,serialNumber=H26") == 2  # the signature, and what was accepted
    for words in ("document", "signature", "queued", "refused", "acknowledgement", "the whole"):
        assert words in page
    assert not re.search(
        "[ăâđêôơư]", page.replace("123/QĐ-UBND", "").replace("Văn phòng", "").replace("Mẫu", "")
    )


def test_each_take_back_stands_with_the_recipient_that_it_asks(
    truc: Truc, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    monkeypatch.setattr("relay.registry.open_registry", lambda *_, **__: open_registry(url))
    make = Maker()
    registry = open_registry(url)
    claim = make.claim("a", recipients=("H29", "H53"))
    accepted(registry, make, claim)
    for code in ("H29", "H53"):
        found = candidate(registry, claim, code, by_sender=True)
        registry.claim(
            [make.status(found, StatusCode.TAKE_BACK, reporter="H26", change="asked")], "w1", START
        )
    registry.close()
    page = truc("track", claim.transport_id, "--lang", "en", "--home", home).stdout
    of_h29, rest = page.partition("  H29 (")[2].split("  H53 (")
    of_h53, whole = rest.split("  the whole:")
    for code, mine in (("H29", of_h29), ("H53", of_h53)):
        (line,) = [line for line in mine.splitlines() if " 13 " in line]
        assert f"H26 -> {code}" in line
    assert " 13 " not in whole
    (story,) = json.loads(truc("track", claim.transport_id, "--json", "--home", home).stdout)["documents"]
    assert [one["about"] for one in story["events"] if one["code"] == "13"] == ["H29", "H53"]


def test_everything_that_can_happen_has_words() -> None:
    """What the registry, quarantine and operators note of a document."""
    source = "".join(
        (ROOT / "relay" / name).read_text(encoding="utf-8")
        for name in ("registry/queries.py", "operate/tracking.py")
    )
    events = set(re.findall(r'TrackEvent\(\s*[\w.()]+,\s*"([a-z-]+)"', source)) | {
        *("accepted", "refused", "planned", "deferred"),
        *(state.value for state in State),
        *(quarantine.RELEASE, quarantine.RELEASED, quarantine.DROP, resend.RESEND, resend.RESEND_RECEIPTS),
    }
    assert {"queued", "lost", "held", "receipt-published"} <= events
    assert events <= {*_EVENTS, *_STATES}
