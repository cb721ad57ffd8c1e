"""Entry by entry, then all together: from what stands in a directory file to agencies and findings."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from relay.errors import RefusedError
from relay.model.agency import Admission, Agency, AgencyCertificate, FormerName, GatewayUser, LoginBy
from relay.model.codes import normal_form, parent_code
from relay.model.levels import Level, default_level

_KEYS: Final = frozenset({
    "code", "name", "level", "parent", "gateway", "queue", "aliases", "certificates", "valid_from", "valid_to",
    "successors", "admission", "users", "short_name", "english_name", "other_names", "former_names", "contact",
    "suspended_until",
})  # fmt: skip
_CERTIFICATE_KEYS: Final = frozenset({"pem", "file", "not_before", "not_after", "retired_at"})
_USER_KEYS: Final = frozenset({"name", "by", "until"})
_MAX_CHAIN: Final = 4
_MAX_USER: Final = 255  # octets of an AMQP short string, which `user_id` is


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a directory file."""

    index: int | None  # position in the list, from 0
    code: str  # of the entry, if it could be read
    problem: str
    line: int | None = None

    def __str__(self) -> str:
        where = (
            f"line {self.line}"
            if self.line is not None
            else f"entry {self.index + 1}"
            if self.index is not None
            else ""
        )
        return ": ".join(part for part in (where, self.code, self.problem) if part)


class _WrongError(ValueError):
    """One value of an entry is wrong; caught where the entry is read."""


