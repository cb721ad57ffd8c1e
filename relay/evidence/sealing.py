"""Sealing: runs of the processes' chains become batches at the end of the main log, heads are signed over it.

Everything follows from what is stored, and each step is one transaction that takes effect only on the state that it was
made from: a sealer that dies leaves a log that is as good as before, and of two that work at a time one is told so and
reads again. Times decide only when a batch is sealed or a head signed, and are counted by a clock that never goes back.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from relay.errors import RefusedError
from relay.evidence import heads, merkle
from relay.evidence.log import MAX_BATCH, Sealed, decode_batch, seal, sealed_by
from relay.evidence.record import LINK, first_tip, leaf_hash, place
from relay.model.evidence import Head, RecordKind, SignedHead
from relay.model.keeping import ChainStanding, EvidenceStore, Fault, NewBatch, StoredHead
from relay.model.ports import Clock

_HEADERS: Final = 5000  # read at once
_JOINED: Final = 32  # batches put into the log by one transaction
QUIET: Final = timedelta(hours=1)
"""A process without a sign of life for that long is over: its chain is looked at no more once it is sealed."""

Sign = Callable[[bytes, str], bytes]
"""Signs a text as of a kind (``RelaySigner.sign_text``)."""


@dataclass(frozen=True, slots=True)
class SealingPolicy:
    """When to seal and to sign."""

    seal: timedelta  # a record waits no longer for its batch
    records: int  # so many are sealed at once
    head: timedelta  # a batch waits no longer for its head


class ChainBrokenError(Exception):
    """What is stored of a chain does not continue what is sealed of it: nothing more of it can be sealed."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.fault = (where, what)


