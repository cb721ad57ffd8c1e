"""The attack corpus: named cases, each with what describes it, what it attacks and the code that must answer it.

Everything is made at run time by code from a development CA: no key and no signed file is kept. ``tests/attacks`` runs
the corpus inside the process, with each check of the verifier switched off in turn; ``truc conformance attacks`` runs
it against a relay from outside.
"""

from __future__ import annotations

from typing import Final

from relay.sandbox.attacks import (
    algorithms,
    answers,
    certificates,
    content,
    manifest,
    parsing,
    references,
    speaking,
    wrapping,
)
from relay.sandbox.attacks.case import Case, Family, Outcome, Shot, Where
from relay.sandbox.attacks.forge import AGENCIES, RECIPIENT, SENDER, SUSPENDED, THIRD, Forge
from relay.sandbox.attacks.papers import Papers, Signer

FAMILIES: Final[tuple[Family, ...]] = (
    wrapping.FAMILY,
    references.REFERENCES,
    references.TRANSFORMS,
    parsing.ENTITIES,
    parsing.ENCODING,
    parsing.LOOKALIKE,
    content.SPLITTING,
    content.NAMESPACES,
    content.VALUES,
    content.FILES,
    content.EXHAUSTION,
    algorithms.ALGORITHMS,
    algorithms.KEYS,
    algorithms.VALUES,
    algorithms.MALLEABLE,
    manifest.FAMILY,
    certificates.CHAINS,
    certificates.REVOCATION,
    answers.FAMILY,
    certificates.KEY_INFO,
    speaking.SPEAKING,
    speaking.STATUSES,
    speaking.REPLAY,
    speaking.RECEIPTS,
    speaking.READER,
    speaking.TIME,
    speaking.DOORS,
)
CASES: Final[tuple[Case, ...]] = tuple(case for family in FAMILIES for case in family.cases)

__all__ = [
    "AGENCIES",
    "CASES",
    "FAMILIES",
    "RECIPIENT",
    "SENDER",
    "SUSPENDED",
    "THIRD",
    "Case",
    "Family",
    "Forge",
    "Outcome",
    "Papers",
    "Shot",
    "Signer",
    "Where",
]
