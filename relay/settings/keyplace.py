"""Where a signing key is kept, as an operator names it: a file, or a key in a PKCS#11 token by its URI (RFC 7512)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from relay.errors import Code, ConfigurationError

SCHEME: Final = "pkcs11:"
PKCS12: Final = frozenset({".p12", ".pfx"})
_PATH: Final = frozenset({"token", "object", "id", "serial", "slot-id", "type"})
_QUERY: Final = frozenset({"module-path", "pin-source"})
_FILE: Final = re.compile(r"(?:file:(?://(?:localhost)?(?=/))?)?(/.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """Which key of which token, through which module, with the PIN from which file. Holds no secret."""

    module_path: str
    pin_source: Path
    token: str = ""
    serial: str = ""
    slot_id: int | None = None
    object: str = ""
    id: bytes = b""

    @property
    def token_name(self) -> str:
        """What tells tokens of a module apart."""
        return f"{self.token}\n{self.serial}\n{self.slot_id}"

    def __str__(self) -> str:
        """The key as it may be shown: without module and PIN."""
        parts = [f"token={self.token}" if self.token else "", f"serial={self.serial}" if self.serial else ""]
        parts += [f"slot-id={self.slot_id}"] if self.slot_id is not None else []
        parts += [f"object={self.object}" if self.object else "", f"id={self.id.hex()}" if self.id else ""]
        return SCHEME + ";".join(filter(None, parts))


def is_uri(place: str) -> bool:
    """Whether a key's place is a PKCS#11 URI and not a file."""
    return place.startswith(SCHEME)


def parse(text: str) -> Pkcs11Uri:
    """Read a URI.

    Raises:
        ConfigurationError: KEY-UNUSABLE. What is wrong is named, no value is repeated: it could be a PIN.
    """
    if not is_uri(text):
        raise _fault("does not begin with pkcs11:")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    values = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
    if unquote(values.get("type", "private")) != "private":
        raise _fault("type has to be private")
    for needed in ("module-path", "pin-source"):
        if not values.get(needed):
            raise _fault(f"{needed} is missing")
    if not (values.get("token") or values.get("serial") or values.get("slot-id")):
        raise _fault("token, serial or slot-id is missing")
    if not (values.get("object") or values.get("id")):
        raise _fault("object or id is missing")
    source = _FILE.fullmatch(unquote(values["pin-source"]))
    module = unquote(values["module-path"])
    if source is None or not module.startswith("/"):
        raise _fault("module-path and the file of pin-source have to be absolute paths")
    slot = values.get("slot-id", "")
    if slot and not re.fullmatch(r"[0-9]{1,19}", slot):
        raise _fault("slot-id has to be a number")
    return Pkcs11Uri(
        module_path=module,
        pin_source=Path(source[1]),
        token=unquote(values.get("token", "")),
        serial=unquote(values.get("serial", "")),
        slot_id=int(slot) if slot else None,
        object=unquote(values.get("object", "")),
        id=unquote_to_bytes(values.get("id", "")),
    )


def _attributes(text: str, separator: str, known: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, sign, value = part.partition("=")
        if name == "pin-value":
            raise _fault("pin-value is not taken: a PIN belongs in a file, named by pin-source")
        if name not in known or not sign:
            # RFC 7512, 2.3: what is not understood must not match
            shown = name if re.fullmatch(r"[a-z-]{1,24}", name) else "an attribute"
            raise _fault(f"{shown} is not understood")
        if name in found:
            raise _fault(f"{name} stands twice")
        found[name] = value
    return found


def _fault(reason: str) -> ConfigurationError:
    return ConfigurationError(Code.KEY_UNUSABLE, f"the PKCS#11 URI: {reason}")


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a key and its certificates are.

    Args:
        key: path of a PEM or PKCS#12 file (``.p12``, ``.pfx``), or a PKCS#11 URI.
        certificates: PEM files of the chain, leaf first; none: they stand in the PKCS#12 file.
        password_file: whose first line opens the PEM or PKCS#12 file; a token's PIN is named by its URI.
    """

    key: str
    certificates: tuple[Path, ...] = ()
    password_file: Path | None = None

    def secrets(self) -> tuple[Path, ...]:
        """Return the files that nobody but their owner may read."""
        if is_uri(self.key):
            return (parse(self.key).pin_source,)
        return (Path(self.key),) if self.password_file is None else (Path(self.key), self.password_file)

    def files(self) -> tuple[Path, ...]:
        """Return all files that belong to it: when one changes there may be another key."""
        return (*self.secrets(), *self.certificates)

    @property
    def holds_certificates(self) -> bool:
        """Whether the key's own file has its certificates in it."""
        return not is_uri(self.key) and Path(self.key).suffix.lower() in PKCS12

    def shown(self) -> str:
        """Return the place as it may stand in a message."""
        return str(parse(self.key)) if is_uri(self.key) else self.key
