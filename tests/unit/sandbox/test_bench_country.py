"""The made-up country is of the size that was asked for, of one piece, and different in its names."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.directory.file import load
from relay.sandbox.bench import country


@pytest.mark.parametrize("count", [100, 5_000, 20_001])
def test_so_many_agencies_that_a_directory_takes(tmp_path: Path, count: int) -> None:
    listed, target = tmp_path / "list.csv", tmp_path / "country.json"
    assert country._list(listed, country.country(count)) == count
    country._import(listed, target)
    directory = load(target)
    assert len(directory.by_code) == count
    assert len(directory.gateways()) == 63
    assert len({agency.name for agency in directory.agencies()}) > count * 0.8
    assert {agency.code for agency in country.country(count)} == set(directory.by_code)
