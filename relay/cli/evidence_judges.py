"""Who vouches in ``truc evidence``: anchors, known certificates, heads from elsewhere, as options and as what they become."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from relay.evidence.headlist import HeadReader, Judge, StampCheck
    from relay.evidence.judging import ReceiptCheck
    from relay.model.evidence import SignedHead
    from relay.settings import Settings
    from relay.trust.chain import TrustStore

_SHA256 = re.compile("[0-9a-f]{64}").fullmatch
_EXISTING: Final = click.Path(exists=True, path_type=Path)
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def _fingerprint(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> frozenset[str]:
    plain = [one.replace(":", "").lower() for one in value]
    for one in plain:
        if not _SHA256(one):
            raise click.BadParameter(f"{one!r} is not a SHA-256 in hexadecimal")
    return frozenset(plain)


head_option = click.option(
    "--head",
    "heads",
    multiple=True,
    type=FILE,
    help="A head (or several, one after the other) that you have from elsewhere: a witness, an earlier export.",
)


def anchor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--ca``, ``--crl``, ``--tsa`` and ``--known``."""
    for option in (
        click.option(
            "--known",
            multiple=True,
            callback=_fingerprint,
            metavar="SHA256",
            help="SHA-256 of a certificate that you know to be the relay's, or a witness's.",
        ),
        click.option(
            "--tsa", multiple=True, type=FILE, help="Root certificates of the time-stamp authority, PEM."
        ),
        click.option(
            "--crl",
            multiple=True,
            type=_EXISTING,
            help="Revocation lists, PEM or DER; without any, none is asked for.",
        ),
        click.option(
            "--ca", multiple=True, type=_EXISTING, help="Trusted root certificates, PEM; a file or a folder."
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Judges:
    """Who judges what."""

    store: TrustStore | None
    stamps: StampCheck | None
    known: frozenset[str]
    source: str  # where the anchors are from: "files", "configuration", "sandbox" or ""

    @property
    def judge(self) -> Judge | None:
        """Whether a relay's certificate is to be trusted; None: there is nothing to judge by."""
        from functools import partial

        from relay.trust.chain import Purpose

        return None if self.store is None else partial(self.store.check, purpose=Purpose.RECEIPT)

    def reader(self) -> HeadReader:
        """Return who reads heads."""
        from relay.evidence.headlist import HeadReader

        return HeadReader(self.judge, self.known, self.stamps)

    def receipt(self) -> ReceiptCheck | None:
        """Return who judges receipts; None: there are no anchors."""
        return None if self.store is None else receipts_by(self.store)


def receipts_by(store: TrustStore) -> ReceiptCheck:
    """Return who judges receipts by anchors."""
    from relay.evidence.receipts import ReceiptVerifier

    verifier = ReceiptVerifier(store)

    def check(body: bytes, at: datetime) -> str:
        verdict = verifier.verify(body, at).verdict
        return "" if verdict.accepted else f"{verdict.reason.value} {verdict.detail}".strip()

    return check


def judges_of(
    ca: tuple[Path, ...],
    crl: tuple[Path, ...],
    tsa: tuple[Path, ...],
    known: frozenset[str],
    config: Path | None,
    home: Path,
    *,
    needed: bool,
) -> Judges:
    """Put them together; ``needed``: a relay has to be there."""
    from relay.trust.chain import TrustStore, read_certificates
    from relay.trust.timestamp import TokenJudge

    settings = None if ca or known else _settings(config, home, needed=needed)
    stamps = TokenJudge([one for path in tsa for one in read_certificates(path)]) if tsa else None
    source = ""
    store = None
    if ca:
        store = TrustStore.from_files(ca, crl, anchors_without_crl=() if crl else ca)
        source = "files"
    elif settings is not None:
        from relay.cli.evidence_wiring import token_judge
        from relay.cli.wiring import trust_store

        store = trust_store(settings)
        stamps = stamps or token_judge(settings)
        source = "configuration" if config else "sandbox"
    return Judges(store, None if stamps is None else stamps.judge, known, source)


def _settings(config: Path | None, home: Path, *, needed: bool) -> Settings | None:
    from relay import settings

    try:
        if config is None:
            from relay.sandbox.contents import running

            config = running(home).settings
        return settings.load(config, files=False)
    except OperationError:
        if needed:
            raise
        return None  # an auditor's machine: there is no relay here


def heads_of(files: tuple[Path, ...]) -> tuple[SignedHead, ...]:
    """Read the heads of files that a person gave: heads as "truc evidence head --out" writes them, what another relay was
    shown, or those in a proof or a case."""
    from relay.evidence.heads import load

    found: list[SignedHead] = []
    for file in files:
        octets = file.read_bytes()
        found += _heads_in(read_json(file)) if octets.lstrip()[:1] == b"{" else load(octets)
    return tuple(found)


def _heads_in(value: object) -> Sequence[SignedHead]:
    from relay.evidence.case import FORMAT as CASE
    from relay.evidence.proof import ascii_text, from_json, member
    from relay.evidence.witness import FORMAT as SHOWN
    from relay.model.evidence import SignedHead

    content = member(value, dict)
    if content.get("format") == SHOWN:
        return [SignedHead(ascii_text(content, "head"), ascii_text(content, "signature"))]
    proof = content.get("proof") if content.get("format") == CASE else content
    return [one.head for one in from_json(proof).heads]


def is_heads(file: Path) -> bool:
    """Whether a file holds heads and nothing else: as "truc evidence head --out" writes them, or as a witness is shown one."""
    from relay.evidence.witness import FORMAT as SHOWN
    from relay.evidence.witness import MAX_FILE

    with file.open("rb") as content:
        begin = content.read(16)
    if begin.lstrip()[:1] != b"{":
        return begin.startswith(b"truc-head ")
    if file.stat().st_size > MAX_FILE:
        return False
    value = read_json(file)
    return isinstance(value, dict) and value.get("format") == SHOWN and "head" in value


def read_json(file: Path) -> object:
    """Read a file of JSON. Raises ``RefusedError`` EVIDENCE-MALFORMED."""
    from relay.evidence.case import MAX_BYTES
    from relay.evidence.octets import refuse

    if file.stat().st_size > MAX_BYTES:
        refuse(f"{file} is too large")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        refuse(f"{file} is no JSON")
