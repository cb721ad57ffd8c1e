"""Writes a directory file, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from relay.errors import Code, ConfigurationError
from relay.model.agency import Admission, Agency, AgencyCertificate


def dump(path: Path, agencies: Iterable[Agency], note: str = "") -> None:
    """Replace ``path`` by a file of these agencies, JSON if its name says so, else YAML. Certificates stand inside.

    What was filled in by a default rule (levels) is left out, so that reading gives the same agencies again.

    Raises:
        ConfigurationError: DIRECTORY-INVALID, it cannot be written; the old file is untouched.
    """
    content: dict[str, Any] = {"note": note} if note else {}
    content["agencies"] = [_entry(agency) for agency in agencies]
    if path.suffix == ".json":
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    else:
        text = yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
    try:
        _replace(path, text.encode())
    except OSError as fault:
        raise ConfigurationError(
            Code.DIRECTORY_INVALID, f"{path}: cannot be written: {fault.strerror}"
        ) from fault


def _entry(agency: Agency) -> dict[str, Any]:
    entry: dict[str, Any] = {"code": agency.code, "name": agency.name}
    if not agency.level_defaulted:
        entry["level"] = agency.level.value
    if agency.parent is not None:
        entry["parent"] = agency.parent
    if agency.gateway is not None:
        entry["gateway"] = agency.gateway
        entry["queue"] = "own" if agency.own_queue else "gateway"
    if agency.aliases:
        entry["aliases"] = list(agency.aliases)
    if agency.certificates:
        entry["certificates"] = [_certificate(one) for one in agency.certificates]
    for key, day in (("valid_from", agency.valid_from), ("valid_to", agency.valid_to)):
        if day is not None:
            entry[key] = day.isoformat()
    if agency.successors:
        entry["successors"] = list(agency.successors)
    if agency.admission is not Admission.ADMITTED:
        entry["admission"] = agency.admission.value
    return entry


def _certificate(certificate: AgencyCertificate) -> Any:  # noqa: ANN401
    days = {"not_before": certificate.not_before, "not_after": certificate.not_after}
    dated = {key: day.isoformat() for key, day in days.items() if day is not None}
    return {"pem": certificate.pem, **dated} if dated else certificate.pem


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Texts of several lines as blocks, so that people can read the PEM."""


def _text(dumper: yaml.dumper.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
