"""The order of events of ``truc demo``."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, Final, TextIO

from relay.errors import Code, OperationError
from relay.model.ports import Clock
from relay.model.receipt import ReceiptKind
from relay.observe.clock import SystemClock
from relay.sandbox.contents import Sandbox
from relay.sandbox.demo.judge import Judgement, judge
from relay.sandbox.demo.office import Office, Workshop
from relay.sandbox.demo.reader import Book
from relay.sandbox.demo.records import Record
from relay.sandbox.demo.scenario import LATE, ORDINARY, Planned, Scenario, scenario
from relay.sandbox.demo.story import story, table, words_of
from relay.sandbox.down import down
from relay.sandbox.up import up

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    # A deadline that passes while somebody watches; the rules are those of production.
    "deadlines": {"min_s": 1},
    "keeper": {"interval_s": 0.5},
}
WORKERS: Final = 2
PATIENCE: Final = 60.0  # seconds without anything new; what is missing then is lost
_QUIET: Final = 0.7  # seconds to watch for what should not come
_POLL: Final = 0.5
_SEED: Final = 28
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Played:
    """A demo that took place: what was planned, what was noted, and how long it took."""

    plan: Scenario
    record: Record
    levels: dict[str, str]  # by code
    seconds: float


def run_demo(
    keep: Path | None = None,
    as_json: bool = False,
    *,
    tls: bool = False,
    language: str = "en",
    say: Say = print,
    terminal: TextIO = sys.stderr,
) -> int:
    """Run the demo and return the exit code 0.

    Args:
        keep: folder for the sandbox, new or empty; it stays, stopped, for ``truc up`` and ``truc track``. Without it a
            temporary folder that is removed.
        as_json: say one JSON object and nothing else.
        tls: over TLS, the gateways logging in by client certificate.
        language: of what is said, ``vi`` or ``en``.
        say: takes what goes to standard output.
        terminal: gets a progress bar if it is a terminal.

    Raises:
        OperationError: DEMO-FAILED after the last line was said: something was lost, came twice or is not as it must
            be. SANDBOX-BROKEN: ``keep`` is in use, or the sandbox does not start. BROKER-MISSING.
        BrokerError, RegistryError: a gateway could not go on.
    """
    tell: Say = (lambda _line: None) if as_json else say
    bar = Bar(terminal, shown=not as_json and terminal.isatty())
    home = _folder(keep)
    with _interruptible():
        try:
            played = play(home, words_of(language), tell, bar, tls=tls)
        finally:
            _tear_down(home, remove=keep is None)
            bar.clear()
    return conclude(played, language=language, as_json=as_json, say=say, kept=keep)


def play(
    home: Path,
    words: Callable[[str, str], str],
    tell: Say,
    bar: Bar,
    ordinary: int = ORDINARY,
    *,
    tls: bool = False,
) -> Played:
    """Bring a sandbox up in ``home``, let everything happen, and return what was noted. The sandbox still runs then.

    ``ordinary``: how many good documents there are beside the particular ones.
    """
    clock = SystemClock()
    began = clock.monotonic()
    tell(
        words(
            "Starting a private broker, two workers and the keeper …",
            "Đang khởi động máy chủ riêng, hai tiến trình trục và keeper …",
        )
    )
    sandbox = up(home, workers=WORKERS, tls=tls, detach=True, settings=SETTINGS)
    tell(
        words("ready after ", "sẵn sàng sau ")
        + f"{clock.monotonic() - began:.1f} s: {len(sandbox.gateways)} "
        + words("gateways, ", "điểm kết nối, ")
        + f"{len(sandbox.agencies)} "
        + words("agencies on four levels", "đơn vị thuộc bốn cấp")
    )
    plan = scenario(Random(_SEED), ordinary)
    stage = _Stage(sandbox, plan, clock, _SEED)
    try:
        stage.open()
        _act(stage, words, tell, bar)
    finally:
        stage.close()
    levels = {code: agency.level for code, agency in sandbox.agencies.items()}
    return Played(plan, stage.book.record(), levels, clock.monotonic() - began)


def conclude(
    played: Played, *, language: str = "en", as_json: bool = False, say: Say = print, kept: Path | None = None
) -> int:
    """Judge a demo, say the result, and return 0. Raises DEMO-FAILED unless everything is as it must be."""
    words = words_of(language)
    result = judge(played.record)
    if as_json:
        say(json.dumps(as_object(result, played, kept), ensure_ascii=False, indent=2))
    else:
        say("")
        for line in table(
            played.record, played.plan, lambda code: played.levels.get(code, ""), result, words
        ):
            say(line)
        for title, cases in (
            (words("lost", "mất"), result.lost),
            (words("duplicated", "trùng"), result.duplicated),
            (words("not as it must be", "không đúng"), result.faults),
        ):
            for case in cases:
                say(f"  {title}: {case}")
        if kept is not None:
            say(words("The sandbox stays, stopped, in ", "Sandbox được giữ lại, đã dừng, ở ") + str(kept))
        say("")
        say(result.line)
    if not result.holds:
        detail = f"lost {len(result.lost)}, duplicated {len(result.duplicated)}, not as it must be {len(result.faults)}"
        raise OperationError(Code.DEMO_FAILED, detail)
    return 0


def as_object(result: Judgement, played: Played, kept: Path | None) -> dict[str, Any]:
    """Return the result as ``--json`` prints it."""
    facts = asdict(result)
    return {
        "documents": result.documents,
        "deliveries": result.deliveries,
        "receipts": result.receipts,
        "acknowledgements": result.acknowledgements,
        "outcomes": result.outcomes,
        "statuses": result.statuses,
        "lost": len(result.lost),
        "duplicated": len(result.duplicated),
        "faults": len(result.faults),
        "cases": {name: list(facts[name]) for name in ("lost", "duplicated", "faults")},
        "seconds": round(played.seconds, 1),
        "home": str(kept) if kept is not None else None,
    }


# --- what happens --------------------------------------------------------------------------------------------------------


class _Stage:
    """The offices of a sandbox, and where each agency's is."""

    def __init__(self, sandbox: Sandbox, plan: Scenario, clock: Clock, seed: int) -> None:
        self.plan = plan
        self.clock = clock
        self.book = Book(time.sleep, clock.monotonic)
        self.shop = Workshop(sandbox, self.book, clock, seed)
        self._offices = {code: Office(self.shop, code) for code in sandbox.gateways if self.shop.open(code)}
        self._gateway_of = {code: agency.gateway for code, agency in sandbox.agencies.items()}

    def open(self) -> None:
        """Open every office but the late one."""
        for code, office in self._offices.items():
            if code != LATE:
                office.start()

    def open_late(self) -> None:
        """Open the late one."""
        self._offices[LATE].start()

    def close(self) -> None:
        """Close all; each ends what it is at."""
        for office in self._offices.values():
            office.stop()
        for office in self._offices.values():
            if office.is_alive():
                office.join(15.0)

    def office(self, code: str) -> Office:
        """Return the office of an agency's gateway."""
        return self._offices[self._gateway_of[code]]

    def submit(self, planned: Planned) -> None:
        """Have an office send a document."""
        office = self.office(planned.sender)
        office.ask(lambda: office.submit(planned))

    def ended(self, label: str, *, notice: str = "") -> Callable[[Record], bool]:
        """Return what tells whether the sender of a document has its outcome (or the notice named)."""

        def found(record: Record) -> bool:
            sent = next((item for item in record.sent if item.label == label), None)
            return sent is not None and any(
                receipt.kind == ReceiptKind.OUTCOME
                and receipt.transport_id == sent.transport_id
                and receipt.code == notice
                for receipt in record.told
            )

        return found


