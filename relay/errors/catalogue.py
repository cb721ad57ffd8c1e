"""The catalogue of codes: texts, owner, retryability and remedy, read once from ``config/errors.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import yaml

from relay.errors.codes import Code
from relay.resources import shipped

Owner = Literal["sender", "recipient", "gateway", "relay", "operator"]
Language = Literal["vi", "en"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One code of the catalogue."""

    code: Code
    owner: Owner
    retryable: bool
    message: dict[Language, str]
    remedy: dict[Language, str]


@cache
def catalogue() -> dict[Code, Entry]:
    """Return every entry by its code. Raises ``KeyError``/``ValueError`` when the shipped file is damaged."""
    raw = yaml.safe_load(shipped("config/errors.yaml").read_text(encoding="utf-8"))
    return {
        Code(code): Entry(Code(code), body["owner"], bool(body["retryable"]), body["message"], body["remedy"])
        for code, body in raw.items()
    }


def entry(code: Code) -> Entry:
    """Return the entry of one code."""
    return catalogue()[code]
