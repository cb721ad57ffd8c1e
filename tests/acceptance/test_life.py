"""Users and certificates in life, on a real sandbox with TLS: what an operator types, what running workers make of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
from click.testing import CliRunner
from pika.credentials import ExternalCredentials
from pika.exceptions import AMQPError

from relay.cli.main import main
from relay.directory.file import load
from relay.directory.write import dump
from relay.model.agency import Agency
from relay.model.levels import Level
from relay.sandbox.ca import DevelopmentCa, Issued
from relay.sandbox.home import Home
from relay.sandbox.tlsca import TlsAuthorities
from tests.support.sandbox import running_sandbox
from tests.support.stranger import Sandbox, Stranger
from tests.support.stranger_xml import Facts, Signer, document, sign

CODES = ("K71", "K72", "K73", "K74")
OBEYED = (
    60.0  # seconds at most; with the settings that a relay has by default, running workers obey within 10
)


@dataclass
class Ground:
    """The sandbox, three agencies that its directory knows and nothing else, and what gateways of theirs hold."""

    home: Path
    sandbox: Sandbox
    keys: dict[str, Issued]
    passwords: dict[str, str] = field(default_factory=dict)  # by broker user
    open: list[Stranger] = field(default_factory=list)

    def truc(self, *words: object, code: int = 0) -> Any:
        """Run a command with --json; return what it prints, or of a failure its error."""
        line = [*(str(word) for word in words), "--home", str(self.home), "--json"]
        result = CliRunner().invoke(main, line, prog_name="truc")
        assert result.exit_code == code, (line, result.output, result.stderr, result.exception)
        return json.loads(result.stdout) if code == 0 else json.loads(result.stderr)["error"]

    def keep_password(self, made: dict[str, Any]) -> str:
        self.passwords[made["user"]] = made["password"]
        return str(made["user"])

    def gateway(self, code: str, user: str = "") -> Stranger:
        """Return a gateway of ours that logs in as one of its users."""
        user = user or code
        issued = self.keys[code]
        raw = dict(self.sandbox.raw)
        raw["gateways"] = {
            **raw["gateways"],
            code: {"user": user, "password": self.passwords[user], "serves": [code]},
        }
        raw["agencies"] = {
            **raw["agencies"],
            code: {"gateway": code, "user": user, "key": str(issued.key), "cert": str(issued.cert)},
        }
        made = Stranger(Sandbox(raw), code)
        self.open.append(made)
        return made

    def parameters(self, user: str, password: str, login: Issued | None = None) -> pika.ConnectionParameters:
        """Return the way in by password, or by the certificate of ``login``."""
        url = urlsplit(self.sandbox.raw["amqp_url"])
        context = ssl.create_default_context(cafile=self.sandbox.raw["tls_ca_cert"])
        if login is not None:
            context.load_cert_chain(login.cert, login.key)
        return pika.ConnectionParameters(
            url.hostname,
            url.port,
            url.path[1:],
            ExternalCredentials() if login else pika.PlainCredentials(user, password),
            connection_attempts=1,
            ssl_options=pika.SSLOptions(context, str(url.hostname)),
        )

    def refused(self, user: str, password: str, login: Issued | None = None) -> None:
        """Show that the broker lets nobody in like this."""
        with pytest.raises(AMQPError):
            pika.BlockingConnection(self.parameters(user, password, login))

    def issue(self, code: str, name: str) -> Issued:
        """Return another key and certificate of an agency, by the authority of the sandbox."""
        place = Home(self.home)
        return DevelopmentCa(place.ca).agency(place.keys, f"{code}-{name}", name, datetime.now(UTC))

    def register(self, code: str, issued: Issued, folder: Path) -> dict[str, Any]:
        """Challenge, proof, registration: what agency and operator do."""
        challenge, proof = folder / "challenge.txt", folder / "proof.txt"
        self.truc("directory", "certificate", "challenge", code, "--out", challenge)
        line = ["directory", "certificate", "prove", str(challenge), "--key", str(issued.key)]
        proof.write_text(CliRunner().invoke(main, line).stdout, encoding="ascii")
        made: dict[str, Any] = self.truc(
            "directory", "certificate", "add", code, issued.cert, "--proof", proof
        )
        return made

    def pending(self) -> list[dict[str, str]]:
        planned = self.truc("topology", "plan")
        return [one for one in planned["changes"] if one["what"] != "report"]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("life") / "home"
    with running_sandbox(home, tls=True):
        place = Home(home)
        known = load(place.directory_file).agencies()
        ours = [
            Agency(code, f"Cơ quan {code} (mẫu)", Level.CENTRAL, gateway=code, own_queue=True)
            for code in CODES
        ]
        dump(place.directory_file, [*known, *ours], "mẫu")
        ca, now = DevelopmentCa(place.ca), datetime.now(UTC)
        keys = {code: ca.agency(place.keys, code, code, now) for code in CODES}
        made = Ground(home, Sandbox.load(place.sandbox_file), keys)
        yield made
        for one in made.open:
            with contextlib.suppress(AMQPError):
                one.close()


def becomes(look: Callable[[], bool], seconds: float = OBEYED) -> float:
    """Wait until it is so; return after how many seconds. Fails when it takes longer than promised."""
    begin = time.monotonic()
    while not look():
        assert time.monotonic() - begin < seconds
    return time.monotonic() - begin


def submit(gateway: Stranger, signer: Signer) -> str:
    """Publish a document by that signer; return the code of its acknowledgement, "" if it was accepted."""
    transport_id = str(uuid.uuid4())
    body = sign(document(Facts(gateway.code, ("H29",))), signer)
    assert gateway.publish(body, message_id=transport_id) == "ack"
    return gateway.acknowledgement(transport_id).code


def test_a_gateway_comes_to_life_changes_its_password_and_nothing_stops_meanwhile(
    ground: Ground, tmp_path: Path
) -> None:
    assert ground.truc("user", "add", "K71", "--dry-run")["dry_run"] is True
    assert "password" not in ground.truc("user", "add", "K71", "--dry-run")
    ground.keep_password(ground.truc("user", "add", "K71"))
    assert [one for one in ground.pending() if "K71" in one["name"]] == []
    assert ground.truc("user", "add", "K71", code=1)["code"] == "USER-EXISTS"
    first = ground.gateway("K71").start()
    signer = first.signer()
    becomes(
        lambda: submit(first, signer) == "WRONG-SIGNER"
    )  # known by now, its certificate not registered yet
    row = ground.register("K71", ground.keys["K71"], tmp_path)
    assert (row["state"], row["changed"]) == ("valid", True)
    becomes(lambda: submit(first, signer) == "")

    made = ground.truc("user", "rotate", "K71", "--overlap", "0.5")
    assert (made["user"], made["former"]) == ("K71+1", ["K71"])
    ground.keep_password(made)
    assert ground.truc("user", "rotate", "K71", "--finish", code=1)["code"] == "UNSAFE-CHANGE"
    second = ground.gateway("K71", "K71+1").start()
    # both consume the same queue: each reads what the other was told too
    for one in (first, second):
        transport_id, _ = one.send(Facts("K71", ("H29",)))
        told = becomes_any([first, second], transport_id)
        assert told.code == ""
    assert [one for one in ground.pending() if "K71" in one["name"]] == []
    done = ground.truc("user", "rotate", "K71", "--finish")
    assert done["closed"] >= 1
    ground.refused("K71", ground.passwords["K71"])
    assert submit(second, signer) == ""
    assert [one for one in ground.pending() if "K71" in one["name"]] == []
    rows = {row["user"]: row for row in ground.truc("user", "ls") if row["code"] == "K71"}
    assert (rows["K71"]["by"], rows["K71+1"]["by"]) == ("", "password")
    assert [one["act"] for one in ground.truc("audit", "K71")].count("user.rotate") == 2
    leaked = [
        path
        for path in ground.home.rglob("*")
        if path.is_file()
        and any(word.encode() in path.read_bytes() for word in ground.passwords.values() if word)
    ]
    assert leaked == []
    second.close()


def becomes_any(gateways: list[Stranger], transport_id: str) -> Any:
    """Return the acknowledgement, whichever of several readers of one queue got it."""
    found: list[Any] = []

    def look() -> bool:
        found.extend(itertools.chain.from_iterable(one.receipts_of(transport_id) for one in gateways))
        return bool(found)

    becomes(look)
    return found[0]


def test_suspended_in_the_middle_of_traffic_and_taken_up_again(ground: Ground, tmp_path: Path) -> None:
    ground.keep_password(ground.truc("user", "add", "K72"))
    ground.register("K72", ground.keys["K72"], tmp_path)
    gateway = ground.gateway("K72")
    reader = ground.gateway("K72").start()
    signer = gateway.signer()
    becomes(lambda: submit_by(gateway, reader, signer) == "")
    acked: list[str] = []
    ends: list[str] = []

    def traffic() -> None:
        try:
            while True:
                transport_id, _ = gateway.send(Facts("K72", ("H29",)))
                acked.append(transport_id)
        except (AMQPError, AssertionError) as error:
            ends.append(type(error).__name__)

    thread = threading.Thread(target=traffic, daemon=True)
    thread.start()
    becomes(lambda: len(acked) > 20, 60)
    done = ground.truc("user", "suspend", "K72")
    assert (done["admission"], done["closed"]) == ("suspended", 2)
    thread.join(OBEYED)
    assert ends, "the gateway goes on publishing"
    again = ground.gateway("K72")
    assert again.publish(b"x") == "closed 403"
    # what others send to it is refused, what its users' queue holds stays
    other = Stranger(ground.sandbox, "H29").start()
    ground.open.append(other)

    def refused() -> bool:
        transport_id, _ = other.send(Facts("H29", ("K72",)))
        (line,) = other.acknowledgement(transport_id).lines
        return str(line.outcome_code) == "RECIPIENT-SUSPENDED"

    becomes(refused)
    assert [one for one in ground.pending() if "K72" in one["name"]] == []
    assert ground.truc("user", "resume", "K72")["admission"] == "admitted"
    gateway, reader = ground.gateway("K72"), ground.gateway("K72").start()
    becomes(lambda: submit_by(gateway, reader, signer) == "")
    # each submission that the broker had confirmed has its answer, by whichever reader it came
    readers = [one for one in ground.open if one.code == "K72"]

    def codes() -> list[str | None]:
        return [
            next((told.code for one in readers for told in one.receipts_of(each, "acknowledgement")), None)
            for each in acked
        ]

    becomes(lambda: None not in codes(), 60)
    assert set(codes()) <= {"", "SENDER-SUSPENDED"}
    acts = [one["act"] for one in ground.truc("audit", "K72")]
    assert acts[:2] == ["user.resume", "user.suspend"]


def submit_by(gateway: Stranger, reader: Stranger, signer: Signer) -> str:
    """``submit``, with another connection to read the answer."""
    transport_id = str(uuid.uuid4())
    assert (
        gateway.publish(sign(document(Facts(gateway.code, ("H29",))), signer), message_id=transport_id)
        == "ack"
    )
    return reader.acknowledgement(transport_id).code


def test_a_certificate_is_changed_over_while_documents_flow(ground: Ground, tmp_path: Path) -> None:
    ground.keep_password(ground.truc("user", "add", "K73"))
    row = ground.register("K73", ground.keys["K73"], tmp_path)
    gateway = ground.gateway("K73").start()
    old = gateway.signer()
    becomes(lambda: submit(gateway, old) == "")
    issued = ground.issue("K73", "new")
    new = Signer.load(str(issued.key), str(issued.cert))
    assert submit(gateway, new) == "WRONG-SIGNER"
    assert ground.truc("directory", "certificate", "add", "K73", issued.cert, "--csr", issued.cert, code=1)[
        "code"
    ] == ("PROOF-INVALID")
    ground.register("K73", issued, tmp_path)
    becomes(lambda: submit(gateway, new) == "")
    assert submit(gateway, old) == ""  # side by side
    ground.truc("directory", "certificate", "retire", "K73", row["sha256"])
    becomes(lambda: submit(gateway, old) == "WRONG-SIGNER")
    assert submit(gateway, new) == ""
    assert (
        ground.truc("directory", "certificate", "retire", "K73", issued.cert, code=1)["code"]
        == "UNSAFE-CHANGE"
    )
    states = [one["state"] for one in ground.truc("directory", "certificate", "ls", "K73")]
    assert states == ["retired", "valid"]
    # and the end: not while something waits in its queue
    gateway.close()
    with contextlib.suppress(AMQPError):
        gateway.send(Facts("K73", ("K73",)))
    queue = {"agency.K73"}

    def waits() -> bool:
        error = ground.truc("user", "close", "K73", "--dry-run", code=1)
        return error["code"] == "UNSAFE-CHANGE" and all(one in error["detail"] for one in queue)

    becomes(waits)
    assert ground.truc("user", "close", "K73", "--force")["queued"]["agency.K73"] > 0
    ground.refused("K73", ground.passwords["K73"])
    assert [one for one in ground.pending() if "K74" not in one["name"]] == []
    assert "K73" not in {one["user"] for one in ground.truc("user", "ls")}
    assert ground.truc("user", "resume", "K73", code=5)["code"] == "NOT-FOUND"


def test_a_login_by_certificate_has_no_password_and_works(ground: Ground, tmp_path: Path) -> None:
    place = Home(ground.home)
    login = TlsAuthorities(place.tls).login(place.logins, "K74", datetime.now(UTC))
    ground.refused("K74", "", login)  # an authority's word alone lets nobody in
    made = ground.truc("user", "add", "K74", "--external")
    assert "password" not in made
    (row,) = [one for one in ground.truc("user", "ls") if one["code"] == "K74"]
    assert (row["user"], row["by"]) == ("K74", "certificate")
    assert [one for one in ground.pending() if "K74" in one["name"]] == []
    for password in ("", "guest"):
        ground.refused("K74", password)
    ground.register("K74", ground.keys["K74"], tmp_path)
    ground.passwords["K74"] = ""
    gateway = ground.gateway("K74")
    gateway._parameters = ground.parameters("K74", "", login)
    gateway.start()
    becomes(lambda: submit(gateway, gateway.signer()) == "")
    assert ground.truc("user", "rotate", "K74", code=1)["code"] == "UNSAFE-CHANGE"
    ground.truc("user", "suspend", "K74")
    gone = ground.gateway("K74")
    gone._parameters = ground.parameters("K74", "", login)
    assert gone.publish(b"x") == "closed 403"
