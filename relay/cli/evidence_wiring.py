"""Puts the keeper's duty over the evidence together from the settings. Nothing here decides anything."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta

from relay.errors import Code, ConfigurationError
from relay.evidence.sealing import SealingPolicy
from relay.evidence.signer import RelaySigner
from relay.evidence.witness import Witness
from relay.keeper.evidence import Authority, EvidenceDuty, EvidencePolicy
from relay.model.keeping import EvidenceStore, TimeStamp
from relay.model.ports import Clock
from relay.observe.clock import SystemClock
from relay.settings import Settings
from relay.trust.chain import read_certificates
from relay.trust.detached import verify_detached
from relay.trust.timestamp import TokenJudge, ask, check_time, question, read_answer

_NONCE_BITS = 64


def evidence_duty(
    settings: Settings, store: EvidenceStore, signer: RelaySigner, clock: Clock, active: Callable[[], bool]
) -> EvidenceDuty:
    """Return the duty. Raises ``ConfigurationError`` CONFIG-INVALID: an authority without roots."""
    own = settings.evidence
    return EvidenceDuty(
        store,
        settings.relay.name,
        signer.sign_text,
        EvidencePolicy(
            SealingPolicy(timedelta(seconds=own.seal_s), own.batch_records, timedelta(seconds=own.head_s)),
            own.check_records,
            timedelta(seconds=own.stamp_s),
        ),
        clock,
        authority(settings, clock),
        active,
    )


def token_judge(settings: Settings) -> TokenJudge | None:
    """Return who judges time-stamps; None: no authority's roots are configured."""
    roots = [one for path in settings.evidence.authority_anchors for one in read_certificates(path)]
    return TokenJudge(roots) if roots else None


def authority(settings: Settings, clock: Clock) -> Authority | None:
    """Return what asks the configured authority and judges its answer; None: there is none."""
    own, skew = settings.evidence, timedelta(seconds=settings.trust.clock_skew_s)
    if not own.authority:
        return None
    judge = token_judge(settings)
    if judge is None:
        raise ConfigurationError(
            Code.CONFIG_INVALID, "evidence.authority needs evidence.authority_anchors to be judged by"
        )

    def stamp(text: bytes) -> TimeStamp:
        nonce = secrets.randbits(_NONCE_BITS)
        asked, before = question(hashlib.sha256(text).digest(), nonce), clock.now()
        token = read_answer(ask(own.authority, asked, own.authority_timeout_s))
        stamped = judge.judge(token, text, nonce)
        check_time(stamped, before, clock.now(), skew)
        return TimeStamp(0, own.authority, stamped.at, token)

    return stamp


def witness_of(settings: Settings, store: EvidenceStore) -> Witness:
    """Return who takes what other relays hand over: judged by the anchors, answered by the relay's key."""
    from relay.cli.wiring import trust_store

    clock, trust, relay = SystemClock(), trust_store(settings), settings.relay

    def check(line: bytes, text: bytes, kind: str) -> str:
        return verify_detached(line, text, kind, trust, clock.now()).relay

    def sign(text: bytes, kind: str) -> bytes:
        signer = RelaySigner(
            relay.name,
            relay.key,
            relay.certificates,
            clock,
            trust,
            password_file=relay.key_password_file,
            second=relay.second.place(),
        )
        return signer.sign_text(text, kind)

    return Witness(store, relay.name, check, sign, clock.now)
