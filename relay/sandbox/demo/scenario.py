"""What the demo sends and what must come of it: pure, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from relay.errors import Code
from relay.model.envelope import StatusCode
from relay.sandbox import agencies

ORDINARY: Final = 200
"""Good documents beside the special ones."""
MIB: Final = 1024 * 1024
LATE: Final = "H29.20"
"""The office that opens late: its queue waits until a deadline has passed."""
LATE_BY: Final = timedelta(seconds=5)

_LEVELS: Final = (
    ("G22", "G14", "G18"),  # central
    ("H26", "H26.15", "H26.15.01", "H29", "H29.20", "H30", "H30.10", "H30.10.01", "H53"),  # province
    ("H53.31",),  # district
    ("H53.31.20",),  # commune
)
_SENDERS: Final = tuple(code for level in _LEVELS for code in level if code != LATE)
_LARGE: Final = {20: 5 * MIB, 70: 5 * MIB, 120: 5 * MIB, 45: 20 * MIB}
_TAKEN_BACK: Final = "taken back"
_PAYLOADS: Final = (1_024, 4_096, 4_096, 16_384, 65_536)


class Twist(StrEnum):
    """What is done to a document before it is sent."""

    NONE = "none"
    ALTERED = "altered"
    UNSIGNED = "unsigned"
    WRONG_SIGNER = "wrong-signer"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status that a recipient sends beside its 01."""

    status: StatusCode
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """One submission of a document."""

    label: str
    sender: str
    to: tuple[str, ...]  # as written
    reaches: tuple[str, ...] = ()  # normal codes
    refusal: Code | None = None
    refused: Mapping[str, Code] = field(default_factory=dict)  # as written
    priority: int = 0
    payload: int = 4_096  # bytes of its attachment, about
    subject: str = ""  # else one from the samples
    twist: Twist = Twist.NONE
    deadline: timedelta | None = None
    notices: tuple[Code, ...] = ()
    answers: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    asked_back: Mapping[str, Answer] = field(default_factory=dict)  # recipient -> what it says to a take-back

    def owes(self) -> dict[str, int]:
        """Return how many statuses each recipient must send: 01 and its answers."""
        return {
            code: 1 + len(self.answers.get(code, ())) + (code in self.asked_back) for code in self.reaches
        }

    @property
    def good(self) -> bool:
        """Whether it goes to anybody."""
        return self.refusal is None


@dataclass(frozen=True, slots=True)
class Scenario:
    """The whole demo, in the order of sending."""

    story: Planned
    deadline: Planned
    crowd: tuple[Planned, ...]
    wrong: tuple[Planned, ...]
    repeated: str  # label of the document that is sent once more as it was
    same_content: str  # label of the document that comes under another id as well
    taken_back: str  # label of the document that its sender asks back
    take_back_reason: str = "Gửi nhầm (dữ liệu mẫu)"

    @property
    def submissions(self) -> int:
        """How many documents are submitted under an id of their own."""
        return 3 + len(self.crowd) + len(self.wrong)


def scenario(rng: random.Random, ordinary: int = ORDINARY) -> Scenario:
    """Return a demo with ``ordinary`` good documents in its crowd."""
    story = Planned(
        label="story",
        sender="H26",
        to=("G22", "H53", "H53.31", "H53.31.20", agencies.SERVED_WITHOUT_QUEUE),
        reaches=("G22", "H53", "H53.31", "H53.31.20", agencies.SERVED_WITHOUT_QUEUE),
        priority=1,
        subject="Về việc kết nối, liên thông văn bản điện tử bốn cấp",
        answers={
            "G22": (Answer(StatusCode.ACCEPTED),),
            "H53.31": (Answer(StatusCode.PROCESSING),),
            "H53.31.20": (Answer(StatusCode.REFUSED, "Không thuộc thẩm quyền (dữ liệu mẫu)"),),
        },
    )
    deadline = Planned(
        label="deadline",
        sender="G14",
        to=(LATE, "H29"),
        reaches=(LATE, "H29"),
        deadline=LATE_BY,
        notices=(Code.OVERDUE,),
    )
    crowd = tuple(_ordinary(rng, number) for number in range(ordinary))
    return Scenario(
        story=story,
        deadline=deadline,
        crowd=(*crowd, *_special()),
        wrong=_wrong(),
        repeated=crowd[0].label,
        same_content=crowd[1].label,
        taken_back=_TAKEN_BACK,
    )