def _act(stage: _Stage, words: Callable[[str, str], str], tell: Say, bar: Bar) -> None:
    plan, book = stage.plan, stage.book
    asked_at = stage.clock.now()
    stage.submit(plan.story)
    book.wait(stage.ended(plan.story.label), PATIENCE)
    book.wait(lambda record: not judge(record).lost, 5.0)  # its statuses too
    tell("")
    for line in story(book.record(), plan.story.label, words, asked_at):
        tell(line)
    tell("")
    tell(
        words("Now ", "Tiếp theo: ")
        + f"{plan.submissions - 1} "
        + words(
            "documents more, wrong ones among them; one office opens late …",
            "văn bản nữa, có cả văn bản sai; một cơ quan mở cửa muộn …",
        )
    )
    stage.submit(plan.deadline)
    book.wait(lambda record: any(item.label == plan.deadline.label for item in record.sent), PATIENCE)
    for planned in (*plan.wrong, *plan.crowd):
        stage.submit(planned)
    later = [_Later(stage, plan.repeated, "repeat"), _Later(stage, plan.same_content, "same_content")]
    later.append(_Later(stage, plan.taken_back, "take_back", plan.take_back_reason))
    late = stage.ended(plan.deadline.label, notice=Code.OVERDUE.value)
    opened = False
    size, until = 0, stage.clock.monotonic() + PATIENCE
    while stage.clock.monotonic() < until:
        record = book.record()
        if size != (size := len(record.sent) + len(record.seen) + len(record.told)):
            until = stage.clock.monotonic() + PATIENCE
        if not opened and late(record):
            stage.open_late()
            opened = True
        later = [one for one in later if not one.begun(record)]
        result = judge(record)
        begun = len({item.label for item in record.sent if item.label}) / plan.submissions
        bar.show(min(1.0, begun) * (1 - len(result.lost) / max(1, result.expected)))
        if not result.lost and opened and not later and result.documents == plan.submissions:
            break
        time.sleep(_POLL)
    bar.clear()
    time.sleep(_QUIET)


