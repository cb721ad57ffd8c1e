"""A log made of nothing, in memory: for figures of speed, and for tests that need one to spoil.

The records are those of documents as the relay has them (an acceptance, a move, an acknowledgement, the recipient's status,
an outcome), with random ids and hashes from a seed; nobody's data. The key is made at run time.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from relay.evidence import heads as h
from relay.evidence import merkle
from relay.evidence.log import NOTHING, Sealed, seal
from relay.evidence.record import Writer, first_tip, leaf_hash
from relay.model.delivery import State
from relay.model.evidence import (
    ChainEnd,
    ChainStart,
    Checkpoint,
    Deliveries,
    Draft,
    Effect,
    Facts,
    Head,
    Judged,
    Line,
    Moved,
    ReceiptSealed,
    SignedHead,
    Submission,
    Tip,
    Written,
)
from relay.model.receipt import ReceiptKind
from relay.trust.certificate import RELAY_URN
from relay.trust.detached import sign_detached

START: Final = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
_CODES: Final = ("G14", "G22", "H26", "H29.20", "H53.31.20", "H26.15.01")


@dataclass(frozen=True, slots=True)
class RelayKey:
    """A key with a certificate that names a relay; nobody vouches for it."""

    relay: str
    key: ec.EllipticCurvePrivateKey
    pem: bytes

    @property
    def sha256(self) -> str:
        """Of the certificate, lower-case hex."""
        return x509.load_pem_x509_certificate(self.pem).fingerprint(hashes.SHA256()).hex()

    def sign(self, text: bytes, kind: str) -> bytes:
        """Return the line of a signature over a text."""
        return sign_detached(text, self.key, self.pem, kind)


def relay_key(relay: str) -> RelayKey:
    """Make a key and a certificate that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, relay)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START - timedelta(days=1))
        .not_valid_after(START + timedelta(days=3650))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(RELAY_URN + relay)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return RelayKey(relay, key, certificate.public_bytes(Encoding.PEM))


@dataclass(slots=True)
class MemoryChain:
    """One chain with what is sealed of it."""

    tip: Tip
    sealed: Sealed
    records: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)


