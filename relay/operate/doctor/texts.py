"""What is written about each check: cause, remedy and owner, in both languages, from ``config/doctor.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import yaml

from relay.errors.catalogue import Language
from relay.resources import shipped

Owner = Literal["operator", "relay", "gateway"]


@dataclass(frozen=True, slots=True)
class Text:
    """One check in words. ``severity`` is ``fault`` or ``warning``."""

    severity: str
    owner: Owner
    cause: dict[Language, str]
    remedy: dict[Language, str]


@cache
def texts() -> dict[str, Text]:
    """Return what is written, by the check's name. Raises ``KeyError``/``ValueError`` when the file is damaged."""
    raw = yaml.safe_load(shipped("config/doctor.yaml").read_text(encoding="utf-8"))
    return {
        str(name): Text(body["severity"], body["owner"], body["cause"], body["remedy"])
        for name, body in raw.items()
    }
