"""Valid drafts to begin with: documents and statuses, a little different each time, from a number alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from adapters.edxml.facts import AttachedFile
from tests.differential.people import People
from tests.differential.signing import HERE, Pen, kind_of, sign
from tests.support.packages import build_document, build_status
from tests.support.spelling import SPELLINGS, oddities

CODES: Final = ("H53", "G22", "H26", "H26.15", "H26.15.01", "G14", "H29.20")
WORDS: Final = (
    "về việc",
    "đẩy mạnh",
    "kết nối",
    "chia sẻ dữ liệu",
    "cải cách & thủ tục",
    "kế hoạch <năm>",
    "báo cáo",
    "“Quý I”",
)
_HEADER_END: Final = b"</edXML:edXMLHeader>"


@dataclass
class Bench:
    """What a case is made from: the people, and randomness of its own."""

    people: People
    seed: int
    number: int

    @cached_property
    def rng(self) -> random.Random:
        return random.Random(f"{self.seed}:{self.number}")

    @cached_property
    def signer_number(self) -> int:
        return self.rng.randrange(len(self.people.good))

    @cached_property
    def pen(self) -> Pen:
        """A pen of somebody whose signature counts."""
        signer = self.people.good[self.signer_number]
        strong = self.rng.choice(("sha256", "sha384", "sha512"))
        # P-521 and P-384 go with any of the hashes
        return Pen(signer, digest=strong, hash=self.rng.choice(("sha256", strong)))

    def pen_of(self, kind: str) -> Pen:
        """A pen of a signer with that kind of key."""
        return Pen(next(one for one in self.people.good if kind_of(one) == kind))

    def words(self, count: int = 6) -> str:
        return " ".join(self.rng.choice(WORDS) for _ in range(count))

    def draft(self, attachments: int | None = None) -> bytes:
        """An unsigned document with the marker where the signature belongs."""
        rng = self.rng
        files = tuple(
            AttachedFile(
                f"Phụ lục {index}.bin", rng.randbytes(rng.randrange(1, 2400)), "application/octet-stream"
            )
            for index in range(rng.randrange(1, 3) if attachments is None else attachments)
        )
        sender, *recipients = rng.sample(CODES, rng.randrange(2, 5))
        body = build_document(
            sender,
            recipients,
            subject=f"V/v {self.words()}",
            document_id=f"{self.seed}-{self.number}",
            number=str(rng.randrange(1, 9000)),
            attachments=files,
        )
        return mark(body)

    def status(self) -> bytes:
        """An unsigned status with the marker."""
        rng = self.rng
        reporter, addressee = rng.sample(CODES, 2)
        code = rng.choice(("01", "02", "03", "04", "05", "06"))
        return mark(
            build_status(
                reporter,
                addressee,
                f"{self.seed}-{self.number}",
                status_code=code,
                description=self.words(3) if rng.random() < 0.5 else "",
            )
        )

    def signed(self) -> bytes:
        """A valid document."""
        return sign(self.draft(), self.pen)

    def spelled(self, name: str) -> bytes:
        """A draft in one of the odd spellings; the signature goes before the header's end tag."""
        plain = self.draft().replace(HERE, b"")
        body = oddities(plain)[name]
        prefix = SPELLINGS[name].prefix
        end = f"</{prefix}:edXMLHeader".encode() if prefix else b"</edXMLHeader"
        return body.replace(end, HERE + end, 1)


def mark(body: bytes) -> bytes:
    assert body.count(_HEADER_END) == 1
    return body.replace(_HEADER_END, HERE + _HEADER_END)
