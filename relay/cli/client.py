"""Wiring of the client commands: one agency's gateway over a sandbox, from ``sandbox.json`` and its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from relay.errors import Code, RefusedError

if TYPE_CHECKING:
    from adapters.edxml.facts import Organ
    from adapters.edxml.format import EdxmlFormat
    from adapters.gateway import Gateway, Mailbox, ReceiptFacts, StatusDraft
    from relay.evidence.case import Case
    from relay.evidence.receipts import ReceiptVerifier
    from relay.model.envelope import Envelope
    from relay.model.message import Kind
    from relay.model.ports import Clock, Directory
    from relay.model.verdict import SignedView, Verification
    from relay.sandbox.contents import Sandbox, SandboxAgency
    from relay.settings.keyplace import KeyPlace
    from relay.trust.chain import TrustStore
    from relay.trust.verifier import DocumentVerifier

_RECEIPT_ROOT = b"urn:truc:receipt:1"


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads and judges packages and receipts, without any broker."""

    directory: Directory
    verifier: DocumentVerifier
    receipt_verifier: ReceiptVerifier
    package_format: EdxmlFormat
    store: TrustStore

    def package(self, body: bytes, at: datetime) -> tuple[Kind, Verification, Envelope | None, Code, str]:
        """Return kind, verdict, envelope and what the whole package is worth: a code (OK or the fault) and a detail.

        The signer has to be the sender's, by the directory.
        """
        from relay.model.message import Kind

        kind = Kind.STATUS if b"StatusCode" in body[-65536:] and b"Subject>" not in body else Kind.EDOC
        result = self.verifier.verify(body, self.package_format.place(kind), at)
        if result.view is None:
            return kind, result, None, result.verdict.reason, result.verdict.detail
        try:
            kind, envelope = self._envelope(result.view, kind)
        except RefusedError as error:
            return kind, result, None, error.code, error.detail
        if not result.verdict.accepted:
            return kind, result, envelope, result.verdict.reason, result.verdict.detail
        known = {one.sha256 for one in self.directory.signers(envelope.sender) if one.signs_at(at)}
        agency = self.directory.agency(envelope.sender)
        own = () if agency is None else agency.certificates
        if all(one.sha256 != result.verdict.certificate_sha256 for one in own):
            named = replace(result.verdict, on_behalf_of=envelope.sender)
            result = replace(result, verdict=named)
        if result.verdict.certificate_sha256 not in known:
            return kind, result, envelope, Code.WRONG_SIGNER, f"not a certificate of {envelope.sender}"
        return kind, result, envelope, Code.OK, result.verdict.detail

    def _envelope(self, view: SignedView, guess: Kind) -> tuple[Kind, Envelope]:
        from relay.model.message import Kind

        try:
            return guess, self.package_format.read(view, guess)
        except RefusedError as error:
            if error.code is not Code.TYPE_MISMATCH:
                raise
        other = Kind.EDOC if guess is Kind.STATUS else Kind.STATUS
        return other, self.package_format.read(view, other)

    def receipt(self, body: bytes, at: datetime) -> ReceiptFacts:
        """Return a receipt's facts. Raises RECEIPT-INVALID."""
        from relay.cli.receipts import read_receipt

        return read_receipt(body, at, self.receipt_verifier)


@dataclass(frozen=True, slots=True)
class Client:
    """One agency at one sandbox."""

    sandbox: Sandbox
    login: SandboxAgency
    reader: Reader
    gateway: Gateway
    clock: Clock
    place: KeyPlace
    """Where the agency's key is."""

    @property
    def mailbox(self) -> Mailbox:
        """The local mailbox that serves the agency."""
        return self.gateway.mailbox

    def sign(self, unsigned: bytes, kind: Kind, profile: str | None = None) -> bytes:
        """Sign with the agency's key; without a profile by the one that suits size and content."""
        return _sign(unsigned, kind, self.place, self.reader.package_format, profile)


def is_receipt(body: bytes) -> bool:
    """Whether bytes look like a receipt of a relay rather than a package."""
    return _RECEIPT_ROOT in body[:2048]


