"""The example gateways of each language, over TLS, against the real relay and against forgers."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pika
import pika.exceptions
import pytest

from relay.sandbox.keys import issue_keys
from relay.sandbox.up import up
from tests.support.sandbox import put_down
from tests.support.stranger import CONTENT_EDXML, CONTENT_RECEIPT, Sandbox, Stranger
from tests.support.stranger_xml import Facts, Signer, document, sign, signature

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples"
PROTOCOL: Final = EXAMPLES.parent / "protocol.md"
JARS: Final = ("amqp-client.jar", "slf4j-api.jar", "slf4j-nop.jar")
MODULES: Final = Path(sys.prefix) / "share" / "truc-examples" / "node_modules"
LINES: Final = 120

# Each language has three agencies of its own: a sender and two recipients, of different levels.
TRIOS: Final = {
    "python": ("H26", "H53", "G22"),
    "java": ("G14", "H29", "H53.31"),
    "javascript": ("G18", "H26.15", "H53.31.20"),
}
OTHER: Final = "H29.20"  # sends what the examples did not make themselves: RSA, codes of 2016, attachments


@dataclass(frozen=True)
class Ground:
    """A sandbox that speaks TLS, and the example programs ready to start."""

    home: Path
    sandbox: Sandbox
    commands: Mapping[str, tuple[str, ...]]

    def run(self, language: str, folder: Path, trio: tuple[str, ...] = ()) -> str:
        done = subprocess.run(
            [
                *self.commands[language],
                str(self.home / "sandbox.json"),
                str(folder),
                *(trio or TRIOS[language]),
            ],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={**os.environ, "NO_PROXY": "*"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def relay_publish(self, exchange: str, key: str, body: bytes, properties: Mapping[str, Any]) -> None:
        """Publish as the relay: what a forger could do who has broken into it, but has not its signing key."""
        url = re.fullmatch(r"amqps://([^:]+):(\d+)/(.+)", self.sandbox.raw["amqp_url"])
        assert url is not None
        password = (self.home / "config" / "relay.password").read_text("utf-8").strip()
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(
                host=url[1],
                port=int(url[2]),
                virtual_host=url[3],
                credentials=pika.PlainCredentials("relay", password),
                ssl_options=self.sandbox.tls(url[1]),
            )
        )
        channel = connection.channel()
        channel.confirm_delivery()
        chosen = pika.BasicProperties(delivery_mode=2, **properties)
        channel.basic_publish(exchange, key, body, chosen, mandatory=True)
        connection.close()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("examples") / "home"
    built = tmp_path_factory.mktemp("built")
    try:
        up(home, tls=True, detach=True)
        issue_keys(home, OTHER, kind="rsa-2048")
        program = EXAMPLES / "python" / "exchange.py"
        commands: dict[str, tuple[str, ...]] = {"python": (sys.executable, str(program))}
        commands["java"] = _compiled(built / "java")
        commands["javascript"] = _with_modules(built / "javascript")
        yield Ground(home, Sandbox.load(home / "sandbox.json"), commands)
    finally:
        put_down(home)


def _compiled(folder: Path) -> tuple[str, ...]:
    path = ":".join(f"/usr/share/java/{jar}" for jar in JARS)
    sources = sorted(str(each) for each in (EXAMPLES / "java").glob("*.java"))
    subprocess.run(
        ["javac", "-Xlint:all", "-Werror", "-cp", path, "-d", str(folder), *sources], check=True, timeout=240
    )
    return ("java", "-XX:TieredStopAtLevel=1", "-cp", f"{path}:{folder}", "Exchange")


def _with_modules(folder: Path) -> tuple[str, ...]:
    shutil.copytree(EXAMPLES / "javascript", folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(MODULES)
    return ("node", str(folder / "exchange.js"))


@pytest.mark.parametrize("language", TRIOS)
def test_a_document_crosses_and_forgeries_do_not(ground: Ground, language: str, tmp_path: Path) -> None:
    sender, *recipients = TRIOS[language]
    foreign = _from_another_hand(ground, recipients)
    forged = [*_forged_documents(ground, sender, recipients), *_forged_receipts(ground, sender)]
    told = ground.run(language, tmp_path)
    lines = told.splitlines()

    sent = re.fullmatch(rf"{re.escape(sender)} sent ({'[0-9a-f-]' * 36})", lines[0])
    assert sent is not None, told
    states = " ".join(f"{each}=queued" for each in recipients)
    assert f"{sender} is told: acknowledgement accepted {states}" in lines
    for each in recipients:
        assert [line for line in lines if line.startswith(f"{each} ") and sent[1] in line] == [
            f"{each} stores {sent[1]}",
            f"{each} drops a duplicate of {sent[1]}",
        ]
        assert f"{each} stores {foreign}" in lines
    assert lines[-1] == f"{sender} is told: outcome accepted " + states.replace("queued", "delivered")

    rejected = {line.split()[2].rstrip(":") for line in lines if " rejects " in line}
    assert rejected == set(forged), told


@pytest.mark.parametrize("language", TRIOS)
def test_a_sender_with_an_rsa_key(ground: Ground, language: str, tmp_path: Path) -> None:
    told = ground.run(language, tmp_path, (OTHER, *TRIOS[language][1:]))
    assert told.splitlines()[-1].startswith(f"{OTHER} is told: outcome accepted "), told


def _from_another_hand(ground: Ground, recipients: list[str]) -> str:
    """Send a document that a national encoder wrote, codes in the form of 2016, signed with RSA; return its id.

    It is in the recipients' queues then: the programs end with their own document, whatever comes behind it.
    """
    gateway, sent = Stranger(ground.sandbox, OTHER).start(), str(uuid.uuid4())
    paper = document(Facts(_form_2016(OTHER), tuple(_form_2016(each) for each in recipients)))
    try:
        assert gateway.publish(sign(paper, gateway.signer()), message_id=sent) == "ack"
        lines = gateway.acknowledgement(sent).lines
        assert [line.state for line in lines] == ["queued"] * len(recipients)
    finally:
        gateway.close()
    return sent


def _form_2016(code: str) -> str:
    head, *rest = code.split(".")
    widths = ("00", "00", "000")
    groups = [*rest, *widths[len(rest) :]]
    return ".".join([*reversed(groups), head])


def _forged_documents(ground: Ground, sender: str, recipients: list[str]) -> list[str]:
    """Put documents into a recipient's queue that no gateway may believe; return their message ids."""
    me, other = recipients
    box = ground.sandbox
    genuine = sign(document(Facts(sender, (me, other))), box.signer(sender))
    elsewhere = sign(document(Facts(sender, (other,))), box.signer(sender))
    by_another = sign(document(Facts(sender, (me,))), box.signer("H30"))
    element = signature(document(Facts(sender, (me,))), box.signer(sender))
    plain = document(Facts(sender, (me,)))
    outside = plain.replace(b"</edXML>\n", element + b"</edXML>\n")
    cases: list[tuple[bytes, dict[str, str]]] = [
        (genuine.replace("rà soát".encode(), "bãi bỏ".encode()), {}),
        (genuine, {"truc-sha256": "0" * 64}),
        (genuine, {"truc-recipient": other}),
        (genuine, {"truc-sender": "H30"}),
        (elsewhere, {}),
        (by_another, {}),
        (outside, {}),
        (plain, {}),
        (b"no XML", {}),
    ]
    level = box.raw["agencies"][me]["level"]
    ids = []
    for body, changed in cases:
        ids.append(str(uuid.uuid4()))
        headers = {
            "truc-delivery-id": str(uuid.uuid4()),
            "truc-sender": sender,
            "truc-recipient": me,
            "truc-sha256": hashlib.sha256(body).hexdigest(),
            "truc-accepted-at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            **changed,
        }
        about = {"message_id": ids[-1], "type": "edoc", "content_type": CONTENT_EDXML, "headers": headers}
        ground.relay_publish(f"level.{level}", me, body, about)
    return ids


