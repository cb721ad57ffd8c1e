"""Workers and keepers of a running relay are killed while they record, seal and sign; clocks jump; copies come back.

After each of it the log verifies by the command, and so does the registry against it; or the fault is named for what it is.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from relay.cli.main import main
from relay.sandbox import process, programs
from relay.sandbox.config import KEEPER
from relay.sandbox.home import Home, Programs
from relay.sandbox.up import up
from tests.chaos.ground import MARKS, SETTINGS, SUMMARY, WINDOW, WORKERS, Ground
from tests.chaos.judge import judge
from tests.chaos.office import Post, Town
from tests.support.mortal import FOLDER, strike
from tests.support.sandbox import put_down

pytestmark = MARKS

CODES: Final = ("G22", "H26", "H29", "H53.31", "H53.31.20")
SECOND: Final = "keeper2"
SEED: Final = int(os.environ.get("TRUC_CHAOS_SEED", "20260306"))
SECONDS: Final = float(os.environ.get("TRUC_CHAOS_SECONDS", "1500")) / 2
ROUNDS: Final = int(os.environ.get("TRUC_CHAOS_ROUNDS", "40")) // 2
_PATIENCE: Final = 90.0
_DRIP: Final = 0.5  # seconds between two documents while something is waited for
_PROGRAM: Final = ("{python}", "-m", "tests.support.mortal")
MORTAL: Final = Programs(
    worker=(*_PROGRAM, "worker", "--config", "{config}", "--name", "{name}"),
    keeper=(*_PROGRAM, "keeper", "--config", "{config}"),
)
WORKER_POINTS: Final = (
    ("chain", "after"),  # its very first commit
    ("frames", "before"),
    ("frames", "after"),
    ("frames", "released"),
)
KEEPER_POINTS: Final = (
    ("read", "released"),
    ("join", "before"),
    ("join", "after"),
    ("join", "released"),  # sealed, no head yet
    ("head", "before"),
    ("head", "after"),
    ("head", "released"),
)


@dataclass
class Fire:
    """A relay whose processes are started again by the test: the sandbox's own supervisor takes its time after deaths."""

    ground: Ground
    running: dict[str, process.Process]
    kills: dict[str, int] = field(default_factory=dict)

    @property
    def home(self) -> Home:
        return Home(self.ground.home)

    @property
    def fates(self) -> Path:
        return self.ground.home / FOLDER

    def start(self, name: str) -> None:
        """Start a process; a second keeper has no port to be scraped at."""
        kept = self.home.kept()
        words = programs.command(self.home, kept, KEEPER if name == SECOND else name)
        self.running[name] = programs.start(
            self.home, name, [*words, "--set", "http.port=0"] if name == SECOND else words, {}
        )

    def stop(self) -> None:
        """End the relay; the broker stays."""
        process.end(self.running.values(), _PATIENCE)
        self.running.clear()

    def ends(self, name: str, what: str) -> None:
        """Wait for a death, and begin the next life."""
        self.until(lambda: not self.alive(name), f"{name} dies: {what}", name)
        self.kills[what] = self.kills.get(what, 0) + 1
        self.start(name)

    def alive(self, name: str) -> bool:
        self.running[name].collect()
        return self.running[name].alive()

    def kill(self, name: str) -> None:
        self.running[name].send(signal.SIGKILL)
        self.ends(name, f"{name.rstrip('0123456789')} at any time")

    def until(self, look: Callable[[], bool], what: str, who: str = KEEPER) -> None:
        """Wait until it is so."""
        end = time.monotonic() + _PATIENCE
        while not look():
            assert time.monotonic() < end, f"not in time: {what}; {programs.log_tail(self.home, who)}"
            time.sleep(0.02)

    def dripping(self, look: Callable[[], bool], send: Callable[[int], None], what: str, who: str) -> None:
        """Wait until it is so; a document now and then gives everybody something to do."""
        sent = time.monotonic()

        def drip() -> bool:
            nonlocal sent
            if time.monotonic() - sent > _DRIP:
                sent = time.monotonic()
                send(1)
            return look()

        self.until(drip, what, who)

    def comes_to(self, name: str, point: str, send: Callable[[int], None]) -> None:
        """Wait until a process has met its fate."""
        met = self.fates / f"{name}.met"
        self.dripping(met.exists, send, f"{name} comes to {point}", name)

    def signs(self, beyond: int, send: Callable[[int], None]) -> None:
        """Wait for a head with a higher number."""
        self.dripping(lambda: self.head() > beyond, send, f"a head after {beyond}", KEEPER)

    def strike(self, name: str, point: str, when: str, skip: int, number: signal.Signals) -> None:
        strike(self.fates, name, point, when, skip, number)

    def wrong_clock(self, name: str, seconds: float) -> None:
        self.fates.mkdir(mode=0o700, exist_ok=True)
        (self.fates / f"{name}.clock").write_text(str(seconds), encoding="ascii")

    # --- commands

    def truc(self, *words: object, code: int = 0) -> Any:
        line = [*(str(word) for word in words), "--home", str(self.ground.home), "--json"]
        result = CliRunner().invoke(main, line, prog_name="truc")
        told = json.loads(result.stdout) if result.stdout else {}
        assert result.exit_code == code, (line, told.get("faults", told), result.stderr, result.exception)
        return told

    def verify(self, *words: object, code: int = 0) -> dict[str, Any]:
        """Check log and registry by the command, and that the keeper has found nothing either."""
        found: dict[str, Any] = self.truc("evidence", "verify", "--registry", *words, code=code)
        assert found["ok"] is (code == 0), found
        assert self.truc("evidence", "faults")["faults"] == []
        return found

    def head(self) -> int:
        """Return the number of the newest head; 0 before the first."""
        result = CliRunner().invoke(main, ["evidence", "head", "--home", str(self.ground.home), "--json"])
        return int(json.loads(result.stdout)["number"]) if result.exit_code == 0 else 0

    # --- traffic

    @contextmanager
    def traffic(self) -> Iterator[Callable[[int], None]]:
        """Documents flow; in the end each one has come to its end, and everybody was told."""
        post = Post()
        with Town(self.ground.sandbox, CODES) as town:

            def send(count: int) -> None:
                more = self.ground.papers(town, count, len(post.sent), f"fire {len(post.sent)}")
                post.sent += more.sent
                town.post(more.sent)

            yield send
            self.ground.finished(town, post, 120)
            in_hand = WINDOW * 3 * sum(self.kills.values())
            judge(town, post, self.ground.registry, allowed=in_hand + WINDOW * 3)


