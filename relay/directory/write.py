"""Writes a directory file, whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from relay.errors import Code, ConfigurationError
from relay.model.agency import Admission, Agency, AgencyCertificate, GatewayUser, LoginBy


def dump(path: Path, agencies: Iterable[Agency], note: str = "") -> None:
    """Replace ``path`` by a file of these agencies, JSON if its name says so, else YAML. Certificates stand inside.

    What was filled in by a default rule (levels) is left out, so that reading gives the same agencies again.

    Raises:
        ConfigurationError: FILE-UNUSABLE, it cannot be written; the old file is untouched.
    """
    with temporary(path, render(path, agencies, note)) as new:
        new.chmod(0o644)
        replace_file(new, path)


def render(path: Path, agencies: Iterable[Agency], note: str = "") -> bytes:
    """Return the content of a directory file of that name."""
    content: dict[str, Any] = {"note": note} if note else {}
    content["agencies"] = [entry(agency) for agency in agencies]
    if path.suffix == ".json":
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    else:
        text = yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
    return text.encode()


def entry(agency: Agency) -> dict[str, Any]:
    """Return an agency as it stands in a directory file; what a default rule filled in is left out."""
    found: dict[str, Any] = {"code": agency.code, "name": agency.name}
    if not agency.level_defaulted:
        found["level"] = agency.level.value
    if agency.parent is not None:
        found["parent"] = agency.parent
    if agency.gateway is not None:
        found["gateway"] = agency.gateway
        found["queue"] = "own" if agency.own_queue else "gateway"
    if agency.aliases:
        found["aliases"] = list(agency.aliases)
    if agency.certificates:
        found["certificates"] = [_certificate(one) for one in agency.certificates]
    for key, day in (("valid_from", agency.valid_from), ("valid_to", agency.valid_to)):
        if day is not None:
            found[key] = day.isoformat()
    if agency.successors:
        found["successors"] = list(agency.successors)
    if agency.admission is not Admission.ADMITTED:
        found["admission"] = agency.admission.value
    if agency.suspended_until is not None:
        found["suspended_until"] = agency.suspended_until.isoformat()
    if agency.former_names:
        found["former_names"] = [
            {"name": one.name, "until": one.until.isoformat()} for one in agency.former_names
        ]
    if agency.other_names:
        found["other_names"] = list(agency.other_names)
    texts = {
        "short_name": agency.short_name,
        "english_name": agency.english_name,
        "contact": agency.contact,
    }
    found.update({key: text for key, text in texts.items() if text})
    if agency.users:
        found["users"] = [_user(one) for one in agency.users]
    return found


def _user(user: GatewayUser) -> Any:  # noqa: ANN401
    entry: dict[str, str] = {"name": user.name}
    if user.by is not LoginBy.PASSWORD:
        entry["by"] = user.by.value
    if user.until is not None:
        entry["until"] = _moment(user.until)
    return entry if len(entry) > 1 else user.name


def _moment(at: datetime) -> str:
    """To the microsecond: what is read again has to be the same."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _certificate(certificate: AgencyCertificate) -> Any:  # noqa: ANN401
    days = {"not_before": certificate.not_before, "not_after": certificate.not_after}
    dated = {key: day.isoformat() for key, day in days.items() if day is not None}
    if certificate.retired_at is not None:
        dated["retired_at"] = _moment(certificate.retired_at)
    pem = "".join((certificate.pem, *certificate.chain))
    return {"pem": pem, **dated} if dated else pem


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Texts of several lines as blocks, so that people can read the PEM."""


def _text(dumper: yaml.dumper.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


@contextmanager
def temporary(path: Path, content: bytes) -> Iterator[Path]:
    """Write ``content`` to a new file beside ``path``, of the same kind, on the disk for good; remove what is left of it.

    Raises:
        ConfigurationError: FILE-UNUSABLE, it cannot be written.
    """
    name = None
    try:
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise _unwritable(path, fault) from fault
        yield Path(name)
    finally:
        if name is not None:
            Path(name).unlink(missing_ok=True)


def replace_file(new: Path, path: Path) -> None:
    """Put ``new`` in the place of ``path``, for good. Raises ``ConfigurationError`` FILE-UNUSABLE."""
    try:
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as fault:
        raise _unwritable(path, fault) from fault


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock beside a directory file while it is read, changed and replaced.

    The kernel gives it back when the process dies. Raises ``ConfigurationError`` FILE-UNUSABLE.
    """
    try:
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise _unwritable(path, fault) from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def like(old: Path, new: Path) -> None:
    """Give the new file the mode and, where we may, the owner of the old one: the relay has to read it."""
    state = old.stat()
    new.chmod(state.st_mode & 0o777)
    if (state.st_uid, state.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):
            os.chown(new, state.st_uid, state.st_gid)


def _unwritable(path: Path, fault: OSError) -> ConfigurationError:
    return ConfigurationError(Code.FILE_UNUSABLE, f"{path}: cannot be written: {fault.strerror}")
