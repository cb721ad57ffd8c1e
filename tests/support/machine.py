"""A machine for a page of commands: an empty folder, ports of its own, and stand-ins for what only root may do.

``Machine.run`` executes a block of shell as printed, strictly; what one block exports the next one sees. Stand-ins:
``systemctl`` (runs the units' own command lines), ``apt-get`` (everything is installed), ``systemd-sysusers`` and
``systemd-tmpfiles`` (make the folders), ``rabbitmqctl`` (the real one, of the private node).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from relay.sandbox.limits import raise_open_files
from tests.support.node import BIN, alive, free_ports

ROOT: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> dict[str, list[str]]:
    """Return the ``sh`` blocks of a page by the heading (of level two or three) above them, in order."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"(?m)^(?=#{2,3} )", page):
        head = re.match(r"#{2,3} (.*)", part)
        if head and (shell := _BLOCK.findall(part)):
            found.setdefault(head[1].strip(), []).extend(shell)
    return found


class Machine:
    """One machine in one folder."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.state = folder / "machine"
        base = free_ports(20)
        tens = -(-base // 10) * 10  # the ports of the processes differ in their last digit
        self.http = tens // 10
        others = [port for port in range(base, base + 20) if not tens <= port < tens + 10]
        self.amqps, self.management, self.prometheus, self.distribution, self.epmd = others[:5]
        self.places = {
            "/opt/truc": str(folder / "opt"),
            "/etc/truc": str(folder / "etc"),
            "/var/lib/truc": str(folder / "lib"),
            "/var/backups/truc": str(folder / "backups"),
            "http.port=947": f"http.port={self.http}",
        }
        rabbit = folder / "rabbitmq"
        self.broker = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(rabbit / "home"),
            "LANG": "C.UTF-8",
            "RABBITMQ_MNESIA_BASE": str(rabbit / "data"),
            "RABBITMQ_LOG_BASE": str(rabbit / "log"),
            "RABBITMQ_CONFIG_FILE": str(rabbit / "etc" / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(rabbit / "etc" / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(rabbit / "etc" / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(rabbit / "etc" / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(rabbit / "etc" / "rabbitmq-env.conf"),
            "RABBITMQ_PID_FILE": str(rabbit / "pid"),
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": str(rabbit / "log" / "erl_crash.dump"),
            "RUNNING_UNDER_SYSTEMD": "1",
        }
        raise_open_files()  # as a service manager does for its units
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        self.environment = {
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PATH": f"{self.state}/bin:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "TRUC_SOURCE": str(ROOT),
            "TRUC_WHEEL": str(wheel),
            "TRUC_PREFIX": self.places["/opt/truc"],
            "TRUC_ETC": self.places["/etc/truc"],
            "TRUC_LIB": self.places["/var/lib/truc"],
            "TRUC_BACKUPS": self.places["/var/backups/truc"],
            "TRUC_PKI": str(folder / "pki"),
            "TRUC_UNITS": str(folder / "units"),
            "RABBITMQ_ETC": str(rabbit / "etc"),
            "TRUC_OWNER": user,
            "RABBITMQ_OWNER": user,
            "TRUC_HOST": "localhost",
            "TRUC_LISTEN": f"127.0.0.1:{self.amqps}",
            "TRUC_MANAGEMENT": str(self.management),
            "TRUC_PROMETHEUS": str(self.prometheus),
            "TRUC_HTTP": str(self.http),
        }
        for one in (*(rabbit / name for name in ("home", "data", "log", "etc/conf.d")), folder / "units"):
            one.mkdir(parents=True)
        self._stand_ins()

    def run(self, block: str, seconds: float = 300.0) -> str:
        """Execute a block as a shell would that stops at the first failure; return what it printed."""
        kept = self.state / "exports"
        script = f"set -euo pipefail\n[ ! -e {kept} ] || . {kept}\n{block}\n{{ export -p; declare -f; }} >{kept}\npwd >{kept}.pwd\n"
        where = kept.with_suffix(".pwd")
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=where.read_text("utf-8").strip() if where.exists() else self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, (
            f"{block}\nended with {done.returncode}:\n{done.stdout[-6000:]}\n{self.logs()}"
        )
        return done.stdout

    def pid(self, service: str) -> int:
        return int((self.state / "pids" / service).read_text(encoding="ascii"))

    def logs(self) -> str:
        """The last lines of each service."""
        found = sorted((self.state / "log").glob("*")) if (self.state / "log").exists() else []
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text("utf-8", "replace").splitlines()[-12:])
            for path in found
        )

    def close(self) -> None:
        """End what runs, the broker last, and its port mapper."""
        for path in sorted((self.state / "pids").glob("*") if (self.state / "pids").exists() else ()):
            pid = int(path.read_text(encoding="ascii"))
            if alive(pid):
                os.killpg(pid, signal.SIGKILL)
                end = time.monotonic() + 20
                while alive(pid) and time.monotonic() < end:
                    time.sleep(0.02)
        end = time.monotonic() + 5
        while _listens(self.epmd) and time.monotonic() < end:
            subprocess.run(
                ["epmd", "-port", str(self.epmd), "-kill"],
                env=self.broker,
                capture_output=True,
                check=False,
                timeout=10,
            )
            time.sleep(0.05)

    def _stand_ins(self) -> None:
        tools = self.state / "bin"
        tools.mkdir(parents=True)
        said = {
            "units": str(self.folder / "units"),
            "places": self.places,
            "broker": self.broker,
            "broker_program": str(BIN / "rabbitmq-server"),
        }
        (self.state / "machine.json").write_text(json.dumps(said), encoding="utf-8")
        exports = " ".join(f"{key}='{value}'" for key, value in self.broker.items())
        folders = [place for key, place in self.places.items() if key.startswith("/")]
        scripts = {
            "systemctl": f'cd {ROOT} && exec {sys.executable} -m tests.support.systemctl {self.state} "$@"',
            "rabbitmqctl": f'exec env -i {exports} {BIN}/rabbitmqctl -q -n rabbit@localhost "$@"',
            "apt-get": f'echo "$@" >>{self.state}/apt-get',
            "systemd-sysusers": 'grep -q "^u truc " "$1"',
            "systemd-tmpfiles": f'[ "$1" = --create ] && grep -q "^d /etc/truc " "$2" && mkdir -p {" ".join(folders)}'
            f" {self.places['/etc/truc']}/secrets",
        }
        for name, script in scripts.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (tools / name).chmod(0o755)
        cookie = self.folder / "rabbitmq" / "home" / ".erlang.cookie"
        cookie.write_text(os.urandom(15).hex(), encoding="ascii")
        cookie.chmod(0o400)


def prepared_prefix(prefix: Path) -> None:
    """Make an environment that sees the packages of this one: the page's ``pip install`` finds them there.

    What is under test is not the download of packages (tests/house does that) but everything after it.
    """
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True, timeout=240)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    (target,) = (prefix / "lib").glob("python*/site-packages")
    (target / "others.pth").write_text(packages + "\n", encoding="utf-8")


def built_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
        timeout=240,
        cwd=folder,
    )
    (found,) = folder.glob("truc-*.whl")
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def copied(source: Path, target: Path) -> Path:
    """Copy a file and return the copy."""
    return Path(shutil.copy(source, target))
