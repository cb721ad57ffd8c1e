"""The small lists of codes of the standard, with their words in Vietnamese and English."""

from __future__ import annotations

from typing import Final

from adapters.edxml.show import PRIORITY_TEXTS, STATUS_TEXTS

BUSINESS_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "0": ("Văn bản mới", "new document"),
    "1": ("Thu hồi", "revocation"),
    "2": ("Cập nhật", "update"),
    "3": ("Thay thế", "replacement"),
}
STEERING_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "1": ("Không phải văn bản chỉ đạo", "no steering"),
    "2": ("Văn bản chỉ đạo", "steering"),
    "3": ("Báo cáo thực hiện chỉ đạo", "report on steering"),
}
RECEIVER_TEXTS: Final[dict[str, tuple[str, str]]] = {"0": ("bỏ", "dropped"), "1": ("thêm", "added")}

# Administrative documents of Amendment 1:2022 by name; vendors have numbers of their own, so names are what counts.
TYPE_NUMBERS: Final[dict[str, int]] = {
    "Nghị quyết": 1, "Quyết định": 2, "Chỉ thị": 3, "Quy chế": 4, "Quy định": 5, "Thông cáo": 6, "Thông báo": 7,
    "Hướng dẫn": 8, "Chương trình": 9, "Kế hoạch": 10, "Phương án": 11, "Đề án": 12, "Dự án": 13, "Báo cáo": 14,
    "Biên bản": 15, "Tờ trình": 16, "Hợp đồng": 17, "Công văn": 18, "Công điện": 19, "Bản ghi nhớ": 20,
    "Bản cam kết": 21, "Bản thỏa thuận": 22, "Giấy chứng nhận": 23, "Giấy ủy quyền": 24, "Giấy mời": 25,
    "Giấy giới thiệu": 26, "Giấy nghỉ phép": 27, "Giấy đi đường": 28, "Giấy biên nhận hồ sơ": 29, "Phiếu gửi": 30,
    "Phiếu chuyển": 31, "Thư công": 32,
}  # fmt: skip

LISTS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "BussinessDocType": BUSINESS_TEXTS,
    "Priority": PRIORITY_TEXTS,
    "SteeringType": STEERING_TEXTS,
    "StatusCode": STATUS_TEXTS,
    "ReceiverType": RECEIVER_TEXTS,
}


def meaning(tag: str, value: object, lang: str) -> str:
    """Return what a code of one of the lists means, in ``vi`` or ``en``; empty where it is on none."""
    texts = LISTS.get(tag, {}).get(str(value))
    return "" if texts is None else texts[0] if lang == "vi" else texts[1]
