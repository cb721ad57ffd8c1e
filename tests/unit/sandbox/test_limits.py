"""The limit of open files is raised to what the system allows, never lowered."""

from __future__ import annotations

import subprocess
import sys

ASKED = (
    "import resource, sys; from relay.sandbox.limits import raise_open_files; "
    "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
    "resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), hard)); "
    "print(raise_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)[0], hard)"
)


def asked(soft: int) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", ASKED, str(soft)], capture_output=True, text=True, check=True, timeout=30
    )
    return [int(word) for word in done.stdout.split()]


def test_it_is_raised_as_far_as_allowed() -> None:
    said, soft, hard = asked(256)
    assert said == soft > 256
    assert soft == (65_536 if hard == -1 else min(hard, 65_536))
    assert asked(soft)[1] == soft
