"""An event loop whose time is virtual: whoever sleeps is woken at once, in the order of the clock."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

T = TypeVar("T")
START: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class _Selector(selectors.SelectSelector):
    """Waits for nothing: the time that it was asked to wait has passed."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing will ever happen: everybody waits for somebody else")
        self.passed += timeout
        return []


class _Inline(ThreadPoolExecutor):
    """Runs what it is given at once."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class VirtualLoop(asyncio.SelectorEventLoop):
    """One thread, no real waiting, the same order in each run."""

    def __init__(self) -> None:
        self.passing = _Selector()
        super().__init__(self.passing)
        executor: Executor = _Inline(max_workers=1)
        self.set_default_executor(executor)  # type: ignore[arg-type,unused-ignore]

    def time(self) -> float:
        return self.passing.passed


class VirtualClock:
    """The port ``Clock`` on the loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(microseconds=round(self._loop.time() * 1_000_000))

    def monotonic(self) -> float:
        return self._loop.time()


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a loop of its own."""
    loop = VirtualLoop()
    loop.set_exception_handler(lambda _loop, _context: None)  # tasks of a dead worker end unheard
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.run_until_complete(_end())
        loop.close()


async def _end() -> None:
    """End what a test that failed has left."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
