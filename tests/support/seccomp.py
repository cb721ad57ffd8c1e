"""The filter of system calls and of socket families that a unit asks for, put on this process by libseccomp.

Where libseccomp or ``systemd-analyze`` is missing there is nothing to be put on, and ``filter_of`` says so by None.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.support.units import Unit

_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_EQUAL: Final = 4  # SCMP_CMP_EQ


class _Compare(ctypes.Structure):
    _fields_ = (  # scmp_arg_cmp
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class Filter:
    """A filter, ready to be put on between fork and exec."""

    def __init__(self, library: Any, calls: Iterable[str], families: Iterable[int]) -> None:
        self._library = library
        library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.EPERM)))
        for name in calls:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if name == "socket":
                for family in families:
                    only = (_Compare * 1)(_Compare(0, _EQUAL, family, 0))
                    library.seccomp_rule_add_array(self._context, ctypes.c_uint32(_ALLOW), number, 1, only)
            elif number >= 0:
                library.seccomp_rule_add_array(self._context, ctypes.c_uint32(_ALLOW), number, 0, None)

    def put_on(self) -> None:
        """From here on this process and its children may call nothing else; needs "no new privileges"."""
        if self._library.seccomp_load(self._context):
            raise OSError("the filter was not taken")


def filter_of(unit: Unit) -> Filter | None:
    """Return the filter that a unit asks for."""
    name = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    if not shutil.which("systemd-analyze"):
        return None
    families = [getattr(socket, one) for one in unit.value("Service", "RestrictAddressFamilies").split()]
    return Filter(library, allowed(unit.values("Service", "SystemCallFilter"), sets()), families)


def sets() -> dict[str, set[str]]:
    """Return systemd's sets of system calls, as it lists them."""
    said = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    found: dict[str, set[str]] = {}
    current = ""
    for line in re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines():
        if re.match(r"@[a-z-]+$", line):
            current = line
            found[current] = set()
        elif current and line.startswith(" ") and not line.strip().startswith("#"):
            found[current].add(line.strip())
        elif not line.strip():
            current = ""
    return found


def allowed(lines: Iterable[str], known: Mapping[str, set[str]]) -> set[str]:
    """Return the calls that the directives leave, those that are always allowed among them."""

    def expand(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        return {call for one in known[name] for call in expand(one)}

    left = expand("@default")
    for line in lines:
        calls = {call for name in line.lstrip("~").split() for call in expand(name)}
        left = left - calls if line.startswith("~") else left | calls
    return left | expand("@default")
