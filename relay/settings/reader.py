"""Reads the configuration file: YAML in, ``Settings`` out, or one error that names the key and its line."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin
from urllib.parse import urlsplit

import yaml

from relay.errors import Code, ConfigurationError
from relay.settings.fields import (
    Description,
    Spec,
    describe_field,
    is_required,
    is_section,
    members,
    optional,
    spec_of,
)
from relay.settings.keyplace import KeyPlace, is_uri
from relay.settings.keyplace import parse as parse_uri
from relay.settings.model import RUNGS, BrokerSettings, Settings, check_secret_mode

S = TypeVar("S")


def load(
    path: str | os.PathLike[str], overrides: Mapping[str, object] | None = None, *, files: bool = True
) -> Settings:
    """Return the validated configuration.

    Args:
        path: the YAML file. Relative paths in it are relative to its folder.
        overrides: values by dotted key that win over the file, from a command line. Texts are read like YAML scalars;
            relative paths are relative to the working directory.
        files: check that every file which is named is readable, and that secrets are closed to others. The password of
            the management user is not looked at: a worker need not be able to read it.

    Raises:
        ConfigurationError: CONFIG-INVALID, naming the file, the line and the key.
    """
    file = Path(path).absolute()
    source = _Source.read(file)
    for key, value in (overrides or {}).items():
        source.override(key, value)
    settings = _section(Settings, source, "")
    _check_urls(settings, source)
    _check_across(settings, source)
    settings = _with_absolute_registry(settings, file.parent)
    if files:
        _check_files(settings, source, "")
    return settings


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that ``load`` would refuse. ``reason`` repeats no value: it could be a secret."""

    key: str  # empty: the file as a whole
    reason: str
    kind: Literal["unknown", "plain", "file", "mode", "other"]


def survey(path: str | os.PathLike[str]) -> tuple[Settings | None, tuple[Complaint, ...]]:
    """Read a configuration as far as it goes, and say all that ``load`` would refuse, not only the first.

    Returns the settings where no more is wrong than keys that do not exist, plain AMQP to another machine and files
    that are missing or open to others; else None. Never raises for what stands in the file.
    """
    tolerated: list[Complaint] = []
    file = Path(path).absolute()
    try:
        source = _Source.read(file)
        source.tolerated = tolerated
        settings = _section(Settings, source, "")
        _check_urls(settings, source)
        _check_across(settings, source)
        settings = _with_absolute_registry(settings, file.parent)
        _check_files(settings, source, "")
    except ConfigurationError as error:
        return None, (*tolerated, Complaint("", error.detail, "other"))
    return settings, tuple(tolerated)


def keys() -> list[str]:
    """Return the dotted name of every setting, in the order of the documentation."""
    return [key for key, _, _ in _walk(Settings, "")]


def describe(key: str) -> Description:
    """Return type, default, unit and text of a setting. Raises ``KeyError``."""
    for name, item, hint in _walk(Settings, ""):
        if name == key:
            return describe_field(item, hint)
    raise KeyError(key)


def _walk(kind: type, prefix: str) -> list[tuple[str, Any, object]]:
    found: list[tuple[str, Any, object]] = []
    for item, hint in members(kind):
        if is_section(hint):
            found += _walk(hint, f"{prefix}{item.name}.")
        else:
            found.append((prefix + item.name, item, hint))
    return found


