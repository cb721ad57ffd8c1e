"""The authorities that stand with agencies' certificates: they may lead a signature to an anchor, and are trusted in nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from relay.errors import RefusedError
from relay.model.agency import Agency
from relay.trust.certificate import Certificate, read_pem


def authorities_of(agencies: Iterable[Agency]) -> tuple[Certificate, ...]:
    """Return each authority once; what cannot be used (a kind of key that is not taken) is left out."""
    texts = {text for agency in agencies for one in agency.certificates for text in one.chain}
    found: dict[str, Certificate] = {}
    for text in sorted(texts):
        try:
            certificate = read_pem(text)
        except RefusedError:
            continue
        found[certificate.sha256] = certificate
    return tuple(found.values())


def signers_of(agencies: Iterable[Agency], now: datetime) -> tuple[Certificate, ...]:
    """Return the certificates that may sign now for some agency or gateway, each once."""
    texts = {one.sha256: one.pem for agency in agencies for one in agency.certificates if one.signs_at(now)}
    found = []
    for text in texts.values():
        try:
            certificate = read_pem(text)
        except RefusedError:
            continue
        if certificate.not_before <= now <= certificate.not_after:
            found.append(certificate)
    return tuple(found)
