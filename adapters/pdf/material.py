"""What the judging process needs beside the file: anchors, further authorities, revocation lists, policy. As bytes, so
that it can be handed to another process."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from relay.errors import Code, ConfigurationError
from relay.trust.chain import files_of, read_lists
from relay.trust.shelf import Shelf

_PEM = b"-----BEGIN"
_MAX_FILE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JudgePolicy:
    """The rules of judging, and its bounds."""

    sha1_until: datetime  # SHA-1 is trusted only with a time-stamp before this moment
    max_bytes: int = 32 * 1024 * 1024  # of one file
    max_signatures: int = 20  # judged in one file
    max_revisions: int = 100  # of one file
    seconds: float = 20.0  # for one file
    memory: int = 512 * 1024 * 1024  # bytes, for one file


@dataclass(frozen=True, slots=True)
class Material:
    """Certificates and lists, DER."""

    anchors: tuple[bytes, ...]
    others: tuple[bytes, ...] = ()  # authorities that may lead to an anchor
    lists: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class MaterialFiles:
    """Where they are: files, PEM or DER, or folders of such."""

    anchors: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    lists: tuple[Path, ...] = ()
    shelf: Path | None = None  # folder of fetched lists (``relay.trust.shelf``)

    def stamp(self) -> tuple[object, ...]:
        """Return what changes when one of the files does."""
        found: list[object] = []
        for source in (*self.anchors, *self.others, *self.lists):
            try:
                for path in files_of(source):
                    facts = path.stat()
                    found.append((str(path), facts.st_mtime_ns, facts.st_size, facts.st_ino))
            except OSError:
                found.append((str(source), "unreadable"))
        if self.shelf is not None:
            found.append(Shelf(self.shelf).stamp())
        return tuple(found)

    def read(self) -> Material:
        """Read the files. Raises ``ConfigurationError`` CONFIG-INVALID."""
        fetched = () if self.shelf is None else Shelf(self.shelf).read().lists.values()
        return Material(
            anchors=_certificates(self.anchors),
            others=_certificates(self.others),
            lists=(
                *(
                    one.public_bytes(Encoding.DER)
                    for source in self.lists
                    for path in _files(source)
                    for one in read_lists(path)
                ),
                *(one.public_bytes(Encoding.DER) for one in fetched),
            ),
        )


def _certificates(sources: tuple[Path, ...]) -> tuple[bytes, ...]:
    """Read certificates, with any kind of key: those of the years before 2019 were weaker than what the relay takes."""
    found: dict[bytes, None] = {}
    for source in sources:
        for path in _files(source):
            try:
                if path.stat().st_size > _MAX_FILE:
                    raise ConfigurationError(Code.CONFIG_INVALID, f"{path}: too large")
                octets = path.read_bytes()
                made = (
                    x509.load_pem_x509_certificates(octets)
                    if _PEM in octets
                    else [x509.load_der_x509_certificate(octets)]
                )
            except (OSError, ValueError, x509.InvalidVersion) as error:
                raise ConfigurationError(
                    Code.CONFIG_INVALID, f"{path}: no certificate that can be used"
                ) from error
            found |= {one.public_bytes(Encoding.DER): None for one in made}
    return tuple(found)


def _files(source: Path) -> list[Path]:
    if not source.exists():
        raise ConfigurationError(Code.CONFIG_INVALID, f"{source}: no such file or folder")
    return files_of(source)


def as_json(material: Material, policy: JudgePolicy) -> dict[str, Any]:
    """Return both as what JSON can hold."""
    return {
        "anchors": [base64.b64encode(one).decode() for one in material.anchors],
        "others": [base64.b64encode(one).decode() for one in material.others],
        "lists": [base64.b64encode(one).decode() for one in material.lists],
        "sha1_until": policy.sha1_until.isoformat(),
        "max_signatures": policy.max_signatures,
        "max_revisions": policy.max_revisions,
        "seconds": policy.seconds,
        "memory": policy.memory,
    }


def from_json(facts: Mapping[str, Any]) -> tuple[Material, JudgePolicy]:
    """Read what ``as_json`` wrote."""

    def octets(name: str) -> tuple[bytes, ...]:
        return tuple(base64.b64decode(one) for one in facts[name])

    return Material(octets("anchors"), octets("others"), octets("lists")), JudgePolicy(
        sha1_until=datetime.fromisoformat(facts["sha1_until"]),
        max_signatures=int(facts["max_signatures"]),
        max_revisions=int(facts["max_revisions"]),
        seconds=float(facts["seconds"]),
        memory=int(facts["memory"]),
    )
