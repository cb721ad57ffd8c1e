"""What many files share ends with the last of them, not with the run: an idle sandbox still takes a fifth of a core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest

_SHARED: Final = pytest.StashKey[list[tuple[str, ExitStack]]]()


@contextmanager
def ends_with(scope: str, config: pytest.Config) -> Iterator[ExitStack]:
    """Give a stack that is unwound before the first test outside ``scope`` begins, else when this ends.

    Not after the last test inside: that one may get a second try.
    """
    with ExitStack() as stack:
        config.stash.setdefault(_SHARED, []).append((scope, stack))
        yield stack


def enter(scope: str, config: pytest.Config) -> None:
    """A test of ``scope`` is about to begin: end what belongs to others."""
    for other, stack in config.stash.get(_SHARED, []):
        if other != scope:
            stack.close()  # nothing the second time
