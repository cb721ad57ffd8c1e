"""Units of systemd, read strictly: sections, directives of version 252, specifiers, command lines.

Stands in for ``systemd-analyze verify`` where there is none, and gives tests the very command lines of the units.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_BOOLEANS: Final = frozenset({"yes", "no"})
_SPECIFIERS: Final = frozenset("iIdntTHlbmpPuUhsSCLEyYfN%")
_DURATION: Final = re.compile(r"(\d+)(ms|s|min|h|d)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

_BOOLEAN: Final = frozenset(
    {
        *("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateUsers", "PrivateIPC"),
        *("ProtectClock", "ProtectHostname", "ProtectControlGroups", "ProtectKernelLogs", "RemoveIPC"),
        *("ProtectKernelModules", "ProtectKernelTunables", "RestrictNamespaces", "RestrictRealtime"),
        *("RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute", "Persistent", "PrivateNetwork"),
    }
)
_DURATIONS: Final = frozenset(
    {
        "WatchdogSec",
        "TimeoutStopSec",
        "TimeoutStartSec",
        "RestartSec",
        "StartLimitIntervalSec",
        "RandomizedDelaySec",
    }
)
_CHOICES: Final = {
    "Type": frozenset({"simple", "exec", "oneshot", "notify"}),
    "NotifyAccess": frozenset({"none", "main", "exec", "all"}),
    "Restart": frozenset({"no", "on-failure", "always", "on-abnormal"}),
    "OOMPolicy": frozenset({"continue", "stop", "kill"}),
    "KillMode": frozenset({"control-group", "mixed", "process", "none"}),
    "ProtectSystem": frozenset({"no", "yes", "full", "strict"}),
    "ProtectProc": frozenset({"default", "noaccess", "invisible", "ptraceable"}),
    "ProcSubset": frozenset({"all", "pid"}),
    "KeyringMode": frozenset({"inherit", "private", "shared"}),
    "SystemCallArchitectures": frozenset({"native"}),
    "SystemCallErrorNumber": frozenset({"EPERM"}),
    "IOSchedulingClass": frozenset({"realtime", "best-effort", "idle"}),
}
_PATTERNS: Final = {
    "UMask": r"0[0-7]{3}",
    "StateDirectoryMode": r"0[0-7]{3}",
    "MemoryMax": r"\d+[KMGT]?",
    "LimitCORE": r"\d+",
    "LimitNOFILE": r"\d+",
    "Nice": r"-?\d+",
    "User": r"[a-z_][a-z0-9_-]*",
    "Group": r"[a-z_][a-z0-9_-]*",
    "StateDirectory": r"[a-z0-9/_-]+",
    "SyslogIdentifier": r"[A-Za-z0-9%-]+",
    "LoadCredential": r"[a-z.]+:/[A-Za-z0-9./_-]+",
    "SystemCallFilter": r"~?@[a-z-]+( @[a-z-]+)*",
    "RestrictAddressFamilies": r"AF_[A-Z0-9]+( AF_[A-Z0-9]+)*",
    "CapabilityBoundingSet": r"|CAP_[A-Z_]+( CAP_[A-Z_]+)*",
    "AmbientCapabilities": r"",
    "Environment": r"[A-Z_]+=\S+( [A-Z_]+=\S+)*",
    "ReadWritePaths": r"/\S+( /\S+)*",
    "DefaultInstance": r"\w+",
    "OnCalendar": r"hourly|daily|weekly",
    "WantedBy": r"[a-z@.-]+\.target",
}
_FREE: Final = frozenset({"Description", "After", "Wants", "PartOf", "ExecStart"})
_SECTIONS: Final = {
    "Unit": frozenset({"Description", "After", "Wants", "PartOf", "StartLimitIntervalSec"}),
    "Install": frozenset({"WantedBy", "DefaultInstance"}),
    "Timer": frozenset({"OnCalendar", "RandomizedDelaySec", "Persistent"}),
}


@dataclass(frozen=True)
class Unit:
    """One unit file: its directives by section, in order."""

    path: Path
    sections: Mapping[str, Mapping[str, list[str]]] = field(repr=False)

    def values(self, section: str, key: str) -> list[str]:
        return self.sections.get(section, {}).get(key, [])

    def value(self, section: str, key: str) -> str:
        (found,) = self.values(section, key)
        return found

    def seconds(self, key: str, section: str = "Service") -> float:
        return duration(self.value(section, key))

    def command(self, instance: str, credentials: Path) -> list[str]:
        """Return the words of ``ExecStart`` with the specifiers that it uses put in."""
        return shlex.split(specified(self.value("Service", "ExecStart"), instance, credentials))

    def environment(self) -> dict[str, str]:
        words = [word for line in self.values("Service", "Environment") for word in shlex.split(line)]
        return dict(word.split("=", 1) for word in words)

    def credentials(self) -> dict[str, Path]:
        """Return the file of each credential that is handed over."""
        pairs = (line.split(":", 1) for line in self.values("Service", "LoadCredential"))
        return {name: Path(path) for name, path in pairs}


def read(path: Path) -> Unit:
    """Read a unit file. Raises ``ValueError`` for what systemd 252 would not take, or take otherwise than meant."""
    sections: dict[str, dict[str, list[str]]] = {}
    section = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if not line.strip() or line.startswith(("#", ";")):
            continue
        if line.endswith("\\") or line != line.strip():
            raise ValueError(f"{where}: white space around, or a line that goes on")
        if head := re.fullmatch(r"\[(\w+)\]", line):
            section = head[1]
            if section in sections:
                raise ValueError(f"{where}: section {section} stands twice")
            sections[section] = defaultdict(list)
            continue
        key, equals, value = line.partition("=")
        if not equals or not section:
            raise ValueError(f"{where}: no directive")
        if fault := _fault(section, key, value):
            raise ValueError(f"{where}: {fault}")
        sections[section][key].append(value)
    _whole(path, sections)
    return Unit(path, sections)


def duration(written: str) -> float:
    """Return a duration in seconds."""
    found = _DURATION.fullmatch(written)
    if not found:
        raise ValueError(f"{written!r} is no duration")
    return int(found[1]) * _UNITS[found[2] or "s"]


def specified(text: str, instance: str, credentials: Path) -> str:
    """Put in the specifiers that our units use: the instance, the folder of the credentials."""
    return text.replace("%i", instance).replace("%d", str(credentials)).replace("%%", "%")


def _fault(section: str, key: str, value: str) -> str:
    if section in _SECTIONS:
        if key not in _SECTIONS[section]:
            return f"{key} is no directive of {section}"
    elif section != "Service":
        return f"no section {section}"
    if unknown := set(re.findall(r"%(.)", value)) - _SPECIFIERS:
        return f"specifiers {unknown}"
    if key in _BOOLEAN:
        return "" if value in _BOOLEANS else f"{key} is yes or no"
    if key in _DURATIONS:
        return "" if _DURATION.fullmatch(value) else f"{key} is a duration"
    if key in _CHOICES:
        return "" if value in _CHOICES[key] else f"{key} is one of {sorted(_CHOICES[key])}"
    if key in _PATTERNS:
        return "" if re.fullmatch(_PATTERNS[key], value) else f"{key}={value}"
    return "" if key in _FREE else f"{key} is not known"


def _whole(path: Path, sections: Mapping[str, Mapping[str, list[str]]]) -> None:
    if "Unit" not in sections or "Description" not in sections["Unit"]:
        raise ValueError(f"{path.name}: no description")
    for section, directives in sections.items():
        for key, values in directives.items():
            several = key in {"SystemCallFilter", "After", "Wants", "Environment", "LoadCredential"}
            if len(values) > 1 and not several:
                raise ValueError(f"{path.name}: {key} of {section} stands twice")
    if path.suffix == ".service":
        command = sections.get("Service", {}).get("ExecStart", [""])[0]
        if not command.startswith("/"):
            raise ValueError(f"{path.name}: ExecStart needs an absolute path")
