"""How fast the format is read and written, beside a bare ``lxml.etree.fromstring`` of the same bytes in the same run.

``truc bench --format [--json]``, on a quiet machine. Times are CPU time of this process, the best of many rounds, so that
what else runs on the machine weighs little. Each round reads packages that differ in sender, recipients, numbers, dates,
subjects and file names, so that nothing is fast for having been seen just before; agencies come again, as they do in life.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, BinaryIO, Final

from lxml import etree

from adapters.edxml.content import Content
from adapters.edxml.facts import AttachedFile, DocumentFields, Organ, document_of
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.reader import read
from adapters.edxml.writer import package_bytes, write_package
from relay.model.envelope import Envelope
from relay.model.message import Kind
from relay.model.verdict import ParseLimits, SignaturePlace, SignedView
from relay.trust.view import unverified

SIZES: Final = (5_000, 64_000, 1_000_000)
WRITTEN: Final = 32_000_000
_ROUNDS: Final = 60
_MOST: Final = 64  # packages in one round
_HEADER_END: Final = b"</edXML:MessageHeader>"
_EMPTY: Final = b"<edXML:Empty/>"  # what most libraries write for an element without content
_WORDS: Final = [
    "đẩy",
    "mạnh",
    "kết",
    "nối",
    "chia",
    "sẻ",
    "dữ",
    "liệu",
    "và",
    "cải",
    "cách",
    "thủ",
    "tục",
    "hành",
    "chính",
    "theo",
    "kế",
    "hoạch",
    "năm",
    "tới",
    "tại",
    "các",
    "đơn",
    "vị",
    "trực",
    "thuộc",
    "sở",
]


@dataclass(frozen=True, slots=True)
class ReadSpeed:
    """One size of package: microseconds, and the ratio to the bare parser."""

    bytes: int
    bare_us: float
    relay_us: float  # from bytes alone: hardened parsing, signed view, envelope with every rule of the relay
    relay_ratio: float
    otherwise_us: (
        float  # the same of packages that are not written as their canonical form, so that it has to be made
    )
    otherwise_ratio: float
    tolerant_us: float  # hardened parsing, the whole model, every finding; payloads not decoded
    tolerant_ratio: float


@dataclass(frozen=True, slots=True)
class Speed:
    """All of it."""

    read: tuple[ReadSpeed, ...]
    write_mb_per_s: float  # of attachment bytes
    decode_mb_per_s: float


def sample(size: int, seed: int = 1) -> bytes:
    """Return a package of about ``size`` bytes; random bytes for its attachment, so that nothing is easy."""
    rng = random.Random(seed)
    number = rng.randrange(1, 9999)
    code = f"H{rng.randrange(10, 64)}.{rng.randrange(10, 40)}.{rng.randrange(10, 40)}"
    day = date(2026, 1, 1) + timedelta(days=rng.randrange(360))
    subject = rng.sample(_WORDS, 16)
    fields = DocumentFields(
        sender=Organ(code, "Cơ quan gửi (mẫu)", email="mau@example.vn"),
        recipients=(
            Organ(f"G{rng.randrange(10, 30)}", "Cơ quan nhận 1 (mẫu)"),
            Organ(f"000.00.{rng.randrange(10, 40)}.H{rng.randrange(10, 64)}", "Cơ quan nhận 2 (mẫu)"),
        ),
        document_id=f"{code},2026,{number}",
        number=str(number),
        notation="UBND-VPĐT",
        place="Hà Nội",
        promulgated_on=day,
        type_number=18,
        type_name="Công văn",
        subject="Về việc " + " ".join(subject),
        signer_name="Người ký (mẫu)",
        traced_at=datetime(day.year, day.month, day.day, 1, 30, tzinfo=UTC) + timedelta(seconds=number),
    )
    rest = max(size - len(package_bytes(document_of(fields))) - 500, 3) * 3 // 4
    return package_bytes(
        document_of(
            replace(
                fields,
                attachments=(AttachedFile(f"văn bản {number}.pdf", rng.randbytes(rest), "application/pdf"),),
            )
        )
    )


def best(*works: Callable[[], object], repeat: int) -> list[float]:
    """Return the CPU seconds of one call of each, the best of several rounds.

    They take turns in short rounds: a machine that changes its speed does so for all of them.
    """
    found = [float("inf")] * len(works)
    for _ in range(_ROUNDS):
        for place, work in enumerate(works):
            started = time.process_time()
            for _ in range(repeat):
                work()
            found[place] = min(found[place], (time.process_time() - started) / repeat)
    return found


def read_speed(size: int) -> ReadSpeed:
    """Measure reading at one size."""
    bodies = [sample(size, seed) for seed in range(max(4, min(_MOST, 1_000_000 // size)))]
    edxml, limits = EdxmlFormat(), ParseLimits()
    place = edxml.place(Kind.EDOC)
    repeat = max(1, min(4, 1_000_000 // size // len(bodies)))
    otherwise = [body.replace(_HEADER_END, _EMPTY + _HEADER_END) for body in bodies]

    def relay() -> None:
        for body in bodies:
            _envelope(edxml, body, place, limits)

    def relay_otherwise() -> None:
        for body in otherwise:
            _envelope(edxml, body, place, limits)

    def bare() -> None:
        for body in bodies:
            etree.fromstring(body)

    def tolerant() -> None:
        for body in bodies:
            read(body)

    taken = [one * 1e6 / len(bodies) for one in best(bare, relay, relay_otherwise, tolerant, repeat=repeat)]
    ratios = [one / taken[0] for one in taken]
    return ReadSpeed(
        sum(map(len, bodies)) // len(bodies),
        taken[0],
        taken[1],
        ratios[1],
        taken[2],
        ratios[2],
        taken[3],
        ratios[3],
    )


def _envelope(edxml: EdxmlFormat, body: bytes, place: SignaturePlace, limits: ParseLimits) -> Envelope:
    """Return what a worker knows of a document beside its signature."""
    return edxml.read(SignedView(unverified(body, place, limits), "", len(body)), Kind.EDOC)


class _Nowhere:
    """Takes bytes and forgets them."""

    @staticmethod
    def writelines(pieces: Iterable[bytes]) -> None:
        """Take them."""
        for _ in pieces:
            pass


def measure() -> Speed:
    """Measure reading, writing and decoding."""
    package: Any = read(sample(5_000)).package
    content = Content.of(random.Random(2).randbytes(WRITTEN))
    big = replace(package, attachments=(replace(package.attachments[0], content=content),))
    nowhere: Any = _Nowhere()
    target: BinaryIO = nowhere
    (write,) = best(lambda: write_package(big, target), repeat=1)
    back: Any = read(package_bytes(big)).package

    def decode() -> int:
        return sum(len(piece) for piece in back.attachments[0].content.pieces())

    (decoded,) = best(decode, repeat=1)
    return Speed(tuple(read_speed(size) for size in SIZES), WRITTEN / write / 1e6, WRITTEN / decoded / 1e6)


def table(speed: Speed) -> str:
    """Return the figures as a page has them."""
    rows = [
        "| bytes | bare lxml | relay's envelope | written otherwise | whole model |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    rows += [
        f"| {one.bytes:,} | {one.bare_us:.0f} µs | {one.relay_us:.0f} µs ({one.relay_ratio:.1f} ×) "
        f"| {one.otherwise_us:.0f} µs ({one.otherwise_ratio:.1f} ×) | {one.tolerant_us:.0f} µs ({one.tolerant_ratio:.1f} ×) |"
        for one in speed.read
    ]
    rows += [
        "",
        f"writer {speed.write_mb_per_s:.0f} MB/s of attachment bytes, decoding {speed.decode_mb_per_s:.0f} MB/s",
    ]
    return "\n".join(rows)
