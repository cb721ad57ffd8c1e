"""``truc evidence``: gathers what the relay holds about one submission into a case, and asks for a head."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPResponseStatus

from relay.directory.snapshot import AgencyDirectory
from relay.directory.write import entry
from relay.errors import Code, OperationError
from relay.evidence.case import Case
from relay.evidence.heads import HEAD_TYPE, read_head
from relay.evidence.judging import issued
from relay.evidence.proof import Found, Proof, find, prove
from relay.evidence.record import decode
from relay.model.agency import Agency
from relay.model.evidence import SignedHead, Submission
from relay.model.keeping import EvidenceStore
from relay.model.ports import Clock, Registry
from relay.model.record import Document
from relay.model.times import rfc3339, vietnam_day
from relay.trust.chain import TrustStore
from relay.trust.detached import open_detached

_PEM_END = "-----END CERTIFICATE-----"


def records_about(log: EvidenceStore, transport_id: str) -> list[Found]:
    """Return the records about a transport id.

    Raises:
        OperationError: NOT-FOUND: there is none.
    """
    found = find(log, transport_id, log.mentioning)
    if not found:
        raise OperationError(Code.NOT_FOUND, f"nothing is on record under {transport_id}")
    return found


def gather(
    transport_id: str,
    *,
    relay: str,
    registry: Registry,
    log: EvidenceStore,
    directory: AgencyDirectory | None,
    store: TrustStore,
    elsewhere: Sequence[SignedHead],
    now: datetime,
) -> Case:
    """Return the case of a submission.

    Args:
        transport_id: as sent.
        relay: the relay's name.
        registry: has the receipts' bytes and the verdicts in full.
        log: the evidence as stored.
        directory: the one in force; None: there is none to be read.
        store: has the revocation lists and answers.
        elsewhere: heads that the other side has.
        now: the time of the export.

    Raises:
        OperationError: NOT-FOUND: nothing is on record. EVIDENCE-PENDING: no head covers it yet.
    """
    found = records_about(log, transport_id)
    proof = prove(log, found, elsewhere)
    documents = registry.find(transport_id)
    submissions = [facts for _, _, octets in found if isinstance(facts := decode(octets).facts, Submission)]
    agencies = _agencies(directory, submissions)
    signers = _signers(agencies, submissions)
    relay_chain = _relay_chain(proof)
    known = _known(store, agencies, relay_chain)
    authorities = _authorities(known, signers)
    # Years later nobody else has the lists of today: those about the authorities and about the relay's own certificate too.
    about = dict.fromkeys((*signers, *authorities, *relay_chain, *_authorities(known, relay_chain)))
    lists, answers = _revocation(store, about)
    return Case(
        relay=relay,
        transport_id=transport_id,
        exported_at=rfc3339(now),
        proof=proof,
        receipts=tuple(_receipts(registry, transport_id, documents)),
        certificates=tuple(dict.fromkeys((*signers, *authorities))),
        revocation_lists=lists,
        ocsp_answers=answers,
        told={
            "documents": [_document(one) for one in documents],
            "directory": _directory(directory, agencies, documents),
        },
    )


def _receipts(registry: Registry, transport_id: str, documents: Iterable[Document]) -> Iterable[bytes]:
    held = [one for document in documents for one in registry.receipts(document.row)]
    held += [*registry.refused(transport_id), *registry.notices(transport_id)]
    return dict.fromkeys(one.body for one in held)


def _agencies(directory: AgencyDirectory | None, submissions: Iterable[Submission]) -> list[Agency]:
    if directory is None:
        return []
    codes = dict.fromkeys(
        code
        for one in submissions
        for code in (one.sender, one.user, *(line.recipient for line in one.lines))
        if code
    )
    found = [agency for code in codes if (agency := directory.agency(code)) is not None]
    gateways = dict.fromkeys(one.gateway for one in found if one.gateway and one.gateway not in codes)
    return [*found, *(agency for code in gateways if (agency := directory.agency(code)) is not None)]


def _signers(agencies: Iterable[Agency], submissions: Iterable[Submission]) -> list[bytes]:
    """The certificates that the records name, and what was registered with them."""
    wanted = {one.verdict.certificate_sha256 for one in submissions if one.verdict is not None}
    pems = [
        pem
        for agency in agencies
        for certificate in agency.certificates
        if certificate.sha256 in wanted
        for pem in (certificate.pem, *certificate.chain)
    ]
    return [
        each.public_bytes(Encoding.DER)
        for pem in dict.fromkeys(pems)
        for each in x509.load_pem_x509_certificates(pem.encode())
    ]


def _known(
    store: TrustStore, agencies: Iterable[Agency], relay_chain: Iterable[bytes]
) -> list[x509.Certificate]:
    """What the relay knows that may have issued a signer's certificate: anchors, what lies between, what came with its own."""
    pems = [pem for agency in agencies for one in agency.certificates for pem in one.chain]
    known = [each.x509 for each in chain.from_iterable(store.authorities())]
    known += [x509.load_der_x509_certificate(der) for der in relay_chain]
    known += [each for pem in dict.fromkeys(pems) for each in x509.load_pem_x509_certificates(pem.encode())]
    return list(dict.fromkeys(known))


