"""Unsigned packages for tests: synthetic, but real in kind. No real officials, no real events."""

from __future__ import annotations

import io
import random
import unicodedata
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final

import docx
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from adapters.edxml.facts import AttachedFile, DocumentFields, Organ, StatusFields
from adapters.edxml.writer import document_package, status_package
from tests.support import spelling

oddities = spelling.oddities  # the same package in each odd but legal spelling

AT: Final = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
DAY: Final = date(2026, 3, 2)
PDF: Final = "application/pdf"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

# Every letter of the Vietnamese alphabet with every tone, in the composed form.
VOWELS: Final = "".join(
    unicodedata.normalize("NFC", base + tone)
    for base in "aăâeêioôơuưyAĂÂEÊIOÔƠUƯY"
    for tone in ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
)
ALPHABET: Final = VOWELS + "bcdđghklmnpqrstvxBCDĐGHKLMNPQRSTVX"
SUBJECT: Final = "Về việc đẩy mạnh kết nối, chia sẻ dữ liệu & cải cách thủ tục hành chính"


def build_document(
    sender: str,
    recipients: Sequence[str],
    *,
    subject: str = SUBJECT,
    priority: int = 0,
    attachments: Sequence[AttachedFile] | None = None,
    document_id: str | None = None,
    number: str = "1896",
    notation: str = "UBND-KSTTHC",
    type_name: str = "Công văn",
    promulgated_on: date = DAY,
    traced_at: datetime = AT,
    checked: bool = False,
    **others: Any,
) -> bytes:
    """Return an unsigned document; what is not told is as usual. ``others``: further ``DocumentFields``.

    Without ``attachments`` it has one small PDF, without a ``document_id`` a fresh one. Nothing is checked unless
    asked for, so that wrong ones can be built.
    """
    fields = DocumentFields(
        sender=Organ(sender, name="Cơ quan gửi (mẫu)", email="mau@example.vn"),
        recipients=tuple(
            Organ(code, name=f"Cơ quan nhận {index} (mẫu)") for index, code in enumerate(recipients, 1)
        ),
        document_id=str(uuid.uuid4()) if document_id is None else document_id,
        number=number,
        notation=notation,
        place="Hà Nội",
        promulgated_on=promulgated_on,
        type_number=18,
        type_name=type_name,
        subject=subject,
        signer_name="Người ký (mẫu)",
        signer_position="Chức vụ (mẫu)",
        traced_at=traced_at,
        priority=priority,
        attachments=tuple(attachments) if attachments is not None else (small_pdf(),),
        **others,
    )
    return document_package(fields, checked=checked)


def build_status(
    reporter: str,
    addressee: str,
    document_id: str,
    code: str = "1896/UBND-KSTTHC",
    date: str = "2026/03/02",
    status_code: str = "01",
    *,
    description: str = "",
    reported_at: datetime = AT,
    checked: bool = False,
) -> bytes:
    """Return an unsigned status about a document. ``code`` is "number/notation", ``date`` as the document has it."""
    fields = StatusFields(
        reporter=Organ(reporter, name="Cơ quan báo (mẫu)"),
        addressee=addressee,
        document_id=document_id,
        number=code,
        promulgation_date=date,
        status_code=status_code,
        reported_at=reported_at,
        description=description,
    )
    return status_package(fields, checked=checked)


def replaced(package: bytes, old: str, new: str) -> bytes:
    """Return the package with a text, which stands there exactly once, replaced by another."""
    assert package.count(old.encode()) == 1, f"{old!r} stands {package.count(old.encode())} times"
    return package.replace(old.encode(), new.encode())


# --- attachments -----------------------------------------------------------------------------------------------------


@cache
def small_pdf() -> AttachedFile:
    """A PDF of one page as an office program makes it."""
    return AttachedFile("Công văn số 1896.pdf", pdf(["CONG VAN", "So: 1896/UBND-KSTTHC"]), PDF)


def pdf(lines: Sequence[str], pages: int = 1) -> bytes:
    """Return a PDF made by reportlab, the same bytes each time."""
    out = io.BytesIO()
    paper = canvas.Canvas(out, pagesize=A4, invariant=True)
    paper.setTitle("Văn bản mẫu")
    for page in range(pages):
        for position, line in enumerate(lines):
            paper.drawString(60, 780 - 16 * position, line)
        paper.drawString(60, 40, f"{page + 1}/{pages}")
        paper.showPage()
    paper.save()
    return out.getvalue()


def word_file(paragraphs: Sequence[str]) -> bytes:
    """Return a DOCX made by python-docx, Vietnamese in full."""
    document = docx.Document()
    document.add_heading("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", level=1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def scan(rng: random.Random, pages: int = 1, width: int = 620, height: int = 877) -> bytes:
    """Return pages as a scanner delivers them: grey images with noise inside a PDF."""
    images = []
    for _ in range(pages):
        page = Image.frombytes(
            "L", (width, height), bytes(220 + byte % 36 for byte in rng.randbytes(width * height))
        )
        draw = ImageDraw.Draw(page)
        for line in range(80, height - 80, 24):
            draw.line((60, line, width - rng.randint(60, 200), line), fill=40, width=3)
        draw.ellipse((width - 220, height - 260, width - 80, height - 120), outline=90, width=5)
        images.append(page)
    out = io.BytesIO()
    images[0].save(out, "PDF", save_all=True, append_images=images[1:], resolution=75)
    return out.getvalue()


def big_file(rng: random.Random, size: int, name: str = "Hồ sơ quét nhiều trang.pdf") -> AttachedFile:
    """Return a PDF of exactly ``size`` bytes that no compression shrinks: trailing bytes stand in a comment."""
    start = pdf(["HO SO"]) + b"%"
    filler = rng.randbytes(max(0, size - len(start) - 1)).translate(_NO_LINE_END)
    return AttachedFile(name, (start + filler + b"\n")[:size], PDF)


_NO_LINE_END: Final = bytes(byte if byte not in (10, 13) else 46 for byte in range(256))


@cache
def kinds_of_attachments() -> dict[str, AttachedFile]:
    """Return files of each kind that travels, by a word for each."""
    rng = random.Random(28)
    text = f"{SUBJECT}. {ALPHABET}"
    return {
        "pdf": small_pdf(),
        "docx": AttachedFile("Dự thảo góp ý (lần 2).docx", word_file([text, text]), DOCX),
        "scan": AttachedFile("bản quét có dấu.pdf", scan(rng), PDF),
        "composed name": AttachedFile(
            unicodedata.normalize("NFC", "Phụ lục Mật độ dân số.txt"), text.encode()
        ),
        "decomposed name": AttachedFile(
            unicodedata.normalize("NFD", "Phụ lục Mật độ dân số.txt"),
            unicodedata.normalize("NFD", text).encode(),
            "text/plain",
        ),
        "awkward name": AttachedFile("a & b <1> 'c' \"d\"; ../e.txt", b"\x00\xff" * 40),
        "no extension": AttachedFile("README", b"x", "text/plain"),
        "empty": AttachedFile("rỗng.txt", b"", "text/plain"),
    }
