"""The demo: it holds, and its count is honest. One real run, judged as it was and with a loss or a copy planted."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import main
from relay.model.delivery import delivery_id
from relay.model.message import Kind
from relay.sandbox import process
from relay.sandbox.demo import run
from relay.sandbox.demo.judge import judge
from relay.sandbox.demo.records import Record, Seen, Sent, Told, ToldLine
from relay.sandbox.demo.run import Bar, Played
from relay.sandbox.demo.scenario import Scenario, scenario
from relay.sandbox.demo.story import story, words_of
from tests.support.sandbox import put_down

AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DIGEST = "ab" * 32

# --- the judge -----------------------------------------------------------------------------------------------------------


def sent(**changes: object) -> Sent:
    good = Sent(Kind.EDOC, "H26", "t1", DIGEST, 100, AT, "one", reaches=("H53", "G22"))
    return replace(good, **changes)  # type: ignore[arg-type]


def seen(recipient: str, **changes: object) -> Seen:
    good = Seen(
        kind=Kind.EDOC,
        queue=f"agency.{recipient}",
        exchange="level.province",
        routing_key=recipient,
        transport_id="t1",
        delivery_id=delivery_id("H26", DIGEST, recipient),
        sender="H26",
        recipient=recipient,
        sha256=DIGEST,
        size=100,
        accepted_at="2026-03-02T01:00:00.000Z",
        refers_to="",
        at=AT,
    )
    return replace(good, **changes)  # type: ignore[arg-type]


def told(kind: str, state: str, **changes: object) -> Told:
    good = Told(
        queue="agency.H26",
        kind=kind,
        result="accepted",
        code="",
        number=f"dev/{kind}",
        document_kind="edoc",
        transport_id="t1",
        body_sha256=DIGEST,
        lines=(ToldLine("H53", "H53", state, ""), ToldLine("G22", "G22", state, "")),
        repeated=False,
        sha256=f"of {kind}",
        issued_at=AT,
        at=AT,
    )
    return replace(good, **changes)  # type: ignore[arg-type]


GOOD = Record(
    (sent(),), (seen("H53"), seen("G22")), (told("acknowledgement", "queued"), told("outcome", "delivered"))
)


def test_a_record_without_fault_holds() -> None:
    result = judge(GOOD)
    assert result.holds
    assert result.line == "demo: 1 documents, 2 deliveries, 2 receipts, lost 0, duplicated 0"


@pytest.mark.parametrize(
    ("record", "lost", "duplicated", "faults"),
    [
        pytest.param(replace(GOOD, seen=GOOD.seen[:1]), 1, 0, 0, id="never arrived"),
        pytest.param(
            replace(GOOD, seen=(seen("H53"), seen("G22", sha256="cd" * 32))), 1, 0, 1, id="other bytes"
        ),
        pytest.param(replace(GOOD, seen=(seen("H53"), seen("G22", size=99))), 1, 0, 0, id="another length"),
        pytest.param(replace(GOOD, seen=(*GOOD.seen, seen("H53"))), 0, 1, 0, id="a second copy"),
        pytest.param(
            replace(GOOD, seen=(*GOOD.seen, seen("H29"))), 0, 0, 1, id="reached one that it was not for"
        ),
        pytest.param(replace(GOOD, told=GOOD.told[1:]), 1, 0, 0, id="no acknowledgement"),
        pytest.param(replace(GOOD, told=GOOD.told[:1]), 1, 0, 0, id="not told how it ended"),
        pytest.param(
            replace(GOOD, told=(GOOD.told[0], told("outcome", "delivered", fault="SIGNATURE-INVALID"))),
            1,
            0,
            1,
            id="an outcome with a bad signature",
        ),
        pytest.param(
            replace(GOOD, told=(*GOOD.told, told("outcome", "delivered", number="dev/other"))),
            0,
            0,
            1,
            id="ended twice",
        ),
        pytest.param(replace(GOOD, told=(*GOOD.told, GOOD.told[0])), 0, 0, 1, id="a receipt twice, unmarked"),
        pytest.param(replace(GOOD, told=(*GOOD.told, told("held", "held"))), 0, 0, 1, id="held"),
        pytest.param(replace(GOOD, sent=(sent(answers={"H53": 1}),)), 1, 0, 0, id="a status is owed"),
        pytest.param(replace(GOOD, sent=(sent(notices=("OVERDUE",)),)), 1, 0, 0, id="a notice is owed"),
        pytest.param(
            replace(GOOD, sent=(*GOOD.sent, sent(again=True))), 1, 0, 0, id="no first receipt again"
        ),
        pytest.param(
            replace(GOOD, sent=(sent(refused={"H99": "UNKNOWN-RECIPIENT"}),)), 0, 0, 1, id="no refusal"
        ),
        pytest.param(
            replace(
                GOOD, sent=(*GOOD.sent, sent(kind=Kind.STATUS, transport_id="t2", sha256="ef", about="t1"))
            ),
            2,
            0,
            0,
            id="a status that never arrived",
        ),
    ],
)
def test_what_is_wrong_is_counted(record: Record, lost: int, duplicated: int, faults: int) -> None:
    result = judge(record)
    assert (len(result.lost), len(result.duplicated), len(result.faults)) == (lost, duplicated, faults)
    assert not result.holds


def test_a_refusal_that_reaches_nobody_holds() -> None:
    refused = told("acknowledgement", "refused", result="refused", code="UNSIGNED", lines=())
    assert judge(Record((sent(reaches=(), refusal="UNSIGNED"),), (), (refused,))).holds
    accepted = replace(refused, result="accepted", code="")
    assert not judge(Record((sent(reaches=(), refusal="UNSIGNED"),), (), (accepted,))).holds


def test_repeated_receipts_count_once() -> None:
    again = told("acknowledgement", "queued", repeated=True)
    result = judge(replace(GOOD, sent=(*GOOD.sent, sent(again=True)), told=(*GOOD.told, again)))
    assert result.holds
    assert (result.documents, result.receipts) == (1, 2)


def test_reader_and_judge_know_neither_registry_nor_pipeline() -> None:
    code = (
        "import sys; import relay.sandbox.demo.reader, relay.sandbox.demo.judge, relay.sandbox.demo.run\n"
        "print([name for name in sys.modules if name.startswith(('relay.registry', 'relay.pipeline', 'relay.keeper'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


# --- the scenario --------------------------------------------------------------------------------------------------------


def test_the_scenario_is_as_large_and_as_mixed_as_promised() -> None:
    import random

    plan = scenario(random.Random(1))
    good = [plan.story, plan.deadline, *plan.crowd]
    assert plan.submissions >= 200
    assert len(good) >= 200
    assert all(len(one.to) >= 2 for one in good)
    assert {one.payload for one in good} >= {5 * 2**20, 20 * 2**20}
    assert any(one.priority for one in good)
    assert {one.refusal for one in plan.wrong} >= {
        "DIGEST-MISMATCH",
        "UNSIGNED",
        "WRONG-SIGNER",
        "UNKNOWN-RECIPIENT",
    }
    labels = [one.label for one in (*good, *plan.wrong)]
    assert len(set(labels)) == len(labels)
    assert {plan.repeated, plan.same_content, plan.taken_back} <= set(labels)


# --- one real run --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    home = tmp_path_factory.mktemp("demo")
    try:
        yield run.play(home, words_of("en"), lambda _line: None, Bar(io.StringIO(), shown=False), ordinary=24)
    finally:
        put_down(home)


def demo(monkeypatch: pytest.MonkeyPatch, played: Played, *arguments: str) -> Result:
    """Run the command over a demo that took place."""

    def again(_home: Path, *_: object, **_named: object) -> Played:
        return played

    monkeypatch.setattr(run, "play", again)
    return CliRunner().invoke(main, ["demo", *arguments])


def planted(played: Played, edit: Callable[[Record], Record]) -> Played:
    return replace(played, record=edit(played.record))


def a_loss(record: Record) -> Record:
    at = next(index for index, item in enumerate(record.seen) if item.kind is Kind.EDOC)
    return replace(record, seen=(*record.seen[:at], *record.seen[at + 1 :]))


def a_copy(record: Record) -> Record:
    return replace(record, seen=(*record.seen, next(item for item in record.seen if item.kind is Kind.EDOC)))


def test_a_real_run_holds(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    result = judge(played.record)
    assert (result.lost, result.duplicated, result.faults) == ((), (), ())
    plan: Scenario = played.plan
    assert result.documents == plan.submissions
    assert result.deliveries == sum(len(one.reaches) for one in (plan.story, plan.deadline, *plan.crowd))
    assert result.acknowledgements == result.documents
    shown = demo(monkeypatch, played)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[-1] == result.line
    assert result.line.endswith("lost 0, duplicated 0")


def test_it_took_all_four_levels_and_a_served_agency(played: Played) -> None:
    documents = [item for item in played.record.seen if item.kind is Kind.EDOC]
    assert {item.exchange for item in documents} == {
        f"level.{name}" for name in ("central", "province", "district", "commune")
    }
    served = [item for item in documents if item.recipient == "H30.10.01"]
    assert {item.queue for item in served} == {"agency.H30"}


def test_a_late_delivery_supersedes_the_overdue_notice(played: Played) -> None:
    late = next(item for item in played.record.sent if item.label == played.plan.deadline.label)
    outcomes = [
        one for one in played.record.told if one.transport_id == late.transport_id and one.kind == "outcome"
    ]
    assert [one.code for one in outcomes] == ["OVERDUE", ""]
    assert {(line.resolved, line.state) for line in outcomes[0].lines} == {("H29.20", "overdue")}
    assert {(line.resolved, line.state) for line in outcomes[1].lines} == {
        ("H29.20", "delivered"),
        ("H29", "delivered"),
    }


def test_a_planted_loss_turns_line_and_exit_code(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = demo(monkeypatch, planted(played, a_loss))
    assert shown.exit_code == 1
    assert shown.stdout.splitlines()[-1].endswith("lost 1, duplicated 0")
    assert "DEMO-FAILED" in shown.stderr


def test_a_planted_copy_turns_line_and_exit_code(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = demo(monkeypatch, planted(played, a_copy), "--json")
    assert shown.exit_code == 1
    facts = json.loads(shown.stdout)
    assert (facts["lost"], facts["duplicated"]) == (0, 1)
    assert json.loads(shown.stderr)["error"]["code"] == "DEMO-FAILED"


def test_json_is_the_line_with_the_receipts_counted_apart(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = demo(monkeypatch, played, "--json")
    facts = json.loads(shown.stdout)
    line = "demo: {documents} documents, {deliveries} deliveries, {receipts} receipts, lost {lost}, duplicated {duplicated}"
    assert line.format(**facts) == judge(played.record).line
    assert facts["receipts"] == facts["acknowledgements"] + facts["outcomes"]
    assert shown.stderr == ""


@pytest.mark.parametrize(("language", "word"), [("en", "publishes"), ("vi", "ký số và gửi")])
def test_the_story_tells_each_hop_in_both_languages(played: Played, language: str, word: str) -> None:
    record, plan = played.record, played.plan
    asked_at = next(item.at for item in record.sent if item.label == plan.story.label)
    lines = story(record, plan.story.label, words_of(language), asked_at)
    text = "\n".join(lines)
    assert word in text
    for code in plan.story.reaches:
        assert f" {code} " in text
    for name in (
        "ingress.urgent",
        "level.central",
        "level.commune",
        "agency.H30",
        "signature OK" if language == "en" else "chữ ký OK",
    ):
        assert name in text


# --- around it -----------------------------------------------------------------------------------------------------------


def test_keep_takes_no_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = CliRunner().invoke(main, ["demo", "--keep", str(tmp_path)])
    assert shown.exit_code == 3
    assert "SANDBOX-BROKEN" in shown.stderr


def test_the_bar_is_for_terminals() -> None:
    pipe, terminal = io.StringIO(), io.StringIO()
    Bar(pipe, shown=False).show(0.5)
    Bar(terminal, shown=True).show(0.5)
    assert pipe.getvalue() == ""
    assert "50%" in terminal.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(tmp_path: Path, number: int) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "relay.cli", "demo"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        end = time.monotonic() + 60
        while not any(item.role == "broker" for home in tmp_path.iterdir() for item in process.marked(home)):
            assert time.monotonic() < end, "the broker never started"
            assert child.poll() is None
            time.sleep(0.1)
        (home,) = tmp_path.iterdir()
        child.send_signal(number)
        _, errors = child.communicate(timeout=90)
    assert child.returncode == 130
    assert "Traceback" not in errors
    assert not process.marked(home)
    assert not home.exists()
