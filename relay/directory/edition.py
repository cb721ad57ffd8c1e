"""The directory as a signed file that a relay publishes and others follow.

::

    {"protected":"…","signature":"…"}                     one line: JWS over all that follows (``relay.trust.detached``)
    {"format":"urn:truc:directory:1","relay":"truc-dev","serial":18,"ancestors":["<sha256>", …],
     "issued_at":"…Z","expires_at":"…Z","note":"…",
     "agencies":[…]}                                      whole: entries as in a directory file

A difference has ``base`` (hash of the edition that it leads on from), ``put``, ``drop``, ``result`` and the signature
line of the whole edition, ``signature``, in the place of ``agencies``: who applies it holds the whole one, signed. An edition is named by the SHA-256 of its payload; ``ancestors`` are the names of those before it, the
latest first: whoever missed some still sees that this one leads on from what he has. A difference and the whole edition
of the same serial have one name, that of the whole one, which a difference states as ``result``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from relay.directory.jsontext import loads
from relay.directory.write import entry
from relay.errors import Code, ConfigurationError, RefusedError
from relay.model.agency import Agency
from relay.model.times import rfc3339
from relay.trust.chain import TrustStore
from relay.trust.detached import MAX_LINE, sign_detached, verify_detached
from relay.trust.sign import PrivateKey

FORMAT: Final = "urn:truc:directory:1"
KIND: Final = "truc-directory+json"
ANCESTORS: Final = 64
MAX_BYTES: Final = 256 * 1024 * 1024
_HEAD: Final = frozenset({"format", "relay", "serial", "ancestors", "issued_at", "expires_at", "note"})
_WHOLE: Final = _HEAD | {"agencies"}
_DIFFERENCE: Final = _HEAD | {"base", "put", "drop", "result", "signature"}


@dataclass(frozen=True, slots=True)
class Edition:
    """One published state of the directory."""

    name: str  # lower-case hex SHA-256 of the whole payload
    relay: str
    serial: int
    ancestors: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    note: str
    agencies: tuple[Mapping[str, Any], ...]  # entries as in a directory file

    @property
    def half_life(self) -> datetime:
        """When it is time for the next one: whoever follows is warned from here on."""
        return self.issued_at + (self.expires_at - self.issued_at) / 2


@dataclass(frozen=True, slots=True)
class Difference:
    """What leads from one edition to the next."""

    base: str
    edition: Edition  # without agencies
    put: tuple[Mapping[str, Any], ...]
    drop: tuple[str, ...]
    signature: str  # line of the whole edition


def next_edition(
    agencies: Iterable[Agency],
    before: Edition | None,
    relay: str,
    issued_at: datetime,
    expires_at: datetime,
    note: str = "",
) -> Edition:
    """Return the edition that follows ``before`` (None: the first)."""
    edition = Edition(
        name="",
        relay=relay,
        serial=before.serial + 1 if before else 1,
        ancestors=(before.name, *before.ancestors)[:ANCESTORS] if before else (),
        issued_at=issued_at,
        expires_at=expires_at,
        note=note,
        agencies=tuple(entry(agency) for agency in agencies),
    )
    return _named(edition)


def seal(edition: Edition, key: PrivateKey, chain_pem: bytes) -> bytes:
    """Return the signed file of a whole edition. Raises ``ConfigurationError`` KEY-UNUSABLE."""
    payload = _payload(edition)
    return sign_detached(payload, key, chain_pem, KIND) + b"\n" + payload


def seal_difference(before: Edition, after: Edition, key: PrivateKey, chain_pem: bytes) -> bytes:
    """Return the signed file that leads from one edition to the next. Raises ``ConfigurationError`` KEY-UNUSABLE."""
    old = {one["code"]: one for one in before.agencies}
    new = {one["code"]: one for one in after.agencies}
    whole = sign_detached(_payload(after), key, chain_pem, KIND)
    payload = _json({
        **_head(after),
        "signature": whole.decode(),
        "base": before.name,
        "put": [one for code, one in new.items() if old.get(code) != one],
        "drop": sorted(old.keys() - new.keys()),
        "result": after.name,
    })  # fmt: skip
    return sign_detached(payload, key, chain_pem, KIND) + b"\n" + payload


def read(content: bytes, store: TrustStore, at: datetime) -> Edition | Difference:
    """Read a signed file: the signature first, then what it says.

    Whether it is out of date is for whoever follows to judge; the signer's certificate has to hold at ``at``.

    Raises:
        ConfigurationError: DIRECTORY-INVALID, with what is wrong.
    """
    if len(content) > MAX_BYTES:
        raise _invalid(f"larger than {MAX_BYTES // 1024**2} MiB")
    line, end, payload = content[: MAX_LINE + 1].partition(b"\n")
    payload = content[len(line) + 1 :] if end else b""
    try:
        signed = verify_detached(line, payload, KIND, store, at)
    except RefusedError as refused:
        raise _invalid(f"{refused.code.value}: {refused.detail}") from refused
    try:
        raw = loads(payload.decode("utf-8"))
        found = _read(raw, payload)
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise _invalid("signed, but not a directory of version 1") from fault
    relay = found.relay if isinstance(found, Edition) else found.edition.relay
    if relay != signed.relay:
        raise _invalid(f"names the relay {relay}, signed by {signed.relay}")
    return found


def opened(content: bytes) -> Edition:
    """Return the whole edition of a file that we published or kept ourselves, without looking at its signature.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: it was damaged, or is a difference.
    """
    payload = content.partition(b"\n")[2]
    try:
        found = _read(loads(payload.decode("utf-8")), payload)
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise _invalid("not a published edition") from fault
    if isinstance(found, Difference):
        raise _invalid("a difference, not a whole edition")
    return found


def apply(base: Edition, difference: Difference) -> tuple[Edition, bytes]:
    """Return the edition that a difference makes of the one that it leads on from, and its signed file.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: it leads on from another one, or makes something else than it says.
    """
    if difference.base != base.name:
        raise _invalid("the difference leads on from another edition")
    changed = {one["code"]: one for one in difference.put}
    kept = [changed.pop(one["code"], one) for one in base.agencies if one["code"] not in difference.drop]
    head = difference.edition
    made = Edition(
        "", head.relay, head.serial, head.ancestors, head.issued_at, head.expires_at, head.note,
        (*kept, *changed.values()),
    )  # fmt: skip
    # The order of the whole edition is unknown to the difference: both are put in order of codes.
    made = _named(made)
    if made.name != head.name:
        raise _invalid("the difference makes something else than it says")
    return made, difference.signature.encode() + b"\n" + _payload(made)


def _named(edition: Edition) -> Edition:
    ordered = Edition(
        "", edition.relay, edition.serial, edition.ancestors, edition.issued_at, edition.expires_at, edition.note,
        tuple(sorted(edition.agencies, key=lambda one: str(one["code"]))),
    )  # fmt: skip
    name = hashlib.sha256(_payload(ordered)).hexdigest()
    return Edition(
        name, ordered.relay, ordered.serial, ordered.ancestors, ordered.issued_at, ordered.expires_at, ordered.note,
        ordered.agencies,
    )  # fmt: skip


def _head(edition: Edition) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "relay": edition.relay,
        "serial": edition.serial,
        "ancestors": list(edition.ancestors),
        "issued_at": rfc3339(edition.issued_at),
        "expires_at": rfc3339(edition.expires_at),
        "note": edition.note,
    }


def _payload(edition: Edition) -> bytes:
    return _json({**_head(edition), "agencies": list(edition.agencies)})


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _read(raw: Any, payload: bytes) -> Edition | Difference:  # noqa: ANN401
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ValueError("another format")
    if raw.keys() == _WHOLE:
        return _edition(raw, hashlib.sha256(payload).hexdigest(), _entries(raw["agencies"]))
    if raw.keys() == _DIFFERENCE:
        drop = tuple(_text(one) for one in raw["drop"])
        return Difference(
            _text(raw["base"]),
            _edition(raw, _text(raw["result"]), ()),
            _entries(raw["put"]),
            drop,
            _text(raw["signature"]),
        )
    raise ValueError("neither whole nor a difference")


def _edition(raw: dict[str, Any], name: str, agencies: tuple[Mapping[str, Any], ...]) -> Edition:
    serial, issued, expires = raw["serial"], _moment(raw["issued_at"]), _moment(raw["expires_at"])
    if isinstance(serial, bool) or not isinstance(serial, int) or serial < 1 or expires <= issued:
        raise ValueError("serial and validity")
    ancestors = tuple(_text(one) for one in raw["ancestors"])
    if len(ancestors) != min(serial - 1, ANCESTORS):
        raise ValueError("ancestors")
    return Edition(
        name, _text(raw["relay"]), serial, ancestors, issued, expires, _text(raw["note"]), agencies
    )


def _entries(raw: Any) -> tuple[Mapping[str, Any], ...]:  # noqa: ANN401
    if not isinstance(raw, list) or not all(
        isinstance(one, dict) and isinstance(one.get("code"), str) for one in raw
    ):
        raise ValueError("agencies")
    for one in raw:
        for certificate in one.get("certificates") or ():
            pem = certificate.get("pem") if isinstance(certificate, dict) else certificate
            if not isinstance(pem, str) or "-----BEGIN" not in pem:
                raise ValueError("a signed directory holds its certificates and names no files")
    return tuple(raw)


def _text(raw: Any) -> str:  # noqa: ANN401
    if not isinstance(raw, str):
        raise TypeError("not a text")
    return raw


def _moment(raw: Any) -> datetime:  # noqa: ANN401
    moment = datetime.fromisoformat(_text(raw))
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment.astimezone(UTC)


def _invalid(problem: str) -> ConfigurationError:
    return ConfigurationError(Code.DIRECTORY_INVALID, f"signed directory: {problem}")