def _relay_chain(proof: Proof) -> list[bytes]:
    """The certificates that came with the heads' signatures."""
    return list(
        dict.fromkeys(
            each.der
            for checkpoint in proof.heads
            for each in open_detached(checkpoint.head.signature, checkpoint.head.text, HEAD_TYPE)
        )
    )


def _authorities(known: Sequence[x509.Certificate], signers: Iterable[bytes]) -> list[bytes]:
    """What leads from the signers to an anchor, as far as the relay knows it."""
    wanted = [x509.load_der_x509_certificate(der) for der in signers]
    out: list[bytes] = []
    while wanted:
        below = wanted.pop()
        for each in known:
            der = each.public_bytes(Encoding.DER)
            if der not in out and below.issuer != below.subject and issued(below, each):
                out.append(der)
                wanted.append(each)
    return out


def _revocation(store: TrustStore, signers: Iterable[bytes]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    certificates = [x509.load_der_x509_certificate(der) for der in signers]
    issuers = {each.issuer.public_bytes() for each in certificates}
    lists = [
        each.public_bytes(Encoding.DER)
        for issuer, held in store.lists().by_issuer().items()
        if issuer in issuers
        for each in held
    ]
    serials = {each.serial_number for each in certificates}
    answers = [
        each.public_bytes(Encoding.DER)
        for each in store.answers().values()
        if each.response_status is OCSPResponseStatus.SUCCESSFUL and each.serial_number in serials
    ]
    return tuple(lists), tuple(answers)


def _document(one: Document) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "sender": one.sender,
        "kind": one.kind.value,
        "accepted_at": rfc3339(one.accepted_at),
        "document_id": one.document_id,
        "code": one.code,
        "sha256": one.body_sha256,
        "bytes": one.body_bytes,
        "directory_version": one.directory_version,
        "verdict": {
            "intact": verdict.intact,
            "trusted": verdict.trusted,
            "reason": verdict.reason.value,
            "signer": verdict.signer,
            "certificate_sha256": verdict.certificate_sha256,
            "chain": list(verdict.chain),
            "algorithm": verdict.algorithm,
            "profile": verdict.profile,
            "verified_at": rfc3339(verdict.verified_at),
            "revocation": {
                "state": verdict.revocation.state.value,
                "source": verdict.revocation.source.value,
                "made_at": rfc3339(verdict.revocation.made_at) if verdict.revocation.made_at else "",
            },
        },
    }


def _directory(
    directory: AgencyDirectory | None, agencies: Iterable[Agency], documents: Sequence[Document]
) -> dict[str, Any]:
    if directory is None:
        return {}
    day = vietnam_day(documents[0].accepted_at) if documents else None
    recorded = sorted({one.directory_version for one in documents})
    entries = []
    for agency in agencies:
        shown = entry(agency)
        shown.pop("users", None)  # how a gateway logs in is nobody's concern here
        if day is not None:
            shown["name_that_day"] = agency.name_on(day)
        entries.append(shown)
    return {
        "version": directory.version,
        "recorded_versions": recorded,
        "same": recorded == [directory.version],
        "day": day.isoformat() if day else "",
        "agencies": entries,
    }


def ask_for_head(
    log: EvidenceStore, clock: Clock, wait: Callable[[float], object], seconds: float
) -> SignedHead:
    """Ask the keeper for a head and wait for it.

    Args:
        log: the evidence as stored.
        clock: time.
        wait: waits for so many seconds.
        seconds: how long to wait in all.

    Raises:
        OperationError: EVIDENCE-PENDING: no keeper signed one in time.
    """
    before = log.last_head()
    log.ask_head(clock.now())
    until = clock.monotonic() + seconds
    while True:
        newest = log.last_head()
        if newest is not None and (before is None or newest.number > before.number):
            return newest.signed
        if log.asked() is None and newest is not None:
            return newest.signed  # the keeper saw that there is nothing new to sign
        if clock.monotonic() >= until:
            raise OperationError(
                Code.EVIDENCE_PENDING, f"no keeper signed a head within {seconds:g} s: is one running?"
            )
        wait(0.2)


def head_facts(signed: SignedHead) -> dict[str, Any]:
    """Return a head as facts."""
    head = read_head(signed.text)
    return {
        "relay": head.relay,
        "number": head.number,
        "life": head.life,
        "base": head.base,
        "size": head.size,
        "records": head.records,
        "root": head.root.hex(),
        "at": head.at,
        "previous": head.previous.hex(),
        "sha256": hashlib.sha256(signed.text).hexdigest(),
    }