@dataclass
class _Source:
    """The values of the file by dotted key, with their lines."""

    file: Path
    values: dict[str, object]
    lines: dict[str, int]
    sections: set[str]
    overridden: set[str]
    tolerated: list[Complaint] | None = field(default=None)

    @classmethod
    def read(cls, file: Path) -> _Source:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise ConfigurationError(Code.CONFIG_INVALID, f"{file}: cannot be read") from fault
        source = cls(file, {}, {}, {""}, set())
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            if root is not None:
                loader = yaml.SafeLoader("")
                source._take(root, "", loader)
        except yaml.YAMLError as fault:
            mark = getattr(fault, "problem_mark", None)
            where = f"{file}:{mark.line + 1}" if mark is not None else str(file)
            raise ConfigurationError(Code.CONFIG_INVALID, f"{where}: not YAML") from fault
        return source

    def _take(self, node: yaml.Node, path: str, loader: yaml.SafeLoader) -> None:
        self.lines[path] = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            self.values[path] = loader.construct_object(node, deep=True)
            return
        self.sections.add(path)
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            below = f"{path}.{name}" if path else name
            if below in self.lines:
                self.lines[below] = key.start_mark.line + 1
                raise self.fault(below, "stands twice")
            if "." in name:
                self.lines[below] = key.start_mark.line + 1
                raise self.fault(below, "sections are nested, not joined by dots")
            self._take(value, below, loader)
            self.lines[below] = key.start_mark.line + 1

    def override(self, key: str, value: object) -> None:
        if key not in keys():
            raise ConfigurationError(Code.CONFIG_INVALID, f"{key}: no such setting")
        self.values[key] = yaml.safe_load(value) if isinstance(value, str) and value else value
        self.overridden.add(key)

    def fault(self, key: str, reason: str) -> ConfigurationError:
        """Return the error that names file, line and key. Values are not repeated: they could be secrets."""
        line = None if key in self.overridden else self.lines.get(key)
        where = (
            f"{self.file}:{line}: "
            if line is not None
            else ""
            if key in self.overridden
            else f"{self.file}: "
        )
        return ConfigurationError(Code.CONFIG_INVALID, f"{where}{key or 'the file'}: {reason}")

    def complain(self, key: str, reason: str, kind: Literal["unknown", "plain", "file", "mode"]) -> None:
        """Refuse, or note it where a survey goes on."""
        if self.tolerated is None:
            raise self.fault(key, reason)
        self.tolerated.append(Complaint(key, reason, kind))


def _section(kind: type[S], source: _Source, path: str) -> S:
    if path in source.values:
        if source.values[path] is not None:
            raise source.fault(path, "has to be a section of settings")
        source.sections.add(path)
    known = {f"{path}.{item.name}" if path else item.name: (item, hint) for item, hint in members(kind)}
    for key in [*source.values, *source.sections]:
        parent, _, _ = key.rpartition(".")
        if key and parent == path and key not in known:
            source.complain(key, "no such setting", "unknown")
    given: dict[str, object] = {}
    for key, (item, hint) in known.items():
        if is_section(hint):
            given[item.name] = _section(cast("type[object]", hint), source, key)
        elif key in source.sections:
            raise source.fault(key, f"has to be {_a(hint)}, not a section")
        elif key in source.values:
            given[item.name] = _value(key, source.values[key], hint, spec_of(item), source)
        elif is_required(item):
            raise source.fault(key, "is missing")
    return kind(**given)


def _a(hint: object) -> str:
    inner, _ = optional(hint)
    if get_origin(inner) is Literal:
        return "one of " + ", ".join(str(one) for one in get_args(inner))
    if get_origin(inner) is tuple:
        return "a list"
    return {str: "a text", int: "an integer", float: "a number", bool: "true or false", Path: "a path"}[
        cast(type, inner)
    ]