class Sealer:
    """Keeps the main log of one relay. Blocking; for one thread at a time."""

    def __init__(
        self, store: EvidenceStore, relay: str, sign: Sign, clock: Clock, policy: SealingPolicy
    ) -> None:
        self._store = store
        self._relay = relay
        self._sign = sign
        self._clock = clock
        self._policy = policy
        self._main: merkle.Frontier | None = None  # None: to be read
        self._records = 0  # in the batches of the main log
        self._waits: dict[uuid.UUID, float] = {}  # chains with unsealed records: since when that is known
        self._joined: float | None = None  # when the first batch behind the last head was joined
        self._ended: set[uuid.UUID] = set()  # whose last sealed record says that nothing comes after it
        self._idle: dict[
            uuid.UUID, tuple[int, float]
        ] = {}  # sealed chains: their tip, and since when it stands
        self._headers_of: dict[uuid.UUID, bytes] = {}  # the last header of each chain
        self._torn = False  # the main log contradicts its last head
        self.waiting = 0
        """Records that no batch holds, as of the last look."""
        self.broken: dict[uuid.UUID, str] = {}
        """Chains that cannot be sealed any further, and why."""

    def seal(self, until: float) -> int:
        """Seal what is due. Stops at ``until`` (monotonic). Returns how many batches were joined.

        Nothing is joined to a main log that contradicts the last head over it: the fault is noted, the records wait.

        Raises:
            RegistryError: what was joined before stands.
        """
        size = self._read()
        now = self._clock.monotonic()
        standings = self._store.standings(self._clock.now(), QUIET.total_seconds())
        standings = [chain for chain in standings if self._readable(chain)]
        self._note_waiting(standings, now)
        if self._torn:
            return 0
        joined, gathered = 0, list[NewBatch]()
        gone: list[ChainStanding] = []
        asked = self._store.asked() is not None  # whoever asks for a head wants it over what is on record
        for chain in standings:
            sealed = _sealed(chain)
            if sealed.end >= chain.tip:
                if self._over(chain, now):
                    gone.append(chain)
                continue
            if chain.chain in self.broken:
                continue
            due = asked or now - self._waits[chain.chain] >= self._policy.seal.total_seconds()
            while sealed.end < chain.tip and (due or chain.tip - sealed.end >= self._policy.records):
                if self._clock.monotonic() > until:
                    gone = []
                    break
                try:
                    header, sealed = self._batch(sealed, min(chain.tip, sealed.end + self._batch_size()))
                except ChainBrokenError as error:
                    self._break(chain.chain, *error.fault)
                    break
                gathered.append(NewBatch(decode_batch(header), header))
                if sealed.end >= chain.tip:
                    del self._waits[chain.chain]
                if len(gathered) == _JOINED:
                    if not self._join(size + joined, gathered):
                        return joined
                    joined += len(gathered)
                    gathered = []
        if gathered and self._join(size + joined, gathered):
            joined += len(gathered)
        if gone:
            self._store.retire(gone)
        return joined

    def head(self) -> StoredHead | None:
        """Sign a head if one is due: a batch waits for it, one was asked for, or the registry was restored.

        Returns the new head. Raises ``RegistryError``.
        """
        size = self._read()
        last = self._store.last_head()
        life, base = self._store.life()
        before = None if last is None else heads.read_head(last.signed.text)
        if size == 0 or self._main is None or self._torn:
            return None
        grown = before is None or size > before.size
        restored = before is not None and before.life != life
        now = self._clock.monotonic()
        if grown and self._joined is None:
            self._joined = now
        late = self._joined is not None and now - self._joined >= self._policy.head.total_seconds()
        asked = self._store.asked() is not None
        if not (restored or asked or (grown and (late or before is None))):
            return None
        head = Head(
            relay=self._relay,
            number=1 if before is None else before.number + 1,
            life=life,
            base=base,
            size=size,
            records=self._records,
            root=self._main.root(),
            at=self._clock.now(),
            previous=bytes(32) if last is None else heads.head_hash(last.signed.text),
        )
        text = heads.head_text(head)
        new = StoredHead(head.number, size, SignedHead(text, self._sign(text, heads.HEAD_TYPE)))
        if not self._store.add_head(new):
            return None  # another keeper was first
        self._joined = None
        return new

    # --- inside

    def _batch_size(self) -> int:
        return min(max(self._policy.records, 1), MAX_BATCH)

    def _batch(self, sealed: Sealed, end: int) -> tuple[bytes, Sealed]:
        """Make a batch of what is stored of a chain after ``sealed`` up to ``end``; each record must follow."""
        if sealed.number:
            last = decode_batch(self._headers_of[sealed.chain]).last
        else:
            last = first_tip(sealed.chain).hash
        hashes: list[bytes] = []
        seq, ended = sealed.end, False
        for octets in self._store.records(sealed.chain, sealed.end + 1, end):
            seq += 1
            where = f"chain {sealed.chain} record {seq}"
            try:
                found, link = place(octets)
            except RefusedError as error:
                raise ChainBrokenError(where, f"cannot be read: {error.detail}") from error
            if found != seq:
                raise ChainBrokenError(where, f"record {found} stands in its place")
            if link != last[:LINK]:
                raise ChainBrokenError(where, "does not follow the record before it")
            last = leaf_hash(octets)
            hashes.append(last)
            ended = octets[1] == RecordKind.CHAIN_END
        if seq != end:
            raise ChainBrokenError(f"chain {sealed.chain} record {seq + 1}", "is missing")
        header, after = seal(sealed, hashes, self._clock.now())
        self._headers_of[sealed.chain] = header
        if ended:
            self._ended.add(sealed.chain)
        return header, after

    def _over(self, chain: ChainStanding, now: float) -> bool:
        """Whether a sealed chain need not be looked at any more: it has ended, or nobody has written to it for long."""
        if chain.chain in self._ended:
            return True
        tip, since = self._idle.get(chain.chain, (0, now))
        if tip != chain.tip:
            since = now
        self._idle[chain.chain] = (chain.tip, since)
        return chain.quiet and now - since >= QUIET.total_seconds()

    def _readable(self, chain: ChainStanding) -> bool:
        """Whether the chain's last header can be read; if not, nothing can go on from it."""
        try:
            _sealed(chain)
        except RefusedError as error:
            if chain.chain not in self.broken:
                self._break(chain.chain, f"chain {chain.chain} last batch", f"cannot be read: {error.detail}")
            return False
        return True

    def _join(self, place_: int, gathered: Sequence[NewBatch]) -> bool:
        main = self._main
        if main is None or not self._store.join(place_, gathered):
            self._main = None  # another keeper has sealed: to be read again
            return False
        for one in gathered:
            main.add(leaf_hash(one.header))
            self._records += one.batch.count
        if self._joined is None:
            self._joined = self._clock.monotonic()
        return True

    def _note_waiting(self, standings: Sequence[ChainStanding], now: float) -> None:
        self._headers_of = {one.chain: one.header for one in standings if one.header is not None}
        unsealed = {one.chain: one.tip - _sealed(one).end for one in standings}
        self.waiting = sum(max(0, count) for count in unsealed.values())
        self._waits = {chain: self._waits.get(chain, now) for chain, count in unsealed.items() if count > 0}

    def _read(self) -> int:
        """Know the main log as it is stored; return its size."""
        size = self._store.size()
        if self._main is None or self._main.size != size:
            main, records, torn = merkle.Frontier(), 0, False
            last = self._store.last_head()
            head = None if last is None else heads.read_head(last.signed.text)
            while found := self._store.headers(main.size, _HEADERS):
                for header in found:
                    main.add(leaf_hash(header))
                    try:
                        records += decode_batch(header).count
                    except RefusedError as error:
                        torn = True
                        self._fault(f"main log batch {main.size}", f"cannot be read: {error.detail}")
                    if head is not None and main.size == head.size and main.root() != head.root:
                        torn = True
                        self._fault(
                            f"main log, head {head.number}",
                            f"the first {head.size} headers have another root than the head",
                        )
            if head is not None and main.size < head.size:
                torn = True
                self._fault(
                    f"main log, head {head.number}",
                    f"the head is over {head.size} batches, stored are {main.size}: the end of the log is missing",
                )
            self._main, self._records, self._torn = main, records, torn
        return self._main.size

    def _break(self, chain: uuid.UUID, where: str, what: str) -> None:
        self.broken[chain] = what
        self._fault(where, what)

    def _fault(self, where: str, what: str) -> None:
        self._store.note_fault(Fault(where, what, self._clock.now()))


