"""Structured logs: one JSON object a line, UTC, an event's name and facts from a closed list.

There is no free text of ours: whoever logs names an event and gives facts. Names of facts that are not in ``FACTS`` are
dropped (and raise where ``TRUC_LOG_STRICT`` is set, as in the tests). Values are cut, and what looks like a secret is
struck out, so that neither a password, a key nor a person's data gets through by mistake.
"""

from __future__ import annotations

import json
import logging
import os
import re
import traceback
from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import Enum
from logging.handlers import WatchedFileHandler
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from relay.errors import TrucError

ROOT: Final = "truc"
STRUCK: Final = "***"
# JSON lets these stand, some readers of lines break at them.
_SEPARATORS: Final = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_LONGEST: Final = 500

LevelName = Literal["debug", "info", "warning", "error"]
LEVELS: Final[dict[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_IDENT = re.compile(r"[A-Za-z0-9._:/@+*#=-]{0,200}", re.ASCII)

IDENTS: Final = frozenset({
    "transport_id", "delivery_id", "held_id", "receipt", "correlation_id", "document", "sha256", "epoch", "mark",
    "sender", "recipient", "resolved", "agency", "gateway", "user", "agency_level", "successor",
    "lane", "kind", "status", "state", "outcome", "result", "claimed", "stage", "duty", "code", "reason_code",
    "worker", "relay", "process", "host", "vhost", "queue", "exchange", "routing_key", "rung", "connection", "consumer",
    "version", "directory_version", "format", "algorithm", "profile", "certificate_sha256", "signal", "error",
    "published", "lease", "mode", "object", "permission",
})  # fmt: skip
"""Facts that are one word: identifiers, codes, names of things. Anything else under these names is struck out."""

NUMBERS: Final = frozenset({
    "bytes", "count", "recipients", "deliveries", "documents", "receipts", "attempt", "attempts", "seconds", "due_in_s",
    "delivery_count", "pid", "port", "agencies", "days_left", "batch", "session", "exit_code", "workers", "prefetch",
    "in_flight", "backlog", "rows", "line", "redelivered", "connected", "blocked", "ready", "number", "limit", "restarts",
    "refused", "queued", "deferred", "findings", "reply_code", "in_hand",
})  # fmt: skip
"""Facts that are a number or true/false."""

TIMES: Final = frozenset({"at", "due_at", "deadline_at", "accepted_at", "since", "until", "first_seen"})
"""Facts that are a point in time."""

TEXTS: Final = frozenset({"detail", "path", "url", "key", "candidates", "names"})
"""Short English texts made by our own code (an error's ``detail``), paths, addresses. Never anything of a document."""

FACTS: Final = IDENTS | NUMBERS | TIMES | TEXTS
"""Every name that a fact may have."""

_SECRETS: Final = (
    re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL),
    re.compile(r"(?<=://)[^/@\s]*@"),
    re.compile(r"(?i)\b(pass(?:word|wd|phrase)?|pwd|secret|token|cookie|authorization|api[_-]?key|private[_-]?key)\b"
               r"\W{1,3}\s*(?:bearer\s+|basic\s+)?[^\s,;&'\"]+"),
    # Base64 of some length is a key, a certificate or a document. Hashes are hex of 64 at most.
    re.compile(r"[A-Za-z0-9+/_-]{80,}={0,2}"),
)  # fmt: skip
_PERSONAL: Final = (
    re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    re.compile(r"(?<![\w-])(?:\+84|0)\d{9,11}(?![\w-])"),
)


def get(name: str) -> logging.Logger:
    """Return the logger of a module, e.g. ``get("pipeline.worker")``."""
    return logging.getLogger(f"{ROOT}.{name}")


def event(
    logger: logging.Logger,
    level: int,
    name: str,
    /,
    *,
    exc: BaseException | None = None,
    **facts: object,
) -> None:
    """Log an event.

    Args:
        logger: from ``get``.
        level: ``logging.INFO`` and so on.
        name: the event in lower case with hyphens, e.g. ``document-settled``.
        exc: an exception that goes with it: its type and place are written, its text only if it is one of ours.
        facts: names from ``FACTS``; None is left out.

    Raises:
        ValueError: an unknown fact, and only where ``TRUC_LOG_STRICT`` is set in the environment.
    """
    if not logger.isEnabledFor(level):
        return
    unknown = facts.keys() - FACTS
    if unknown:
        if os.environ.get("TRUC_LOG_STRICT"):
            raise ValueError(f"not in the list of facts: {sorted(unknown)}")
        facts = {key: value for key, value in facts.items() if key in FACTS}
    info = (type(exc), exc, exc.__traceback__) if exc is not None else None
    logger.log(level, name, exc_info=info, extra={"facts": facts})


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """Return a text without what looks like a secret or a person's address, and without the given secrets; cut."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, STRUCK)
    for pattern in _SECRETS:
        text = pattern.sub(STRUCK, text)
    for pattern in _PERSONAL:
        text = pattern.sub(STRUCK, text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":")
)  # `dumps` makes one for each call


class JsonFormatter(logging.Formatter):
    """Writes one record as one line of JSON. ``secrets`` are struck out wherever they stand."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(sorted((secret for secret in secrets if secret), key=len, reverse=True))

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix(f"{ROOT}."),
        }
        facts = getattr(record, "facts", None)
        if isinstance(facts, dict):
            line["event"] = (
                record.msg if isinstance(record.msg, str) and _IDENT.fullmatch(record.msg) else STRUCK
            )
            for key, value in facts.items():
                if key in FACTS and value is not None:
                    line[key] = self._value(key, value)
        else:
            line["event"] = "library"
            line["message"] = redact(record.getMessage(), self._secrets)
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = self._exception(record.exc_info[1], record.exc_info[2])
        return _ENCODER.encode(line).translate(_SEPARATORS)

    def _value(self, key: str, value: object) -> object:
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, bool | int | float):
            return value
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, tuple | list | set | frozenset):
            return [self._value(key, one) for one in list(value)[:20]]
        if not isinstance(value, str | Path):
            return STRUCK
        text = str(value)
        if key in TEXTS:
            return redact(text, self._secrets)
        if key in IDENTS and _IDENT.fullmatch(text):
            # An identifier may be long, a key may not: the pattern of long base64 applies here too.
            return redact(text, self._secrets) if "@" in text or len(text) > 64 else self._known(text)
        return STRUCK

    def _known(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, STRUCK)
        return text

    def _exception(self, fault: BaseException, trace: TracebackType | None) -> dict[str, object]:
        """Type and place. The text of a foreign exception may hold anything, so only ours is written."""
        found: dict[str, object] = {"type": type(fault).__qualname__}
        if isinstance(fault, TrucError):
            found["code"] = fault.code.value
            found["detail"] = redact(fault.detail, self._secrets)
        elif isinstance(fault, OSError) and fault.errno is not None:
            found["errno"] = fault.errno
        frames = traceback.extract_tb(trace)[-8:]
        found["at"] = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        cause = fault.__cause__
        if cause is not None:
            found["cause"] = type(cause).__qualname__
        return found


class _OursOrWarning(logging.Filter):
    """Lets libraries through from WARNING on."""

    def filter(self, record: logging.LogRecord) -> bool:
        ours = record.name == ROOT or record.name.startswith(f"{ROOT}.")
        return ours or record.levelno >= logging.WARNING


def configure(
    level: str = "info", file: Path | None = None, *, secrets: Sequence[str] = ()
) -> logging.Handler:
    """Send the process's logs to a file (it may be rotated from outside) or to standard error.

    Args:
        level: debug, info, warning or error.
        file: path to append to; its folder must exist.
        secrets: passwords that this process holds, struck out wherever they turn up.

    Returns:
        The handler, for ``unconfigure``.
    """
    handler: logging.Handler = WatchedFileHandler(file, encoding="utf-8") if file else logging.StreamHandler()
    handler.setFormatter(JsonFormatter(secrets))
    handler.addFilter(_OursOrWarning())
    logging.getLogger().addHandler(handler)
    logging.getLogger(ROOT).setLevel(LEVELS[level])
    return handler


def unconfigure(handler: logging.Handler) -> None:
    """Take back what ``configure`` did."""
    logging.getLogger().removeHandler(handler)
    logging.getLogger(ROOT).setLevel(logging.NOTSET)
    handler.close()
