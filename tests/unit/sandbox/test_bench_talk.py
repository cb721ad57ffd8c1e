"""A load process that is silent or gone is told, not waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.errors import OperationError
from relay.sandbox.bench.talk import Peer
from relay.sandbox.home import Home
from relay.sandbox.process import identify, marked

ECHO = (
    "import asyncio\n"
    "from relay.sandbox.bench.talk import answer_all\n"
    "async def answer(question):\n"
    "    if question['do'] == 'die':\n"
    "        raise SystemExit('of its own accord')\n"
    "    await asyncio.sleep(question.get('seconds', 0))\n"
    "    return {'got': question}\n"
    "asyncio.run(answer_all(answer))\n"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.make_folders()
    return home


@pytest.fixture
def peer(home: Home) -> Iterator[Peer]:
    made = Peer(home, "sender", [sys.executable, "-c", ECHO])
    yield made
    made.close()


def test_a_question_has_its_answer(home: Home, peer: Peer) -> None:
    assert peer.ask(90.0, do="x", text="Hà Nội")["got"] == {"do": "x", "text": "Hà Nội"}
    (found,) = marked(home.path)
    assert found.role == "sender"
    peer.close()
    assert identify(found.process.pid) is None


def test_one_that_dies_is_told_with_its_last_words(peer: Peer) -> None:
    with pytest.raises(OperationError, match=r"sender ended: .*of its own accord"):
        peer.ask(90.0, do="die")


def test_one_that_is_silent_is_not_waited_for(peer: Peer) -> None:
    peer.ask(90.0, do="x")
    with pytest.raises(OperationError, match="does not answer"):
        peer.ask(0.1, do="x", seconds=5)