@pytest.fixture(scope="module")
def fire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fire]:
    home = tmp_path_factory.mktemp("fire") / "home"
    settings = {
        **SETTINGS,
        "keeper": {**SETTINGS["keeper"], "interval_s": 0.1},
        "evidence": {"seal_s": 0.1, "head_s": 0.1, "batch_records": 16},
    }
    try:
        up(home, workers=WORKERS, detach=True, settings=settings, programs=MORTAL)
        running = Home(home).running()
        assert running.supervisor is not None
        assert running.keeper is not None
        running.supervisor.send(signal.SIGKILL)
        yield Fire(Ground(home, CODES), {KEEPER: running.keeper, **running.workers})
    finally:
        put_down(home)


def _fates(seed: int) -> Sequence[tuple[tuple[str, str, int], tuple[str, str, int]]]:
    """Pair what happens to a worker with what happens to the keeper; how often the point is passed before, by seed."""
    chance = random.Random(seed)
    rounds = max(len(WORKER_POINTS), len(KEEPER_POINTS))
    workers = [*WORKER_POINTS, *chance.choices(WORKER_POINTS[1:], k=rounds - len(WORKER_POINTS))]
    keepers = list(KEEPER_POINTS)
    chance.shuffle(workers)
    chance.shuffle(keepers)
    return [
        ((*worker, 0 if worker[0] == "chain" else chance.randrange(4)), (*keeper, chance.randrange(2)))
        for worker, keeper in zip(workers, keepers, strict=True)
    ]


def test_killed_at_each_point_while_recording_sealing_and_signing(fire: Fire) -> None:
    with fire.traffic() as send:
        for number, (for_worker, for_keeper) in enumerate(_fates(SEED)):
            worker = f"w{number % WORKERS + 1}"
            fire.strike(worker, *for_worker, signal.SIGKILL)
            fire.strike(KEEPER, *for_keeper, signal.SIGKILL)
            if for_worker[0] == "chain":  # a process begins its chain once
                fire.kill(worker)
            send(6)
            for name, (point, when, _) in ((worker, for_worker), (KEEPER, for_keeper)):
                fire.comes_to(name, point, send)
                fire.ends(name, f"{point} {when}")
        during = fire.verify()
    after = fire.verify()
    assert after["records"] >= during["records"]
    assert after["heads"] > 2
    assert len(fire.kills) >= len(WORKER_POINTS) + len(KEEPER_POINTS)
    SUMMARY.append(
        f"evidence: killed {fire.kills}, {after['records']} records, {after['heads']} heads: holds"
    )