def open_reader(settings_file: Path, engine: str = "fast", kept: Case | None = None) -> Reader:
    """Return what judges bytes offline, from a configuration (its trust and its directory).

    ``engine`` is ``fast`` or ``xmlsec``: whose arithmetic it is for packages. ``kept`` is a case that holds authorities
    and revocation of the day of a document; they are believed as far as they are their issuers' own.

    Raises:
        ConfigurationError: a file of it cannot be used.
    """
    from adapters.edxml.format import EdxmlFormat
    from relay import settings
    from relay.cli.following import load_directory
    from relay.cli.wiring import parse_limits, trust_store
    from relay.directory.authorities import authorities_of
    from relay.evidence.receipts import ReceiptVerifier
    from relay.observe.clock import SystemClock
    from relay.trust.engine import XmlsecEngine
    from relay.trust.verifier import DocumentVerifier

    chosen = settings.load(settings_file, files=False)
    store = trust_store(chosen)
    directory = load_directory(chosen, store, SystemClock())
    store.learn(authorities_of(directory.agencies()))
    if kept is not None:
        from relay.evidence.vouching import material

        store = store.with_kept(*material(kept))
    return Reader(
        directory=directory,
        verifier=DocumentVerifier(
            store, parse_limits(chosen), XmlsecEngine() if engine == "xmlsec" else None
        ),
        receipt_verifier=ReceiptVerifier(store),
        store=store,
        package_format=EdxmlFormat(),
    )


@contextmanager
def open_client(home: Path, code: str, place: KeyPlace | None = None) -> Iterator[Client]:
    """Yield an agency's client; the broker is reached at the first use, the mailbox stands in the sandbox's folder.

    ``place`` is where the agency's key is, if not where the sandbox has put it.

    Raises:
        OperationError: NOT-FOUND: no sandbox there, or no key for that agency.
    """
    from adapters.gateway import Account, AmqpLink, Gateway, Mailbox
    from relay.observe.clock import SystemClock
    from relay.sandbox.contents import running

    sandbox = running(home)
    login = sandbox.agency(code)
    reader = open_reader(sandbox.settings)
    account = Account.of(code, reader.directory)
    clock = SystemClock()

    def write(draft: StatusDraft) -> bytes:
        return _write_status(draft, sandbox, reader, {} if place is None else {code: place})

    gateway = Gateway(
        account,
        link=AmqpLink(sandbox.endpoint(login.gateway), name=f"truc {code}"),
        mailbox=Mailbox(mailboxes(sandbox.home) / f"{account.gateway}.sqlite"),
        directory=reader.directory,
        verifier=reader.verifier,
        package_format=reader.package_format,
        read_receipt=reader.receipt,
        write_status=write,
        clock=clock,
    )
    try:
        yield Client(sandbox, login, reader, gateway, clock, place or _kept(login))
    finally:
        gateway.close()


def mailboxes(home: Path) -> Path:
    """Return where a sandbox keeps the local mailboxes, one file for each gateway."""
    return home / "mailboxes"


def organ(code: str, directory: Directory) -> Organ:
    """Return an agency as a package names it; the name stays out where the directory has none."""
    from adapters.edxml.facts import Organ

    known = directory.agency(code)
    return Organ(code, name=known.name if known else "")


def _write_status(
    draft: StatusDraft, sandbox: Sandbox, reader: Reader, places: Mapping[str, KeyPlace]
) -> bytes:
    from adapters.edxml.facts import StatusFields
    from adapters.edxml.writer import status_package
    from relay.model.message import Kind

    unsigned = status_package(
        StatusFields(
            reporter=organ(draft.sender, reader.directory),
            addressee=draft.addressee,
            document_id=draft.document_id,
            number=draft.code,
            promulgation_date=draft.promulgation_date,
            status_code=draft.status_code,
            reported_at=draft.at,
            description=draft.description,
        ),
        # What is answered was written by others: their oddities are repeated, not judged again.
        checked=False,
    )
    # One gateway may answer for several agencies, each with its own key.
    own = places.get(draft.sender) or _kept(sandbox.agency(draft.sender))
    return _sign(unsigned, Kind.STATUS, own, reader.package_format)


def _kept(login: SandboxAgency) -> KeyPlace:
    """Where the sandbox keeps an agency's key."""
    from relay.settings.keyplace import KeyPlace

    return KeyPlace(str(login.key), (login.cert,))


def _sign(
    unsigned: bytes,
    kind: Kind,
    own: KeyPlace,
    package_format: EdxmlFormat,
    profile: str | None = None,
) -> bytes:
    from relay.trust.keys import open_pair_now
    from relay.trust.sign import sign_document, sign_suitably

    place, pair = package_format.place(kind), open_pair_now(own)
    if profile is None:
        return sign_suitably(unsigned, place, pair.key, pair.pem)
    return sign_document(unsigned, place, pair.key, pair.pem, profile=profile)