def _value(key: str, raw: object, hint: object, spec: Spec, source: _Source) -> object:
    inner, none_allowed = optional(hint)
    if raw is None and none_allowed:
        return None
    if get_origin(inner) is tuple:
        if not isinstance(raw, list | tuple):
            raise source.fault(key, "has to be a list")
        return tuple(_value(key, one, get_args(inner)[0], spec, source) for one in raw)
    if get_origin(inner) is Literal:
        if raw not in get_args(inner):
            raise source.fault(key, f"has to be {_a(inner)}")
        return raw
    if spec.key:
        return _key(key, raw, source)
    if inner is Path:
        if not isinstance(raw, str | Path) or not str(raw):
            raise source.fault(key, "has to be a path")
        base = Path.cwd() if key in source.overridden else source.file.parent
        return base / Path(raw)
    if inner is float and type(raw) is int and abs(raw) < 1 << 53:
        raw = float(raw)
    # bool is an int in Python; in a configuration it is a mistake.
    if type(raw) is not inner or (isinstance(raw, float) and not math.isfinite(raw)):
        raise source.fault(key, f"has to be {_a(inner)}")
    if isinstance(raw, int | float):
        if spec.low is not None and raw < spec.low:
            raise source.fault(key, f"has to be at least {spec.low:.10g}")
        if spec.high is not None and raw > spec.high:
            raise source.fault(key, f"has to be at most {spec.high:.10g}")
    if spec.pattern and not re.fullmatch(spec.pattern, str(raw)):
        raise source.fault(key, f"has to match {spec.pattern}")
    return raw


def _key(key: str, raw: object, source: _Source) -> str:
    """Return a signing key's place: an absolute path, or a PKCS#11 URI as it stands."""
    if not isinstance(raw, str) or not raw:
        raise source.fault(key, "has to be a path or a PKCS#11 URI")
    if not is_uri(raw):
        return str((Path.cwd() if key in source.overridden else source.file.parent) / raw)
    try:
        parse_uri(raw)
    except ConfigurationError as fault:
        raise source.fault(key, fault.detail) from None
    return raw


