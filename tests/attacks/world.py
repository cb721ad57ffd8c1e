"""The corpus inside the process: a forge over a CA of its own, the real verifier, the real pipeline over a broker in memory.

Built once in each process. What a case asks of the directory (a certificate listed that should not be) and of the lists
is granted here, so that each case meets the one check that is to stop it and not the one in front of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from adapters.edxml.format import EdxmlFormat
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code
from relay.evidence.receipts import ReceiptVerifier
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.levels import Level
from relay.model.message import Incoming, Kind, Lane, Properties
from relay.model.times import vietnam_day
from relay.pipeline import accept, route, verify
from relay.sandbox.attacks import (
    AGENCIES,
    CASES,
    SUSPENDED,
    Case,
    Forge,
    Outcome,
    Papers,
    Shot,
    Signer,
    Where,
)
from relay.sandbox.ca import DevelopmentCa
from relay.trust.chain import TrustStore
from relay.trust.shelf import answer_name
from relay.trust.verifier import DocumentVerifier
from tests.support.virtual import START

POLICY: Final = accept.AcceptPolicy("relay")


@dataclass
class Office:
    """Grants the forge what it asks for: a directory and lists of its own."""

    ca: DevelopmentCa
    lists: Path
    fetched: Path
    now: datetime
    enrolled: list[tuple[str, AgencyCertificate]] = field(default_factory=list)
    published: int = 0

    def enrol(self, leaf: bytes, code: str) -> None:
        digest = hashlib.sha256(leaf).hexdigest()
        self.enrolled.append((code, AgencyCertificate(digest, "")))

    def publish(self, revocations: x509.CertificateRevocationList) -> None:
        self.published += 1
        (self.lists / f"{self.published}.crl").write_bytes(revocations.public_bytes(Encoding.PEM))

    def answer(self, certificate: x509.Certificate, octets: bytes) -> None:
        digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
        (self.fetched / answer_name(digest)).write_bytes(octets)

    def revoke(self, certificate: x509.Certificate, at: datetime) -> None:
        self.ca.revoke(certificate, self.now, at)


@dataclass(frozen=True)
class World:
    """Everything that a case can be held against."""

    built: dict[str, tuple[Shot, ...]]
    office: Office
    anchors: tuple[Path, ...]
    crls: tuple[Path, ...]
    fetched: Path
    now: datetime
    forge: Forge
    form: EdxmlFormat = field(default_factory=EdxmlFormat)

    @property
    def agencies(self) -> tuple[Agency, ...]:
        """The agencies with all certificates that were enrolled up to now."""
        return tuple(_agency(code, self.office) for code in (*AGENCIES, SUSPENDED))

    @property
    def directory(self) -> AgencyDirectory:
        return AgencyDirectory.of(self.agencies, "v1")

    def store(self) -> TrustStore:
        """Anchors and lists, read anew."""
        return TrustStore.from_files(self.anchors, self.crls, fetched=self.fetched)

    def verifier(self) -> DocumentVerifier:
        """A verifier that remembers nothing of an earlier one."""
        return DocumentVerifier(self.store())


_KEPT: Final[list[TemporaryDirectory[str]]] = []  # removed when the process ends


@cache
def world() -> World:
    """Build the corpus; once in a process."""
    folder = TemporaryDirectory(prefix="attacks-")
    _KEPT.append(folder)
    base, now = Path(folder.name), START
    ca = DevelopmentCa(base / "ca")
    ca.ensure(now)
    for name in ("lists", "fetched"):
        (base / name).mkdir()
    office = Office(ca, base / "lists", base / "fetched", now)
    signers: dict[str, Signer] = {}
    for code in AGENCIES:
        issued = ca.agency(base / "keys", code, f"Cơ quan {code} (mẫu)", now)
        chain = x509.load_pem_x509_certificates(issued.cert.read_bytes())
        ders = tuple(each.public_bytes(Encoding.DER) for each in chain)
        signers[code] = Signer(load_pem_private_key(issued.key.read_bytes(), None), ders)
        office.enrol(ders[0], code)
    forge = Forge(Papers(ca.folder, now, office), signers, now)
    inside = [case for case in CASES if case.where is not Where.OUTSIDE]
    built = {case.key: case.shots(forge) for case in inside}
    return World(built, office, (ca.root_cert,), (*ca.crls, base / "lists"), base / "fetched", now, forge)


def _agency(code: str, office: Office) -> Agency:
    return Agency(
        code,
        f"{code} (mẫu)",
        Level.PROVINCE,
        gateway=code,
        own_queue=True,
        certificates=tuple(one for owner, one in office.enrolled if owner == code),
        admission=Admission.SUSPENDED if code == SUSPENDED else Admission.ADMITTED,
    )


def incoming(shot: Shot) -> tuple[Lane, Incoming]:
    """A submission as the broker hands it over."""
    return Lane(shot.routing_key.partition(".")[0]), Incoming(
        queue="",
        exchange="ingress",
        routing_key=shot.routing_key,
        properties=properties(shot),
        body=shot.body,
        redelivered=False,
        delivery_count=0,
        tag=1,
        session=1,
    )


def properties(shot: Shot) -> Properties:
    return Properties(
        message_id=shot.transport_id,
        type=shot.kind,
        content_type="application/edxml+xml",
        correlation_id=shot.about,
        user_id=None if shot.nameless else shot.claims or shot.user,
        delivery_mode=2,
        headers=dict(shot.headers),
    )


def answer(shot: Shot, here: World, verifier: DocumentVerifier, directory: AgencyDirectory) -> str:
    """Return the code that answers one submission by itself, ``OK`` if it would be delivered."""
    try:
        return _answer(shot, here, verifier, directory)
    except Exception as error:
        return f"surprise: {type(error).__name__}"


def _answer(shot: Shot, here: World, verifier: DocumentVerifier, directory: AgencyDirectory) -> str:
    if shot.exchange == "receipts":
        return ReceiptVerifier(here.store()).verify(shot.body, here.now, "truc-dev").verdict.reason.value
    lane, message = incoming(shot)
    taken = accept.accept(message, lane, POLICY, here.now)
    if isinstance(taken, accept.Unanswerable):
        return taken.code.value
    assert isinstance(taken, accept.Submission)
    if taken.refusal is not None and taken.refusal is not Code.BAD_DEADLINE:
        return taken.refusal.value
    examined = verify.examine(verifier, here.form, taken.body, taken.kind, here.now)
    if "surprise" in examined.verdict.detail:
        return "surprise: " + examined.verdict.detail.rpartition(" ")[2]
    judged = verify.judge(taken, examined, directory, vietnam_day(here.now))
    if judged.refusal is not None:
        return judged.refusal.value
    assert isinstance(judged, verify.Proven)
    if judged.envelope.kind is Kind.STATUS:
        return "OK"
    routed = route.route(
        judged.envelope, taken.sha256, len(taken.body), lane, directory, route.RouteLimits(), here.now
    )
    return routed.refusal.value if routed.refusal is not None else "OK"


def answers(cases: Iterable[Case], here: World, verifier: DocumentVerifier | None = None) -> dict[str, str]:
    """Return the code of each case that needs no history, by a fresh verifier unless told otherwise."""
    verifier, directory = verifier or here.verifier(), here.directory
    return {case.key: answer(here.built[case.key][-1], here, verifier, directory) for case in cases}


def inside() -> list[Case]:
    """All cases that need no broker."""
    return [case for case in CASES if case.where is not Where.OUTSIDE]


@cache
def baseline() -> dict[str, str]:
    """What the verifier as it is answers to each case that one look at bytes and properties decides."""
    here = world()
    cases = [case for case in inside() if case.outcome is Outcome.REFUSED]
    found = answers(cases, here)
    alone = {case.key for case in cases if len(here.built[case.key]) == 1}
    # of what needs a history only that which is refused before history is asked
    return {key: code for key, code in found.items() if key in alone or code != "OK"}


def stateless() -> list[Case]:
    """The cases of ``baseline``."""
    return [case for case in inside() if case.key in baseline()]
