"""The folder of fetched lists and answers: one writer puts them there whole, any number of workers read them.

::

    list-<32 hex>.crl         DER; named after the address that it came from
    answer-<64 hex>.ocsp      DER; named after the SHA-256 of the certificate that it speaks of
    generation                changes after each batch: what readers look at

What cannot be read is left out and named, and stops nothing: what it should have vouched for is then not vouched for.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.ocsp import OCSPResponse

from relay.trust.crl import check_readable
from relay.trust.ocsp import MAX_ANSWER, read_answer

GENERATION: Final = "generation"
MAX_LIST: Final = 256 * 1024 * 1024
_NAME: Final = re.compile(r"list-[0-9a-f]{32}\.crl|answer-[0-9a-f]{64}\.ocsp")
_Stamp = tuple[int, int, int]


def list_name(address: str) -> str:
    """Return the file name of the list that is fetched from an address."""
    return f"list-{hashlib.sha256(address.encode()).hexdigest()[:32]}.crl"


def answer_name(sha256: str) -> str:
    """Return the file name of the answer about a certificate."""
    return f"answer-{sha256}.ocsp"


@dataclass(frozen=True, slots=True)
class Shelved:
    """One reading of the folder."""

    lists: dict[str, x509.CertificateRevocationList] = field(default_factory=dict)
    """By file name."""
    answers: dict[str, OCSPResponse] = field(default_factory=dict)
    """By the SHA-256 of the certificate."""
    damaged: tuple[str, ...] = ()
    stamps: dict[str, _Stamp] = field(default_factory=dict)
    lists_changed: bool = True
    """Whether the lists differ from those of the reading before."""
    changed: frozenset[str] = frozenset()
    """Certificates (SHA-256) whose answer differs from that of the reading before."""


class Shelf:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stamp(self) -> tuple[bytes, int]:
        """Return what changes with each batch; a missing folder has a stamp too."""
        try:
            generation = (self.folder / GENERATION).read_bytes()[:64]
        except OSError:
            generation = b""
        try:
            return generation, self.folder.stat().st_mtime_ns
        except OSError:
            return generation, 0

    def read(self, before: Shelved | None = None) -> Shelved:
        """Read what is new since ``before``; the rest is taken over as it was parsed then. Never raises."""
        before = before or Shelved(lists_changed=False)
        lists: dict[str, x509.CertificateRevocationList] = {}
        answers: dict[str, OCSPResponse] = {}
        stamps: dict[str, _Stamp] = {}
        damaged: list[str] = []
        for name, stamp in self._files():
            stamps[name] = stamp
            same = before.stamps.get(name) == stamp and name not in before.damaged
            certificate = name[len("answer-") : -len(".ocsp")]
            if same and name in before.lists:
                lists[name] = before.lists[name]
            elif same and certificate in before.answers:
                answers[certificate] = before.answers[certificate]
            elif name.startswith("list-") and (read := self._list(name)) is not None:
                lists[name] = read
            elif name.startswith("answer-") and (answer := self._answer(name)) is not None:
                answers[certificate] = answer
            else:
                damaged.append(name)
        was = before.answers
        return Shelved(
            lists,
            answers,
            tuple(damaged),
            stamps,
            lists_changed=lists.keys() != before.lists.keys()
            or any(lists[name] is not before.lists[name] for name in lists),
            changed=frozenset(one for one in {*answers, *was} if answers.get(one) is not was.get(one)),
        )

    def octets(self, name: str) -> bytes | None:
        """Return what stands in one file; None: there is none that can be read."""
        path = self.folder / name
        try:
            return path.read_bytes() if path.stat().st_size <= MAX_LIST else None
        except OSError:
            return None

    def put(self, name: str, octets: bytes) -> None:
        """Put one file there, whole, on the disk for good. Raises ``OSError``.

        Readers look for it after ``publish``.
        """
        if name != GENERATION and not _NAME.fullmatch(name):
            raise ValueError("not a name of this folder")
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            Path(new).chmod(0o644)
            Path(new).replace(self.folder / name)
        finally:
            Path(new).unlink(missing_ok=True)

    def publish(self) -> None:
        """Tell the readers that there is something new. Raises ``OSError``."""
        self.put(GENERATION, uuid.uuid4().hex.encode())
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, name: str) -> None:
        """Remove one file, if it is there."""
        with suppress(OSError):
            (self.folder / name).unlink()

    def sweep(self, before: float) -> None:
        """Remove what writers that died left behind before that time (seconds since 1970)."""
        with suppress(OSError):
            for path in self.folder.glob(".*.new"):
                with suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()

    def _files(self) -> list[tuple[str, _Stamp]]:
        found = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name):
                        with suppress(OSError):
                            state = entry.stat()
                            found.append((entry.name, (state.st_mtime_ns, state.st_size, state.st_ino)))
        except OSError:
            return []
        return sorted(found)

    def _list(self, name: str) -> x509.CertificateRevocationList | None:
        octets = self.octets(name)
        return None if octets is None else parse_list(octets)

    def _answer(self, name: str) -> OCSPResponse | None:
        octets = self.octets(name)
        return None if octets is None or len(octets) > MAX_ANSWER else read_answer(octets)


def parse_list(octets: bytes) -> x509.CertificateRevocationList | None:
    """Return the list that stands in ``octets``, DER or PEM; None: it is none."""
    try:
        pem = octets.lstrip()[:11] == b"-----BEGIN "
        found = x509.load_pem_x509_crl(octets) if pem else x509.load_der_x509_crl(octets)
        check_readable(found)
    except Exception:  # noqa: BLE001 -- the library raises more kinds than it names
        return None
    return found