def is_loopback(host: str) -> bool:
    """Whether a host name or address of a URL means this machine and can mean nothing else.

    An address is looked at; of names ``localhost`` alone counts (RFC 6761): what another name resolves to may change.
    Spellings that only some libraries take for an address (``127.1``, ``2130706433``) do not count.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _check_urls(settings: Settings, source: _Source) -> None:
    _check_url("broker.url", settings.broker.url, ("amqp", "amqps"), source)
    if settings.broker.management_url:
        _check_url("broker.management_url", settings.broker.management_url, ("http", "https"), source)
    url = settings.registry.url
    parts = urlsplit(url)
    if parts.password is not None:
        raise source.fault("registry.url", "a password does not belong in it")
    if not (
        re.fullmatch(r"sqlite:///[^?#]+", url) or re.fullmatch(r"postgresql(\+[a-z0-9]+)?", parts.scheme)
    ):
        raise source.fault(
            "registry.url", "has to be sqlite:////absolute/path or postgresql+driver://host/name"
        )


def _check_url(key: str, url: str, schemes: tuple[str, str], source: _Source) -> None:
    plain, safe = schemes
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as fault:
        raise source.fault(key, "is not a URL") from fault
    if parts.scheme not in schemes or not host:
        raise source.fault(key, f"has to be {plain}://host:port/… or {safe}://host:port/…")
    if parts.username is not None or parts.password is not None:
        raise source.fault(key, "user and password do not belong in it")
    if parts.scheme == plain and not is_loopback(host):
        source.complain(key, f"outside this machine only {safe}:// is allowed", "plain")


def _check_login(broker: BrokerSettings, source: _Source) -> None:
    """Check that the relay can log in at all, and by what."""
    if broker.cert_file is not None and broker.key_file is None:
        raise source.fault("broker.cert_file", "needs broker.key_file")
    if broker.key_file is not None and broker.cert_file is None:
        raise source.fault("broker.key_file", "needs broker.cert_file")
    if broker.cert_file is not None and not broker.tls:
        raise source.fault("broker.cert_file", "a client certificate needs amqps:// in broker.url")
    if broker.cert_file is None and broker.password_file is None:
        raise source.fault("broker.password_file", "is missing, and there is no broker.cert_file either")


def _check_across(settings: Settings, source: _Source) -> None:
    """Check what only several settings together can break."""
    _check_login(settings.broker, source)
    deadlines, limits = settings.deadlines, settings.limits
    if deadlines.min_s > deadlines.max_s:
        raise source.fault("deadlines.min_s", "has to be at most deadlines.max_s")
    if settings.worker.window_bytes < limits.body_bytes:
        raise source.fault("worker.window_bytes", "has to hold one package of limits.body_bytes")
    if settings.broker.publish_window_bytes < limits.body_bytes:
        raise source.fault("broker.publish_window_bytes", "has to hold one package of limits.body_bytes")
    if limits.fanout_bytes < limits.body_bytes:
        raise source.fault("limits.fanout_bytes", "has to be at least limits.body_bytes")
    if not settings.trust.anchors:
        raise source.fault("trust.anchors", "needs at least one file")
    for section, place in (
        ("relay", settings.relay.place()),
        ("relay.second", settings.relay.second.place()),
    ):
        if place is None:
            continue
        if not place.certificates and not place.holds_certificates:
            raise source.fault(f"{section}.certificates", "needs at least one file")
        if place.password_file is not None and is_uri(place.key):
            raise source.fault(
                f"{section}.key_password_file", "a token's PIN is named by pin-source in the URI"
            )
    _check_fetching(settings, source)
    try:
        date.fromisoformat(settings.inspection.sha1_until)
    except ValueError as fault:
        raise source.fault("inspection.sha1_until", "is no day") from fault
    order = [list(RUNGS).index(rung) if rung in RUNGS else -1 for rung in settings.retry.rungs]
    if not order or -1 in order or order != sorted(set(order)):
        raise source.fault("retry.rungs", f"has to be some of {', '.join(RUNGS)}, in this order")


_DOTTED = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+", re.ASCII)


def _check_fetching(settings: Settings, source: _Source) -> None:
    trust, fetch = settings.trust, settings.trust.fetch
    for key, values in (("trust.policies", trust.policies), ("trust.key_purposes", trust.key_purposes)):
        if not all(_DOTTED.fullmatch(one) for one in values):
            raise source.fault(key, "each has to be dotted numbers")
    named = [("trust.fetch.lists", one, ("http", "https", "file")) for one in fetch.lists]
    if fetch.responder:
        named.append(("trust.fetch.responder", fetch.responder, ("http", "https", "")))
    for key, address, schemes in named:
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
        except ValueError as fault:
            raise source.fault(key, "holds what is no URL") from fault
        if parts.scheme not in schemes or not parts.scheme or bool(host) is (parts.scheme == "file"):
            raise source.fault(key, f"each has to be {', '.join(f'{one}://…' for one in schemes if one)}")
        if parts.username is not None or parts.password is not None:
            raise source.fault(key, "user and password do not belong in it")
    if fetch.folder is None and (fetch.lists or fetch.responder or fetch.hosts):
        raise source.fault("trust.fetch.folder", "is missing: nothing can be fetched without it")


def _with_absolute_registry(settings: Settings, base: Path) -> Settings:
    url = settings.registry.url
    if url.startswith("sqlite:///"):
        path = base / url.removeprefix("sqlite:///")
        return replace(settings, registry=replace(settings.registry, url=f"sqlite:///{path}"))
    return settings


def _check_files(part: object, source: _Source, path: str) -> None:
    for item, hint in members(type(part)):
        key = f"{path}.{item.name}" if path else item.name
        value = getattr(part, item.name)
        spec = spec_of(item)
        if is_section(hint):
            _check_files(value, source, key)
        elif spec.key:
            for one in KeyPlace(value).secrets() if value else ():
                _check_file(one, key, source, secret=True)
        elif spec.file and value is not None:
            for one in value if isinstance(value, tuple) else (value,):
                _check_file(one, key, source, secret=spec.secret)


def _check_file(path: Path, key: str, source: _Source, *, secret: bool) -> None:
    if not path.is_file() or not os.access(path, os.R_OK):
        source.complain(key, f"{path} is not a readable file", "file")
    elif secret:
        try:
            check_secret_mode(path, key)
        except ConfigurationError as fault:
            source.complain(key, fault.detail.removeprefix(f"{key}: "), "mode")
