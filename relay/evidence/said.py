"""What is said of a proof, of a case or of heads: one thing each, by a key, with words for people in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was found: a key of ``REASONS`` with its values."""

    reason: str
    values: Mapping[str, str] = field(default_factory=dict)

    def text(self, language: str) -> str:
        """Return it for people, ``vi`` or ``en``."""
        en, vi = REASONS[self.reason]
        return (vi if language == "vi" else en).format_map(dict(self.values)).strip()


def said_json(said: Said) -> dict[str, object]:
    """Return it for programs: the reason's key, its values, and the text in both languages."""
    return {
        "reason": said.reason,
        "text": {"vi": said.text("vi"), "en": said.text("en")},
        "values": dict(said.values),
    }


REASONS: Final[dict[str, tuple[str, str]]] = {
    "other-relay": (
        "head {number} of {at} is of another relay: {relay}",
        "đầu nhật ký {number} lúc {at} là của trục khác: {relay}",
    ),
    "forked": (
        "two histories, both signed by {relay}: head {number} of {at}, from elsewhere, and head {other} of {other_at}",
        "hai lịch sử cùng do {relay} ký: đầu nhật ký {number} lúc {at} từ nơi khác, và đầu nhật ký {other} lúc {other_at}",
    ),
    "forked-heads": (
        "two histories, both signed by {relay}: head {number} of {at}, and head {other} of {other_at}",
        "hai lịch sử cùng do {relay} ký: đầu nhật ký {number} lúc {at}, và đầu nhật ký {other} lúc {other_at}",
    ),
    "forked-unvouched": (
        (
            "head {number} of {at} and head {other} of {other_at} contradict each other; not everybody who signed as {relay} is "
            "vouched for"
        ),
        (
            "đầu nhật ký {number} lúc {at} và đầu nhật ký {other} lúc {other_at} mâu thuẫn nhau; chưa ai bảo đảm hết những bên đã "
            "ký với tên {relay}"
        ),
    ),
    "elsewhere-signature": (
        "head {number} of {at}, from elsewhere, contradicts this file, and its own signature does not hold: {detail}",
        "đầu nhật ký {number} lúc {at} từ nơi khác mâu thuẫn với tệp này, và chữ ký của nó không hợp lệ: {detail}",
    ),
    "elsewhere-unvouched": (
        "head {number} of {at}, from elsewhere, contradicts this file; nobody vouches for its certificate {sha256}",
        "đầu nhật ký {number} lúc {at} từ nơi khác mâu thuẫn với tệp này; chưa có ai bảo đảm chứng thư {sha256} của nó",
    ),
    "unrelated": (
        "head {number} of {at} stands in no relation to this proof: have one made with --head",
        "đầu nhật ký {number} lúc {at} không liên hệ với chứng minh này: hãy yêu cầu lập lại với --head",
    ),
    "unread-stamp": (
        "the time-stamp over head {number} was not judged: no root of its authority was given",
        "chưa thẩm định dấu thời gian trên đầu nhật ký {number}: chưa cho chứng thư gốc của nơi cấp",
    ),
    "stamp": (
        "time-stamp over head {number}: {detail}",
        "dấu thời gian trên đầu nhật ký {number}: {detail}",
    ),
    "statement": (
        "statement of a witness on head {number}: {detail}",
        "lời chứng về đầu nhật ký {number}: {detail}",
    ),
    "unvouched-witness": (
        "nobody vouches for certificate {sha256} of witness {witness}",
        "chưa có ai bảo đảm chứng thư {sha256} của bên làm chứng {witness}",
    ),
    "unvouched": (
        "head {number}: nobody vouches for certificate {sha256} ({detail})",
        "đầu nhật ký {number}: chưa có ai bảo đảm chứng thư {sha256} ({detail})",
    ),
    "case-relay": (
        "the file says it is of {relay}, its log is that of {other}",
        "tệp ghi là của {relay}, nhật ký trong tệp là của {other}",
    ),
    "other-record": ("record {seq} is not about {id}", "bản ghi {seq} không nói về {id}"),
    "unbound-receipt": (
        "a receipt that no record binds",
        "có biên nhận không được bản ghi nào ràng buộc",
    ),
    "receipt": ("receipt of record {seq}: {detail}", "biên nhận của bản ghi {seq}: {detail}"),
    "no-receipt": (
        "receipt {number} is on record, and its bytes are not in the file",
        "biên nhận {number} có trong nhật ký, nhưng nội dung không có trong tệp",
    ),
    "no-certificate": (
        "certificate {sha256} is not in the file",
        "chứng thư {sha256} không có trong tệp",
    ),
    "no-issuer": (
        "the certificate of {issuer}, which issued that of {subject}, is not in the file; the signed document may hold it",
        "chứng thư của {issuer}, nơi cấp chứng thư {subject}, không có trong tệp; có thể có trong văn bản đã ký",
    ),
    "unreadable-certificate": (
        "certificate {place} of the file cannot be read",
        "không đọc được chứng thư thứ {place} trong tệp",
    ),
    "unreadable-list": (
        "revocation list {place} of the file cannot be read",
        "không đọc được danh sách thu hồi thứ {place} trong tệp",
    ),
    "unreadable-answer": (
        "OCSP answer {place} of the file cannot be read",
        "không đọc được trả lời OCSP thứ {place} trong tệp",
    ),
}
"""What is said, by key: English, Vietnamese."""
