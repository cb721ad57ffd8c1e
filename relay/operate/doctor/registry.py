"""The registry and the disks: does it open, is it whole, does anything wait in it that should have moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from relay.errors import Code
from relay.operate.doctor.check import Found, on, size, span
from relay.operate.doctor.facts import Disk
from relay.registry.examine import Examination, Waiting

_WAL: Final = 256 * 1024 * 1024
_UNFINISHED: Final = timedelta(minutes=10)
_RECEIPTS: Final = timedelta(minutes=5)
_DEFERRED: Final = timedelta(minutes=10)
_UNTOLD: Final = timedelta(minutes=5)
_FUTURE: Final = timedelta(seconds=10)
_UNSEALED: Final = timedelta(hours=1)
_LOW: Final = 1024 * 1024 * 1024
_FULL: Final = 128 * 1024 * 1024
_INODES: Final = 0.02
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs", "ceph"})


def _unusable(registry: Examination) -> Iterator[Found]:
    if registry.trouble is not None and registry.trouble is not Code.REGISTRY_BUSY:
        yield Found(registry.file, registry.detail)
    elif registry.foreign:
        yield Found(registry.file, "the database holds tables that are not the registry's")


def _busy(registry: Examination) -> Iterator[Found]:
    if registry.locked_by is not None:
        yield Found(registry.file, f"process {registry.locked_by}")
    elif registry.trouble is Code.REGISTRY_BUSY:
        yield Found(registry.file, registry.detail)


def _usable(registry: Examination) -> bool:
    return registry.trouble is None and not registry.damage


def _schema(registry: Examination) -> Iterator[Found]:
    if _usable(registry) and not registry.foreign and registry.versions != (registry.wanted,):
        there = ", ".join(map(str, registry.versions)) or "none"
        yield Found(registry.file, f"{there}, this relay knows {registry.wanted}")


def _damaged(registry: Examination) -> Iterator[Found]:
    if registry.damage:
        yield Found(registry.file, registry.damage)


def _read_only(registry: Examination) -> Iterator[Found]:
    if not registry.writable:
        yield Found(registry.file)


def _open(registry: Examination) -> Iterator[Found]:
    if registry.mode is not None and registry.mode & 0o007:
        yield Found(registry.file, f"mode {registry.mode:04o}")


def _wal(registry: Examination) -> Iterator[Found]:
    if registry.wal_bytes > _WAL:
        yield Found(f"{registry.file}-wal", size(registry.wal_bytes))


def _orphans(registry: Examination) -> Iterator[Found]:
    for owner, waiting in registry.orphans:
        if _older(registry, waiting, timedelta(seconds=6 * registry.lease_seconds)):
            yield Found(owner, _since(registry, waiting))


def _older(registry: Examination, waiting: Waiting, limit: timedelta) -> bool:
    return waiting.count > 0 and waiting.oldest is not None and waiting.oldest < registry.at - limit


def _since(registry: Examination, waiting: Waiting) -> str:
    assert waiting.oldest is not None
    return f"{waiting.count}, the oldest for {span((registry.at - waiting.oldest).total_seconds())}"


def _late(which: str, limit: timedelta) -> Callable[[Examination], Iterator[Found]]:
    def judge(registry: Examination) -> Iterator[Found]:
        waiting: Waiting = getattr(registry, which)
        if _older(registry, waiting, limit):
            yield Found(detail=_since(registry, waiting))

    return judge


def _future(registry: Examination) -> Iterator[Found]:
    if registry.newest is not None and registry.newest > registry.at + _FUTURE:
        yield Found(detail=f"{span((registry.newest - registry.at).total_seconds())} ahead")


# --- evidence


def _faults(registry: Examination) -> Iterator[Found]:
    for place, what in registry.faults:
        yield Found(place, what)


def _forks(registry: Examination) -> Iterator[Found]:
    for relay, how in registry.forks:
        yield Found(relay, how)


# --- disks


def _full(disks: tuple[Disk, ...]) -> Iterator[Found]:
    for one in disks:
        if one.free < _FULL:
            yield Found(one.folder, f"{one.place}: {size(one.free)} free")


def _low(disks: tuple[Disk, ...]) -> Iterator[Found]:
    for one in disks:
        if _FULL <= one.free < _LOW:
            yield Found(one.folder, f"{one.place}: {size(one.free)} free")


def _inodes(disks: tuple[Disk, ...]) -> Iterator[Found]:
    for one in disks:
        if one.inodes and one.inodes_free < _INODES * one.inodes:
            yield Found(one.folder, f"{one.place}: {one.inodes_free} of {one.inodes} free")


def _disk_read_only(disks: tuple[Disk, ...]) -> Iterator[Found]:
    for one in disks:
        if one.read_only and one.place != "directory":
            yield Found(one.folder, one.place)


def _network(disks: tuple[Disk, ...]) -> Iterator[Found]:
    for one in disks:
        if one.place == "registry" and one.kind in _NETWORK:
            yield Found(one.folder, one.kind)


CHECKS: Final = (
    on("registry", "registry.unusable", _unusable),
    on("registry", "registry.damaged", _damaged),
    on("registry", "registry.schema", _schema),
    on("registry", "registry.read-only", _read_only),
    on("registry", "registry.locked", _busy),
    on("registry", "registry.open", _open),
    on("registry", "registry.wal", _wal),
    on("registry", "registry.orphans", _orphans),
    on("registry", "registry.unfinished", _late("unsettled", _UNFINISHED)),
    on("registry", "registry.receipts", _late("unpublished", _RECEIPTS)),
    on("registry", "registry.deferred", _late("deferred", _DEFERRED)),
    on("registry", "registry.untold", _late("untold", _UNTOLD)),
    on("registry", "registry.future", _future),
    on("registry", "evidence.faults", _faults),
    on("registry", "evidence.forks", _forks),
    on("registry", "evidence.unsealed", _late("unsealed", _UNSEALED)),
    on("disks", "disk.full", _full),
    on("disks", "disk.low", _low),
    on("disks", "disk.inodes", _inodes),
    on("disks", "disk.read-only", _disk_read_only),
    on("disks", "disk.network", _network),
)
