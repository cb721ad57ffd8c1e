"""The relay's own keys in use: receipts are sealed with what is there now, and a change needs no restart.

A key has one place or two: what signs, and a second one that stands ready beside it (``KeyPlace``: PEM, PKCS#12, PKCS#11).
The first that can sign does; the second takes over when the first is away, has ended or has not begun, and gives back by
itself. Both may sign at the same time in different workers: each receipt carries the certificates of its own signer.

Key and certificate are two files, so a change is seen half done at times. It is taken only as a whole: when the key is
that of the first certificate, the certificate names this relay, holds today, and is trusted wherever its predecessor
was. Until then the former pair seals, and ``problem`` says why. Receipts that were sealed before are not touched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding

from relay.errors import Code, ConfigurationError, RefusedError, TransientError
from relay.model.ports import Clock
from relay.settings.keyplace import KeyPlace
from relay.trust.certificate import Certificate, relay_name
from relay.trust.chain import Purpose, TrustStore
from relay.trust.detached import sign_detached
from relay.trust.keys import KeyPair, open_pair
from relay.trust.sign import ReceiptSealer

_CHECK_EVERY: Final = 1.0  # seconds between two looks at the files

_Stamp = tuple[tuple[int, int, int], ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Pair:
    """A key and its certificates, leaf first, as read at one moment."""

    sealer: ReceiptSealer
    own: KeyPair

    @property
    def chain(self) -> tuple[Certificate, ...]:
        return self.own.chain

    def holds(self, now: datetime) -> bool:
        """Whether the certificate is within its dates."""
        return self.chain[0].not_before <= now <= self.chain[0].not_after


class _Source:
    """One place of a key, and the pair that was taken from it last."""

    def __init__(self, name: str, place: KeyPlace, judge: Callable[[_Pair, _Pair | None], None]) -> None:
        self._name = name
        self._place = place
        self._judge = judge
        self.pair: _Pair | None = None
        self._fault = ""
        self._stamp: _Stamp | None = None  # of the pair in use
        self._read_at: _Stamp | None = None
        self._fresh: _Pair | ConfigurationError | None = None  # read at ``_read_at``, not taken yet

    @property
    def problem(self) -> str:
        """Why the last change was not taken, or why the key cannot sign; empty if all is well."""
        return self._fault or (self.pair.own.away if self.pair else "")

    def begin(self) -> None:
        """Take what is there: at a start there is no choice. Raises ``ConfigurationError``."""
        # Stamped before reading: a change in between is seen by the next look.
        stamp = self._stamped()
        try:
            self.pair = self._read(wait=True)
        except ConfigurationError as error:
            self._fault, self._read_at, self._fresh = str(error), stamp, error
            raise
        self._stamp = stamp

    def look(self) -> None:
        """Take a change if there is one that can be taken, and see whether a key that was away is back."""
        if self.pair is not None:
            self.pair.own.look()
        stamp = self._stamped()
        if stamp == self._stamp:
            self._fault, self._fresh, self._read_at = "", None, None  # also when a change was taken back
            return
        if stamp != self._read_at:  # PKCS#12 takes long to open: what was read is kept
            self._read_at = stamp
            try:
                self._fresh = self._read(wait=False)
            except ConfigurationError as error:
                self._fresh = error
        try:
            self._take(stamp)
        except ConfigurationError as error:
            self._fault = str(error)

    def _take(self, stamp: _Stamp) -> None:
        fresh = self._fresh
        if not isinstance(fresh, _Pair):
            raise fresh or ConfigurationError(Code.KEY_UNUSABLE, "nothing was read")
        fresh.own.look()
        if fresh.own.away:
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{self._place.shown()}: {fresh.own.away}")
        self._judge(fresh, self.pair)
        self.pair, self._stamp, self._fault, self._fresh = fresh, stamp, "", None

    def _stamped(self) -> _Stamp:
        found = []
        for path in self._place.files():
            try:
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                found.append((0, -1, 0))
        return tuple(found)

    def _read(self, *, wait: bool) -> _Pair:
        own = open_pair(self._place, wait=wait)
        sealer = ReceiptSealer(own.key, own.pem)
        try:
            named = relay_name(own.chain[0])
        except RefusedError as error:
            raise ConfigurationError(Code.KEY_UNUSABLE, error.detail) from error
        if named != self._name:
            raise ConfigurationError(
                Code.KEY_UNUSABLE,
                f"the certificate is of {named or 'no relay'}, not of urn:truc:relay:{self._name}",
            )
        return _Pair(sealer, own)


class RelaySigner:
    """Seals receipts (port ``ReceiptSigner``). Safe to use from several threads.

    Args:
        name: the relay's name, that the certificate must carry as ``urn:truc:relay:<name>``.
        key: private key: path of a PEM or PKCS#12 file, or a PKCS#11 URI.
        certificates: PEM files of its chain, the relay's own first; none where they stand in the PKCS#12 file.
        clock: time.
        store: anchors and lists; a new certificate must be trusted by them if the one in use is.
        password_file: opens the file of the key.
        second: another key of the relay's, for when the first cannot sign.

    Raises:
        ConfigurationError: KEY-UNUSABLE, CONFIG-INVALID: no place can be used, there is nothing to begin with. A token
            that is away is no such thing: it is waited for.
    """

    def __init__(
        self,
        name: str,
        key: Path | str,
        certificates: Sequence[Path],
        clock: Clock,
        store: TrustStore | None = None,
        *,
        password_file: Path | None = None,
        second: KeyPlace | None = None,
    ) -> None:
        self._clock = clock
        self._store = store
        self._lock = threading.Lock()
        places = [KeyPlace(str(key), tuple(certificates), password_file), *([second] if second else [])]
        self._sources = [_Source(name, place, self._judge) for place in places]
        faults = []
        for source in self._sources:
            try:
                source.begin()
            except ConfigurationError as error:
                faults.append(error)
        if len(faults) == len(self._sources):
            raise faults[0]
        self._looked = clock.monotonic()
        self._used = self._in_use()
        self._changes = 0

    def seal(self, unsigned: bytes) -> bytes:
        """Return the receipt with its signature, by the first key that can; see ``ReceiptSealer.seal``.

        Raises:
            TransientError: KEY-AWAY: none can sign now.
        """
        return self._by_any(lambda pair: pair.sealer.seal(unsigned))

    def sign_text(self, text: bytes, kind: str) -> bytes:
        """Return the line of a detached signature over a head's or a statement's text.

        A receipt by a certificate that has ended is better than none; a head is not: it can wait, and one that nobody
        can verify stays in the log.

        Args:
            text: what is signed.
            kind: header ``typ``, see ``relay.trust.detached.sign_detached``.

        Raises:
            TransientError: KEY-AWAY as ``seal``; KEY-NOT-VALID: no certificate holds by our clock.
        """
        now = self._clock.now()

        def sign(pair: _Pair) -> bytes:
            if not pair.holds(now):
                leaf = pair.chain[0]
                held = f"{leaf.not_before:%Y-%m-%d %H:%M} to {leaf.not_after:%Y-%m-%d %H:%M}"
                raise TransientError(Code.KEY_NOT_VALID, f"it is {now:%Y-%m-%d %H:%M}, it holds from {held}")
            return sign_detached(text, pair.own.key, pair.own.pem, kind)

        return self._by_any(sign)

    def check(self) -> None:
        """Raise ``TransientError`` KEY-AWAY if no key can sign now, as far as is known."""
        self.refresh()
        if self.away:
            raise TransientError(Code.KEY_AWAY, self.away)

    @property
    def away(self) -> str:
        """Why no key can sign now; empty if one can."""
        pairs = list(self._pairs())
        if any(not pair.own.away for pair in pairs):
            return ""
        return "; ".join(pair.own.away for pair in pairs)

    @property
    def problem(self) -> str:
        """Why the last change was not taken, or a key cannot sign; empty if all is well."""
        return "; ".join(filter(None, (source.problem for source in self._sources)))

    @property
    def taken(self) -> int:
        """How often another pair came into use: a change that was taken, or the other key's turn."""
        return self._changes

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates in use as DER, the relay's own first."""
        return tuple(each.x509.public_bytes(Encoding.DER) for each in self._in_use().chain)

    @property
    def certificate(self) -> Certificate:
        """The relay's certificate that is in use."""
        return self._in_use().chain[0]

    def end(self) -> datetime:
        """Return when the first certificate of the chain ends, of the key that can sign for longest."""
        return max(min(each.not_after for each in pair.chain) for pair in self._pairs())

    def refresh(self) -> None:
        """Look at the places if it is time to; ``problem`` tells what came of it."""
        now = self._clock.monotonic()
        if now - self._looked < _CHECK_EVERY or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked = now
            for source in self._sources:
                source.look()
            if (now_used := self._in_use()) is not self._used:
                self._used = now_used
                self._changes += 1
        finally:
            self._lock.release()

    # --- inside

    def _pairs(self) -> Iterator[_Pair]:
        """Yield the pairs that there are: first those whose certificate holds now, in the order of their places."""
        now = self._clock.now()
        there = [source.pair for source in self._sources if source.pair is not None]
        yield from sorted(there, key=lambda pair: not pair.holds(now))

    def _in_use(self) -> _Pair:
        pairs = list(self._pairs())
        return next((pair for pair in pairs if not pair.own.away), pairs[0])

    def _by_any(self, sign: Callable[[_Pair], T]) -> T:
        self.refresh()
        trouble: TransientError | None = None
        for pair in self._pairs():
            if not pair.own.away:
                try:
                    return sign(pair)
                except TransientError as error:
                    trouble = error  # it went away just now
        if trouble is not None and trouble.code is not Code.KEY_AWAY:
            raise trouble
        raise TransientError(Code.KEY_AWAY, self.away)

    def _judge(self, fresh: _Pair, before: _Pair | None) -> None:
        """Refuse a change that nobody could verify with: at a start there is no choice, here there is."""
        now = self._clock.now()
        leaf = fresh.chain[0]
        if not fresh.holds(now):
            raise ConfigurationError(
                Code.KEY_UNUSABLE,
                f"the new certificate holds from {leaf.not_before:%Y-%m-%d} to {leaf.not_after:%Y-%m-%d}",
            )
        if self._store is None:
            return
        judged = self._store.check(fresh.chain, now, Purpose.RECEIPT)
        if judged.code is Code.OK:
            return
        former = (before or self._in_use()).chain
        if self._store.check(former, now, Purpose.RECEIPT).code is Code.OK:
            raise ConfigurationError(
                Code.KEY_UNUSABLE,
                f"the new certificate is not trusted: {judged.code.value} {judged.detail}",
            )
