"""A log as a folder of files: what ``truc evidence export --log`` writes and an auditor keeps.

``chains/<id>`` holds the records of one chain, each behind its length (4 bytes, big-endian); ``batches`` the headers, 141
bytes each, in the order of the main log; ``heads`` the signed heads one after the other; ``witnessed`` those of other
relays; ``statements`` what witnesses signed; ``time-stamps/<number>-<n>.tst`` the tokens for head ``<number>``.
``log.json`` tells people what this is; nothing is believed of it.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from relay.errors import Code, OperationError, RefusedError
from relay.evidence import heads as h
from relay.evidence.log import BATCH_BYTES
from relay.evidence.octets import MAX_RECORD, refuse
from relay.model.evidence import Checkpoint, LogReader, SignedHead, SignedStatement
from relay.model.times import rfc3339

FORMAT: Final = "truc-log-1"
_NUMBERED: Final = re.compile(r"([1-9][0-9]{0,17})-([0-9]{1,4})\.tst").fullmatch
_CHAIN: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_CHUNK: Final = 1 << 20

Progress = Callable[[int], None]
"""Told how many records are done, now and then."""


class FileLog:
    """Reads the folder (port ``LogReader``).

    Raises:
        OperationError: FILE-UNUSABLE: there is no such folder, or it holds no log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not (folder / "batches").is_file() or not (folder / "chains").is_dir():
            raise OperationError(Code.FILE_UNUSABLE, f"{folder}: no exported log stands there")

    def chains(self) -> Sequence[uuid.UUID]:
        """Return the chains, by the names of their files."""
        found = []
        for path in sorted((self._folder / "chains").iterdir()):
            if not _CHAIN(path.name):  # in one spelling: two files of one chain would hide one another
                refuse(f"chains/{path.name} is named like no chain")
            found.append(uuid.UUID(path.name))
        return found

    def records(self, chain: uuid.UUID, start: int = 1, end: int | None = None) -> Iterator[bytes]:
        """Yield records as they stand in the file; ``start`` and ``end`` count places in it."""
        path = self._folder / "chains" / str(chain)
        if not path.exists():
            return
        with path.open("rb", buffering=_CHUNK) as file:
            for place, octets in enumerate(_framed(file, path.name), 1):
                if end is not None and place > end:
                    return
                if place >= start:
                    yield octets

    def batches(self) -> Iterator[bytes]:
        """Yield the headers."""
        with (self._folder / "batches").open("rb", buffering=_CHUNK) as file:
            while octets := file.read(BATCH_BYTES):
                yield octets

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield the heads with their time-stamps and statements.

        What stands beside the heads and cannot be read is told last: it takes nothing from the heads.
        """
        stamps: dict[int, list[tuple[int, bytes]]] = {}
        said: dict[str, list[SignedStatement]] = {}
        strange = ""
        if (self._folder / "time-stamps").is_dir():
            for path in (self._folder / "time-stamps").iterdir():
                if named := _NUMBERED(path.name):
                    stamps.setdefault(int(named[1]), []).append((int(named[2]), path.read_bytes()))
                else:
                    strange = f"time-stamps/{path.name} is named like no time-stamp"
        try:
            for statement in h.load_statements(self._octets("statements")):
                said.setdefault(h.read_statement(statement.text)["head"], []).append(statement)
        except RefusedError as error:
            strange = f"statements: {error.detail}"
        for number, signed in enumerate(h.pieces(self._octets("heads")), 1):
            yield Checkpoint(
                head=signed,
                time_stamps=tuple(token for _, token in sorted(stamps.pop(_number(signed) or number, ()))),
                statements=tuple(said.pop(h.head_hash(signed.text).hex(), ())),
            )
        self._adrift = tuple(one for group in said.values() for one in group)
        if strange:
            refuse(strange)

    def adrift(self) -> tuple[SignedStatement, ...]:
        """Return the statements about heads that the log does not have, once ``checkpoints`` was read to its end."""
        return self._adrift

    def witnessed(self) -> Iterator[SignedHead]:
        """Yield other relays' heads."""
        yield from h.load(self._octets("witnessed"))

    _adrift: tuple[SignedStatement, ...] = ()

    def _octets(self, name: str) -> bytes:
        path = self._folder / name
        return path.read_bytes() if path.exists() else b""


def export_log(log: LogReader, folder: Path, relay: str, at: datetime, progress: Progress) -> int:
    """Write a log to a new folder, which appears when it is whole; returns the number of records.

    Args:
        log: what to write; nothing of it is judged here.
        folder: where; it must not exist.
        relay: name of the relay, for people.
        at: the time of the export.
        progress: told how many records are written.

    Raises:
        OperationError: FILE-UNUSABLE: the folder exists or cannot be written.
    """
    if folder.exists():
        raise OperationError(Code.FILE_UNUSABLE, f"{folder} exists; an export is never written over")
    fresh = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    try:
        fresh.mkdir(mode=0o700)
        # Heads first: what they cover was there before them, so nothing that a head covers is missed.
        heads = _write_heads(log, fresh)
        with (fresh / "batches").open("xb", buffering=_CHUNK) as file:
            batches = 0
            for octets in log.batches():
                file.write(octets)
                batches += 1
        records = _write_chains(log, fresh / "chains", progress)
        (fresh / "log.json").write_text(
            json.dumps(
                {
                    "format": FORMAT,
                    "relay": relay,
                    "exported_at": rfc3339(at),
                    "records": records,
                    "batches": batches,
                    "heads": heads,
                },
                indent=2,
            )
            + "\n",
            encoding="utf-8",
        )
        fresh.rename(folder)
    except OSError as error:
        raise OperationError(Code.FILE_UNUSABLE, f"{folder}: {error.strerror or error}") from error
    return records


def _write_heads(log: LogReader, folder: Path) -> int:
    count = 0
    with (folder / "heads").open("xb") as heads, (folder / "statements").open("xb") as statements:
        for checkpoint in log.checkpoints():
            count += 1
            heads.write(h.dump(checkpoint.head))
            for statement in checkpoint.statements:
                statements.write(h.dump(statement))
            for index, token in enumerate(checkpoint.time_stamps):
                (folder / "time-stamps").mkdir(exist_ok=True)
                number = h.read_head(checkpoint.head.text).number
                (folder / "time-stamps" / f"{number}-{index}.tst").write_bytes(token)
    with (folder / "witnessed").open("xb") as file:
        for signed in log.witnessed():
            file.write(h.dump(signed))
    return count


def _write_chains(log: LogReader, folder: Path, progress: Progress) -> int:
    folder.mkdir()
    count = 0
    for chain in log.chains():
        with (folder / str(chain)).open("xb", buffering=_CHUNK) as file:
            for octets in log.records(chain):
                file.write(len(octets).to_bytes(4, "big"))
                file.write(octets)
                count += 1
                if count % 10_000 == 0:
                    progress(count)
    return count


def _number(signed: SignedHead) -> int:
    try:
        return h.read_head(signed.text).number
    except RefusedError:
        return 0


def _framed(file: BinaryIO, name: str) -> Iterator[bytes]:
    while length := file.read(4):
        size = int.from_bytes(length, "big")
        octets = file.read(size) if len(length) == 4 and size <= MAX_RECORD else b""
        if len(length) != 4 or len(octets) != size:
            refuse(f"chains/{name} ends inside a record, or holds what is none")
        yield octets
