"""What is wrong with a log, and what it was seen to hold: the answer of the verifier as values, with words for people."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from relay.model.evidence import Head
from relay.model.times import VIETNAM


class FaultKind(StrEnum):
    """The kinds of faults. The first six are tampering (or loss) of what was on record."""

    ALTERED = "altered"  # something stands there, and it is not what was recorded
    REMOVED = "removed"  # nothing stands there
    SWAPPED = "swapped"  # it is genuine and stands in another's place
    INSERTED = "inserted"  # it was never recorded
    TRUNCATED = "truncated"  # the end is missing: something vouches for more
    FORKED = "forked"  # two histories with one beginning
    DOUBTFUL = "doubtful"  # only something that is altered itself speaks of it
    MALFORMED = "malformed"  # as recorded, but against the format
    SIGNATURE = "signature"  # does not hold, or nobody trusted made it
    TIME_STAMP = "time-stamp"
    RESTORED = "restored"  # lost behind a restore that the log itself declares
    UNRECORDED = "unrecorded"  # the registry holds it, the log does not
    UNREGISTERED = "unregistered"  # the log holds it, the registry does not
    CONTRADICTED = "contradicted"  # both hold it, with other content


class What(StrEnum):
    """What a fault is about."""

    RECORD = "record"
    BATCH = "batch"
    HEAD = "head"
    STATEMENT = "statement"
    RECEIPT = "receipt"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, by its name."""

    kind: FaultKind
    what: What
    name: str  # "w1/1f0c2d3e #17", "w1/1f0c2d3e batch 3", "head 9", a receipt's number, a delivery's id
    reason: str  # a key of REASONS
    chain: uuid.UUID | None = None
    first: int = 0  # seq or number; 0 where there is none
    last: int = 0
    values: Mapping[str, str] = field(default_factory=dict)

    def text(self, language: str) -> str:
        """Return the reason for people, ``vi`` or ``en``."""
        en, vi = REASONS[self.reason]
        values = dict(self.values)
        if "at" in values:
            values["at"] = _for_people(values["at"])
        return (vi if language == "vi" else en).format_map(values)


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """One chain as far as it was read."""

    chain: uuid.UUID
    writer: str
    role: str
    records: int
    sealed: int  # of them in batches
    ended: bool  # by a record that says so
    last_at: datetime | None  # time of its last record


@dataclass(frozen=True, slots=True)
class Report:
    """The verifier's answer on a whole log."""

    relay: str
    chains: tuple[ChainFacts, ...]
    records: int
    batches: int
    heads: int
    head: Head | None  # the newest that stands under a signature
    signer: str  # SHA-256 of its certificate
    trusted: bool  # by an anchor that the caller gave
    covered: int  # records under that head
    restored: int  # lives that the log declares beyond the first
    time_stamps: int  # that hold
    statements: int  # of witnesses, that hold
    elsewhere: int  # heads from elsewhere that the log agrees with
    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...] = ()  # worth knowing, and nothing wrong

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