def _forged_receipts(ground: Ground, sender: str) -> list[str]:
    box = ground.sandbox
    relay = ground.home / "relay"
    genuine = _receipt(Signer.load(relay / "relay.key", relay / "relay.pem"))
    cases = (
        _receipt(box.signer(sender)),
        genuine.replace(b'result="refused"', b'result="accepted"'),
        re.sub(rb"<Signature .*</Signature>", b"", genuine),
    )
    ids = []
    for body in cases:
        ids.append(str(uuid.uuid4()))
        about = {"message_id": ids[-1], "type": "receipt", "content_type": CONTENT_RECEIPT}
        ground.relay_publish("receipts", sender, body, about)
    return ids


def _receipt(signer: Signer) -> bytes:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    text = (
        f'<receipt xmlns="urn:truc:receipt:1" at="{at}" code="" kind="outcome" number="w9-1" relay="truc-dev"'
        f' result="refused"><document bytes="1" document-id="" sender="" sha256="{"0" * 64}" transport-id=""'
        ' type="edoc"></document></receipt>'
    ).encode()
    return text.replace(b"</receipt>", signature(text, signer) + b"</receipt>")


def test_the_program_of_the_page_runs_over_tls(ground: Ground, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PROTOCOL.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (tmp_path / "first.py").write_text("\n\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "first.py"],
        cwd=tmp_path,
        env={**os.environ, "SANDBOX": str(ground.home / "sandbox.json")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["outcome accepted delivered"], done.stdout + done.stderr


# --- what the page says of statuses -----------------------------------------------------------------------------------

PASSED: Final = ""
FOLLOWING: Final = (  # who sends which, and what it is answered with, in this order
    ("recipient", "03", PASSED),  # without a 01
    ("recipient", "06", PASSED),
    ("recipient", "03", PASSED),  # an earlier number after a later one
    ("recipient", "15", "STATUS-WITHOUT-REQUEST"),
    ("recipient", "07", "BAD-STATUS-CODE"),
    ("recipient", "13", "TAKE-BACK-NOT-YOURS"),
    ("sender", "13", PASSED),
    ("sender", "13", PASSED),
    ("recipient", "15", PASSED),
    ("recipient", "03", "STATUS-AFTER-WITHDRAWAL"),
    ("recipient", "02", PASSED),
    ("recipient", "16", PASSED),
    ("recipient", "03", PASSED),  # the last of 15 and 16 counts
    ("stranger", "01", "STATUS-NOT-A-PARTY"),
)


def test_which_status_may_follow_which(ground: Ground) -> None:
    codes = {"sender": OTHER, "recipient": "H30", "stranger": "H26.15.01"}
    gateways = {role: Stranger(ground.sandbox, code).start() for role, code in codes.items()}
    facts = Facts(OTHER, ("H30",))
    try:
        document_id, _ = gateways["sender"].send(facts)
        gateways["recipient"].arrival(document_id, 60)
        for number, (role, code, fate) in enumerate(FOLLOWING):
            other = "recipient" if role == "sender" else "sender"
            status_id, _ = gateways[role].tell(
                facts,
                code,
                about=document_id,
                addressee=codes[other],
                when=f"2026/03/02 09:00:{number:02}",
            )
            if fate == PASSED:
                assert gateways[other].arrival(status_id, 60, kind="status").message_id == status_id
            else:
                told = gateways[role].receipt(status_id, "acknowledgement", seconds=60)
                assert (number, code, told.result, told.code) == (number, code, "refused", fate)
    finally:
        for gateway in gateways.values():
            gateway.close()


# --- what the page says that the broker answers ----------------------------------------------------------------------


def _login(ground: Ground, code: str, **changed: Any) -> pika.BlockingConnection:
    entry = ground.sandbox.raw["gateways"][code]
    url = re.fullmatch(r"amqps://([^:]+):(\d+)/(.+)", ground.sandbox.raw["amqp_url"])
    assert url is not None
    told = {"user": entry["user"], "password": entry["password"], "virtual_host": url[3], **changed}
    login = pika.PlainCredentials(told["user"], told["password"])
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            host=url[1],
            port=int(url[2]),
            virtual_host=told["virtual_host"],
            credentials=login,
            ssl_options=ground.sandbox.tls(url[1]),
        )
    )


@pytest.mark.parametrize(
    ("changed", "code"), [({"password": "another"}, 403), ({"virtual_host": "elsewhere"}, 530)]
)
def test_a_login_is_refused_as_the_page_says(ground: Ground, changed: dict[str, str], code: int) -> None:
    with pytest.raises(pika.exceptions.AMQPConnectionError) as caught:
        _login(ground, "H30", **changed)
    assert str(code) in repr(caught.value)


CHANNEL_ENDS: Final[dict[str, tuple[int, Callable[[Any], Any]]]] = {
    "declares": (403, lambda channel: channel.queue_declare("mine")),
    "reads another's": (403, lambda channel: channel.basic_get("agency.H26")),
    "writes where it may not": (403, lambda channel: channel.basic_publish("level.central", "G22", b"x")),
    "another's key": (403, lambda channel: channel.basic_publish("ingress", "normal.H26", b"x")),
    "no such exchange": (403, lambda channel: channel.basic_publish("nowhere", "normal.H30", b"x")),
    "no such queue": (404, lambda channel: channel.queue_declare("agency.H30.10.01", passive=True)),
    "another's user_id": (
        406,
        lambda channel: channel.basic_publish(
            "ingress", "normal.H30", b"x", pika.BasicProperties(user_id="H26")
        ),
    ),
    "acknowledges what it has not": (406, lambda channel: channel.basic_ack(99)),
}


@pytest.mark.parametrize("case", CHANNEL_ENDS)
def test_a_channel_ends_as_the_page_says(ground: Ground, case: str) -> None:
    code, act = CHANNEL_ENDS[case]
    connection = _login(ground, "H30")
    try:
        channel = connection.channel()
        with contextlib.suppress(pika.exceptions.ChannelClosedByBroker):
            act(channel)
            limit = time.monotonic() + 90
            while channel.is_open and time.monotonic() < limit:
                connection.process_data_events(0.1)
        assert channel._closing_reason.reply_code == code
    finally:
        connection.close()


def test_a_passive_declare_shows_any_depth(ground: Ground) -> None:
    connection = _login(ground, "H30")
    assert connection.channel().queue_declare("agency.H26", passive=True).method.message_count >= 0
    connection.close()


def test_an_operator_sees_counts_and_rights(ground: Ground) -> None:
    done = subprocess.run(
        [str(EXAMPLES / "operator.sh"), str(ground.home / "sandbox.json"), "H53"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^alarms +ok$", done.stdout, re.MULTILINE)
    assert re.search(r"^ingress\.normal +\S+ +\S+ +\S+$", done.stdout, re.MULTILINE)
    assert "write ^ingress$  read ^agency\\.H53$" in done.stdout
    assert "RabbitMQ 3." in done.stdout or "RabbitMQ 4." in done.stdout


@pytest.mark.parametrize("broken", ["no file", "wrong password"])
def test_an_operator_who_sees_nothing_is_told(ground: Ground, broken: str, tmp_path: Path) -> None:
    box = tmp_path / "sandbox.json"
    if broken == "wrong password":
        shutil.copy(ground.home / "sandbox.json", box)
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "admin.password").write_text("another\n", encoding="utf-8")
    done = subprocess.run(
        [str(EXAMPLES / "operator.sh"), str(box)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode != 0
    assert done.stderr


def test_each_example_is_short() -> None:
    files = [
        each
        for each in sorted(EXAMPLES.glob("*/*"))
        if each.suffix in {".py", ".java", ".js"} and "node_modules" not in each.parts
    ]
    assert {each.parent.name for each in files} == set(TRIOS)
    long = {
        each.name: count for each in files if (count := len(each.read_text("utf-8").splitlines())) > LINES
    }
    assert not long


def test_the_python_example_needs_three_libraries() -> None:
    trees = [ast.parse(each.read_text("utf-8")) for each in (EXAMPLES / "python").glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    foreign = {each.split(".")[0] for each in imported} - sys.stdlib_module_names
    assert foreign == {"pika", "lxml", "cryptography", "directory", "edxml", "gateway"}


def test_the_lock_file_has_hashes_and_names_no_host() -> None:
    text = (EXAMPLES / "javascript" / "package-lock.json").read_text("utf-8")
    assert "://" not in text
    assert text.count('"node_modules/') == text.count('"integrity": "sha512-') >= 4
    assert set(re.findall(r'"license": "([^"]*)"', text)) == {"Apache-2.0", "MIT"}  # ours, theirs
