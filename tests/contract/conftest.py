"""The registries that pass the contract: on a file and in memory; a PostgreSQL one joins by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.model.ports import Registry
from relay.registry import memory_registry, open_registry
from tests.support.registry import Maker


@pytest.fixture(params=["file", "memory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    made = (
        open_registry(f"sqlite:///{tmp_path}/registry.db") if request.param == "file" else memory_registry()
    )
    yield made
    made.close()


@pytest.fixture
def make() -> Maker:
    return Maker()
