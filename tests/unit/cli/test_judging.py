"""What an operator may see of a held body: where it goes, and nothing of a state secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay import settings
from relay.cli.judging import judge_of
from relay.model.message import Incoming, Properties
from relay.operate.showing import Judge, shown
from relay.sandbox.contents import running
from tests.support.packages import SUBJECT, build_document, build_status


@pytest.fixture
def judge(home: Path) -> Judge:
    return judge_of(settings.load(running(home).settings, files=False))


def test_of_a_package_only_its_way_is_shown(judge: Judge) -> None:
    body = build_document("H26", ["H53", "H29"])
    judged = judge(body)
    assert (judged.readable, judged.secret) == (True, "")
    assert (judged.facts["sender"], judged.facts["recipients"], judged.facts["attachments"]) == (
        "H26",
        ["H53", "H29"],
        1,
    )
    message = Incoming("quarantine", "", "", Properties("t"), body, False, 0, 1, 1)
    assert SUBJECT not in str(shown(message, judge))


def test_a_mark_of_secrecy_hides_everything(judge: Judge) -> None:
    judged = judge(build_document("H26", ["H53"], subject="(MẬT) Kế hoạch"))
    assert judged.secret == "Subject"
    assert judged.facts == {}


@pytest.mark.parametrize("body", [b"", b"no xml", b"<!DOCTYPE a><a/>", b"\xff\xfe"])
def test_what_cannot_be_read_says_why(judge: Judge, body: bytes) -> None:
    judged = judge(body)
    assert not judged.readable
    assert judged.trouble


def test_a_status_is_read_too(judge: Judge) -> None:
    judged = judge(build_status("H53", "H26", "d1"))
    assert (judged.readable, judged.facts["status"]) == (True, "01")
