"""Looks at workers and keeper over HTTP, and at the libraries under this installation. Reads only."""

from __future__ import annotations

import json
import re
import ssl
import sys
import time
from collections.abc import Sequence
from functools import partial
from http.client import HTTPException
from importlib import metadata
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from relay import __version__
from relay.errors import ConfigurationError
from relay.operate.doctor.facts import Answer, LibraryFacts, ProcessFacts, Unseen
from relay.operate.doctor.threads import Promise
from relay.trust.libxml import check_libxml

_TIMEOUT: Final = 5.0  # seconds for one answer
_LIMIT: Final = 10.0  # seconds for all of them
_MOST: Final = 4 * 1024 * 1024  # bytes of an answer
_BUILD: Final = re.compile(r"^truc_build_info\{([^}]*)\}", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9._-]+)\s*([^;]*)")
_BOUND: Final = re.compile(r"(==|>=|<=|<|>)\s*([0-9][0-9.]*)")


def processes(urls: Sequence[str]) -> ProcessFacts:
    """Ask each process for ``/ready`` and ``/metrics``; ``urls`` end before that path."""
    asked = [(url, Promise(partial(_ask, url), ())) for url in urls]
    end = time.monotonic() + _LIMIT
    return ProcessFacts(tuple(_heard(url, promise.result(end - time.monotonic())) for url, promise in asked))


def _heard(url: str, answer: Answer | Unseen) -> Answer:
    return Answer(url, answer.reason) if isinstance(answer, Unseen) else answer


def _ask(url: str) -> Answer:
    base = url.rstrip("/").removesuffix("/metrics").removesuffix("/ready")
    try:
        status, ready = _get(f"{base}/ready")
        reasons = json.loads(ready)
        if not isinstance(reasons, dict) or "ready" not in reasons:
            return Answer(base, "what answers there is no process of this relay")
        _, text = _get(f"{base}/metrics")
    except ValueError:
        return Answer(base, "what answers there is no process of this relay")
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        return Answer(base, str(reason) or type(reason).__name__)
    found = _BUILD.search(text)
    labels = dict(_LABEL.findall(found[1])) if found else {}
    return Answer(
        base,
        ready=status == 200 and reasons["ready"] is True,
        reasons={key: value for key, value in reasons.items() if key != "ready"},
        version=labels.get("version", ""),
        python=labels.get("python", ""),
    )


def _get(url: str) -> tuple[int, str]:
    opener = build_opener(ProxyHandler({}))  # a proxy of the environment knows nothing of this machine
    try:
        with opener.open(url, timeout=_TIMEOUT) as answer:
            return answer.status, answer.read(_MOST).decode("utf-8", "replace")
    except HTTPError as error:
        with error:
            return error.code, error.read(_MOST).decode("utf-8", "replace")


def libraries() -> LibraryFacts:
    """Look at what is installed here."""
    trouble = ""
    try:
        check_libxml()
    except ConfigurationError as error:
        trouble = error.detail
    return LibraryFacts(
        python=sys.version_info[:2],
        openssl=ssl.OPENSSL_VERSION,
        openssl_number=ssl.OPENSSL_VERSION_INFO[:2],
        libxml_trouble=trouble,
        missing=tuple(_lacking()),
        version=__version__,
    )


def _lacking() -> list[str]:
    """Return the packages that this version asks for, and that are absent or of a version it does not take."""
    try:
        wanted = metadata.requires("truc") or []
    except metadata.PackageNotFoundError:
        return []  # run from a checkout that was never installed: nothing is written down
    found = []
    for line in wanted:
        match = _REQUIREMENT.match(line)
        if match is None or "extra ==" in line:
            continue
        name, bounds = match[1], match[2]
        try:
            there = metadata.version(name)
        except metadata.PackageNotFoundError:
            found.append(f"{name} is not installed")
            continue
        if not satisfies(there, bounds):
            found.append(f"{name} {there}, wanted {bounds.strip()}")
    return found


def satisfies(version: str, bounds: str) -> bool:
    """Whether a version keeps bounds such as ``>=1.3.2,<2``. Releases alone are compared."""
    there = _release(version)
    for sign, written in _BOUND.findall(bounds):
        other = _release(written)
        length = max(len(there), len(other))
        one = there + (0,) * (length - len(there))
        two = other + (0,) * (length - len(other))
        kept = {"==": one == two, ">=": one >= two, "<=": one <= two, "<": one < two, ">": one > two}[sign]
        if not kept:
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