@dataclass(frozen=True, slots=True)
class _Later:
    """Something that is done to a document once its sender knows how it ended."""

    stage: _Stage
    label: str
    what: str
    reason: str = ""

    def begun(self, record: Record) -> bool:
        """Begin if it is time. Returns whether it has begun."""
        if not self.stage.ended(self.label)(record):
            return False
        office = self.stage.office(self.stage.shop.letters[self.label].planned.sender)
        if self.what == "repeat":
            office.ask(lambda: office.repeat(self.label))
        elif self.what == "same_content":
            office.ask(lambda: office.same_content(self.label))
        else:
            office.ask(lambda: office.take_back(self.label, self.reason))
        return True


# --- around it -----------------------------------------------------------------------------------------------------------


class Bar:
    """A progress bar on a terminal, and nothing elsewhere."""

    _WIDTH: Final = 40

    def __init__(self, stream: TextIO, *, shown: bool) -> None:
        self._stream = stream
        self._shown = shown

    def show(self, share: float) -> None:
        """Draw ``share`` of 1."""
        if self._shown:
            full = round(share * self._WIDTH)
            self._stream.write(f"\r  [{'#' * full}{'.' * (self._WIDTH - full)}] {share:4.0%}")
            self._stream.flush()

    def clear(self) -> None:
        """Remove it."""
        if self._shown:
            self._stream.write("\r" + " " * (self._WIDTH + 12) + "\r")
            self._stream.flush()


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="truc-demo-"))
    if keep.exists() and any(keep.iterdir()):
        raise OperationError(Code.SANDBOX_BROKEN, f"--keep takes a new or an empty folder, not {keep}")
    return keep.absolute()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the demo as Ctrl-C does, and the first of them the only one that counts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        if not told:
            told = True
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tear_down(home: Path, *, remove: bool) -> None:
    """End the sandbox whatever comes: an interruption from now on waits until it is done."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING} if main else {}
    try:
        down(home)
        if remove:
            shutil.rmtree(home, ignore_errors=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
