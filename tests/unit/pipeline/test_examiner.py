"""Where bytes are examined: in the loop, in threads, in processes; and what becomes of the others when one of them dies."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import BrokenExecutor
from datetime import UTC, datetime

import pytest

from relay.model.message import Kind
from relay.model.verdict import SignaturePlace, Verification
from relay.pipeline.verify import Examined, Examiner, examine, install_remote
from tests.support.plainformat import PlainFormat, PlainVerifier, edoc

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


class Deadly(PlainVerifier):
    """Ends its process at what calls itself poison."""

    def verify(self, body: bytes, place: SignaturePlace, at: datetime) -> Verification:
        if b'"poison"' in body:
            os._exit(1)
        return super().verify(body, place, at)


def _install() -> None:
    install_remote(Deadly(), PlainFormat())


@pytest.mark.parametrize("mode", ["inline", "threads", "processes"])
def test_each_mode_gives_the_same(mode: str) -> None:
    body = edoc("H26", "H29")
    examiner = Examiner(PlainVerifier(), PlainFormat(), mode=mode, initializer=_install)
    try:
        found = asyncio.run(examiner.examine(body, Kind.EDOC, NOW))
    finally:
        examiner.close()
    assert found == examine(PlainVerifier(), PlainFormat(), body, Kind.EDOC, NOW)
    assert found.envelope is not None


def test_a_body_that_ends_its_process_takes_no_other_along_and_the_next_are_examined() -> None:
    good = [edoc("H26", "H29", name=f"d{number}") for number in range(6)]
    poison = edoc("H26", "H29", name="p", poison=True)

    async def main() -> None:
        examiner = Examiner(PlainVerifier(), PlainFormat(), mode="processes", workers=2, initializer=_install)
        try:
            async with asyncio.timeout(120):
                bodies = [*good[:3], poison, *good[3:]]
                found = await asyncio.gather(
                    *(examiner.examine(one, Kind.EDOC, NOW) for one in bodies), return_exceptions=True
                )
                assert isinstance(found.pop(3), BrokenExecutor)
                assert all(isinstance(one, Examined) and one.envelope is not None for one in found)
                assert (await examiner.examine(good[0], Kind.EDOC, NOW)).envelope is not None
        finally:
            examiner.close()

    asyncio.run(main())
