"""The words and the looks of the page beside a case."""

from __future__ import annotations

from typing import Final

from relay.model.delivery import State
from relay.model.receipt import ReceiptKind

STATES: Final = {
    State.PLANNED: ("planned", "chờ chuyển"),
    State.QUEUED: ("in the recipient's queue", "đã vào hàng đợi của nơi nhận"),
    State.DELIVERED: ("delivered", "đã giao"),
    State.REFUSED: ("refused", "bị từ chối"),
    State.WITHDRAWN: ("withdrawn", "đã lấy lại"),
}
"""English, Vietnamese."""

RECEIPTS: Final = {
    ReceiptKind.ACKNOWLEDGEMENT: ("acknowledgement", "biên nhận tiếp nhận"),
    ReceiptKind.OUTCOME: ("outcome", "biên nhận kết quả"),
    ReceiptKind.HELD: ("notice of quarantine", "thông báo tạm giữ"),
    ReceiptKind.ATTACHMENT_VERDICT: ("verdict on attachments", "kết quả kiểm tra tệp đính kèm"),
}

KINDS: Final = {"edoc": ("văn bản", "document"), "status": ("trạng thái", "status")}
"""By code: Vietnamese, English; like those below."""

ACTS: Final = {
    "held": ("tạm giữ", "quarantined"),
    "released": ("thả ra khỏi tạm giữ", "released from quarantine"),
    "dropped": ("bỏ khỏi tạm giữ", "dropped from quarantine"),
}

REVOCATION: Final = {
    "good": ("không bị thu hồi", "not revoked"),
    "revoked": ("đã bị thu hồi", "revoked"),
    "unknown": ("không rõ", "unknown"),
    "not-checked": ("không kiểm tra", "not checked"),
}

LIMITS: Final = (
    (
        (
            "Times are those of the relay's clock, but for time-stamps: a time-stamp proves that the head existed by then, "
            "and so all under it."
        ),
        (
            "Các mốc thời gian là theo đồng hồ của trục, trừ dấu thời gian: dấu thời gian chứng minh đầu nhật ký, và mọi "
            "thứ dưới nó, đã tồn tại vào lúc đó."
        ),
    ),
    (
        "The document is not in the file. Sender and recipient have it; its SHA-256 is to be compared.",
        "Tệp không chứa văn bản. Nơi gửi và nơi nhận giữ văn bản; cần so sánh SHA-256 của nó.",
    ),
    (
        "“Delivered” means that the recipient's gateway signed status 01, not that somebody has read it.",
        "“Đã giao” nghĩa là hệ thống của nơi nhận đã ký trạng thái 01, không có nghĩa là đã có người đọc.",
    ),
)
"""English, Vietnamese."""

CHECKING: Final = (
    (
        (
            "The file alone is enough, offline. ROOT.pem is the root that you trust for the relay; HEAD is a head that you have "
            "from elsewhere (a witness, an earlier proof) and DOCUMENT the document or receipt that you hold, if you have them."
        ),
        (
            "Chỉ cần tệp này, không cần mạng. ROOT.pem là chứng thư gốc mà bạn tin cậy cho trục; HEAD là đầu nhật ký bạn có từ "
            "nơi khác (bên làm chứng, chứng minh trước đây) và DOCUMENT là văn bản hoặc biên nhận bạn đang giữ, nếu có."
        ),
    ),
    (
        "This page is for reading. The file is what proves; its format is public, and any program may check it.",
        (
            "Trang này để đọc. Tệp đi kèm mới là chứng cứ; định dạng của tệp được công bố và chương trình nào cũng có thể kiểm "
            "tra."
        ),
    ),
)
"""English, Vietnamese."""

STYLE: Final = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;margin:0;color:#1a1a1a;background:#fff}
main{max-width:60rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}
h1{font-size:1.4rem;line-height:1.3}h2{font-size:1.1rem;margin:2rem 0 .3rem}
table{border-collapse:collapse;width:100%;border-top:2px solid #999}
td,th{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #ddd}
th{width:17rem;font-weight:600}
code{font-size:.85em;font-family:ui-monospace,"DejaVu Sans Mono",monospace}
small{font-weight:400;color:#555}.en{color:#555;font-weight:400}
.box{padding:.6rem .9rem;border-left:.35rem solid;background:#f4f4f4}
.good{border-color:#1b7a3d}.doubt{border-color:#a86a00}p.bad{border-color:#a00000}
.bad,.bad .en{color:#a00000}
@media (max-width:40rem){
main{margin:1rem auto}
table,tbody,tr,th,td{display:block;width:auto}
tr{border-bottom:1px solid #ddd;padding:.4rem 0}td,th{border:0;padding:0}
}
@page{size:A4;margin:18mm 16mm 20mm;
@bottom-left{content:"@id@";font:8pt sans-serif;color:#555}
@bottom-right{content:counter(page) " / " counter(pages);font:8pt sans-serif;color:#555}}
@media print{
body{font-size:10pt}code{font-size:.78em}th{width:13rem}main{margin:0;max-width:none;padding:0}.en,small{color:#333}
tr,li,.box{break-inside:avoid}h2{break-after:avoid}section:has(table.facts){break-inside:auto}
}
"""
