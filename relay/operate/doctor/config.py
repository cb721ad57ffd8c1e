"""The configuration file: can it be used, does it say what is meant, and who may read or change what it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from relay.operate.doctor.check import Found, on
from relay.operate.doctor.facts import ConfigFacts


def _of_kind(kind: str) -> Callable[[ConfigFacts], Iterator[Found]]:
    def judge(config: ConfigFacts) -> Iterator[Found]:
        for one in config.complaints:
            if one.kind == kind:
                yield Found(one.key or config.path, one.reason)

    return judge


def _secrets(config: ConfigFacts) -> Iterator[Found]:
    for one in config.complaints:
        if one.kind == "mode" and one.key != "relay.key":  # that one is the business of keys.open
            yield Found(one.key, one.reason)


def _missing(config: ConfigFacts) -> Iterator[Found]:
    if config.mode is None:
        yield Found(config.path)


def _invalid(config: ConfigFacts) -> Iterator[Found]:
    if config.mode is not None:
        yield from _of_kind("other")(config)


def _writable(config: ConfigFacts) -> Iterator[Found]:
    if config.mode is not None and config.mode & 0o022:
        yield Found(config.path, f"mode {config.mode:04o}")


def _no_management(config: ConfigFacts) -> Iterator[Found]:
    if config.settings is not None and not config.settings.broker.management_url:
        yield Found("broker.management_url")


CHECKS: Final = (
    on("config", "config.missing", _missing),
    on("config", "config.invalid", _invalid),
    on("config", "config.unknown-key", _of_kind("unknown")),
    on("config", "config.plain-amqp", _of_kind("plain")),
    on("config", "config.file-missing", _of_kind("file")),
    on("config", "config.secret-open", _secrets),
    on("config", "config.writable", _writable),
    on("config", "config.no-management", _no_management),
)
