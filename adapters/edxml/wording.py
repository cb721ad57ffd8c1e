"""What is said of one place of a package, in Vietnamese, and what a schema objects to, in both languages.

Details of errors are written in English where they arise, since programs and logs read them; people read them here. They
name elements of the format, which stay as they are. What is not known here stays in English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from relay.directory.wording import of_code
from relay.errors.phrases import Phrases

_N: Final = r"(\w+)"


_DETAILS: Final = Phrases((
    (rf"{_N} stands more than once", r"\1 xuất hiện hơn một lần"),
    (rf"{_N} stands (\d+) times in {_N}", r"\1 xuất hiện \2 lần trong \3"),
    (rf"{_N} stands twice, once in a foreign namespace", r"\1 xuất hiện hai lần, một lần trong không gian tên khác"),
    (rf"{_N} in a foreign namespace", r"\1 nằm trong không gian tên khác"),
    (rf"another OrganId stands deeper in {_N}", r"còn một OrganId khác nằm sâu hơn trong \1"),
    ("ResponseFor has neither DocumentId nor Code", "ResponseFor không có DocumentId, cũng không có Code"),
    ("neither a document's To nor a StatusCode", "không có To (của văn bản), cũng không có StatusCode (của trạng thái)"),
    ("a status is addressed by ResponseFor and has no To", "trạng thái gửi theo ResponseFor, không có To"),
    ("a status has no attachments", "trạng thái không có tệp đính kèm"),
    ("a package with a StatusCode is a status", "gói tin có StatusCode là bản tin trạng thái"),
    ("a package without a StatusCode is a document", "gói tin không có StatusCode là văn bản"),
    ("an edXML package is a document or a status", "gói tin edXML là văn bản hoặc trạng thái"),
    (rf"{_N} has no {_N}", r"\1 thiếu \2"),
    (rf"{_N} is empty", r"\1 để trống"),
    (rf"{_N} holds control characters", r"\1 chứa ký tự điều khiển"),
    (rf"{_N} holds elements where a text is due", r"\1 chứa phần tử con, trong khi chỉ được ghi chữ"),
    (rf"{_N} holds elements where a code is due", r"\1 chứa phần tử con, trong khi chỉ được ghi mã định danh"),
    (rf"{_N} holds elements where base64 is due", r"\1 chứa phần tử con, trong khi chỉ được ghi base64"),
    (rf"{_N} is no base64", r"\1 không phải là base64"),
    (rf"{_N} is none of its list", r"\1 không thuộc danh mục cho phép"),
    (rf"{_N} is none of (.+) to (.+)", r"\1 không phải là \2 đến \3"),
    (rf"{_N} is none of (.+)", r"\1 không phải là một trong \2"),
    (rf"{_N} has more than (\d+) characters", r"\1 dài quá \2 ký tự"),
    (
        "a business type other than 0 stands in a misspelt or misplaced element, which the axis drops",
        "loại nghiệp vụ khác 0 nằm trong phần tử viết sai tên hoặc sai chỗ, là phần mà trục quốc gia bỏ đi",
    ),
    ("two of one ContentId", "hai phần có cùng một ContentId"),
    ("no bytes", "tệp rỗng"),
    (r"(\d+) bytes, at most (\d+)", r"\1 byte, tối đa \2"),
    (r"more than (\d+) bytes beside the payloads", r"hơn \1 byte, chưa kể nội dung tệp đính kèm"),
    (r"not well-formed at line (\d+), column (\d+)", r"sai cú pháp XML ở dòng \1, cột \2"),
    ("not well-formed in several ways", "sai cú pháp XML ở nhiều chỗ"),
    ("not well-formed", "sai cú pháp XML"),
    ("the parser gave up", "bộ phân tích XML không đọc tiếp được"),
    ("UTF-16 or UTF-32", "tệp ở dạng UTF-16 hoặc UTF-32"),
    (r"byte (\d+) is not UTF-8", r"byte thứ \1 không phải UTF-8"),
    ("another encoding is declared", "khai báo XML ghi một bảng mã khác UTF-8"),
    ("the XML declaration has no end", "khai báo XML không có chỗ kết thúc"),
    ("not XML 1.0", "không phải XML 1.0"),
    ("markup that is no element stands before the root", "trước phần tử gốc có thẻ không phải là phần tử"),
    ("the document declares entities", "tệp tự định nghĩa thực thể XML"),
    ("the document has a document type", "tệp có khai báo DOCTYPE"),
    ("no root element", "không có phần tử gốc"),
    ("text before the root", "có chữ đứng trước phần tử gốc"),
    ("a comment or processing instruction has no end", "chú thích hoặc chỉ thị xử lý không có chỗ kết thúc"),
    (
        r"the root is not (?:\{http://www\.mic\.gov\.vn/TBT/QCVN_102_2016\}edXML|edXML of the namespace of QCVN 102:2016)",
        "phần tử gốc không phải là edXML trong không gian tên của QCVN 102:2016",
    ),
    ("the root is not edXML", "phần tử gốc không phải là edXML"),
    (
        "the namespace (.+) is one of the past, which the axis does not take",
        r"không gian tên \1 là của phiên bản cũ, trục không nhận",
    ),
    (r"more than (\d+) elements", r"hơn \1 phần tử"),
    (r"more than (\d+) levels", r"hơn \1 tầng phần tử lồng nhau"),
    (r"more than (\d+) attributes at one element", r"hơn \1 thuộc tính ở một phần tử"),
    (r"more than (\d+) characters in one element", r"hơn \1 ký tự trong một phần tử"),
    ("too much markup", "quá nhiều thẻ"),
    ("too many attributes", "quá nhiều thuộc tính"),
    ("a too long attribute", "một thuộc tính quá dài"),
    ("inside the root", "bên trong phần tử gốc"),
    (rf"in an element {_N}", r"trong phần tử \1"),
    (rf"a mark of secrecy stands in {_N}", r"có dấu chỉ mức độ mật ở \1"),
    # the strict writer
    (rf"{_N} needs {_N}", r"\1 phải có \2"),
    ("a document needs a TraceHeaderList", "văn bản phải có TraceHeaderList"),
    ("an attachment needs a name", "tệp đính kèm phải có tên"),
    ("two attachments have one ContentId", "hai tệp đính kèm có cùng một ContentId"),
    (
        "each attachment needs a Reference of its ContentId, and the reverse",
        "mỗi tệp đính kèm phải có một Reference cùng ContentId, và ngược lại",
    ),
    ("a status names its document by DocumentId or Code", "trạng thái phải nêu văn bản bằng DocumentId hoặc Code"),
    (rf"{_N} has more than the (\d+) characters of the standard", r"\1 dài quá \2 ký tự của quy chuẩn"),
    (rf"{_N} is not between (\d+) and (\d+)", r"\1 không nằm trong khoảng \2 đến \3"),
    ("a text holds characters that XML cannot", "có ký tự mà XML không ghi được"),
))  # fmt: skip
_PLACED: Final = re.compile(r"line (\d+), ([^ :]+)(?:: (.*))?", re.DOTALL)
_FILE: Final = re.compile(r"(.+?\.[A-Za-z0-9]{1,8}): (.+)", re.DOTALL)


def vietnamese(detail: str) -> str:
    """Return the detail of an error in Vietnamese; as it is where nobody has put it into words."""
    found = _known(detail)
    if found is not None:
        return found
    placed = _PLACED.fullmatch(detail)
    if placed is not None:
        rest = f": {vietnamese(placed[3])}" if placed[3] else ""
        return f"dòng {placed[1]}, {placed[2]}{rest}"
    of_file = _FILE.fullmatch(detail)
    if of_file is not None:
        return f"{of_file[1]}: {vietnamese(of_file[2])}"
    return detail


def _known(detail: str) -> str | None:
    return _DETAILS.say(detail) or of_code(detail)


# schemas


@dataclass(frozen=True, slots=True)
class Said:
    """One thing in both languages."""

    vi: str
    en: str


_HEAD: Final = re.compile(r"Element '([^']+)'(?:, attribute '([^']+)')?: (.+)", re.DOTALL)
_DUE: Final = re.compile(
    r"(This element is not expected|Missing child element\(s\))\.(?: Expected is (?:one of )?\( (.*) \)\.)?"
)
_NAMESPACES: Final = {"{http://www.w3.org/2000/09/xmldsig#}*": "ds:Signature", "##other*": ""}
_FORMS: Final = {
    "DueDate": "yyyy/MM/dd",
    "PromulgationDate": "yyyy/MM/dd",
    "Timestamp": "yyyy/MM/dd HH:mm:ss",
    "StatusCode": "01–06, 13, 15, 16",
    "OrganId": "H26.15.01, 000.01.15.H26",
}
_OBJECTIONS: Final = tuple(
    (re.compile(pattern, re.DOTALL), Said(vi, en))
    for pattern, vi, en in (
        (r"\[facet 'maxLength'\] The value has a length of '(\d+)'; .*'(\d+)'\.",
         "dài {0} ký tự, tối đa {1}", "has {0} characters, at most {1} are allowed"),
        (r"\[facet 'minLength'\] .*", "để trống", "is empty"),
        (r"\[facet 'maxInclusive'\] The value '(.*)' .*\('(.*)'\)\.", "là {0}, lớn nhất là {1}", "is {0}, at most {1}"),
        (r"\[facet 'minInclusive'\] The value '(.*)' .*\('(.*)'\)\.", "là {0}, nhỏ nhất là {1}", "is {0}, at least {1}"),
        (r"\[facet 'enumeration'\] The value '(.*)' is not an element of the set \{(.*)\}\.",
         "là {0}, chỉ được là {1}", "is {0}, only {1} is allowed"),
        (r"'(.*)' is not a valid value of the (?:atomic|union) type .*", "không phải là số cho phép: {0!r}",
         "is no number that is allowed: {0!r}"),
        (r"Element content is not allowed, because the type definition is simple\.",
         "chứa phần tử con, trong khi chỉ được ghi chữ", "holds elements where a text is due"),
        (r"Character content other than whitespace is not allowed .*",
         "có chữ đứng giữa các phần tử con", "has text between its elements"),
        (r"The attribute '(.*)' is not allowed\.", "có thuộc tính không được phép", "has an attribute that is not allowed"),
        (r"The attribute '(.*)' is required but missing\.", "thiếu thuộc tính {0}", "lacks the attribute {0}"),
    )
)  # fmt: skip
_PATTERN: Final = re.compile(
    r"\[facet 'pattern'\] The value '(.*)' is not accepted by the pattern .*", re.DOTALL
)


def objection(message: str) -> Said:
    """Return what libxml2 says when a package breaks a schema, in words for people. It says it in English."""
    head = _HEAD.fullmatch(message)
    if head is None:
        return Said(message, message)
    name = head[1].rpartition("}")[2]
    place = name + (f"/@{head[2].rpartition('}')[2]}" if head[2] else "")
    said = _due(head[3]) or _form(name, head[3]) or _other(head[3])
    return Said(f"{place}: {said.vi}", f"{place}: {said.en}")


def _due(rest: str) -> Said | None:
    """Return what is said of elements that have no place or are missing."""
    match = _DUE.fullmatch(rest)
    if match is None:
        return None
    names = [_NAMESPACES.get(part.strip(), part.strip()) for part in (match[2] or "").split(",")]
    vi, en = (joint.join(filter(None, names)) for joint in (" hoặc ", " or "))
    if match[1].startswith("Missing"):
        return Said(f"thiếu {vi}", f"lacks {en}")
    if not vi:
        return Said("không được đứng ở đây", "does not belong here")
    return Said(f"không được đứng ở đây; ở đây phải là {vi}", f"does not belong here; due is {en}")


def _form(name: str, rest: str) -> Said | None:
    match = _PATTERN.fullmatch(rest)
    if match is None:
        return None
    form = _FORMS.get(name, "")
    return Said(
        f"không đúng dạng{f' {form}' if form else ''}: {match[1]!r}",
        f"is not of the form {form or 'due'}: {match[1]!r}",
    )


def _other(rest: str) -> Said:
    for pattern, said in _OBJECTIONS:
        match = pattern.fullmatch(rest)
        if match is not None:
            return Said(said.vi.format(*match.groups()), said.en.format(*match.groups()))
    return Said(rest, rest)