def _sealed(chain: ChainStanding) -> Sealed:
    return Sealed(chain.chain) if chain.header is None else sealed_by(chain.header)


class LogCheck:
    """Reads the sealed log again and again, a portion at a time, and notes what does not fit any more."""

    def __init__(self, store: EvidenceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._begin()
        self.rounds = 0
        """How often the whole log was read."""

    def _begin(self) -> None:
        self._place = 0
        self._frontier = merkle.Frontier()
        self._sealed: dict[uuid.UUID, bytes] = {}  # the last header of each chain
        self._head: Head | None = None

    def run(self, records: int, until: float) -> int:
        """Check the next batches, about so many records. Returns how many were read."""
        done = 0
        if self._place == 0 and (last := self._store.last_head()) is not None:
            self._head = heads.read_head(last.signed.text)
        while done < records and self._clock.monotonic() < until:
            found = self._store.headers(self._place, 16)
            if not found:
                self._wrap()
                break
            for header in found:
                done += self._one(header)
                self._place += 1
                if done >= records:
                    break
        return done

    def _wrap(self) -> None:
        head = self._head
        if head is not None and self._frontier.size < head.size:
            self._fault(
                f"main log, head {head.number}",
                f"the head is over {head.size} batches, stored are {self._frontier.size}: the end of the log is missing",
            )
        self.rounds += 1
        self._begin()

    def _one(self, header: bytes) -> int:
        where = f"main log batch {self._place + 1}"
        self._frontier.add(leaf_hash(header))
        head = self._head
        if head is not None and self._frontier.size == head.size and self._frontier.root() != head.root:
            self._fault(
                f"main log, head {head.number}",
                f"the first {head.size} headers have another root than the head",
            )
        try:
            batch = decode_batch(header)
        except RefusedError as error:
            self._fault(where, f"cannot be read: {error.detail}")
            return 1
        name = f"chain {batch.chain} batch {batch.number}"
        former = self._sealed.get(batch.chain)
        before = Sealed(batch.chain) if former is None else sealed_by(former)
        if (batch.number, batch.first, batch.previous) != (before.number + 1, before.end + 1, before.header):
            self._fault(name, "does not continue the batch before it")
        self._sealed[batch.chain] = header
        last = first_tip(batch.chain).hash if former is None else decode_batch(former).last
        hashes: list[bytes] = []
        for seq, octets in enumerate(self._store.records(batch.chain, batch.first, batch.end), batch.first):
            try:
                fits = place(octets) == (seq, last[:LINK])
            except RefusedError:
                fits = False
            if not fits:
                self._fault(f"chain {batch.chain} record {seq}", "does not follow the record before it")
            last = leaf_hash(octets)
            hashes.append(last)
        if len(hashes) != batch.count:
            self._fault(name, f"{len(hashes)} of its {batch.count} records stand")
        elif merkle.root(hashes) != batch.root or last != batch.last:
            self._fault(name, "was sealed over other records")
        return batch.count

    def _fault(self, where: str, what: str) -> None:
        self._store.note_fault(Fault(where, what, self._clock.now()))
