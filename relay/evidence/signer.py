"""The relay's own key in use: receipts are sealed with what the files hold now, and a change of them needs no restart.

Key and certificate are two files, so a change is seen half done at times. It is taken only as a whole: when the key is
that of the first certificate, the certificate names this relay, holds today, and is trusted wherever its predecessor
was. Until then the former pair seals, and ``problem`` says why. Receipts that were sealed before are not touched: their
certificate stands in each of them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from relay.errors import Code, ConfigurationError, RefusedError
from relay.model.ports import Clock
from relay.trust.certificate import Certificate, relay_name
from relay.trust.chain import Purpose, TrustStore, read_certificates
from relay.trust.detached import sign_detached
from relay.trust.sign import PrivateKey, ReceiptSealer, load_chain, load_key

_CHECK_EVERY: Final = 1.0  # seconds between two looks at the files

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A key and its certificates, leaf first, as read at one moment."""

    sealer: ReceiptSealer
    chain: tuple[Certificate, ...]
    key: PrivateKey
    pem: bytes


class RelaySigner:
    """Seals receipts (port ``ReceiptSigner``). Safe to use from several threads.

    Args:
        name: the relay's name, that the certificate must carry as ``urn:truc:relay:<name>``.
        key: private key, PEM.
        certificates: PEM files of its chain, the relay's own first.
        clock: time.
        store: anchors and lists; a new certificate must be trusted by them if the one in use is.

    Raises:
        ConfigurationError: KEY-UNUSABLE, CONFIG-INVALID: the files cannot be used, there is nothing to begin with.
    """

    def __init__(
        self,
        name: str,
        key: Path,
        certificates: Sequence[Path],
        clock: Clock,
        store: TrustStore | None = None,
    ) -> None:
        self._name = name
        self._key = key
        self._certificates = tuple(certificates)
        self._clock = clock
        self._store = store
        self._lock = threading.Lock()
        # Stamped before reading: a change in between is seen by the next look.
        self._stamp = self._stamped()
        self._pair = self._read()
        self._looked = clock.monotonic()
        self.problem = ""
        """Why the last change of the files was not taken; empty if it was."""
        self.taken = 0
        """How many changes were taken."""

    def seal(self, unsigned: bytes) -> bytes:
        """Return the receipt with its signature, by the newest usable key; see ``ReceiptSealer.seal``."""
        self.refresh()
        return self._pair.sealer.seal(unsigned)

    def sign_text(self, text: bytes, kind: str) -> bytes:
        """Return the line of a detached signature over a head's or a statement's text, by the newest usable key.

        Args:
            text: what is signed.
            kind: header ``typ``, see ``relay.trust.detached.sign_detached``.
        """
        self.refresh()
        pair = self._pair
        return sign_detached(text, pair.key, pair.pem, kind)

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates in use as DER, the relay's own first."""
        return tuple(each.x509.public_bytes(Encoding.DER) for each in self._pair.chain)

    @property
    def certificate(self) -> Certificate:
        """The relay's certificate that is in use."""
        return self._pair.chain[0]

    def end(self) -> datetime:
        """Return when the first certificate of the chain in use ends."""
        return min(each.not_after for each in self._pair.chain)

    def refresh(self) -> None:
        """Look at the files if it is time to; ``problem`` tells what came of it."""
        now = self._clock.monotonic()
        if now - self._looked < _CHECK_EVERY or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked = now
            stamp = self._stamped()
            if stamp == self._stamp:
                self.problem = ""  # also when a change that could not be taken was taken back
                return
            try:
                fresh = self._read()
                self._judge(fresh)
            except ConfigurationError as error:
                self.problem = str(error)
                return
            self._pair, self._stamp, self.problem = fresh, stamp, ""
            self.taken += 1
        finally:
            self._lock.release()

    # --- inside

    def _stamped(self) -> _Stamp:
        found = []
        for path in (self._key, *self._certificates):
            try:
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                found.append((0, -1, 0))
        return tuple(found)

    def _read(self) -> _Pair:
        pem = b"".join(load_chain(path) for path in self._certificates)
        chain = tuple(one for path in self._certificates for one in read_certificates(path))
        key = load_key(self._key)
        sealer = ReceiptSealer(key, pem)
        try:
            named = relay_name(chain[0])
        except RefusedError as error:
            raise ConfigurationError(Code.KEY_UNUSABLE, error.detail) from error
        if named != self._name:
            raise ConfigurationError(
                Code.KEY_UNUSABLE,
                f"the certificate is of {named or 'no relay'}, not of urn:truc:relay:{self._name}",
            )
        return _Pair(sealer, chain, key, pem)

    def _judge(self, fresh: _Pair) -> None:
        """Refuse a change that nobody could verify with: at a start there is no choice, here there is."""
        now = self._clock.now()
        leaf = fresh.chain[0]
        if not leaf.not_before <= now <= leaf.not_after:
            raise ConfigurationError(
                Code.KEY_UNUSABLE,
                f"the new certificate holds from {leaf.not_before:%Y-%m-%d} to {leaf.not_after:%Y-%m-%d}",
            )
        if self._store is None:
            return
        judged = self._store.check(fresh.chain, now, Purpose.RECEIPT)
        if judged.code is not Code.OK:
            before = self._store.check(self._pair.chain, now, Purpose.RECEIPT)
            if before.code is Code.OK:
                raise ConfigurationError(
                    Code.KEY_UNUSABLE,
                    f"the new certificate is not trusted: {judged.code.value} {judged.detail}",
                )
