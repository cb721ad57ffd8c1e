"""Signed documents, made before anything is measured: each one different, each one sent once.

A file holds one chunk of them: for each a header (transport id, sender, size) and the package's bytes.
"""

from __future__ import annotations

import os
import random
import struct
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from adapters.edxml.facts import AttachedFile, Organ
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.samples import sample_document, sample_pdf
from adapters.edxml.writer import document_package
from relay.model.message import Kind
from relay.trust.sign import PrivateKey, load_chain, load_key, sign_document

CHUNK: Final = 200
_HEADER: Final = struct.Struct("<36s24sI")
_SMALLEST_PDF: Final = 1200  # bytes; below it a file of text is attached
_LEAST: Final = 64  # bytes of an attachment, so that no two documents are alike


@dataclass(frozen=True, slots=True)
class Signer:
    """An agency with its key and chain, PEM files."""

    code: str
    name: str
    key: Path
    cert: Path


@dataclass(frozen=True, slots=True)
class Order:
    """One chunk to be made: ``count`` documents of about ``size`` bytes, the signers taking turns."""

    path: Path
    count: int
    size: int
    signers: tuple[Signer, ...]
    recipients: tuple[str, ...]
    seed: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Ready:
    """One document to be sent."""

    transport_id: str
    sender: str
    body: bytes


def make(order: Order) -> Path:
    """Build, sign and write one chunk; return its file. Runs in a process of a pool."""
    rng = random.Random(order.seed)
    recipients = [Organ(code, f"Cơ quan {code} (mẫu)") for code in order.recipients]
    place = EdxmlFormat().place(Kind.EDOC)
    keys: dict[str, tuple[PrivateKey, bytes]] = {}
    overhead: dict[str, int] = {}  # what a signer's signature adds
    with order.path.open("wb") as out:
        for number in range(order.count):
            signer = order.signers[number % len(order.signers)]
            if signer.code not in keys:
                keys[signer.code] = (load_key(signer.key), load_chain(signer.cert))
            fields = sample_document(rng, Organ(signer.code, signer.name), recipients, order.at)
            bare = document_package(replace(fields, attachments=(_attachment(rng, 0),)))
            if signer.code not in overhead:
                overhead[signer.code] = len(sign_document(bare, place, *keys[signer.code])) - len(bare)
            room = (order.size - len(bare) - overhead[signer.code]) * 3 // 4  # base64
            package = document_package(replace(fields, attachments=(_attachment(rng, room),)))
            body = sign_document(package, place, *keys[signer.code])
            transport_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
            out.write(_HEADER.pack(transport_id.encode(), signer.code.encode(), len(body)))
            out.write(body)
    return order.path


def read(path: Path) -> Iterator[Ready]:
    """Yield the documents of one chunk."""
    with path.open("rb") as chunk:
        while header := chunk.read(_HEADER.size):
            transport_id, sender, size = _HEADER.unpack(header)
            yield Ready(transport_id.decode(), sender.rstrip(b"\0").decode(), chunk.read(size))


class Stock:
    """The documents of one size that are ready to be sent."""

    def __init__(
        self, folder: Path, size: int, signers: Sequence[Signer], recipients: Sequence[str], seed: int
    ) -> None:
        self.size = size
        self._folder = folder
        self._signers = tuple(signers)
        self._recipients = tuple(recipients)
        self._rng = random.Random(seed)
        self._made = 0
        self._ready: list[Path] = []

    def fill(self, documents: int, at: datetime) -> int:
        """Make documents until ``documents`` are ready; return how many were made."""
        wanted = -(-documents // CHUNK) - len(self._ready)
        if wanted <= 0:
            return 0
        self._folder.mkdir(parents=True, exist_ok=True)
        orders = [self._order(at) for _ in range(wanted)]
        with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            self._ready += pool.map(make, orders)
        return wanted * CHUNK

    def hand_out(self) -> list[Path]:
        """Return the chunks that are ready; give back with ``used`` what was begun."""
        return list(self._ready)

    def used(self, chunks: int) -> None:
        """Delete the first ``chunks`` chunks: what was sent once is never sent again."""
        for path in self._ready[:chunks]:
            path.unlink()
        del self._ready[:chunks]

    def _order(self, at: datetime) -> Order:
        self._made += 1
        turned = self._made * CHUNK % len(self._signers)
        signers = self._signers[turned:] + self._signers[:turned]
        path = self._folder / f"{self.size}-{self._made:06d}"
        return Order(path, CHUNK, self.size, signers, self._recipients, self._rng.getrandbits(64), at)


def _attachment(rng: random.Random, size: int) -> AttachedFile:
    if size >= _SMALLEST_PDF:
        return AttachedFile("văn bản.pdf", sample_pdf(rng, ["mẫu"], size), "application/pdf")
    text = rng.randbytes(max(size, _LEAST) // 2 + 1).hex()[: max(size, _LEAST)]
    return AttachedFile("ghi chú.txt", text.encode(), "text/plain")
