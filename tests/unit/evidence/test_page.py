"""The page beside a case says what the records say, escapes it, and keeps apart what nothing signed binds."""

from __future__ import annotations

import html
import re
import shlex
from dataclasses import replace

import pytest

from relay.errors import RefusedError
from relay.evidence.case import Case
from relay.evidence.headlist import HeadReader
from relay.evidence.judging import check_case
from relay.evidence.page import Beside, render
from relay.evidence.pagewords import RECEIPTS, STATES
from relay.evidence.synthetic import MemoryLog, relay_key
from relay.model.delivery import State
from relay.model.receipt import ReceiptKind
from tests.support.evidencecase import case_of, small_case, submissions

KEY = relay_key("truc-a")
READER = HeadReader(None, frozenset({KEY.sha256}))
BESIDE = Beside("case.json", "ab" * 32)
STATUSES = {"01": ("Đã đến", "arrived")}


def page_of(case: Case, reader: HeadReader = READER) -> str:
    return render(case, check_case(case, reader), BESIDE, STATUSES)


def test_the_page_says_what_the_records_say() -> None:
    _, case = small_case(KEY)
    page = page_of(case)
    for words in (
        "đã giao",
        "delivered",
        case.transport_id,
        "05/01/2026",
        "+07:00",
        'lang="vi"',
        "case.json",
        BESIDE.sha256,
        "Đã đến",
        "arrived",
        "Không có gì mâu thuẫn",
        KEY.sha256,
    ):
        assert words in page
    with pytest.raises(RefusedError):
        page_of(replace(case, exported_at="now"))


def test_what_was_accepted_comes_before_what_somebody_else_tried_under_that_id() -> None:
    log, case = small_case(KEY)
    (chain,) = log.chains()
    document = submissions(log, chain)[0]
    other = MemoryLog(KEY, seed=4)
    begun = other.start("w1")
    other.append(
        begun, document._replace(sender="G99", lines=(), refusal="WRONG-SENDER", document_id="tried")
    )
    other.append(begun, document)
    other.seal(begun)
    other.sign()
    page = page_of(case_of(other, case.transport_id))
    assert page.index(document.document_id) < page.index("G99")
    assert page.index(f">{document.lines[0].recipient}<") < page.index("WRONG-SENDER")


def test_what_does_not_hold_and_who_is_not_vouched_for_stands_on_top() -> None:
    _, case = small_case(KEY)
    wrong = page_of(replace(case, relay="truc-b"))
    assert wrong.index("Có phần không khớp") < wrong.index("<table")
    assert "tệp ghi là của truc-b" in wrong
    assert "the file says it is of truc-b" in wrong
    alone = page_of(case, HeadReader(None))
    assert alone.index("chưa có ai bảo đảm chứng thư của trục") < alone.index("<table")


def test_nothing_in_a_file_becomes_markup() -> None:
    _, case = small_case(KEY)
    evil = "<script>alert(1)</script>\"'}</style><img src=x onerror=alert(2)>"
    told = {
        "documents": [
            {"verdict": {"revocation": {"state": evil, "source": evil, "made_at": "2026-01-05T02:00:00Z"}}}
        ],
        "directory": {"version": evil, "same": False, "agencies": [{"code": evil, "name": evil}]},
    }
    page = page_of(replace(case, relay=evil, transport_id=evil, told=told))
    for forbidden in ("<script", "<img", "onerror=alert(2)>"):
        assert forbidden not in page
    assert page.count("</style>") == 1
    assert page.count("<style>") == 1


def test_the_command_can_be_copied_whatever_the_file_is_called() -> None:
    _, case = small_case(KEY)
    page = render(case, check_case(case, READER), Beside("vụ việc; 'số 1'.json", "ab" * 32), STATUSES)
    line = html.unescape(re.search("<code>(truc evidence verify .*?)</code>", page)[1])  # type: ignore[index]
    assert shlex.split(line)[3] == "vụ việc; 'số 1'.json"


@pytest.mark.parametrize(
    "told",
    [
        {"documents": 1, "directory": []},
        {"documents": [1, {"verdict": 2}], "directory": {"agencies": {"a": 1}}},
        {"directory": {"agencies": [1, {"code": 2}, {"code": "H26", "name": ["x"]}]}},
    ],
)
def test_whatever_the_unbound_part_holds_the_page_is_made(told: dict[str, object]) -> None:
    _, case = small_case(KEY)
    assert case.transport_id in page_of(replace(case, told=told))


def test_states_that_a_page_may_have_to_tell() -> None:
    assert set(STATES) == set(State)
    assert set(RECEIPTS) == set(ReceiptKind)