class MemoryLog:
    """A log in memory that also does what workers and keeper do (port ``LogReader``)."""

    def __init__(self, key: RelayKey, seed: int = 0) -> None:
        self.key = key
        self.held: dict[uuid.UUID, MemoryChain] = {}
        self.headers: list[bytes] = []
        self.heads: list[Checkpoint] = []
        self.others: list[SignedHead] = []
        self.now = START
        self._random = random.Random(seed)
        self._frontier = merkle.Frontier()
        self._sealed_records = 0

    # --- what workers and keeper do

    def start(self, writer: str, role: str = "worker") -> uuid.UUID:
        """Begin a chain."""
        chain = uuid.UUID(bytes=self._random.randbytes(16), version=4)
        self.held[chain] = MemoryChain(first_tip(chain), Sealed(chain))
        self.append(chain, ChainStart(chain, self.key.relay, writer, role, "0"))
        return chain

    def append(self, chain: uuid.UUID, *facts: Facts) -> list[Written]:
        """Put facts on record."""
        one = self.held[chain]
        self.now += timedelta(milliseconds=3)
        written, one.tip = Writer().write(one.tip, [Draft(self.now, each) for each in facts])
        one.records += [each.octets for each in written]
        one.hashes += [each.hash for each in written]
        return written

    def end(self, chain: uuid.UUID) -> None:
        """End a chain cleanly."""
        self.append(chain, ChainEnd("stopped"))

    def seal(self, chain: uuid.UUID, count: int = 0) -> bytes:
        """Seal the next ``count`` records of a chain, or all that are left."""
        one = self.held[chain]
        end = one.sealed.end + count if count else len(one.hashes)
        header, one.sealed = seal(one.sealed, one.hashes[one.sealed.end : end], self.now)
        self.headers.append(header)
        self._frontier.add(leaf_hash(header))
        self._sealed_records = sum(each.sealed.end for each in self.held.values())
        return header

    def sign(self, *, life: int = 0, base: int = 0) -> SignedHead:
        """Sign a head over all that is sealed."""
        self.now += timedelta(seconds=1)
        head = Head(
            relay=self.key.relay,
            number=len(self.heads) + 1,
            life=life,
            base=base,
            size=len(self.headers),
            records=self._sealed_records,
            root=self._frontier.root(),
            at=self.now,
            previous=h.head_hash(self.heads[-1].head.text) if self.heads else NOTHING,
        )
        text = h.head_text(head)
        signed = SignedHead(text, self.key.sign(text, h.HEAD_TYPE))
        self.heads.append(Checkpoint(signed))
        return signed

    def document(self, chain: uuid.UUID, status: uuid.UUID | None = None) -> Submission:
        """Put one document's whole story on record; its recipient's status goes to the chain ``status``."""
        rnd = self._random
        sender, recipient = rnd.sample(_CODES, 2)
        transport, delivery, serial = self._uuid(), self._uuid(), rnd.randrange(1, 10**6)
        submission = Submission(
            transport_id=transport,
            sender=sender,
            user=sender,
            document_kind="edoc",
            body_sha256=self._hash(),
            body_bytes=rnd.randrange(5_000, 500_000),
            document_id=f"{sender},2026/01/05,{serial}/CV",
            directory_version="6d" * 32,
            verdict=Judged(
                intact=True,
                trusted=True,
                reason="OK",
                certificate_sha256="5c" * 32,
                algorithm="ecdsa-sha256",
                profile="whole",
            ),
            lines=(Line(delivery, recipient, State.PLANNED),),
        )
        receipt = ReceiptSealed(
            f"w1-{serial}", ReceiptKind.ACKNOWLEDGEMENT, True, "", sender, transport, self._hash(), 2_500
        )
        queued = Deliveries(transport, (Moved(delivery, State.QUEUED),))
        self.append(chain, submission, queued, receipt)
        told = Submission(
            transport_id=self._uuid(),
            sender=recipient,
            user=recipient,
            document_kind="status",
            body_sha256=self._hash(),
            body_bytes=2_000,
            document_id=submission.document_id,
            directory_version=submission.directory_version,
            verdict=submission.verdict,
            lines=(Line(self._uuid(), sender, State.PLANNED),),
            effect=Effect(transport, delivery, "01", State.DELIVERED, ""),
        )
        outcome = ReceiptSealed(
            f"w1-{serial + 1}", ReceiptKind.OUTCOME, True, "", sender, transport, self._hash(), 2_400
        )
        self.append(
            status or chain,
            told,
            Deliveries(told.transport_id, (Moved(told.lines[0].delivery_id, State.QUEUED),)),
            outcome,
        )
        return submission

    def _uuid(self) -> str:
        return str(uuid.UUID(bytes=self._random.randbytes(16), version=4))

    def _hash(self) -> str:
        return self._random.randbytes(32).hex()

    # --- port LogReader

    def chains(self) -> Sequence[uuid.UUID]:
        """Return the chains."""
        return tuple(self.held)

    def records(self, chain: uuid.UUID, start: int = 1, end: int | None = None) -> Iterator[bytes]:
        """Yield a chain's records."""
        held = self.held.get(chain)
        return iter(held.records[start - 1 : end] if held else ())

    def batches(self) -> Iterator[bytes]:
        """Yield the headers."""
        return iter(self.headers)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield the heads."""
        return iter(self.heads)

    def witnessed(self) -> Iterator[SignedHead]:
        """Yield other relays' heads."""
        return iter(self.others)


def filled(key: RelayKey, records: int, *, chains: int = 2, batch: int = 512, seed: int = 0) -> MemoryLog:
    """Return a log of about so many records: chains of workers, sealed in batches, a head for each sixteen batches."""
    log = MemoryLog(key, seed)
    ids = [log.start(f"w{number}") for number in range(1, chains + 1)]
    made = chains
    while made < records:
        for at, chain in enumerate(ids):
            log.document(chain, ids[at - 1])
        made += 6 * chains
        for chain in ids:
            one = log.held[chain]
            if len(one.records) - one.sealed.end >= batch:
                log.seal(chain, batch)
                if len(log.headers) % 16 == 0:
                    log.sign()
    for chain in ids:
        log.end(chain)
        log.seal(chain)
    log.sign()
    return log
