"""``truc find`` over a registry with a few documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.registry import open_registry
from tests.support.registry import START, Maker
from tests.unit.cli.conftest import Truc


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    monkeypatch.setattr("relay.registry.open_registry", lambda *_, **__: open_registry(url))
    make = Maker()
    claims = [
        make.claim("a", code="123/QĐ-UBND", document_id="H26,2026,1"),
        make.claim("b", code="123/QĐ-UBND", document_id="H29,2026,1", sender="H29"),
    ]
    registry = open_registry(url)
    registry.claim(claims, "w1", START)
    registry.close()
    return [one.transport_id for one in claims]


def test_a_clerk_finds_a_document_by_its_number(truc: Truc, home: Path, filled: list[str]) -> None:
    result = truc("find", "--number", "123/QĐ-UBND", "--lang", "vi", "--home", home)
    assert result.exit_code == 0
    assert [one for one in reversed(filled) if one in result.stdout] == list(reversed(filled))
    assert result.stdout.index(filled[1]) < result.stdout.index(filled[0])
    assert "số ký hiệu" in result.stdout
    assert "2 chờ chuyển" in result.stdout
    asked = ("find", "--number", "123/QĐ-UBND", "--from", "H29", "--date", "01/03/2026", "--json")
    (one,) = json.loads(truc(*asked, "--home", home).stdout)
    assert (one["transport_id"], one["document_id"]) == (filled[1], "H29,2026,1")
    assert [line["recipient"] for line in one["deliveries"]] == ["H29", "H53"]
    assert one["accepted_at"].endswith("Z")


def test_what_is_not_there_is_not_found_and_nothing_to_look_for_is_wrong_usage(
    truc: Truc, home: Path, filled: list[str]
) -> None:
    assert truc("find", "--document-id", "H53,2026,9", "--home", home).exit_code == 5
    assert truc("find", "--home", home).exit_code == 2
    assert truc("find", "--from", "H26", "--home", home).exit_code == 2
    result = truc("find", "--number", "123/QĐ-UBND", "--limit", "1", "--home", home)
    assert filled[1] in result.stdout
    assert "there may be more" in result.stdout