REASONS: Final[dict[str, tuple[str, str]]] = {
    "next": (
        "the record after it names another hash",
        "bản ghi kế tiếp ghi một giá trị băm khác",
    ),
    "sealed": (
        "its batch was sealed over another record",
        "lô của nó đã được niêm phong trên một bản ghi khác",
    ),
    "gone": ("no record stands there", "không còn bản ghi nào ở đó"),
    "end-gone": (
        "batches hold records up to {end}, stored are those up to {stored}",
        "các lô chứa bản ghi đến {end}, chỉ còn lưu đến {stored}",
    ),
    "place": (
        "stands in place {place} of what is stored, where {owner} belongs",
        "đứng ở vị trí {place} trong dữ liệu lưu, là chỗ của {owner}",
    ),
    "extra": (
        "stands in place {place}; no batch holds it and nothing follows it",
        "đứng ở vị trí {place}; không lô nào chứa nó và không bản ghi nào nối tiếp",
    ),
    "copy": ("a second copy, in place {place}", "bản sao thứ hai, ở vị trí {place}"),
    "branch": (
        "a second one continues the same record as the one that the log goes on with (place {place})",
        "có bản thứ hai cùng nối tiếp một bản ghi (vị trí {place})",
    ),
    "unvouched": (
        "only an altered record speaks of it, and names another hash",
        "chỉ có một bản ghi đã bị sửa nói về nó, và ghi giá trị băm khác",
    ),
    "weak": (
        "altered; {from_} to {to} of its batch are vouched for by this record alone, so one of them may be the first",
        "bị sửa; từ {from_} đến {to} trong lô chỉ được chính bản ghi này xác nhận, nên có thể bản ghi đầu bị sửa nằm trong đó",
    ),
    "format": ("{detail}", "{detail}"),
    "not-start": (
        "the chain does not begin with its own start",
        "chuỗi không mở đầu bằng bản ghi khởi đầu của nó",
    ),
    "behind-end": ("stands behind the record that ended the chain", "đứng sau bản ghi kết thúc chuỗi"),
    "header": (
        "its header says other than its records, which hold together",
        "phần đầu lô nói khác với các bản ghi, vốn khớp nhau",
    ),
    "batch-next": (
        "the chain's next batch names another header",
        "lô kế tiếp của chuỗi ghi phần đầu khác",
    ),
    "batch-link": (
        "it names another header before it than the one that a head covers",
        "nó ghi một phần đầu lô trước khác với phần đầu mà đầu nhật ký bao trùm",
    ),
    "batch-gone": ("the batch is not in the main log", "lô không có trong nhật ký chính"),
    "batch-range": (
        "the chain's batches do not join: it begins with record {first}, the one before ends with {end}",
        "các lô của chuỗi không nối nhau: lô này bắt đầu ở bản ghi {first}, lô trước kết thúc ở {end}",
    ),
    "main-log": (
        "the root over the first {size} batches is another one; up to {good} they fit an earlier head",
        "gốc trên {size} lô đầu khác với đầu nhật ký; đến lô {good} thì khớp một đầu trước đó",
    ),
    "main-order": (
        "places {place} and {owner} of the main log are exchanged",
        "vị trí {place} và {owner} trong nhật ký chính bị đổi chỗ",
    ),
    "size": (
        "a head speaks of {size} batches, {stored} are stored",
        "đầu nhật ký nói có {size} lô, chỉ còn lưu {stored}",
    ),
    "records-count": (
        "a head speaks of {said} records in its batches, they hold {held}",
        "đầu nhật ký nói có {said} bản ghi trong các lô, thực có {held}",
    ),
    "head-signature": ("{detail}", "{detail}"),
    "head-gone": (
        "heads {first} to {last} are not stored",
        "các đầu nhật ký {first} đến {last} không còn lưu",
    ),
    "head-previous": (
        "the head after it names another one",
        "đầu nhật ký kế tiếp ghi một giá trị khác",
    ),
    "head-order": ("it does not follow from the head before it", "không nối tiếp đầu nhật ký trước đó"),
    "head-other": (
        "elsewhere another head stands under this number, by the same relay",
        "nơi khác có một đầu nhật ký khác mang cùng số, của cùng trục",
    ),
    "elsewhere": (
        "a head from elsewhere has another root over the first {size} batches; up to {good} both may agree",
        "một đầu nhật ký từ nơi khác có gốc khác trên {size} lô đầu; đến lô {good} hai bên có thể khớp",
    ),
    "elsewhere-longer": (
        "a head from elsewhere, of {at}, speaks of {size} batches, {stored} are stored: the log was cut",
        "một đầu nhật ký từ nơi khác, lúc {at}, nói có {size} lô, chỉ còn lưu {stored}: nhật ký đã bị cắt",
    ),
    "elsewhere-restored": (
        "a head from elsewhere, of {at}, speaks of {size} batches; the log was restored from a copy with {base}, and says so",
        "một đầu nhật ký từ nơi khác, lúc {at}, nói có {size} lô; nhật ký tự ghi đã khôi phục từ bản sao có {base} lô",
    ),
    "elsewhere-relay": ("a head of another relay: {relay}", "đầu nhật ký của trục khác: {relay}"),
    "statement": ("{detail}", "{detail}"),
    "no-witness": (
        "nobody vouches for certificate {sha256} of witness {witness}: not counted",
        "chưa có ai bảo đảm chứng thư {sha256} của bên làm chứng {witness}: không tính",
    ),
    "stamp": ("{detail}", "{detail}"),
    "no-record": ("no record in the log", "không có bản ghi nào trong nhật ký"),
    "no-row": ("the registry does not hold it", "sổ đăng ký không có"),
    "other": (
        "on record: {recorded}; in the registry: {stored}",
        "trên nhật ký: {recorded}; trong sổ đăng ký: {stored}",
    ),
    "open": (
        "has not ended: its process runs, or died; {unsealed} records behind its last batch, the last of {at}",
        "chưa kết thúc: tiến trình đang chạy hoặc đã chết; {unsealed} bản ghi sau lô cuối, bản ghi cuối lúc {at}",
    ),
    "life": (
        "the registry was restored from a copy with {base} batches",
        "sổ đăng ký đã được khôi phục từ bản sao có {base} lô",
    ),
    "unsigned": (
        "no head covers {count} batches yet",
        "chưa có đầu nhật ký nào bao trùm {count} lô",
    ),
    "no-anchor": (
        "no anchor was given: that certificate {sha256} is the relay's has to be known from elsewhere",
        "chưa cho chứng thư gốc tin cậy: phải biết từ nơi khác rằng chứng thư {sha256} là của trục",
    ),
    "old-signer": (
        "its certificate could not be judged as of its time: {detail}",
        "không thẩm định được chứng thư tại thời điểm đó: {detail}",
    ),
    "unread-stamp": ("its time-stamps were not judged: {detail}", "chưa thẩm định dấu thời gian: {detail}"),
}
"""Reasons by key: English, Vietnamese."""


def _for_people(at: str) -> str:
    """Vietnam time with its offset, as people see all times; what is none stays."""
    try:
        return f"{datetime.fromisoformat(at).astimezone(VIETNAM):%d/%m/%Y %H:%M:%S} +07:00"
    except ValueError:
        return at


def short(chain: uuid.UUID, writer: str) -> str:
    """Return a chain's name for people: the process, and the first eight digits of the chain's id."""
    return f"{writer or '?'}/{chain.hex[:8]}"


def span(first: int, last: int) -> str:
    """Return ``#5`` or ``#5–#9``."""
    return f"#{first}" if first == last else f"#{first}–#{last}"
