"""One private RabbitMQ node of one user, root or not, in a folder of its own.

Everything that RabbitMQ would otherwise share with the machine is its own: data, log, cookie, node name, ports, epmd,
and an environment that is complete, so that a stray ``RABBITMQ_*`` of the host cannot win. The Erlang VM itself holds
the folder's lock (it inherits the descriptor), so the kernel knows whether a broker runs on these data: no pid file,
no port and no node name is as good, for a second VM on one store with another epmd starts without a complaint.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.broker.connection import Endpoint
from relay.broker.login import check_login
from relay.broker.management import Management
from relay.errors import BrokerError, Code, OperationError
from relay.sandbox import process
from relay.sandbox.limits import raise_open_files
from relay.sandbox.locks import Lock, held
from relay.sandbox.ports import Ports, is_free

BINARIES: Final = "/usr/lib/rabbitmq/bin"
BINARIES_VARIABLE: Final = "TRUC_RABBITMQ_BIN"
ADMIN: Final = "admin"
VHOST: Final = "truc"
ROLE: Final = "broker"
MAX_MESSAGE_SIZE: Final = 128 * 1024 * 1024  # said on every version: 4.0 lowers its default to 16 MiB
WAL_SIZE: Final = 64 * 1024 * 1024  # of the Raft log; the default of 512 MiB is kept in memory

# The node's own folder as it sees it, for it starts there. The management plugin of 3.10 dies of a path with letters
# beyond Latin-1, and a folder whose place the broker never learns may be moved.
_HERE: Final = "/proc/self/cwd"

_TLS: Final = f"{_HERE}/tls"
_TLS_OPTIONS: Final = f"""\
[{{rabbit, [{{ssl_options, [
  {{certfile, "{_TLS}/server.pem"}},
  {{keyfile, "{_TLS}/server.key"}},
  {{cacertfile, "{_TLS}/logins.pem"}},
  {{verify, verify_peer}},
  {{fail_if_no_peer_cert, false}},
  {{versions, ['tlsv1.3', 'tlsv1.2']}},
  {{crl_check, peer}},
  {{crl_cache, {{ssl_crl_hash_dir, {{internal, [{{dir, "{_TLS}/crls"}}]}}}}}}
]}}]}}].
"""

START_LIMIT: Final = 60.0
STOP_LIMIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Node:
    """A node that may run or not. ``home`` is the sandbox's real path, ``folder`` the node's part of it.

    With ``ca_file`` it speaks TLS and nothing else, by what stands in ``folder/tls``.
    """

    home: Path
    folder: Path
    ports: Ports
    name: str  # node name without its host part, e.g. ``truc-1f2e``
    admin_password: str
    ca_file: Path | None = None  # anchor of its TLS certificate

    @property
    def tls_folder(self) -> Path:
        """Where the node reads ``server.pem``, ``server.key``, ``logins.pem`` (the anchor of client certificates) and
        ``crls/`` (what of that anchor is revoked, by hashed names)."""
        return self.folder / "tls"

    @property
    def lock_file(self) -> Path:
        return self.folder / "node.lock"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def data(self) -> Path:
        """The data folder; deleting it while the node is stopped gives an empty broker."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the node writes to its outputs."""
        return self.folder / "log" / "out"

    # --- what runs

    def vm(self) -> process.Process | None:
        """Return the Erlang VM that runs on this folder, or None.

        The number in the pid file counts only if that process lives (no zombie), carries this home's mark and is a
        ``beam``; after a lost pid file the VM is found by the mark.
        """
        running = [
            found
            for found in process.marked(self.home)
            if found.role == ROLE and found.name.startswith("beam")
        ]
        if not running:
            return None
        noted = self._noted_pid()
        for found in running:
            if found.process.pid == noted:
                return found.process
        return running[0].process

    def running(self) -> bool:
        """Whether a VM lives on these data."""
        return held(self.lock_file) and self.vm() is not None

    def epmd(self) -> list[process.Process]:
        """Return the port mapper of this node: its environment names our folder and our port."""
        port = str(self.ports.epmd)
        return [
            found.process
            for found in process.marked(self.home)
            if found.name == "epmd" and found.environment.get("ERL_EPMD_PORT") == port
        ]

    def _noted_pid(self) -> int | None:
        try:
            return int(self.pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    # --- start

    def start(self) -> process.Process:
        """Start the node if none runs here, and return its VM; does not wait until it serves.

        Raises:
            OperationError: BROKER-MISSING (RabbitMQ or Erlang is not installed), SANDBOX-LOCKED (another process
                holds these data), SANDBOX-BROKEN (a port of ours was taken by somebody else).
        """
        if held(self.lock_file) and (vm := self.vm()) is not None:
            return vm
        server = server_binary()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = Lock(self.lock_file)
        limit = time.monotonic() + 5.0
        while not lock.take():  # a helper of a killed VM may outlive it for a moment
            if time.monotonic() > limit:
                raise OperationError(Code.SANDBOX_LOCKED, f"another process holds {self.lock_file}")
            time.sleep(0.05)
        try:
            self._end_strays(keep_epmd=True)
            own_epmd = bool(self.epmd())
            taken = [
                port
                for port in self.ports.broker
                if not (own_epmd and port == self.ports.epmd) and not _becomes_free(port)
            ]
            if taken:
                raise OperationError(
                    Code.SANDBOX_BROKEN, f"port {taken[0]} of this sandbox is in use by another process"
                )
            self._write_files()
            self.pid_file.unlink(missing_ok=True)
            raise_open_files()
            with self.log.open("ab") as output:
                child = subprocess.Popen(
                    [str(server)],
                    env=self._environment(),
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    pass_fds=(lock.descriptor,),
                )
        finally:
            lock.leave()
        started = process.identify(child.pid)
        if started is None:
            raise OperationError(Code.SANDBOX_BROKEN, f"the broker did not start, see {self.log}")
        # The supervisor watches the process by its identity; the handle must not complain when it is dropped.
        child.returncode = 0
        return started

    def wait_ready(
        self, vm: process.Process, limit: float = START_LIMIT, on_wait: Callable[[], None] | None = None
    ) -> str:
        """Wait until the node serves: login and channel over AMQP, then the virtual host's own health check.

        Returns the broker's version. Quorum queues need more than that; see the topology.

        Raises:
            OperationError: SANDBOX-BROKEN: the VM died or was not ready within ``limit`` seconds.
        """
        end = time.monotonic() + limit
        reason = ""
        while time.monotonic() < end:
            vm.collect()
            if not vm.alive():
                raise OperationError(Code.SANDBOX_BROKEN, f"the broker ended while starting, see {self.log}")
            try:
                version = check_login(self.endpoint(ADMIN, self.admin_password))
                if self.management.healthy():
                    return version
                reason = "the virtual host is not up"
            except BrokerError as error:
                reason = error.detail
            if on_wait is not None:
                on_wait()
            time.sleep(0.05)
        raise OperationError(
            Code.SANDBOX_BROKEN, f"the broker was not ready in {limit:.0f} s ({reason}), see {self.log}"
        )

    def serves(self) -> bool:
        """Whether login and channel work now."""
        try:
            check_login(self.endpoint(ADMIN, self.admin_password), timeout=3.0)
        except BrokerError:
            return False
        return True

    @property
    def management(self) -> Management:
        """The management interface, as administrator."""
        return Management(
            self.management_url, ADMIN, self.admin_password, VHOST, ca_file=self.ca_file, timeout=10.0
        )

    @property
    def amqp_url(self) -> str:
        """The node's address, the vhost as path."""
        return f"{'amqps' if self.ca_file else 'amqp'}://127.0.0.1:{self.ports.amqp}/{VHOST}"

    @property
    def management_url(self) -> str:
        """The address of the management interface."""
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.ports.management}"

    def endpoint(self, user: str, password: str) -> Endpoint:
        """Return the way in for a user with a password."""
        return Endpoint.from_url(self.amqp_url, user, password, ca_file=self.ca_file)

    def as_configured(self) -> bool:
        """Whether the files that the node was started with are those that it would be started with now."""
        try:
            return all(path.read_text(encoding="utf-8") == text for path, text in self._files().items())
        except OSError:
            return False

    def elect_leader(self, queue: str) -> None:
        """Have a quorum queue without a leader elect one; what it had lost stays lost. Raises SANDBOX-BROKEN."""
        # The queue's name inside the Raft library; names of ours hold neither quotes nor backslashes.
        expression = f"ra:trigger_election({{'{VHOST}_{queue}', node()}})."
        try:
            subprocess.run(
                [
                    server_binary().with_name("rabbitmqctl"),
                    "-q",
                    "-n",
                    f"{self.name}@localhost",
                    "eval",
                    expression,
                ],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=30,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise OperationError(Code.SANDBOX_BROKEN, f"rabbitmqctl failed: {error}") from error

    # --- stop

    def stop(self, patience: float = STOP_LIMIT) -> None:
        """Stop the VM (SIGTERM, after ``patience`` seconds SIGKILL), its helpers and its epmd. Safe to repeat."""
        vm = self.vm()
        if vm is not None:
            process.end([vm], patience)
        self._end_strays(keep_epmd=False)
        self.pid_file.unlink(missing_ok=True)
        self.lock_file.unlink(missing_ok=True)

    def _end_strays(self, *, keep_epmd: bool) -> None:
        """End what an earlier VM of this folder left behind, and any VM that runs here without the lock."""
        epmd = set(self.epmd()) if keep_epmd else set()
        strays = [
            found.process
            for found in process.marked(self.home)
            if found.role == ROLE and found.process not in epmd
        ]
        process.end(strays, 2.0)

    # --- files

    def _environment(self) -> dict[str, str]:
        binaries = server_binary().parent
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": f"{binaries}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": f"{_HERE}/home",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": f"{self.name}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{_HERE}/data",
            "RABBITMQ_LOG_BASE": f"{_HERE}/log",
            "RABBITMQ_CONFIG_FILE": f"{_HERE}/rabbitmq.conf",
            # Else those of the machine's own broker, in /etc/rabbitmq, would be read too.
            "RABBITMQ_CONFIG_FILES": f"{_HERE}/conf.d/*.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{_HERE}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{_HERE}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{_HERE}/pid",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": f"{_HERE}/log/erl_crash.dump",
            # Makes the start script become the VM instead of standing beside it: our child is the broker itself.
            "RUNNING_UNDER_SYSTEMD": "1",
            process.HOME_MARK: str(self.home),
            process.ROLE_MARK: ROLE,
        }

    def _write_files(self) -> None:
        for folder in (self.folder / "home", self.folder / "log", self.data):
            folder.mkdir(mode=0o700, exist_ok=True)
        cookie = self.folder / "home" / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(20), encoding="ascii")
        cookie.chmod(0o400)  # with any right for others the node refuses to start
        for path, text in self._files().items():
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")

    def _files(self) -> dict[Path, str]:
        """Return the node's configuration by file."""
        plugins = ["rabbitmq_management", "rabbitmq_prometheus"]
        if self.ca_file is not None:
            plugins.append("rabbitmq_auth_mechanism_ssl")
        return {
            self.folder / "enabled_plugins": f"[{','.join(plugins)}].\n",
            self.folder / "rabbitmq.conf": self._configuration(),
            self.folder / "advanced.config": "[].\n" if self.ca_file is None else _TLS_OPTIONS,
        }

    def _configuration(self) -> str:
        return "\n".join(
            (
                *(self._plain_listeners() if self.ca_file is None else self._tls_listeners()),
                # For scrapers of this machine; nothing secret goes over it, no login is asked for.
                "prometheus.tcp.ip = 127.0.0.1",
                f"prometheus.tcp.port = {self.ports.prometheus}",
                "# These three act on the first boot of an empty data folder.",
                f"default_vhost = {VHOST}",
                f"default_user = {ADMIN}",
                f"default_pass = {self.admin_password}",
                f"max_message_size = {MAX_MESSAGE_SIZE}",
                f"raft.wal_max_size_bytes = {WAL_SIZE}",
                "disk_free_limit.absolute = 200MB",
                "vm_memory_high_watermark.relative = 0.5",
                "log.file.level = info",
                "log.console = false",
                "",
            )
        )

    def _plain_listeners(self) -> tuple[str, ...]:
        return (
            f"listeners.tcp.1 = 127.0.0.1:{self.ports.amqp}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.ports.management}",
        )

    def _tls_listeners(self) -> tuple[str, ...]:
        """The same lines as in production (docs/tls.md), but for places and ports. For AMQP the rest is in
        ``advanced.config``: 3.10 has no line for revocation."""
        return (
            "listeners.tcp = none",
            f"listeners.ssl.1 = 127.0.0.1:{self.ports.amqp}",
            "ssl_cert_login_from = common_name",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = EXTERNAL",
            "management.ssl.ip = 127.0.0.1",
            f"management.ssl.port = {self.ports.management}",
            f"management.ssl.certfile = {_TLS}/server.pem",
            f"management.ssl.keyfile = {_TLS}/server.key",
            "management.ssl.versions.1 = tlsv1.3",
            "management.ssl.versions.2 = tlsv1.2",
        )


def server_binary() -> Path:
    """Return ``rabbitmq-server`` itself, not the wrapper in /usr/sbin that changes to another user.

    Raises:
        OperationError: BROKER-MISSING.
    """
    folder = Path(os.environ.get(BINARIES_VARIABLE) or BINARIES)
    server = folder / "rabbitmq-server"
    if not os.access(server, os.X_OK):
        raise OperationError(Code.BROKER_MISSING, f"{server} is missing")
    if shutil.which("erl", path="/usr/local/bin:/usr/bin:/bin:" + str(folder)) is None:
        raise OperationError(Code.BROKER_MISSING, "Erlang (erl) is missing")
    return server


def _becomes_free(port: int, patience: float = 2.0) -> bool:
    """Whether the port is free, or becomes so at once: a killed VM's sockets may close a moment after it."""
    limit = time.monotonic() + patience
    while not is_free(port):
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True
