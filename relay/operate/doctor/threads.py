"""Work that may hang: done in a thread that nobody has to wait for, not even the end of the program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from relay.operate.doctor.facts import Unseen

T = TypeVar("T")


class Promise(Generic[T]):
    """One piece of work in a thread of its own, begun at once."""

    def __init__(self, work: Callable[[], T], expected: tuple[type[Exception], ...]) -> None:
        """``expected``: errors that mean no more than that something could not be seen."""
        self._work = work
        self._expected = expected
        self._done = threading.Event()
        self._result: T | Unseen = Unseen("no answer in time")
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except self._expected as error:
            self._result = Unseen(str(error))
        except Exception as error:  # noqa: BLE001 - what nobody thought of in one area must not hide the others
            self._result = Unseen(f"the look itself failed: {type(error).__name__}: {error}"[:200])
        finally:
            self._done.set()

    def result(self, seconds: float) -> T | Unseen:
        """Wait for the result; after ``seconds`` it counts as not seen."""
        if not self._done.wait(max(0.0, seconds)):
            return Unseen("no answer in time")
        return self._result
