"""The broker loses its data folder, the registry stays: what was open is told, sent again, and arrives once in effect."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable

import pytest

from relay.sandbox.process import identify
from tests.chaos.ground import CODES, MARKS, Ground
from tests.chaos.judge import judge
from tests.chaos.office import Patience, Post, Town

pytestmark = MARKS

SILENT, UNBOUND = "H29", "H53.31.20"
TOLD_WITHIN = 200.0  # the promise is five minutes


def lose_the_data(ground: Ground, look: Callable[[], None]) -> None:
    """SIGKILL the broker, remove its data while the supervisor stands still, let the supervisor go on.

    ``look`` is called while everything is down.
    """
    (supervisor,) = ground.pids("supervisor")
    node = ground.node
    os.kill(supervisor, signal.SIGSTOP)
    try:
        (broker,) = ground.kill("broker")
        while identify(broker) is not None:
            time.sleep(0.02)
        shutil.rmtree(node.data)
        look()
    finally:
        os.kill(supervisor, signal.SIGCONT)


def lose_and_recover(ground: Ground, documents: int) -> str:
    """Bring ``documents`` into all states, lose the broker's data, wait until all is well again; return a summary."""
    with Town(ground.sandbox, CODES, Patience(receipt=8.0, outcome=15.0)) as town:
        quarter = documents // 4
        ended = ground.papers(town, quarter, 23, "ended")
        town.post(ended.sent)
        ground.finished(town, ended, 90 + documents / 20)

        town.offices[SILENT].reading = False  # what goes there stays queued
        level = ground.sandbox.raw["agencies"][UNBOUND]["level"]
        with ground.administrator() as channel:  # what goes there is deferred
            channel.queue_unbind(f"agency.{UNBOUND}", f"level.{level}", UNBOUND)
        waiting = Post(
            [("G22", town.offices["G22"].paper(("H26", SILENT), f"queued {n}")) for n in range(quarter)]
        )
        waiting.sent += [
            ("H26", town.offices["H26"].paper(("G22", UNBOUND), f"deferred {n}")) for n in range(quarter // 2)
        ]
        town.post(waiting.sent)
        town.wait(
            lambda: all(
                town.offices[code].acknowledged(letter.transport_id) for code, letter in waiting.sent
            ),
            90 + documents / 20,
            "acknowledgements",
        )
        flood = ground.papers(town, documents - len(ended.sent) - len(waiting.sent), 29, "in flight")
        before = town.documents_arrived()
        town.post(flood.sent)  # in ingress, in hand, half-finished
        town.wait(lambda: town.documents_arrived() > before + quarter // 4, 90, "the flood begins")

        states: dict[str, int] = {}
        open_before: set[tuple[str, str]] = set()
        sent_before: dict[str, int] = {}

        def look() -> None:
            connection = sqlite3.connect(ground.registry, timeout=10)
            try:
                rows = connection.execute(
                    "SELECT d.transport_id, v.recipient, v.state, v.due_at IS NOT NULL, d.settled FROM documents d"
                    " JOIN deliveries v ON v.document = d.id WHERE d.kind = 'edoc'"
                ).fetchall()
            finally:
                connection.close()
            acknowledged = {
                receipt.transport_id
                for office in town.offices.values()
                for receipts in list(office.receipts.values())
                for receipt in list(receipts)
            }
            for each in (ended, waiting, flood):
                sent_before.update({letter.transport_id: letter.times for _, letter in each.sent})
            mine = {letter.transport_id for each in (ended, waiting, flood) for _, letter in each.sent}
            for transport_id, recipient, state, deferred, settled in rows:
                if transport_id in mine:
                    name = f"{state}{' deferred' if deferred else ''}{'' if settled else ' unsettled'}"
                    states[name] = states.get(name, 0) + 1
                    # Who has not read the acknowledgement sends again by himself.
                    if state in {"planned", "queued"} and transport_id in acknowledged:
                        open_before.add((transport_id, recipient))

        lose_the_data(ground, look)
        lost_at = time.monotonic()
        for state in ("delivered", "queued", "planned deferred"):
            assert states.get(state), f"no delivery was {state}: {states}"
        everything = Post([*ended.sent, *waiting.sent, *flood.sent])

        def untold() -> set[tuple[str, str]]:
            """Open deliveries whose sender knows neither of the loss nor of a delivery, and has not asked again."""
            told = {
                (receipt.transport_id, line.resolved)
                for office in town.offices.values()
                for receipts in list(office.receipts.values())
                for receipt in list(receipts)
                for line in receipt.lines
                if receipt.code == "BODY-LOST" or line.state == "delivered"
            }
            letters = {letter.transport_id: letter for _, letter in everything.sent}
            return {
                (transport_id, recipient)
                for transport_id, recipient in open_before - told
                if letters[transport_id].times == sent_before[transport_id]
            }

        town.wait(lambda: not untold(), TOLD_WITHIN, "every open delivery is told")
        told_after = time.monotonic() - lost_at
        town.offices[SILENT].reading = True
        ground.finished(town, everything, 90 + documents / 10)
        # Nothing in the broker is left to tell a copy from what was lost: the ids and the recipients' stores do.
        verdict = judge(town, everything, ground.registry, allowed=3 * documents)
        return (
            f"{verdict}; {states} when the data went, {len(open_before)} open told after {told_after:.1f} s"
        )


@pytest.mark.timeout(500)
def test_a_broker_that_lost_its_data(ground: Ground) -> None:
    print(lose_and_recover(ground, 200))