class Entries:
    """Collects agencies, findings and the certificate files that were read."""

    def __init__(self, base: Path) -> None:
        self.agencies: list[Agency] = []
        self.findings: list[Finding] = []
        self.files: list[tuple[Path, bytes]] = []
        self._base = base
        self._index: dict[str, int] = {}

    def find(self, index: int | None, problem: str, code: str = "") -> None:
        """Note a finding."""
        self.findings.append(Finding(index, code, problem))

    def read(self, raw: list[Any]) -> None:
        """Read all entries and check them against each other."""
        for index, entry in enumerate(raw):
            code = entry.get("code") if isinstance(entry, dict) else None
            try:
                agency = self._agency(entry)
            except _WrongError as wrong:
                self.find(index, str(wrong), code if isinstance(code, str) else "")
                continue
            raw[index] = None  # read: what it was made of is free to go
            if agency.code in self._index:
                self.find(index, f"stands twice, first as entry {self._index[agency.code] + 1}", agency.code)
                continue
            self._index[agency.code] = index
            self.agencies.append(agency)
        self.agencies = [self._with_parent(agency) for agency in self.agencies]
        by_code = {agency.code: agency for agency in self.agencies}
        for agency in self.agencies:
            for problem in self._objections(agency, by_code):
                self.find(self._index[agency.code], problem, agency.code)
        self._check_aliases(by_code)
        self._check_users(by_code)
        if not self.findings:
            self._complete(by_code)

    # one entry

    def _agency(self, entry: Any) -> Agency:  # noqa: ANN401
        if not isinstance(entry, dict):
            raise _WrongError("has to be a mapping")
        unknown = entry.keys() - _KEYS
        if unknown:
            raise _WrongError(f"no such key: {', '.join(sorted(str(key)[:40] for key in unknown))}")
        code = _code(entry.get("code"), "code")
        name = entry.get("name")
        if not isinstance(name, str) or not name.strip():
            raise _WrongError("name: has to be a text")
        gateway = _code(entry["gateway"], "gateway") if entry.get("gateway") is not None else None
        valid_from, valid_to = (
            _date(entry.get("valid_from"), "valid_from"),
            _date(entry.get("valid_to"), "valid_to"),
        )
        if valid_from is not None and valid_to is not None and valid_to < valid_from:
            raise _WrongError("valid_to: lies before valid_from")
        level = entry.get("level")
        return Agency(
            code=code,
            name=name,
            level=Level(_one_of(level, tuple(Level), "level")) if level is not None else Level.CENTRAL,
            level_defaulted=level is None,
            parent=_code(entry["parent"], "parent") if entry.get("parent") is not None else None,
            gateway=gateway,
            own_queue=self._own_queue(entry.get("queue"), code, gateway),
            aliases=tuple(_alias(one) for one in _list(entry.get("aliases"), "aliases")),
            certificates=tuple(
                self._certificate(one) for one in _list(entry.get("certificates"), "certificates")
            ),
            valid_from=valid_from,
            valid_to=valid_to,
            successors=tuple(
                _code(one, "successors") for one in _list(entry.get("successors"), "successors")
            ),
            admission=Admission(_one_of(entry.get("admission", "admitted"), tuple(Admission), "admission")),
            users=_users(entry.get("users"), is_gateway=gateway == code),
            short_name=_text(entry.get("short_name"), "short_name"),
            english_name=_text(entry.get("english_name"), "english_name"),
            other_names=tuple(
                _text(one, "other_names") for one in _list(entry.get("other_names"), "other_names")
            ),
            former_names=tuple(_former(one) for one in _list(entry.get("former_names"), "former_names")),
            contact=_text(entry.get("contact"), "contact"),
            suspended_until=_date(entry.get("suspended_until"), "suspended_until"),
        )

    @staticmethod
    def _own_queue(queue: object, code: str, gateway: str | None) -> bool:
        if queue is None:
            return gateway == code
        own = _one_of(queue, ("own", "gateway"), "queue") == "own"
        if gateway is None:
            raise _WrongError("queue: without a gateway there is nobody to read it")
        if gateway == code and not own:
            raise _WrongError("queue: a gateway has to have its own")
        return own

    def _certificate(self, raw: object) -> AgencyCertificate:
        entry = {"pem" if "-----BEGIN" in raw else "file": raw} if isinstance(raw, str) else raw
        if (
            not isinstance(entry, dict)
            or entry.keys() - _CERTIFICATE_KEYS
            or ("pem" in entry) == ("file" in entry)
        ):
            raise _WrongError("certificates: each is PEM text, a file, or a mapping with one of pem and file")
        source = entry.get("pem", entry.get("file"))
        if not isinstance(source, str) or not source:
            raise _WrongError("certificates: pem or file has to be a text")
        pem = source.encode()
        if "file" in entry:
            path = self._base / source
            try:
                pem = path.read_bytes()
            except (OSError, ValueError) as fault:
                raise _WrongError(f"certificates: {source} cannot be read") from fault
            self.files.append((path, pem))
        try:
            # Of a chain the first one is the agency's.
            found, *chain = x509.load_pem_x509_certificates(pem)
        except (ValueError, x509.InvalidVersion) as fault:
            raise _WrongError("certificates: not a certificate in PEM") from fault
        if len(chain) > _MAX_CHAIN:
            raise _WrongError(f"certificates: more than {_MAX_CHAIN} authorities behind one")
        der = found.public_bytes(Encoding.DER)
        return AgencyCertificate(
            sha256=hashlib.sha256(der).hexdigest(),
            pem=found.public_bytes(Encoding.PEM).decode("ascii"),
            # one object for all who name the same authority
            chain=tuple(sys.intern(one.public_bytes(Encoding.PEM).decode("ascii")) for one in chain),
            not_before=_date(entry.get("not_before"), "certificates.not_before"),
            not_after=_date(entry.get("not_after"), "certificates.not_after"),
            retired_at=_moment(entry.get("retired_at"), "certificates.retired_at"),
        )

    # all together

    @staticmethod
    def _objections(agency: Agency, by_code: dict[str, Agency]) -> Iterator[str]:
        if agency.gateway is not None and agency.gateway != agency.code:
            gateway = by_code.get(agency.gateway)
            if gateway is None:
                yield f"gateway: {agency.gateway} is not in the directory"
            elif gateway.gateway != gateway.code:
                yield f"gateway: {agency.gateway} is not a gateway (its own gateway is not itself)"
        if agency.parent is not None and agency.parent not in by_code:
            yield f"parent: {agency.parent} is not in the directory"
        for successor in agency.successors:
            if successor not in by_code:
                yield f"successors: {successor} is not in the directory"
        if len(set(agency.successors)) != len(agency.successors):
            yield "successors: one stands twice"
        if _in_cycle(agency.code, lambda code: (by_code[code].parent,) if code in by_code else ()):
            yield "parent: leads back to itself"
        if agency.successors and _in_cycle(
            agency.code, lambda code: by_code[code].successors if code in by_code else ()
        ):
            yield "successors: lead back to itself"

    def _check_aliases(self, by_code: dict[str, Agency]) -> None:
        holders: dict[str, str] = {}
        for agency in self.agencies:
            for alias in agency.aliases:
                problem = ""
                if alias in holders:
                    problem = f"aliases: {alias} is also an alias of {holders[alias]}"
                elif alias in by_code and alias != agency.code:
                    problem = f"aliases: {alias} is the code of another agency"
                if problem:
                    self.find(self._index[agency.code], problem, agency.code)
                holders.setdefault(alias, agency.code)

    def _check_users(self, by_code: dict[str, Agency]) -> None:
        """A broker user speaks for one gateway alone."""
        holders: dict[str, str] = {}
        for agency in self.agencies:
            for user in agency.users:
                problem = ""
                if user.name in holders:
                    problem = f"users: {user.name} is also a user of {holders[user.name]}"
                elif user.name in by_code and user.name != agency.code:
                    problem = f"users: {user.name} is the code of another agency"
                if problem:
                    self.find(self._index[agency.code], problem, agency.code)
                holders.setdefault(user.name, agency.code)

    def _with_parent(self, agency: Agency) -> Agency:
        """Fill in the parent that the code itself names, if that one is listed."""
        above = parent_code(agency.code)
        return replace(agency, parent=above) if agency.parent is None and above in self._index else agency

    def _complete(self, by_code: dict[str, Agency]) -> None:
        """Fill in the levels that are not stored."""
        done: dict[str, Level] = {}

        def level(code: str) -> Level:
            path = [code]
            while (
                (last := by_code[path[-1]]).level_defaulted
                and last.parent is not None
                and last.parent not in path
            ):
                path.append(last.parent)
            for one in reversed(path):
                agency = by_code[one]
                if one not in done:
                    authority = done.get(agency.parent) if agency.parent is not None else None
                    done[one] = default_level(one, authority) if agency.level_defaulted else agency.level
            return done[code]

        self.agencies = [replace(by_code[code], level=level(code)) for code in by_code]


