"""The page beside a case in a real browser: it reads in both languages, asks for nothing, fits a telephone, and prints."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pypdf
import pytest

from adapters.edxml.show import STATUS_TEXTS
from relay.evidence.headlist import HeadReader
from relay.evidence.judging import check_case
from relay.evidence.page import Beside, render
from relay.evidence.synthetic import MemoryLog, relay_key
from relay.model.delivery import State
from relay.model.evidence import Deliveries, HeldNoted, Line, Moved, ReceiptSealed
from relay.model.receipt import ReceiptKind
from tests.support.browser import Browser, Page, browser
from tests.support.evidencecase import case_of, receipt_of

LONG: Final = "Ủy ban nhân dân " + "Xã" * 150 + " (tên rất dài, không có dấu cách ở giữa)"
DOCUMENT: Final = "000.00.01.H26,2026/01/05," + "1234567890" * 12 + "/CV"
BESIDE: Final = Beside("chung-cu-" + "0123456789" * 12 + ".json", "5d" * 32)

WIDER: Final = """
[...document.querySelectorAll('*')]
  .filter(one => one.getBoundingClientRect().right > window.innerWidth + 0.5
              || one.scrollWidth > Math.ceil(one.getBoundingClientRect().width) + 1)
  .filter(one => getComputedStyle(one).display !== 'inline' && one.offsetParent !== null)
  .map(one => one.tagName + ': ' + one.textContent.slice(0, 60))
"""


class Shown:
    """A page with long values, a document for forty recipients, and things that do not hold."""

    def __init__(self, folder: Path) -> None:
        key = relay_key("truc-a")
        log = MemoryLog(key)
        chain = log.start("w1")
        document = log.document(chain)._replace(transport_id="0b1c2d3e-4f50-4617-8a9b-0c1d2e3f4a5b")
        codes = [f"H26.{number}.{'A1' * 14}" for number in range(40)]
        ids = [f"72860dd9-1d9a-59d4-9762-0000000000{number:02}" for number in range(40)]
        self.document = document._replace(
            document_id=DOCUMENT,
            lines=tuple(Line(one, code, State.PLANNED, "") for one, code in zip(ids, codes, strict=True)),
        )
        log.append(chain, self.document)
        moves = tuple(Moved(one, State.REFUSED, "UNDELIVERABLE") for one in ids[:20])
        log.append(chain, Deliveries(document.transport_id, moves), receipt_of(document))
        log.append(
            chain,
            HeldNoted("w1-q-1", "held", "REJECTED-BY-GATEWAY", "agency.H26", "h26", document.transport_id, ""),
            ReceiptSealed("w1-77", ReceiptKind.OUTCOME, False, "UNDELIVERABLE", "H26", document.transport_id, "ab" * 32, 9),
        )  # fmt: skip
        log.seal(chain)
        log.sign()
        names = [{"code": code, "name": LONG} for code in codes]
        case = replace(
            case_of(log, document.transport_id),
            receipts=(b"<receipt/>", b"<unbound/>"),
            told={"documents": [], "directory": {"version": "ab" * 32, "same": True, "agencies": names}},
        )
        self.case = case
        checked = check_case(case, HeadReader(None, frozenset({key.sha256})))
        self.file = folder / "case.html"
        self.file.write_text(render(case, checked, BESIDE, STATUS_TEXTS), encoding="utf-8")
        self.codes = codes


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return Shown(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def page(window: Browser, shown: Shown) -> Page:
    return window.open(shown.file)


def test_it_asks_for_nothing_and_nothing_is_wrong_with_it(page: Page, shown: Shown) -> None:
    assert page.requests == [shown.file.as_uri()]
    assert page.complaints == []
    assert page.evaluate("document.compatMode") == "CSS1Compat"
    assert page.evaluate("document.scripts.length") == 0
    # Were there a script in it, it would not run: the page forbids it, as it forbids everything else.
    page.evaluate(
        "document.body.appendChild(document.createElement('script')).textContent = 'window.ran = 1'"
    )
    assert page.evaluate("window.ran === undefined")
    assert any("Content Security Policy" in one for one in page.complaints)


def test_both_languages_are_seen(page: Page, shown: Shown) -> None:
    text = page.evaluate("document.body.innerText")
    for words in (
        "Chứng cứ về một văn bản",
        "Evidence about a document",
        "Có phần không khớp",
        "có biên nhận không được bản ghi nào ràng buộc",
        "a receipt that no record binds",
        "bị từ chối (refused)",
        "tạm giữ (quarantined)",
        "biên nhận kết quả (outcome)",
        shown.case.transport_id,
        shown.document.body_sha256,
        BESIDE.sha256,
        DOCUMENT,
        *shown.codes,
    ):
        assert words in text
    hidden = "[...document.querySelectorAll('td,th,li,p,h1,h2')].filter(one => one.offsetHeight === 0).length"
    assert page.evaluate(hidden) == 0
    # What is English says so, that a reader may be read to.
    assert page.evaluate("document.querySelectorAll('.en:not([lang=en])').length") == 0
    assert page.evaluate("document.documentElement.lang") == "vi"


def test_where_each_recipient_stands(page: Page, shown: Shown) -> None:
    table: Any = page.evaluate(
        "[...document.querySelectorAll('section')].find(one => one.innerText.startsWith('Nơi nhận'))"
        ".querySelector('table').innerText"
    )
    assert table.count("bị từ chối (refused) UNDELIVERABLE") == 20
    assert table.count("chờ chuyển (planned)") == 20
    assert all(code in table for code in shown.codes)


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_page(page: Page, width: int) -> None:
    page.resize(width)
    assert page.evaluate("window.innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDER) == []


def test_letters_are_large_enough_and_seen(page: Page) -> None:
    page.resize(360)
    sizes = "Math.min(...[...document.querySelectorAll('td,th,li,code,small,span')].map(one => parseFloat(getComputedStyle(one).fontSize)))"
    assert page.evaluate(sizes) >= 11
    assert _contrast(page.evaluate("getComputedStyle(document.querySelector('.en')).color")) >= 4.5
    assert _contrast(page.evaluate("getComputedStyle(document.querySelector('ul.bad li')).color")) >= 4.5


def _contrast(colour: str) -> float:
    """Contrast with white, as WCAG 2 reckons it."""
    parts = [int(one) / 255 for one in re.findall(r"\d+", colour)[:3]]
    red, green, blue = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_it_prints_whole_and_each_sheet_says_what_it_belongs_to(page: Page, shown: Shown) -> None:
    sheets = pypdf.PdfReader(io.BytesIO(page.pdf())).pages
    texts = [_plain(one.extract_text()) for one in sheets]
    whole = "".join(texts)
    for words in (
        "Chứng cứ về một văn bản",
        "Có phần không khớp",
        shown.document.body_sha256,
        BESIDE.sha256,
        DOCUMENT,
        *shown.codes,
        "What this does not prove",
    ):
        assert _plain(words) in whole
    for number, text in enumerate(texts, 1):
        assert shown.case.transport_id in text
        assert f"{number}/{len(sheets)}" in text
    width, height = (float(one) for one in sheets[0].mediabox[2:])
    assert (round(width), round(height)) == (595, 842)  # A4, in points


def _plain(text: str) -> str:
    """Text without white space and ligatures: where lines break is the browser's."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))
