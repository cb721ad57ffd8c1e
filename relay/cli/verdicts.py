"""A verdict as facts: the same in every command that prints one."""

from __future__ import annotations

from typing import Any

from relay.model.verdict import Verdict


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict for ``--json``."""
    revocation = verdict.revocation
    return {
        "intact": verdict.intact,
        "trusted": verdict.trusted,
        "reason": verdict.reason.value,
        "profile": verdict.profile,
        "signer": verdict.signer,
        "on_behalf_of": verdict.on_behalf_of,
        "certificate_sha256": verdict.certificate_sha256,
        "chain": list(verdict.chain),
        "algorithm": verdict.algorithm,
        "revocation": {
            "state": revocation.state.value,
            "source": revocation.source.value,
            "made_at": revocation.made_at,
        },
        "verified_at": verdict.verified_at,
        "vouched_by": verdict.vouched.value,
    }
