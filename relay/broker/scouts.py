"""Scouts: lines that ask a destination first, one publish at a time each, so that nothing stands behind one that is stuck.

A channel waits at its first publish to a queue without a leader, for longer than a publish may take. What the main line
carries goes therefore only where a publish was confirmed before; everything else, and what came back from a trouble, is asked
by a scout. A scout that gets no answer is left, and its destination is a suspect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from relay.broker import lines
from relay.broker.lines import Line, Slot, Where
from relay.model.message import Outgoing, Published

SCOUTS: Final = 4
LEFT: Final = 32  # scouts that wait for an answer that may never come; above it nothing new is asked

Waiting = deque[tuple[Slot, Outgoing]]


class Scouts:
    """Who asks what, and what waits for the answer.

    Args:
        send: puts one publish out on a line; False: there is no room now.
        go_on: called with what waited for a destination whose fate is known now.
        suspect: called with a publish that is not answered.
    """

    def __init__(
        self,
        send: Callable[[Line, Slot, Outgoing], bool],
        go_on: Callable[[Slot, Outgoing], None],
        suspect: Callable[[Slot], None],
    ) -> None:
        self.answering: set[Where] = set()
        """Destinations that have confirmed a publish and given no trouble since."""
        self.lines: list[Line] = []
        self.left: list[Line] = []
        self._send = send
        self._go_on = go_on
        self._suspect = suspect
        self._waiting: dict[Where, Waiting] = {}
        self._next: deque[Where] = deque()  # to be asked, in turn
        self._asked: set[Where] = set()

    @property
    def waiting(self) -> int:
        """How many publishes wait for a scout or for its answer."""
        return sum(len(each) for each in self._waiting.values())

    @property
    def wanted(self) -> int:
        """How many scouts are missing."""
        return SCOUTS - len(self.lines) if len(self.left) < LEFT else 0

    def offer(self, slot: Slot, message: Outgoing) -> None:
        """Take a publish to a destination that is not known to answer."""
        waiting = self._waiting.get(slot.where)
        if waiting is None:
            waiting = self._waiting[slot.where] = deque()
            self._next.append(slot.where)
        waiting.append((slot, message))
        self.pump()

    def pump(self) -> None:
        """Send out the scouts that are free."""
        if not self._next:
            return
        for line in self.lines:
            if line.unanswered or line.channel is None:
                continue
            waiting = self._whose_turn()
            if waiting is None:
                return
            slot, message = waiting[0]
            if not self._send(line, slot, message):
                return
            waiting.popleft()
            self._next.popleft()
            if slot.future.done():  # nothing went out
                self._ask_again(slot.where)
            else:
                self._asked.add(slot.where)

    def _whose_turn(self) -> Waiting | None:
        """Return what waits for the destination at the head, which it stays at, with what is over left out."""
        while self._next:
            where = self._next[0]
            waiting = self._waiting.get(where)
            if waiting is not None and where not in self._asked:
                while waiting and waiting[0][0].future.done():
                    waiting.popleft()
                if waiting:
                    return waiting
                del self._waiting[where]
            self._next.popleft()
        return None

    def _ask_again(self, where: Where) -> None:
        if self._waiting[where]:
            self._next.append(where)
        else:
            del self._waiting[where]

    def ended(self, slot: Slot, outcome: Published) -> None:
        """A publish is answered, on whatever line, or its channel is gone."""
        where = slot.where
        if outcome is Published.CONFIRMED:
            self.answering.add(where)
        elif outcome is Published.NACKED:
            self.answering.discard(where)
        if where not in self._asked:
            return
        self._asked.discard(where)
        if where in self.answering:
            self._release(where)
        else:
            self._ask_again(where)

    def distrust(self, where: Where) -> None:
        """A destination gives no answer: what waits for it goes on as to a suspect."""
        self.answering.discard(where)
        self._asked.discard(where)
        self._release(where)

    def _release(self, where: Where) -> None:
        for slot, message in self._waiting.pop(where, ()):
            if not slot.future.done():
                self._go_on(slot, message)

    def sweep(self, now: float) -> None:
        """End what waits too long, and close what is over."""
        for line in [line for line in self.left if not line.open]:
            self.left.remove(line)
            lines.close(line)
        for waiting in self._waiting.values():
            for slot, _ in waiting:
                if slot.deadline <= now:
                    slot.end(Published.UNDECIDED)

    def look_for_stall(self, now: float) -> None:
        """Leave scouts without an answer."""
        for line in [line for line in self.lines if line.stalled(now)]:
            self.leave(line)
            self._suspect(line.culprit())

    def leave(self, line: Line) -> None:
        """Take a scout out of use; it is closed once it has its answer."""
        self.lines.remove(line)
        self.left.append(line)

    def forget(self, line: Line) -> bool:
        """A channel is gone; say whether it was a scout in use."""
        in_use = line in self.lines
        if in_use:
            self.lines.remove(line)
        elif line in self.left:
            self.left.remove(line)
        return in_use

    def detach(self) -> list[Line]:
        """The connection is gone: return the lines, keep what waits, know nothing any more."""
        self.answering.clear()
        gone = [*self.lines, *self.left]
        self.lines, self.left = [], []
        return gone

    def close(self) -> None:
        """End all that waits as UNDECIDED."""
        for waiting in self._waiting.values():
            while waiting:
                waiting.popleft()[0].end(Published.UNDECIDED)
        self._waiting.clear()
        self._next.clear()
        self._asked.clear()
