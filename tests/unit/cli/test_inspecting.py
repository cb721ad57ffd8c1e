"""The inspection of attachments, put together from the settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay.broker.connection import Endpoint
from relay.cli import inspecting
from relay.errors import ConfigurationError
from relay.model.inspection import InspectionResult
from relay.pipeline.deliver import Ladder
from relay.settings import Settings, load
from tests.support import pdfs


class Parts:
    """What the worker's side is given; nothing of it is used here."""

    link = registry = commits = metrics = clock = None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    anchors, lists = pdfs.office().write(tmp_path / "pki")
    told = {
        "relay": {"name": "truc-test", "key": "relay.key", "certificates": ["relay.pem"]},
        "broker": {"url": "amqp://127.0.0.1/truc", "user": "relay", "password_file": "password"},
        "registry": {"url": f"sqlite:///{tmp_path}/registry.db"},
        "directory": {"file": "directory.yaml"},
        "trust": {"anchors": [str(one) for one in anchors], "crls": [str(one) for one in lists]},
    }
    file = tmp_path / "truc.yaml"
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    return load(file, files=False)


def with_inspection(settings: Settings, **changed: Any) -> Settings:
    return replace(settings, inspection=replace(settings.inspection, **changed))


def worker(settings: Settings) -> Any:
    return inspecting.worker_side(settings, Parts(), Ladder())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "everything"),
    [({}, False), ({"scope": "all"}, True), ({"hold": "altered"}, True), ({"hold": "any-failure"}, True)],
)
def test_what_is_held_up_is_looked_for_everywhere(
    settings: Settings, changed: dict[str, Any], everything: bool
) -> None:
    policy = worker(with_inspection(settings, **changed))._policy
    assert policy.everything is everything
    assert policy.hold == changed.get("hold", "never")
    assert (policy.hold_for, policy.then_deliver) == (timedelta(minutes=10), True)


def test_nothing_is_inspected_where_it_is_switched_off(settings: Settings) -> None:
    off = with_inspection(settings, enabled=False)
    assert worker(off) is None
    endpoint = Endpoint.from_url(settings.broker.url, "relay", "x")
    assert inspecting.keeper_side(off, endpoint, dict, bool) is None  # type: ignore[arg-type]


def test_the_keeper_knows_whose_recipients_are_told_nothing(settings: Settings) -> None:
    endpoint = Endpoint.from_url(settings.broker.url, "relay", "x")
    duty = inspecting.keeper_side(with_inspection(settings, hold="altered"), endpoint, dict, bool)  # type: ignore[arg-type]
    assert duty is not None
    assert duty._policy.refused == {InspectionResult.ALTERED}
    assert duty._policy.at_once == 2


def test_the_day_of_sha1_begins_in_vietnam(settings: Settings) -> None:
    inspector = inspecting.pdf_inspector(settings)
    assert inspector._policy.sha1_until == datetime(2018, 12, 31, 17, tzinfo=UTC)


def test_anchors_of_both_kinds_are_trusted(settings: Settings, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(pdfs.office().stranger.pem)
    inspector = inspecting.pdf_inspector(with_inspection(settings, anchors=(stranger,)))
    assert len(inspector._material.anchors) == 2
    assert len(inspector._material.lists) == 2


def test_a_file_that_is_missing_keeps_the_keeper_from_starting(settings: Settings, tmp_path: Path) -> None:
    endpoint = Endpoint.from_url(settings.broker.url, "relay", "x")
    wrong = with_inspection(settings, authorities=(tmp_path / "none.pem",))
    with pytest.raises(ConfigurationError):
        inspecting.keeper_side(wrong, endpoint, dict, bool)  # type: ignore[arg-type]


@pytest.mark.parametrize("day", ["2019-02-30", "2019-13-01"])
def test_a_day_that_does_not_exist_is_refused(tmp_path: Path, settings: Settings, day: str) -> None:
    with pytest.raises(ConfigurationError, match="sha1_until"):
        load(tmp_path / "truc.yaml", {"inspection.sha1_until": f"'{day}'"}, files=False)
    assert settings.inspection.sha1_until == "2019-01-01"
