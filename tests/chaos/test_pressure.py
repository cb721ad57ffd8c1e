"""What is slow, full, blocked or missing: never quarantined, never refused, gone on with."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from relay.sandbox.home import Home
from tests.chaos.ground import CODES, MARKS, Ground
from tests.chaos.judge import judge
from tests.chaos.office import Post, Town

pytestmark = MARKS

FULL, UNBOUND, STUCK = "H29", "H53.31", "H53.31.20"
UNDECIDED_AFTER, RUNG = 10.0, 5.0  # seconds: a publish and its repetition are given up; the next try


def test_a_registry_that_is_locked_for_eight_seconds(ground: Ground, town: Town) -> None:
    def lock() -> None:
        connection = sqlite3.connect(ground.registry, isolation_level=None, timeout=5)
        try:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(8)
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    verdict = ground.under_fault(town, 100, 17, lock, allowed=0)
    assert verdict.copies == 0


def test_a_memory_alarm_stops_and_goes_on(ground: Ground, town: Town) -> None:
    def alarm() -> None:
        # By one call, so that it lasts for three seconds: a publish that waits for five is given up and sent again.
        ground.ctl(
            "eval",
            "vm_memory_monitor:set_vm_memory_high_watermark(0.0001), timer:sleep(3000),"
            " vm_memory_monitor:set_vm_memory_high_watermark(0.5).",
        )

    verdict = ground.under_fault(town, 100, 19, alarm, allowed=0)
    assert verdict.copies == 0


def test_queues_that_are_full_unbound_or_stuck_hold_up_nobody_else(ground: Ground, town: Town) -> None:
    """Three recipients in trouble, each of its own kind; the others get theirs at once, these when it is mended."""
    free = [code for code in CODES if code not in {FULL, UNBOUND, STUCK}]
    with full(ground, town, FULL), unbound(ground, UNBOUND), stuck(ground, STUCK):
        begin = time.monotonic()
        post = Post()
        for number in range(30):
            sender, other = free[number % 2], free[(number + 1) % 2]
            troubled = (FULL, UNBOUND, STUCK)[number % 3]
            letter = town.offices[sender].paper((other, troubled), f"trouble {number}")
            post.sent.append((sender, letter))
        town.post(post.sent)
        wanted = {(letter.transport_id, letter.recipients[0]) for _, letter in post.sent}

        def easy_ones() -> bool:
            return wanted <= {(arrival.transport_id, arrival.recipient) for arrival in town.arrivals()}

        # Ten documents are for the queue that confirms nothing: one after another they would take a minute.
        town.wait(easy_ones, 40, "deliveries to recipients without trouble")
        town.wait(
            lambda: all(town.offices[code].acknowledged(letter.transport_id) for code, letter in post.sent),
            90,
            "acknowledgements",
        )
        codes = deferred_codes(town, post)
    tries = 2 + int((time.monotonic() - begin) / (UNDECIDED_AFTER + RUNG))
    assert codes == {FULL: {"QUEUE-FULL"}, UNBOUND: {"UNROUTABLE"}, STUCK: {"NO-CONFIRM"}}
    ground.finished(town, post, 150)
    # What was undecided may have arrived: a publish to the stuck queue and its repetition, for each try.
    verdict = judge(town, post, ground.registry, allowed=10 * 2 * tries)
    assert verdict.deliveries == 60


def deferred_codes(town: Town, post: Post) -> dict[str, set[str]]:
    """Return by recipient why the acknowledgements call deliveries deferred; nothing may be refused."""
    found: dict[str, set[str]] = {}
    for code, letter in post.sent:
        for receipt in town.offices[code].receipts[letter.transport_id]:
            assert receipt.kind == "acknowledgement"
            assert {line.state for line in receipt.lines} <= {"queued", "deferred", "delivered"}
            for line in receipt.lines:
                if line.state == "deferred":
                    found.setdefault(line.resolved, set()).add(line.outcome_code)
    return found


@contextmanager
def full(ground: Ground, town: Town, code: str) -> Iterator[None]:
    """Let a recipient's queue take nothing more: nobody reads it, and its policy allows one message."""
    management = ground.node.management
    office = town.offices[code]
    office.reading = False
    policy = next(row for row in management.policies() if str(row["pattern"]).startswith("^agency"))
    definition = {**policy["definition"], "max-length": 1}
    management.put_policy(
        "chaos-full", rf"^agency\.{code}$", "queues", definition, int(policy["priority"]) + 10
    )
    fillers = Post()

    def takes_nothing() -> bool:
        """Whether a sender was told so: the queue learns of its policy in its own time, and is no exact one."""
        told = town.offices["G22"].receipts
        if all(town.offices["G22"].acknowledged(letter.transport_id) for _, letter in fillers.sent):
            fillers.sent.append(("G22", town.offices["G22"].paper((code,), f"filler {len(fillers.sent)}")))
            town.post(fillers.sent[-1:])
        lines = (
            line for _, letter in fillers.sent for each in told[letter.transport_id] for line in each.lines
        )
        return any(line.outcome_code == "QUEUE-FULL" for line in lines)

    try:
        town.wait(takes_nothing, 90, "a queue that is full")
        yield
    finally:
        management.delete_policy("chaos-full")
        office.reading = True


@contextmanager
def unbound(ground: Ground, code: str) -> Iterator[None]:
    """Take a recipient's binding away by hand; `truc topology apply` brings it back."""
    level = ground.sandbox.raw["agencies"][code]["level"]
    with ground.administrator() as channel:
        channel.queue_unbind(f"agency.{code}", f"level.{level}", code)
    try:
        yield
    finally:
        subprocess.run(
            [sys.executable, "-m", "relay.cli", "topology", "apply", "--home", str(ground.home)],
            check=True,
            capture_output=True,
            timeout=120,
        )
    with ground.administrator() as channel:
        channel.queue_declare(f"agency.{code}", passive=True)


@contextmanager
def stuck(ground: Ground, code: str) -> Iterator[None]:
    """Let a recipient's queue answer nothing at all."""
    name = f"{Home(ground.home).node(Home(ground.home).kept()).management.vhost}_agency.{code}"
    ground.ctl("eval", f"sys:suspend('{name}').")
    try:
        yield
    finally:
        ground.ctl("eval", f"sys:resume('{name}').")