def _ordinary(rng: random.Random, number: int) -> Planned:
    sender = _SENDERS[number % len(_SENDERS)]
    large = _LARGE.get(number)
    count = 2 if large else rng.choice((2, 2, 3, 3, 4))
    levels = rng.sample(range(len(_LEVELS)), k=min(count, len(_LEVELS)))
    to = tuple(code for code in (rng.choice(_LEVELS[level]) for level in levels) if code != sender)
    if len(to) < 2:
        to = (*to, "H29" if sender != "H29" and "H29" not in to else "G18")
    answers = {code: chosen for code in to if (chosen := _answers(rng.random()))}
    return Planned(
        label=f"document {number + 1}",
        sender=sender,
        to=to,
        reaches=to,
        priority=rng.choice((1, 2)) if number % 8 == 3 else 0,
        payload=large or rng.choice(_PAYLOADS),
        answers=answers,
    )


def _answers(chance: float) -> tuple[Answer, ...]:
    if chance < 0.15:
        return (Answer(StatusCode.ACCEPTED),)
    if chance < 0.20:
        return (Answer(StatusCode.ACCEPTED), Answer(StatusCode.PROCESSING))
    if chance < 0.25:
        return (Answer(StatusCode.ACCEPTED), Answer(StatusCode.FINISHED))
    if chance < 0.30:
        return (Answer(StatusCode.REFUSED, "Gửi không đúng nơi nhận (dữ liệu mẫu)"),)
    return ()


def _special() -> tuple[Planned, ...]:
    """Documents that go their way, with something particular about them."""
    closed, two = agencies.CLOSED_ONE_SUCCESSOR, agencies.CLOSED_TWO_SUCCESSORS
    return (
        Planned(
            _TAKEN_BACK,
            "G18",
            ("H26.15", "H53"),
            ("H26.15", "H53"),
            asked_back={
                "H26.15": Answer(StatusCode.AGREED),
                "H53": Answer(StatusCode.DECLINED, "Đã giải quyết xong (dữ liệu mẫu)"),
            },
        ),
        Planned("former form of codes", "H53.31", ("000.01.15.H26", "000.00.00.G22"), ("H26.15.01", "G22")),
        Planned("closed, one successor", "H29", (closed, "G22"), ("H29.20", "G22")),
        Planned(
            "closed, two successors",
            "H29",
            (two, "G22"),
            ("G22",),
            refused={two: Code.RECIPIENT_CLOSED},
        ),
        Planned(
            "one recipient unknown",
            "H53.31.20",
            ("H99", "H53", "H26"),
            ("H53", "H26"),
            refused={"H99": Code.UNKNOWN_RECIPIENT},
        ),
        Planned(
            "one recipient suspended",
            "G22",
            (agencies.SUSPENDED, "H26"),
            ("H26",),
            refused={agencies.SUSPENDED: Code.RECIPIENT_SUSPENDED},
        ),
        Planned("from a served agency", agencies.SERVED_WITHOUT_QUEUE, ("G22", "H53"), ("G22", "H53")),
        Planned(
            "within one gateway",
            agencies.SHARED_GATEWAY,
            (agencies.SERVED_WITH_QUEUE, agencies.SERVED_WITHOUT_QUEUE),
            (agencies.SERVED_WITH_QUEUE, agencies.SERVED_WITHOUT_QUEUE),
        ),
    )


def _wrong() -> tuple[Planned, ...]:
    """Documents that are answered by a refusal and reach nobody."""
    to = ("G22", "H26")
    marked = "[Tuyệt mật] Về phương án mẫu"
    return (
        Planned("altered", "H53", to, refusal=Code.DIGEST_MISMATCH, twist=Twist.ALTERED),
        Planned("unsigned", "H29", to, refusal=Code.UNSIGNED, twist=Twist.UNSIGNED),
        Planned("wrong signer", "H53.31", to, refusal=Code.WRONG_SIGNER, twist=Twist.WRONG_SIGNER),
        Planned("unknown recipient", "H26.15", ("H99",), refusal=Code.UNKNOWN_RECIPIENT),
        Planned("state secret", "G18", to, refusal=Code.STATE_SECRET, subject=marked),
    )
