"""What the figures were measured on, and CPU time of processes."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

from relay.sandbox import process

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(home: Path) -> dict[str, float]:
    """Return the CPU time (user and system, seconds) that the living processes of a home have used, by role."""
    used: defaultdict[str, float] = defaultdict(float)
    for one in process.marked(home):
        try:
            stat = Path(f"/proc/{one.process.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        used[one.role] += cpu_of(stat)
    return used


def thread_seconds(pid: int) -> float:
    """Return the CPU time (seconds, to the nanosecond) of a process's living threads; by ticks where the kernel keeps no
    such counts. For processes whose threads stay."""
    folder = Path(f"/proc/{pid}")
    try:
        counts = [(task / "schedstat").read_text(encoding="ascii") for task in (folder / "task").iterdir()]
        return sum(int(count.split()[0]) for count in counts) / 1e9
    except (OSError, ValueError, IndexError):
        return cpu_of((folder / "stat").read_text(encoding="utf-8", errors="replace"))


def cpu_of(stat: str) -> float:
    """Return user and system time, in seconds, from the text of ``/proc/<pid>/stat``."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


def facts(folder: Path, broker: str) -> dict[str, str]:
    """Return processor, memory, kernel, file system of ``folder`` and versions."""
    return {
        "processor": _named("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": file_system(folder, Path("/proc/mounts").read_text(encoding="utf-8")),
        "Python": platform.python_version(),
        "RabbitMQ": broker,
        "libraries": ", ".join(
            f"{name} {version(name)}" for name in ("pika", "lxml", "xmlsec", "cryptography", "SQLAlchemy")
        ),
    }


def file_system(folder: Path, mounts: str) -> str:
    """Return the type of the file system that holds a folder, from the text of ``/proc/mounts``."""
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        _, place, found, *_ = line.split()
        inside = folder.resolve().is_relative_to(place.replace("\\040", " "))
        if inside and len(place) >= len(best):
            best, kind = place, found
    return kind


def _named(file: str, name: str) -> str:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
