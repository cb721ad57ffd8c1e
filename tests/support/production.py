"""RabbitMQ from the very files of ``deploy/rabbitmq``: on private ports and paths, one node or several.

Only places, ports, names and the bound on free disk are put in; a key that is not there any more is a failure.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.broker.connection import Endpoint
from relay.broker.login import check_login
from relay.broker.management import Management
from relay.errors import BrokerError, ConfigurationError
from relay.sandbox.issuing import builder, new_key, write_key
from relay.sandbox.limits import raise_open_files
from relay.sandbox.tlsca import TlsAuthorities
from tests.support.node import BIN, alive

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = ROOT / "deploy" / "rabbitmq"
VHOST: Final = "truc"
ADMIN: Final = "topology"


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return a rabbitmq.conf with other values; each key has to stand in it."""
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{re.escape(key)} = .*$", lambda _m, k=key, v=value: f"{k} = {v}", text)  # type: ignore[misc]
        assert count == 1, f"{key} stands {count} times"
    return text


class ProductionNode:
    """One node as an operator installs it. ``fellows`` are the names of all nodes of a cluster."""

    def __init__(
        self,
        folder: Path,
        base: int,
        epmd: int,
        tls: TlsAuthorities,
        *,
        name: str = "rabbit",
        fellows: Sequence[str] = (),
        cookie: str = "",
    ) -> None:
        self.folder = folder
        self.name = f"{name}@localhost"
        self.amqps, self.management_port, self.prometheus, self.distribution = range(base, base + 4)
        self.epmd = epmd
        self.tls = tls
        self.password = secrets.token_urlsafe(18)
        self._fellows = [f"{one}@localhost" for one in fellows]
        self._cookie = cookie or secrets.token_hex(15)
        self._shell: subprocess.Popen[bytes] | None = None

    def write(self) -> ProductionNode:
        """Write the files of deploy/rabbitmq into the folder, with its own places and ports."""
        etc = self.folder / "etc"
        for one in (
            etc / "conf.d",
            etc / "tls",
            self.folder / "home",
            self.folder / "log",
            self.folder / "data",
        ):
            one.mkdir(parents=True, exist_ok=True)
        cookie = self.folder / "home" / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self._cookie, encoding="ascii")
            cookie.chmod(0o400)
        for source, name in (
            (self.tls.folder / "server.pem", "server.pem"),
            (self.tls.folder / "server.key", "server.key"),
            (self.tls.logins_cert, "logins.pem"),
            (self.tls.root_cert, "cluster-ca.pem"),
        ):
            shutil.copyfile(source, etc / "tls" / name)
        if self._fellows:
            _node_certificate(self.tls, etc / "tls")
        for name in ("advanced.config", "enabled_plugins"):
            shutil.copyfile(FILES / name, etc / name)
        text = (FILES / "conf.d" / "10-truc.conf").read_text(encoding="utf-8")
        values = {
            "listeners.ssl.default": str(self.amqps),
            "management.tcp.port": str(self.management_port),
            "prometheus.tcp.port": str(self.prometheus),
            "disk_free_limit.absolute": "100MB",
        }
        text = with_values(text, values).replace("listeners.ssl.default = ", "listeners.ssl.1 = 127.0.0.1:")
        self._place(etc / "conf.d" / "10-truc.conf", text)
        if self._fellows:
            text = (FILES / "three-nodes" / "20-cluster.conf").read_text(encoding="utf-8")
            nodes = {
                f"cluster_formation.classic_config.nodes.{n}": node for n, node in enumerate(self._fellows, 1)
            }
            self._place(etc / "conf.d" / "20-cluster.conf", with_values(text, nodes))
            self._place(
                etc / "inter_node_tls.config",
                (FILES / "three-nodes" / "inter_node_tls.config").read_text("utf-8"),
            )
        return self

    def environment(self) -> dict[str, str]:
        """The complete environment of node and tools: what Debian's service sets, here for other places."""
        etc = self.folder / "etc"
        kind = "three-nodes" if self._fellows else "one-node"
        own = (
            (FILES / kind / "rabbitmq-env.conf")
            .read_text(encoding="utf-8")
            .replace("/etc/rabbitmq", str(etc))
        )
        words = dict(re.findall(r'(?m)^(\w+)="(.*)"$', own))
        # Three nodes of one machine: their traffic stays on it, and each has a port of its own.
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}" if self._fellows else ""
        server = f"{words['SERVER_ADDITIONAL_ERL_ARGS'].replace('25672', str(self.distribution))} {loopback}".strip()
        tools = f"{words['CTL_ERL_ARGS']} {loopback}".strip()
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(etc / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(etc / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": server,
            "RABBITMQ_CTL_ERL_ARGS": tools,
            "ERL_CRASH_DUMP": str(self.folder / "log" / "erl_crash.dump"),
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    def start(self) -> ProductionNode:
        """Start; does not wait."""
        raise_open_files()
        with (self.folder / "log" / "out").open("ab") as out:
            self._shell = subprocess.Popen(
                [BIN / "rabbitmq-server"],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def wait(self, seconds: float = 60.0) -> None:
        """Wait until the node says that it has started, plugins too."""
        end = time.monotonic() + seconds
        while True:
            assert self._shell is not None
            assert self._shell.poll() is None, f"the node ended: {self.log_tail()}"
            assert time.monotonic() < end, f"the node does not start: {self.log_tail()}"
            if (self.folder / "log" / "out").read_text("utf-8", "replace").rfind(
                "Starting broker... completed"
            ) > 0:
                return
            time.sleep(0.1)

    def ctl(self, *words: str, secret: str = "", tool: str = "rabbitmqctl") -> str:
        """Run a tool on this node and return what it prints."""
        done = subprocess.run(
            [BIN / tool, "-q", "-n", self.name, *words],
            env=self.environment(),
            input=secret,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{tool} {words[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def provide(self) -> None:
        """Make the virtual host and the administrator, and take the guest away, as the page says."""
        self.ctl("add_vhost", VHOST)
        self.ctl("add_user", ADMIN, secret=self.password + "\n")
        self.ctl("set_user_tags", ADMIN, "administrator")
        self.ctl("set_permissions", "-p", VHOST, ADMIN, ".*", ".*", ".*")
        self.ctl("delete_user", "guest")

    @property
    def management(self) -> Management:
        return Management(f"http://127.0.0.1:{self.management_port}", ADMIN, self.password, VHOST)

    def endpoint(self, user: str = ADMIN, password: str = "", port: int = 0) -> Endpoint:
        return Endpoint(
            "localhost",
            port or self.amqps,
            user,
            password or self.password,
            VHOST,
            tls=True,
            ca_file=self.tls.root_cert,
        )

    def serves(self) -> bool:
        try:
            check_login(self.endpoint(), timeout=5.0)
        except (BrokerError, ConfigurationError):
            return False
        return True

    def log_tail(self, lines: int = 25) -> str:
        text = "\n".join(
            path.read_text(encoding="utf-8", errors="replace")
            for path in sorted((self.folder / "log").iterdir())
        )
        return "\n".join(text.splitlines()[-lines:])

    def kill(self) -> None:
        """SIGKILL the node: a machine that is gone."""
        if self._shell is not None:
            self._shell.kill()
            self._shell.wait(30)
            self._shell = None

    def close(self) -> None:
        """End the node and, if nobody else uses it, its epmd."""
        self.kill()
        end = time.monotonic() + 5
        while _listens(self.epmd) and time.monotonic() < end:
            subprocess.run(
                ["epmd", "-port", str(self.epmd), "-kill"],
                env=self.environment(),
                capture_output=True,
                check=False,
                timeout=10,
            )
            time.sleep(0.05)

    def _place(self, file: Path, text: str) -> None:
        file.write_text(text.replace("/etc/rabbitmq", str(self.folder / "etc")), encoding="utf-8")


def _node_certificate(tls: TlsAuthorities, folder: Path) -> None:
    """Make the certificate that a node shows to its fellows, as the one who calls and as the one who is called."""
    authority = x509.load_pem_x509_certificate(tls.root_cert.read_bytes())
    signer = serialization.load_pem_private_key(tls.root_cert.with_suffix(".key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = new_key("ec-p256")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        builder(name, authority.subject, key, datetime.now(UTC), timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    write_key(folder / "node.key", key)
    (folder / "node.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class Balancer:
    """A TCP load balancer: each connection goes to the first node that answers. TLS passes through."""

    def __init__(self, port: int, targets: Sequence[int]) -> None:
        self.port = port
        self.targets = list(targets)
        self._server = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, name="balancer", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        for target in self.targets:
            try:
                node = socket.create_connection(("127.0.0.1", target), timeout=2)
            except OSError:
                continue
            node.settimeout(None)
            self._open += [client, node]
            threading.Thread(target=_pump, args=(client, node), daemon=True).start()
            _pump(node, client)
            return
        client.close()

    def close(self) -> None:
        self._server.close()
        for one in self._open:
            one.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ended(pid: int) -> bool:
    """Whether a process is gone."""
    return not alive(pid)