@pytest.mark.campaign
@pytest.mark.timeout(SECONDS + 600)
def test_killed_at_any_time_again_and_again(fire: Fire) -> None:
    """The long form: by seed, one, two or all three of them, at any time, while documents flow."""
    chance, end = random.Random(SEED), time.monotonic() + SECONDS
    rounds = 0
    while rounds < ROUNDS and time.monotonic() < end:
        with fire.traffic() as send:
            for _ in range(5):
                send(30)
                time.sleep(chance.uniform(0.0, 1.5))
                for name in chance.sample(sorted(fire.running), chance.choice((1, 1, 2, 3))):
                    fire.kill(name)
            fire.verify()
        rounds += 1
    held = fire.verify()
    SUMMARY.append(f"evidence: killed {fire.kills}, {held['records']} records, {held['heads']} heads: holds")


def test_a_keeper_that_stands_still_holds_up_nobody_and_two_do_not_quarrel(fire: Fire) -> None:
    """It has read what it would seal, and stands still; an hour is as long as the lease here, and another keeper."""
    fire.strike(KEEPER, "read", "released", 0, signal.SIGSTOP)
    try:
        with fire.traffic() as send:  # to the end, with all receipts, while no keeper is there
            fire.comes_to(KEEPER, "read", send)
            before = fire.head()
            send(12)
        assert fire.head() == before
        waiting = fire.verify()
        assert waiting["covered"] < waiting["records"]
        fire.start(SECOND)
        fire.until(lambda: fire.head() > before, "the other keeper signs", SECOND)
    finally:
        fire.running[KEEPER].send(signal.SIGCONT)  # what it was about to join is in the log already
    with fire.traffic() as send:
        for _ in range(3):
            send(4)
            fire.truc("evidence", "head", "--now", "--timeout", _PATIENCE)
    both = fire.verify()
    assert both["covered"] > waiting["records"]
    other = fire.running.pop(SECOND)
    other.send(signal.SIGKILL)
    fire.until(lambda: not other.alive(), "the other keeper dies", SECOND)
    other.collect()


@pytest.mark.parametrize("seconds", [1800.0, -86_400.0])
def test_a_clock_that_jumps_and_comes_back(fire: Fire, seconds: float) -> None:
    """That of the keeper, which seals and signs, and for half an hour that of a worker, which puts on record.

    A day ahead of its certificate the keeper signs nothing: nobody could verify it. It seals, and signs afterwards.
    """
    signs = seconds > -3600
    with fire.traffic() as send:
        send(4)
        before = fire.head()
        fire.wrong_clock(KEEPER, seconds)
        if abs(seconds) < 3600:
            fire.wrong_clock("w1", seconds)
        send(8)
        if signs:
            fire.signs(before + 1, send)
        fire.verify()
        fire.wrong_clock(KEEPER, 0)
        fire.wrong_clock("w1", 0)
        fire.signs(fire.head(), send)
    fire.verify()


def test_what_a_disk_lost_what_was_cut_and_what_was_restored(fire: Fire, tmp_path: Path) -> None:
    """The last one: the relay is stopped, its registry is an older one, by hand or by the command."""
    early, late, copy = tmp_path / "early", tmp_path / "late", tmp_path / "copy.db"
    with fire.traffic() as send:
        send(6)
        fire.truc("evidence", "head", "--now", "--out", early, "--timeout", _PATIENCE)
        fire.truc("registry", "backup", copy)
        send(6)
        fire.truc("evidence", "head", "--now", "--out", late, "--timeout", _PATIENCE)
    fire.stop()
    stopped = fire.verify("--head", early, "--head", late)
    assert stopped["covered"] <= stopped["records"]

    file = fire.ground.registry
    whole = file.read_bytes()
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)
    file.write_bytes(copy.read_bytes())  # as a disk that lost its last writes, or a hand
    assert fire.verify("--head", early)["records"] < stopped["records"]
    cut = fire.verify("--head", early, "--head", late, code=1)
    assert {one["kind"] for one in cut["faults"]} == {"truncated"}

    file.write_bytes(whole)
    fire.truc("registry", "restore", copy)
    restored = fire.verify("--head", early)
    assert restored["records"] < stopped["records"]
    for name in (KEEPER, "w1", "w2"):
        fire.start(name)
    with fire.traffic() as send:
        send(4)
        fire.truc("evidence", "head", "--now", "--timeout", _PATIENCE)
    lost = fire.verify("--head", early, "--head", late, code=1)  # the new life says so in its heads
    assert {one["kind"] for one in lost["faults"]} == {"restored"}
    assert fire.verify("--head", early)["covered"] > restored["records"]
