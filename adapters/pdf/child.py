"""The judging process: started once, idle between files, a copy of itself for each file.

What it reads on its standard input is a frame of settings and material, then one frame for each file; what it writes is
one frame for each answer. The copy has bounds on memory, processor time and files, no right to connect anywhere or to
start anything, and is killed when its time is over. The first copy costs what the libraries take to load, each further
one a few milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from datetime import datetime
from typing import Any, BinaryIO, Final

from adapters.pdf.chains import revocation_list
from adapters.pdf.judge import Judged, judged
from adapters.pdf.material import JudgePolicy, Material, from_json
from adapters.pdf.wire import HEAD, LENGTH, as_json
from relay.model.inspection import Finding

_ANSWER: Final = 4 * 1024 * 1024  # bytes of an answer at most
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_NEW_USER_AND_NET: Final = 0x10000000 | 0x40000000
_FORBIDDEN: Final = (
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg",
    "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty", "os.remove", "os.rename",
    "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.kill", "ctypes.dlopen",
    "pty.spawn", "shutil.rmtree", "urllib.Request",
)  # fmt: skip

_RECURSION: Final = 900


def main() -> None:
    """Serve until standard input ends."""
    taking, telling = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    # What a library prints must not get between the frames.
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        if number:
            os.dup2(quiet, number)
    _alone()
    first = _frame(taking)
    if first is None:
        return
    material, policy = from_json(first[0])
    for one in material.lists:
        revocation_list(one)
    _tell(telling, {"ready": True})
    while (request := _frame(taking)) is not None:
        facts, content = request
        _tell(telling, _apart(content, material, policy, datetime.fromisoformat(facts["at"])))


def _alone() -> None:
    """Die with the parent, gain no rights, and where the system lets us, have no network at all."""
    with contextlib.suppress(OSError, AttributeError):
        system = ctypes.CDLL(None, use_errno=True)
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        system.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        system.unshare(_NEW_USER_AND_NET)


def _apart(content: bytes, material: Material, policy: JudgePolicy, at: datetime) -> dict[str, Any]:
    """Judge in a copy of this process; its end, whatever it is, becomes an answer."""
    reading, writing = os.pipe()
    copy = os.fork()
    if not copy:
        code = 1
        try:
            os.close(reading)
            code = _in_the_copy(writing, content, material, policy, at)
        finally:
            os._exit(code)
    os.close(writing)
    answer, late = _answer(reading, policy.seconds)
    os.close(reading)
    with contextlib.suppress(ProcessLookupError):
        os.kill(copy, signal.SIGKILL)
    _, status = os.waitpid(copy, 0)
    if late:
        return as_json(Judged(Finding.UNREADABLE, "too-slow"))
    try:
        found: dict[str, Any] = json.loads(answer)
    except ValueError:
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
        return as_json(Judged(Finding.UNREADABLE, "too-slow" if killed else "crashed"))
    return found


def _answer(reading: int, seconds: float) -> tuple[bytes, bool]:
    """Read to the end, or to the end of the time (True)."""
    until = time.monotonic() + seconds
    parts: list[bytes] = []
    while (left := until - time.monotonic()) > 0:
        if not select.select([reading], [], [], left)[0]:
            break
        part = os.read(reading, 1 << 16)
        if not part:
            return b"".join(parts), False
        parts.append(part)
        if sum(map(len, parts)) > _ANSWER:
            return b"", False
    return b"", True


def _in_the_copy(writing: int, content: bytes, material: Material, policy: JudgePolicy, at: datetime) -> int:
    # nothing that this process had open is open in the copy, and the bound on files counts the copy's own
    os.closerange(3, writing)
    os.closerange(writing + 1, os.sysconf("SC_OPEN_MAX"))
    _bind(policy)
    try:
        found = asyncio.run(judged(content, material, policy, at))
    except MemoryError:
        found = Judged(Finding.UNREADABLE, "too-large")
    octets = json.dumps(as_json(found)).encode()
    while octets:
        octets = octets[os.write(writing, octets) :]
    return 0


def _bind(policy: JudgePolicy) -> None:
    """Give up what judging does not need."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no pathlib between fork and bounds
        used = int(file.read().split()[0]) * resource.getpagesize()
    seconds = max(1, int(policy.seconds) + 1)
    bounds = {
        resource.RLIMIT_AS: used + policy.memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for which, bound in bounds.items():
        _, hard = resource.getrlimit(which)
        least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(which, (least, least))
    sys.setrecursionlimit(_RECURSION)
    sys.addaudithook(_guard)


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(event)
    if event == "open" and len(arguments) > 1:
        mode = arguments[1]
        if isinstance(mode, str) and any(letter in mode for letter in "wax+"):
            raise PermissionError(event)


# --- frames


def _frame(taking: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    head = taking.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    facts_length, content_length = HEAD.unpack(head)
    facts, content = taking.read(facts_length), taking.read(content_length)
    if len(facts) < facts_length or len(content) < content_length:
        return None
    return json.loads(facts), content


def _tell(telling: Any, facts: dict[str, Any]) -> None:  # noqa: ANN401
    octets = json.dumps(facts).encode()
    octets = LENGTH.pack(len(octets)) + octets
    while octets:
        octets = octets[telling.write(octets) :]


if __name__ == "__main__":
    main()
