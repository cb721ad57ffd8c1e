"""``truc directory publish|receive`` between a relay and one who follows it, and a worker whose directory is signed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from relay import settings
from relay.cli import watching
from relay.cli.following import load_directory, signed_reader
from relay.cli.wiring import trust_store
from relay.directory import write
from relay.directory.file import check, load
from relay.directory.follow import Standing
from relay.directory.write import dump, replace_file
from relay.errors import Code, ConfigurationError
from relay.observe.clock import SystemClock
from relay.observe.metrics import Metrics
from relay.observe.ready import WAITED_FOR, Reason
from relay.sandbox.contents import running
from tests.unit.cli.conftest import Truc


class Later(SystemClock):
    """The system's clock, and days on top."""

    def __init__(self, days: float) -> None:
        self.days = days

    def now(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return super().now() + timedelta(days=self.days)


@pytest.fixture
def config(home: Path, tmp_path: Path) -> Path:
    """A relay's configuration with a directory file of this test's own."""
    sandbox = running(home)
    raw = yaml.safe_load(sandbox.settings.read_text())
    agencies = tmp_path / "agencies.json"
    dump(agencies, load(sandbox.directory).agencies(), "ghi chú")
    raw["directory"] = {"file": str(agencies)}
    path = tmp_path / "truc.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def shows(metrics: Metrics, name: str) -> float:
    """Return what a scrape reads of a signed directory."""
    value = metrics.value(f"truc_directory_{name}_seconds")
    assert value is not None
    return value


def rename(config: Path, name: str) -> None:
    path = config.parent / "agencies.json"
    dump(
        path,
        [replace(one, name=name) if one.code == "H26" else one for one in load(path).agencies()],
        "ghi chú",
    )


def test_editions_follow_one_another(truc: Truc, config: Path, tmp_path: Path) -> None:
    ca = settings.load(config).trust.anchors[0]
    out, difference, target = (
        tmp_path / "a.signed",
        tmp_path / "d.signed",
        tmp_path / "peer" / "agencies.json",
    )
    target.parent.mkdir()
    dry = truc("directory", "publish", out, "--config", config, "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    assert not out.exists()
    first = json.loads(truc("directory", "publish", out, "--config", config, "--json").stdout)
    assert (first["serial"], first["relay"]) == (1, "truc-dev")
    kept_first = out.read_bytes()
    got = truc("directory", "receive", out, target, "--ca", ca, "--publisher", "truc-dev")
    assert got.exit_code == 0, got.output
    assert load(target).agencies() == tuple(
        sorted(load(config.parent / "agencies.json").agencies(), key=lambda one: one.code)
    )
    rename(config, "Tên mới")
    assert truc("directory", "publish", out, "--config", config, "--difference", difference).exit_code == 0
    sent = json.loads(difference.read_bytes().partition(b"\n")[2])
    assert ([one["code"] for one in sent["put"]], sent["drop"]) == (["H26"], [])
    assert truc("directory", "receive", difference, target, "--ca", ca).exit_code == 0
    assert load(target).by_code["H26"].name == "Tên mới"
    back = tmp_path / "back.signed"
    back.write_bytes(kept_first)
    refused = truc("directory", "receive", back, target, "--ca", ca)
    assert refused.exit_code != 0
    assert "roll-back" in refused.output
    assert load(target).by_code["H26"].name == "Tên mới"
    other = truc("directory", "receive", out, tmp_path / "x.json", "--ca", ca, "--publisher", "another")
    assert "not by another" in other.output
    told = json.loads(truc("directory", "history", "H26", "--file", target, "--json").stdout)
    assert [one["act"] for one in told] == ["directory.receive"] * 2


@pytest.mark.parametrize("count", [0, 1])
def test_a_publish_that_dies_leaves_no_difference_to_an_edition_that_nobody_keeps(
    truc: Truc, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Whoever had taken it would meet a fork at the next edition, for ever."""
    ca = settings.load(config).trust.anchors[0]
    out, difference, target = tmp_path / "a.signed", tmp_path / "d.signed", tmp_path / "agencies.peer.json"
    assert truc("directory", "publish", out, "--config", config).exit_code == 0
    assert truc("directory", "receive", out, target, "--ca", ca).exit_code == 0
    rename(config, "Tên mới")
    done: list[Path] = []

    def dies(new: Path, path: Path) -> None:
        if len(done) == count:
            raise ConfigurationError(Code.DIRECTORY_INVALID, "dies here")
        done.append(path)
        replace_file(new, path)

    with monkeypatch.context() as patched:
        patched.setattr(write, "replace_file", dies)
        command = ("directory", "publish", out, "--config", config, "--difference", difference)
        assert truc(*command).exit_code != 0
    assert not difference.exists()
    rename(config, "Tên mới nữa")
    assert truc("directory", "publish", out, "--config", config).exit_code == 0
    got = truc("directory", "receive", out, target, "--ca", ca)
    assert got.exit_code == 0, got.output
    assert load(target).by_code["H26"].name == "Tên mới nữa"


def test_an_edition_is_looked_at_without_judging_its_signature(
    truc: Truc, config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "agencies.signed"
    assert truc("directory", "publish", out, "--config", config).exit_code == 0
    for command in (("show", "H26"), ("search", "H26"), ("export", tmp_path / "list.csv")):
        result = truc("--lang", "en", "directory", *command, "--file", out)
        assert result.exit_code == 0, result.output
        assert "its signature is not judged here" in result.output
    assert truc("directory", "check", out).exit_code == 0
    assert truc("directory", "diff", out, config.parent / "agencies.json").exit_code == 0
    refused = truc("directory", "import", tmp_path / "list.csv", "--file", out)
    assert refused.exit_code == 3
    out.write_bytes(out.read_bytes()[:-20])
    assert truc("directory", "check", out).exit_code == 1


def test_a_worker_follows_a_signed_directory(truc: Truc, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "agencies.signed"
    assert truc("directory", "publish", out, "--config", config, "--days", "10").exit_code == 0
    raw = yaml.safe_load(config.read_text())
    raw["directory"] = {"file": str(out), "publisher": "truc-dev", "grace_days": 3}
    config.write_text(yaml.safe_dump(raw))
    chosen = settings.load(config)
    store = trust_store(chosen)
    assert "H26" in load_directory(chosen, store, SystemClock()).by_code
    assert check(out).directory is None  # nobody reads it as if it were a plain file
    clock = Later(0)
    reader = signed_reader(chosen, store, clock, "w1")
    assert reader is not None
    assert reader.first(out).directory is not None
    metrics = Metrics(version="0", process=False)
    guard = watching.validity(reader, metrics, clock)
    for days, standing in (
        (0, Standing.FRESH),
        (6, Standing.AGEING),
        (11, Standing.EXPIRED),
        (14, Standing.OVER),
    ):
        clock.days = days
        shown = {name: shows(metrics, name) for name in ("fresh", "validity")}
        assert (shown["fresh"] >= 0) is (
            standing is Standing.FRESH
        )  # from half of the validity on an alarm warns
        assert (shown["validity"] >= 0) is (standing in {Standing.FRESH, Standing.AGEING})
        assert reader.standing() is standing
        assert guard() == ((Reason.DIRECTORY_OVER,) if standing is Standing.OVER else ())
    assert Reason.DIRECTORY_OVER in WAITED_FOR
    with pytest.raises(ConfigurationError, match="over"):
        load_directory(chosen, store, Later(14))
