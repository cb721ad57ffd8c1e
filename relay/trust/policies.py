"""Certificate policies on a path (RFC 5280, 6.1): explicit policy, inhibited anyPolicy, and the policies of the settings.

Policies are never mapped here: the set of valid policies is the intersection along the path, anyPolicy standing for all
where it is not inhibited. Where an explicit policy is required, an authority that maps policies is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from relay.errors import Code, RefusedError
from relay.trust.certificate import Certificate

_ANY: Final = "2.5.29.32.0"
_MAPPINGS: Final = x509.ObjectIdentifier("2.5.29.33")


@dataclass(slots=True)
class _State:
    explicit: int  # certificates after which a policy has to be valid
    inhibit_any: int  # certificates after which anyPolicy means nothing
    every: bool = True  # all policies are valid so far
    valid: frozenset[str] = frozenset()

    @property
    def none(self) -> bool:
        return not self.every and not self.valid


def check_policies(path: Sequence[Certificate], wanted: frozenset[str]) -> None:
    """Hold a path (leaf first, anchor last) to the policies that its authorities and the settings require.

    Args:
        path: at least the leaf and the anchor.
        wanted: dotted policies of which one has to be valid for the whole path; empty: any, and none unless an
            authority requires one.

    Raises:
        RefusedError: BAD-CERTIFICATE.
    """
    below = list(reversed(path[:-1]))
    state = _State(explicit=0 if wanted else len(below) + 1, inhibit_any=len(below) + 1)
    mapped = ""
    for index, certificate in enumerate(below):
        leaf = index == len(below) - 1
        self_issued = certificate.x509.subject == certificate.x509.issuer
        _take(state, certificate, any_counts=state.inhibit_any > 0 or (self_issued and not leaf))
        mapped = mapped or (certificate.subject if _maps(certificate) else "")
        if leaf or not self_issued:
            state.explicit = max(0, state.explicit - 1)
        if not leaf and not self_issued:
            state.inhibit_any = max(0, state.inhibit_any - 1)
        _tighten(state, certificate, leaf=leaf)
        if state.explicit == 0 and state.none:
            raise RefusedError(Code.BAD_CERTIFICATE, f"{certificate.subject}: no certificate policy is valid")
    if state.explicit:
        return
    if mapped:
        raise RefusedError(Code.BAD_CERTIFICATE, f"{mapped}: policy mappings are not understood")
    if wanted and not state.every and not (state.valid & wanted):
        raise RefusedError(
            Code.BAD_CERTIFICATE, f"{path[0].subject}: none of the certificate policies that are asked for"
        )


def _take(state: _State, certificate: Certificate, *, any_counts: bool) -> None:
    try:
        value = certificate.x509.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        state.every, state.valid = False, frozenset()
        return
    found = {each.policy_identifier.dotted_string for each in value}
    any_counts = any_counts and _ANY in found
    named = frozenset(one for one in found - {_ANY} if state.every or one in state.valid)
    state.valid = named | (state.valid if any_counts else frozenset())
    state.every = state.every and any_counts


def _tighten(state: _State, certificate: Certificate, *, leaf: bool) -> None:
    for extension in certificate.x509.extensions:
        value = extension.value
        if isinstance(value, x509.PolicyConstraints) and value.require_explicit_policy is not None:
            if not leaf or value.require_explicit_policy == 0:
                state.explicit = min(state.explicit, value.require_explicit_policy)
        elif isinstance(value, x509.InhibitAnyPolicy) and not leaf:
            state.inhibit_any = min(state.inhibit_any, value.skip_certs)


def _maps(certificate: Certificate) -> bool:
    return any(extension.oid == _MAPPINGS for extension in certificate.x509.extensions)