def _in_cycle(start: str, step: Any) -> bool:  # noqa: ANN401
    """Whether a walk from ``start`` comes back to it."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for following in step(waiting.pop()):
            if following == start:
                return True
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return False


def _code(raw: object, key: str) -> str:
    if not isinstance(raw, str):
        raise _WrongError(
            f"{key}: has to be a text" + (" (put it in quotes)" if isinstance(raw, int) else "")
        )
    try:
        if normal_form(raw) == raw:
            return raw
    except RefusedError:
        pass
    raise _WrongError(f"{key}: has to be an identifier code in the 2020 form")


def _alias(raw: object) -> str:
    if isinstance(raw, str):
        try:
            normal_form(raw)
        except RefusedError:
            pass
        else:
            return raw
    raise _WrongError("aliases: each has to be an identifier code in one of the written forms")


def _date(raw: object, key: str) -> date | None:
    if raw is None:
        return None
    if isinstance(raw, str):
        try:
            return date.fromisoformat(raw)
        except ValueError as fault:
            raise _WrongError(f"{key}: has to be a date like 2025-07-01") from fault
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    raise _WrongError(f"{key}: has to be a date like 2025-07-01")


def _moment(raw: object, key: str) -> datetime | None:
    if raw is None:
        return None
    if isinstance(raw, str):
        try:
            raw = datetime.fromisoformat(raw)
        except ValueError:
            raw = None
    if isinstance(raw, datetime):
        # YAML reads 2026-07-01T00:00:00Z into UTC and forgets that it did
        return raw.astimezone(UTC) if raw.tzinfo else raw.replace(tzinfo=UTC)
    raise _WrongError(f"{key}: has to be a time like 2025-07-01T00:00:00Z")


def _users(raw: object, *, is_gateway: bool) -> tuple[GatewayUser, ...]:
    listed = _list(raw, "users")
    if listed and not is_gateway:
        raise _WrongError("users: only a gateway has broker users")
    return tuple(_user(one) for one in listed)


def _user(raw: object) -> GatewayUser:
    entry = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(entry, dict) or entry.keys() - _USER_KEYS:
        raise _WrongError("users: each is a name, or a mapping of name, by and until")
    name = entry.get("name")
    if (
        not isinstance(name, str)
        or not name.isprintable()
        or not 0 < len(name.encode()) <= _MAX_USER
        or name != name.strip()
    ):
        raise _WrongError("users.name: has to be a printable text of at most 255 octets")
    return GatewayUser(
        name,
        LoginBy(_one_of(entry.get("by", "password"), tuple(LoginBy), "users.by")),
        _moment(entry.get("until"), "users.until"),
    )


def _text(raw: object, key: str) -> str:
    if raw is None:
        return ""
    if not isinstance(raw, str) or not raw.strip() or not raw.isprintable():
        raise _WrongError(f"{key}: has to be a text of one line")
    return raw


def _former(raw: object) -> FormerName:
    if not isinstance(raw, dict) or raw.keys() != {"name", "until"}:
        raise _WrongError("former_names: each is a mapping of name and until")
    until = _date(raw["until"], "former_names.until")
    if until is None:
        raise _WrongError("former_names.until: has to be a date like 2025-06-30")
    return FormerName(_text(raw["name"], "former_names.name"), until)


def _list(raw: object, key: str) -> list[Any]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise _WrongError(f"{key}: has to be a list")
    return raw


def _one_of(raw: object, allowed: tuple[str, ...], key: str) -> str:
    if not isinstance(raw, str) or raw not in allowed:
        raise _WrongError(f"{key}: has to be one of {', '.join(allowed)}")
    return raw
