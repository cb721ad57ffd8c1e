"""Start and end a private RabbitMQ node for tests: its own folder, cookie, ports and epmd, on loopback alone.

Nothing here is found by name: the node is ended by the pid in its own pid file, its epmd through its own port.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from relay.sandbox.limits import raise_open_files

BIN = Path("/usr/lib/rabbitmq/bin")
VHOST = "truc"
ADMIN = "admin"


def _ephemeral() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        return int(low), int(high)
    except OSError:
        return 32768, 60999


def free_ports(count: int) -> int:
    """Return the first of ``count`` adjoining ports that nobody listens on, outside the ephemeral range."""
    low, high = _ephemeral()
    bases = [base for base in range(20000, 65000 - count) if base + count < low or base > high]
    for base in random.Random(secrets.randbits(64)).sample(bases, 200):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise RuntimeError("no free ports")


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="ascii", errors="replace")
            .rpartition(")")[2]
            .split()[0]
            not in "ZX"
        )
    except (OSError, IndexError):
        return False


class Node:
    """One private node. ``start`` may follow ``kill`` or ``stop``: the data stays; ``close`` ends all of it."""

    def __init__(self, home: Path, *, prometheus: bool = False, extra_conf: str = "") -> None:
        self.home = home
        self.host = "127.0.0.1"
        self.vhost = VHOST
        self.admin = ADMIN
        self.password = secrets.token_hex(12)
        self.name = "truc@localhost"
        self._prometheus = prometheus
        self._extra = extra_conf
        self._shell: subprocess.Popen[bytes] | None = None
        self._base = 0

    @property
    def port(self) -> int:
        """AMQP."""
        return self._base

    @property
    def management_port(self) -> int:
        return self._base + 1

    @property
    def prometheus_port(self) -> int:
        return self._base + 2

    @property
    def epmd_port(self) -> int:
        return self._base + 4

    @property
    def url(self) -> str:
        """AMQP address with the vhost as path, without user."""
        return f"amqp://{self.host}:{self.port}/{self.vhost}"

    @property
    def management_url(self) -> str:
        return f"http://{self.host}:{self.management_port}"

    def url_for(self, user: str, password: str) -> str:
        """AMQP address with a user."""
        return (
            f"amqp://{quote(user, safe='')}:{quote(password, safe='')}@{self.host}:{self.port}/{self.vhost}"
        )

    @property
    def pid(self) -> int | None:
        """The pid of the Erlang VM while it runs."""
        try:
            pid = int((self.home / "pid").read_text(encoding="ascii"))
            ours = str(self.home).encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if ours and alive(pid) else None

    def start(self, timeout: float = 60) -> Node:
        """Boot and wait until a client may log in. Ports are chosen at the first start and kept."""
        if self._base == 0:
            last: Exception | None = None
            for _ in range(3):
                self._base = free_ports(5)
                try:
                    self._boot(timeout)
                    return self
                except RuntimeError as error:
                    last = error
                    self.close()
                    shutil.rmtree(self.home, ignore_errors=True)
            raise RuntimeError("the node does not boot") from last
        self._boot(timeout)
        return self

    def _boot(self, timeout: float) -> None:
        for folder in ("home", "log", "data"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        cookie = self.home / "home" / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(15), encoding="ascii")
            cookie.chmod(0o400)
        plugins = "rabbitmq_management,rabbitmq_prometheus" if self._prometheus else "rabbitmq_management"
        (self.home / "enabled_plugins").write_text(f"[{plugins}].\n", encoding="ascii")
        (self.home / "rabbitmq.conf").write_text(self._conf(), encoding="utf-8")
        (self.home / "pid").unlink(missing_ok=True)
        raise_open_files()
        with (self.home / "log" / "out").open("ab") as out:
            self._shell = subprocess.Popen(
                [BIN / "rabbitmq-server"],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self._shell.poll() is not None:
                raise RuntimeError(f"the node ended: {self.log_tail()}")
            if self._answers():
                return
            time.sleep(0.05)
        raise RuntimeError(f"the node does not answer: {self.log_tail()}")

    def _conf(self) -> str:
        return (
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management_port}\n"
            + (
                f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {self.prometheus_port}\n"
                if self._prometheus
                else ""
            )
            + f"default_vhost = {VHOST}\ndefault_user = {ADMIN}\ndefault_pass = {self.password}\n"
            "disk_free_limit.absolute = 100MB\nvm_memory_high_watermark.absolute = 4GB\n"
            "log.file.level = info\nlog.console = false\nmax_message_size = 134217728\n"
            f"raft.wal_max_size_bytes = 32000000\n{self._extra}"
        )

    def environment(self) -> dict[str, str]:
        """The complete environment of the node and its tools; nothing of the host's leaks in."""
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.home / "home"),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self._base + 3),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            "ERL_CRASH_DUMP": str(self.home / "log" / "erl_crash.dump"),
        }

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1):
                pass
            return bool(self.api("GET", "/api/health/checks/virtual-hosts").get("status") == "ok")
        except (OSError, RuntimeError, http.client.HTTPException, ValueError):
            return False

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API as admin. Raises ``RuntimeError`` on an answer of 400 or above."""
        connection = http.client.HTTPConnection(self.host, self.management_port, timeout=10)
        try:
            token = base64.b64encode(f"{self.admin}:{self.password}".encode()).decode()
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Basic {token}", "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:200]!r}")
        return json.loads(data) if data else {}

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node and return its output."""
        return subprocess.run(
            [BIN / "rabbitmqctl", "-q", "-n", self.name, *arguments],
            env=self.environment(),
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout

    def sync(self) -> None:
        """Flush the tables by which a young quorum queue is found again after a crash."""
        self.ctl("eval", "[dets:sync(T) || T <- dets:all()].")

    def suspend_queue(self, vhost: str, queue: str) -> None:
        """Make a quorum queue answer nothing at all, as one without a leader does."""
        self.ctl("eval", f"sys:suspend('{vhost}_{queue}').")

    def resume_queue(self, vhost: str, queue: str) -> None:
        """End ``suspend_queue``."""
        self.ctl("eval", f"sys:resume('{vhost}_{queue}').")

    def add_user(self, user: str, password: str, configure: str, write: str, read: str) -> None:
        """Make a broker user with these permissions on the vhost."""
        name = quote(user, safe="")
        self.api("PUT", f"/api/users/{name}", {"password": password, "tags": ""})
        self.api(
            "PUT",
            f"/api/permissions/{self.vhost}/{name}",
            {"configure": configure, "write": write, "read": read},
        )

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that the node wrote."""
        found = [*(self.home / "log").glob("*.log"), self.home / "log" / "out"]
        text = "\n".join(
            path.read_text(encoding="utf-8", errors="replace") for path in found if path.exists()
        )
        return "\n".join(text.splitlines()[-lines:])

    def kill(self) -> None:
        """SIGKILL the VM: a crash."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: a clean stop (about six seconds)."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)
            end = time.monotonic() + 30
            while alive(pid) and time.monotonic() < end:
                time.sleep(0.02)
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        if self._shell is not None:
            try:
                self._shell.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self._shell.pid, signal.SIGKILL)
                self._shell.wait(timeout=10)
            self._shell = None

    def close(self) -> None:
        """End the node and its epmd."""
        self.kill()
        end = time.monotonic() + 5
        while self._epmd_listens() and time.monotonic() < end:
            subprocess.run(
                ["epmd", "-port", str(self.epmd_port), "-kill"],
                env=self.environment(),
                capture_output=True,
                check=False,
                timeout=10,
            )
            time.sleep(0.05)

    def _epmd_listens(self) -> bool:
        if not self._base:
            return False
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.epmd_port)) == 0
