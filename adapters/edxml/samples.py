"""Synthetic documents for demonstrations: plausible Vietnamese administrative texts, a small valid PDF made by hand.

Nothing here is about real persons, numbers or events. Everything comes from the ``random.Random`` that is passed in, so
a demonstration can be repeated byte for byte.
"""

from __future__ import annotations

import random
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapters.edxml.facts import AttachedFile, DocumentFields, Organ
from relay.model.times import vietnam_day


@dataclass(frozen=True, slots=True)
class _Genre:
    """A type of document with its number in the standard's table and its abbreviation."""

    number: int
    name: str
    short: str


_GENRES: Final = (
    _Genre(18, "Công văn", ""),
    _Genre(7, "Thông báo", "TB"),
    _Genre(10, "Kế hoạch", "KH"),
    _Genre(14, "Báo cáo", "BC"),
    _Genre(16, "Tờ trình", "TTr"),
    _Genre(25, "Giấy mời", "GM"),
    _Genre(2, "Quyết định", "QĐ"),
)
_ACTS: Final = (
    "Về việc triển khai",
    "Về việc báo cáo kết quả",
    "Về việc rà soát, đánh giá",
    "Về việc góp ý dự thảo kế hoạch",
    "Về việc tăng cường kiểm tra",
    "Về việc cung cấp số liệu",
    "Về việc đôn đốc thực hiện",
)
_MATTERS: Final = (
    "kết nối, liên thông văn bản điện tử",
    "công tác phòng, chống thiên tai và tìm kiếm cứu nạn",
    "chuyển đổi số trong giải quyết thủ tục hành chính",
    "bảo đảm an toàn thực phẩm dịp lễ, tết",
    "cải tạo, nâng cấp đường giao thông nông thôn",
    "tiêm chủng mở rộng cho trẻ em dưới năm tuổi",
    "mật độ xây dựng và quy hoạch khu dân cư",
    "bảo vệ, phát triển rừng đầu nguồn",
    "tuyển sinh đầu cấp trên địa bàn",
    "hỗ trợ doanh nghiệp nhỏ và vừa",
)
_UNITS: Final = ("VP", "KTTH", "CNTT", "NC", "KGVX", "TCCB")
_PLACES: Final = ("Hà Nội", "Huế", "Đà Nẵng", "Cần Thơ", "Tây Ninh", "Lạng Sơn")
_FILE_NAMES: Final = ("văn bản", "phụ lục", "Biểu số liệu", "dự thảo", "danh sách đơn vị")
_SIGNER: Final = "Người ký (dữ liệu mẫu)"


def sample_document(
    rng: random.Random,
    sender: Organ,
    recipients: Sequence[Organ],
    at: datetime,
    *,
    priority: int = 0,
    payload_bytes: int = 4096,
) -> DocumentFields:
    """Return the facts of a new document.

    Args:
        rng: where all that varies comes from.
        sender: who sends it.
        recipients: to whom; at least one.
        at: when it is sent, aware.
        priority: 0 normal to 4.
        payload_bytes: size of its one PDF, about; at least some 900 bytes come out.
    """
    genre = rng.choice(_GENRES)
    day = vietnam_day(at)
    subject = f"{rng.choice(_ACTS)} {rng.choice(_MATTERS)}"
    if rng.random() < 0.25:  # some systems write the decomposed form
        subject = unicodedata.normalize("NFD", subject)
    unit = rng.choice(_UNITS)
    number = str(rng.randint(1, 9999))
    name = f"{rng.choice(_FILE_NAMES)} {number}.pdf"
    return DocumentFields(
        sender=sender,
        recipients=tuple(recipients),
        document_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        number=number,
        notation=f"{genre.short}-{unit}" if genre.short else unit,
        place=rng.choice(_PLACES),
        promulgated_on=day,
        type_number=genre.number,
        type_name=genre.name,
        subject=subject,
        signer_name=_SIGNER,
        signer_competence=rng.choice(("", "KT.", "TL.")),
        traced_at=at,
        due_on=day + timedelta(days=rng.randint(3, 30)),
        to_places=("Như trên", f"Lưu: VT, {unit}"),
        priority=priority,
        copies=len(recipients),
        pages=1,
        attachments=(
            AttachedFile(
                name, sample_pdf(rng, [genre.name, number, subject], payload_bytes), "application/pdf"
            ),
        ),
    )


def sample_pdf(rng: random.Random, lines: Sequence[str], size: int = 0) -> bytes:
    """Return a valid one-page PDF of about ``size`` bytes with the lines on it.

    The fonts that every reader has know no Vietnamese, so the page shows the letters without their diacritics; the
    document's title has the first lines in full. What is missing to ``size`` is a stream that no compression shrinks.
    """
    page = "BT /F1 12 Tf 60 780 Td 16 TL " + " ".join(f"({_ascii(line)}) Tj T*" for line in lines) + " ET"
    title = ("\ufeff" + " ".join(lines)).encode("utf-16-be").hex().upper()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        _stream(page.encode("ascii")),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title <{title}> /Producer (sample) >>".encode("ascii"),
    ]
    missing = size - len(_pdf(objects)) - 80
    if missing > 0:
        objects.append(_stream(rng.randbytes(missing)))
    return _pdf(objects)


def _stream(content: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content)


def _pdf(objects: Sequence[bytes]) -> bytes:
    """Return a PDF file of these objects; the first is the catalogue, the sixth the information dictionary."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(out)


def _ascii(text: str) -> str:
    """Return a text without diacritics, escaped for a PDF string."""
    apart = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    plain = apart.encode("ascii", "ignore").decode("ascii")
    return plain.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
