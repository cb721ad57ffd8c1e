"""Runs a module of the relay and samples where its main thread spends CPU time.

``python -m relay.sandbox.bench.profiled OUT MODULE ARGUMENT...``. A timer that counts the process's CPU time asks for
a sample; the sample gets the CPU time of the main thread since the last one, so what other threads use falls on nobody
here: their time is read from their own clocks. A tracing profiler would make small functions look large.

The stack is that of the Python code: what a C library does counts for the function that called it.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Final

from relay.sandbox.bench import stages

INTERVAL: Final = 0.004  # seconds of CPU time
START: Final = signal.SIGUSR1
"""Sent by the bench when the counting begins: what was sampled before is forgotten."""
WRITE: Final = signal.SIGUSR2
"""Sent when it ends: the counts are written."""
_DEPTH: Final = 60
_WRITER: Final = "registry-writer"  # the thread's name


class Sampler:
    """Counts CPU seconds by stage and by function."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.by_stage: defaultdict[str, float] = defaultdict(float)
        self.by_function: defaultdict[str, float] = defaultdict(float)
        self.samples = 0
        self._main = time.thread_time()
        self._others = _other_threads()
        self._writer = self._others.get(_WRITER, 0.0)

    def sample(self, frame: FrameType | None) -> None:
        """Give the time since the last sample to the code that runs now."""
        now = time.thread_time()
        spent, self._main = now - self._main, now
        stack = _stack(frame)
        self.by_stage[stages.stage_of(stack)] += spent
        self.by_function[stages.function_of(stack)] += spent
        self.samples += 1
        self._sample_writer()

    def _sample_writer(self) -> None:
        """The same for the registry's thread, by function only: it stands where it last let the interpreter go."""
        thread = next((one for one in threading.enumerate() if one.name == _WRITER), None)
        if thread is None or thread.ident is None:
            return
        now = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        spent, self._writer = now - self._writer, now
        function = stages.function_of(_stack(sys._current_frames().get(thread.ident)))  # noqa: SLF001
        self.by_function[f"{function} ({stages.WRITER})"] += spent

    def write(self, out: Path) -> None:
        """Write what was counted, in seconds."""
        threads: defaultdict[str, float] = defaultdict(float)
        for name, used in _other_threads().items():
            place = stages.WRITER if name == _WRITER else stages.OTHER_THREADS
            threads[place] += used - self._others.get(name, 0.0)
        found = {
            "samples": self.samples,
            "stages": {**self.by_stage, **threads},
            "functions": dict(sorted(self.by_function.items(), key=lambda item: -item[1])[:40]),
        }
        out.write_text(json.dumps(found), encoding="utf-8")


def _stack(frame: FrameType | None) -> list[stages.Frame]:
    stack: list[stages.Frame] = []
    while frame is not None and len(stack) < _DEPTH:
        stack.append((frame.f_code.co_filename, frame.f_code.co_name))
        frame = frame.f_back
    return stack


def _other_threads() -> dict[str, float]:
    """Return the CPU seconds of all threads but this one, by name; the writer's must still live."""
    used: defaultdict[str, float] = defaultdict(float)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.ident is not None:
            try:
                used[thread.name] += time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            except OSError:
                continue
    return dict(used)


def main(out: Path, module: str) -> None:
    """Run the module under the sampler."""
    sampler = Sampler()
    for number, handler in (
        (signal.SIGPROF, lambda _n, frame: sampler.sample(frame)),
        (START, lambda _n, _f: sampler.clear()),
        (WRITE, lambda _n, _f: sampler.write(out)),
    ):
        signal.signal(number, handler)
        signal.siginterrupt(number, False)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    destination, target = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    main(destination, target)
