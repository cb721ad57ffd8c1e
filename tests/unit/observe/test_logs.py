"""Logs: one line of JSON, facts from the list, and nothing secret or personal, whatever is handed in."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.errors import BrokerError, Code
from relay.model.message import Lane
from relay.observe import logs

ROOT = Path(__file__).parents[3]
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n" * 3
    + "-----END PRIVATE KEY-----\n"
)
PASSWORD = "S3cret/of-the+broker"


class Sink:
    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def text(self) -> str:
        return self.file.read_text(encoding="utf-8")

    @property
    def last(self) -> dict[str, Any]:
        found = json.loads(self.text.splitlines()[-1])
        assert isinstance(found, dict)
        return found


@pytest.fixture
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    monkeypatch.delenv("TRUC_LOG_STRICT", raising=False)
    file = tmp_path / "truc.log"
    handler = logs.configure("info", file, secrets=[PASSWORD])
    try:
        yield Sink(file)
    finally:
        logs.unconfigure(handler)


LOG = logs.get("tests.room")


def test_an_event_is_one_line_with_its_facts(sink: Sink) -> None:
    due = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    logs.event(
        LOG, logging.INFO, "document-settled", transport_id="0f3a", lane=Lane.URGENT, code=Code.OK, bytes=7, due_at=due,
        detail="two\nlines", recipient=None, candidates=("H05", "H06"),
    )  # fmt: skip
    assert len(sink.text.splitlines()) == 1
    line = sink.last
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "tests.room",
        "event": "document-settled",
        "transport_id": "0f3a",
        "lane": "urgent",
        "code": "OK",
        "bytes": 7,
        "due_at": "2026-05-06T07:08:09Z",
        "detail": "two\nlines",
        "candidates": ["H05", "H06"],
    }


def test_below_the_level_nothing_is_written(sink: Sink) -> None:
    logs.event(LOG, logging.DEBUG, "quiet")
    assert sink.text == ""


def test_unknown_facts_are_dropped_and_raise_in_strict_mode(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.event(LOG, logging.INFO, "x", subject="V/v bổ nhiệm", password=PASSWORD, count=1)
    assert sink.last.keys() == {"time", "level", "logger", "event", "count"}
    monkeypatch.setenv("TRUC_LOG_STRICT", "1")
    with pytest.raises(ValueError, match="subject"):
        logs.event(LOG, logging.INFO, "x", subject="V/v bổ nhiệm")


@pytest.mark.parametrize("fact", sorted(logs.FACTS))
@pytest.mark.parametrize(
    "value",
    [
        PEM,
        PASSWORD,
        f"amqp://relay:{PASSWORD}@127.0.0.1/truc",
        "amqp://relay:hunter2!@127.0.0.1/truc",
        "password=hunter2!",
        "Authorization: Basic aHVudGVyMiE=hunter2!",
        PEM.replace("\n", "").partition("KEY-----")[2],
        b"hunter2!",
        {"password": "hunter2!"},
        ["password: hunter2!"],
    ],
    ids=["pem", "password", "own-url", "url", "assignment", "header", "base64", "bytes", "mapping", "list"],
)
def test_no_secret_gets_through_any_fact(sink: Sink, fact: str, value: object) -> None:
    facts: dict[str, Any] = {fact: value}
    logs.event(LOG, logging.WARNING, "x", **facts)
    assert PASSWORD not in sink.text
    assert "hunter2" not in sink.text
    assert "MIGHAgEA" not in sink.text
    assert logs.STRUCK in sink.text


@pytest.mark.parametrize("value", ["Nguyễn Văn A", "V/v bổ nhiệm cán bộ", "a b"])
@pytest.mark.parametrize("fact", ["sender", "transport_id", "user", "document"])
def test_a_name_or_subject_is_no_identifier(sink: Sink, fact: str, value: str) -> None:
    facts: dict[str, Any] = {fact: value}
    logs.event(LOG, logging.INFO, "x", **facts)
    assert sink.last[fact] == logs.STRUCK


def test_addresses_of_persons_are_struck_out(sink: Sink) -> None:
    logs.event(LOG, logging.INFO, "x", detail="write to van.thu@example.vn or 0912345678 please")
    assert sink.last["detail"] == "write to *** or *** please"


def test_hashes_ids_and_codes_stay_readable(sink: Sink) -> None:
    uuid = "6f1c0a52-9c7e-4b3a-8a3c-0d6f6f9f2a11"
    logs.event(
        LOG,
        logging.INFO,
        "x",
        sha256="ab" * 32,
        delivery_id=uuid,
        recipient="000.01.15.H26",
        user="0100109106",
    )
    assert (sink.last["sha256"], sink.last["delivery_id"]) == ("ab" * 32, uuid)
    assert (sink.last["recipient"], sink.last["user"]) == ("000.01.15.H26", "0100109106")


def test_of_a_foreign_exception_only_type_and_place_are_told(sink: Sink) -> None:
    try:
        raise LookupError(f"row of Nguyễn Văn A, {PASSWORD}")
    except LookupError as fault:
        logs.event(LOG, logging.ERROR, "surprise", exc=fault)
    assert sink.last["exception"]["type"] == "LookupError"
    assert sink.last["exception"]["at"][-1].startswith("test_logs.py:")
    assert "Nguyễn" not in sink.text
    assert PASSWORD not in sink.text


def test_of_our_own_exception_code_and_detail_are_told(sink: Sink) -> None:
    try:
        raise BrokerError(Code.BROKER_REFUSED, f"amqp://relay:{PASSWORD}@h/v said 403") from OSError(5, "x")
    except BrokerError as fault:
        logs.event(LOG, logging.ERROR, "x", exc=fault)
    told = sink.last["exception"]
    assert (told["code"], told["detail"], told["cause"]) == (
        "BROKER-REFUSED",
        "amqp://***h/v said 403",
        "OSError",
    )


def test_libraries_are_heard_from_warning_on_and_cleaned(sink: Sink) -> None:
    logging.getLogger("somelib").info("connecting with password=hunter2!")
    assert sink.text == ""
    logging.getLogger("somelib").warning("failed with password=%s", "hunter2!")
    assert sink.last["event"] == "library"
    assert "hunter2" not in sink.text


def test_no_separator_of_unicode_breaks_a_line(sink: Sink) -> None:
    logs.event(LOG, logging.INFO, "x", detail="a\u2028b\u2029c\x85d\r\n\x1ee")
    assert len(sink.text.splitlines()) == 1
    assert sink.last["detail"] == "a\u2028b\u2029c\x85d\r\n\x1ee"


def test_a_long_text_is_cut(sink: Sink) -> None:
    logs.event(LOG, logging.INFO, "x", detail="word " * 1000)
    assert len(sink.last["detail"]) < 600


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.text(max_size=30),
    after=st.text(max_size=30),
    fact=st.sampled_from(sorted(logs.FACTS)),
    secret=st.sampled_from([PASSWORD, PEM]),
)
def test_surroundings_do_not_help_a_secret_through(before: str, after: str, fact: str, secret: str) -> None:
    record = logging.LogRecord("truc.x", logging.INFO, "", 0, "x", None, None)
    record.facts = {fact: before + secret + after}
    text = logs.JsonFormatter([PASSWORD]).format(record)
    assert len(text.splitlines()) == 1
    line = json.loads(text)
    assert PASSWORD not in str(line)
    assert "MIGHAgEA" not in str(line)


def _calls() -> list[tuple[str, ast.Call]]:
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for top in ("relay", "adapters")
        for path in sorted((ROOT / top).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"logs.event", "event"}
        and len(node.args) >= 3
    ]


def test_each_event_in_the_code_uses_facts_from_the_list() -> None:
    unknown = {
        (where, keyword.arg)
        for where, call in _calls()
        for keyword in call.keywords
        if keyword.arg is not None and keyword.arg != "exc" and keyword.arg not in logs.FACTS
    }
    assert not unknown
