"""What is wrong with a directory or a list, in Vietnamese. It is written in English where it is found."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from relay.errors.phrases import Phrases

if TYPE_CHECKING:
    from relay.directory.entries import Finding

_VALUE: Final = r"([\w. ]+?)"
_PROBLEMS: Final = Phrases((
    ("has to be a mapping", "phải là một bảng khóa: giá trị"),
    (r"no such key: (.+)", r"không có khóa: \1"),
    (r"no such part: (.+)", r"không có phần: \1"),
    (rf"{_VALUE}: has to be a text of one line", r"\1: phải là một dòng chữ"),
    (rf"{_VALUE}: has to be a text \(put it in quotes\)", r"\1: phải là chữ (đặt trong dấu nháy)"),
    (rf"{_VALUE}: has to be a text", r"\1: phải là chữ"),
    (rf"{_VALUE}: has to be a list", r"\1: phải là danh sách"),
    (rf"{_VALUE}: has to be a date like (\S+)", r"\1: phải là ngày dạng \2"),
    (rf"{_VALUE}: has to be a time like (\S+)", r"\1: phải là thời điểm dạng \2"),
    (rf"{_VALUE}: has to be one of (.+)", r"\1: phải là một trong: \2"),
    (rf"{_VALUE}: has to be an identifier code in the 2020 form", r"\1: phải là mã định danh dạng 2020"),
    (
        rf"{_VALUE}: has to be an identifier code of the 2016 or the 2020 form",
        r"\1: phải là mã định danh dạng 2016 hoặc 2020",
    ),
    ("aliases: each has to be an identifier code in one of the written forms", "aliases: mỗi mã phải là mã định danh đúng dạng"),
    ("valid_to: lies before valid_from", "valid_to: trước valid_from"),
    (r"stands twice, first as entry (\d+)", r"đứng hai lần, lần đầu ở mục \1"),
    ("queue: without a gateway there is nobody to read it", "queue: không có điểm kết nối thì không ai đọc hàng đợi"),
    ("queue: a gateway has to have its own", "queue: điểm kết nối phải có hàng đợi riêng"),
    (rf"{_VALUE}: (\S+) is not in the directory", r"\1: \2 không có trong danh bạ"),
    (
        r"gateway: (\S+) is not a gateway \(its own gateway is not itself\)",
        r"gateway: \1 không phải là điểm kết nối (gateway của nó không phải chính nó)",
    ),
    ("successors: one stands twice", "successors: có mã đứng hai lần"),
    ("parent: leads back to itself", "parent: quay vòng về chính nó"),
    ("successors: lead back to itself", "successors: quay vòng về chính nó"),
    (r"aliases: (\S+) is also an alias of (\S+)", r"aliases: \1 cũng là mã khác của \2"),
    (r"aliases: (\S+) is the code of another agency", r"aliases: \1 là mã của đơn vị khác"),
    (r"users: (\S+) is also a user of (\S+)", r"users: \1 cũng là người dùng của \2"),
    (r"users: (\S+) is the code of another agency", r"users: \1 là mã của đơn vị khác"),
    ("users: only a gateway has broker users", "users: chỉ điểm kết nối mới có người dùng trên broker"),
    ("users: each is a name, or a mapping of name, by and until", "users: mỗi người dùng là tên, hoặc bảng gồm name, by, until"),
    (
        "users.name: has to be a printable text of at most 255 octets",
        "users.name: phải là chữ in được, tối đa 255 byte",
    ),
    (
        "certificates: each is PEM text, a file, or a mapping with one of pem and file",
        "certificates: mỗi chứng thư là PEM, tên tệp, hoặc bảng có pem hoặc file",
    ),
    ("certificates: pem or file has to be a text", "certificates: pem hoặc file phải là chữ"),
    ("certificates: (.+) cannot be read", r"certificates: không đọc được \1"),
    ("certificates: not a certificate in PEM", "certificates: không phải chứng thư dạng PEM"),
    (r"certificates: more than (\d+) authorities behind one", r"certificates: hơn \1 chứng thư của cơ quan cấp đứng sau một chứng thư"),
    ("former_names: each is a mapping of name and until", "former_names: mỗi tên cũ là bảng gồm name và until"),
    ("the file cannot be read: (.+)", r"không đọc được tệp: \1"),
    ("the file is not JSON", "tệp không phải JSON"),
    ("the file is not YAML", "tệp không phải YAML"),
    ("the file has to hold a list named agencies", "tệp phải có danh sách tên là agencies"),
    (
        "the file is a signed edition: it is followed, and changed where it is published",
        "tệp là bản danh bạ đã ký: chỉ theo dõi, muốn sửa thì sửa ở nơi phát hành",
    ),
    # lists
    ("the file has no column named code", "tệp không có cột mã (code)"),
    (r"the file has more than (\d+) rows", r"tệp có hơn \1 dòng"),
    (r"the file is larger than (\d+) MiB", r"tệp lớn hơn \1 MiB"),
    ("the file cannot be read", "không đọc được tệp"),
    (
        r"the file is not what its name says \(CSV in UTF-8, XLSX or JSON\)",
        "nội dung tệp không đúng như đuôi tên (CSV mã hóa UTF-8, XLSX hoặc JSON)",
    ),
    (
        "the file has to hold a list of objects, alone or as data or agencies",
        "tệp phải là một danh sách các đối tượng, đứng riêng hoặc trong data, agencies",
    ),
    # notes of an import
    ("column (.+): means nothing here, left out", r"cột \1: không có ý nghĩa ở đây, bỏ qua"),
    (r"line (\d+): (\S+) stands twice, '(.*)' is kept as another name", r"dòng \1: \2 đứng hai lần, '\3' được giữ làm tên khác"),
    (r"line (\d+): centre (\S+) is no gateway here, left out", r"dòng \1: trung tâm \2 không phải điểm kết nối ở đây, bỏ qua"),
    # signed editions
    ("signed directory: published by (.+), not by (.+)", r"danh bạ đã ký: do \1 phát hành, không phải \2"),
    (r"signed directory: serial (\d+) has expired", r"danh bạ đã ký: bản số \1 đã hết hạn"),
    (r"signed directory: serial (\d+) was issued in the future", r"danh bạ đã ký: bản số \1 có ngày phát hành ở tương lai"),
    (r"signed directory: roll-back: serial (\d+) after (\d+)", r"danh bạ đã ký: lùi bản, số \1 sau số \2"),
    (
        r"signed directory: fork: serial (\d+) does not lead on from the known serial (\d+)",
        r"danh bạ đã ký: rẽ nhánh, bản số \1 không nối tiếp bản đã biết số \2",
    ),
    (
        r"signed directory: serial (\d+) is too far ahead of (\d+) to tell whether it leads on",
        r"danh bạ đã ký: bản số \1 cách bản số \2 quá xa nên không rõ có nối tiếp hay không",
    ),
    ("signed directory: a difference, not a whole edition", "danh bạ đã ký: đây là bản chênh lệch, không phải bản đầy đủ"),
    ("signed directory: not a published edition", "danh bạ đã ký: không phải bản được phát hành"),
    ("signed directory: names the relay (.+), signed by (.+)", r"danh bạ đã ký: ghi trục \1 nhưng do \2 ký"),
    (r"signed directory: larger than (\d+) MiB", r"danh bạ đã ký: lớn hơn \1 MiB"),
    (
        "signed directory: signed, but not a directory of version 1",
        "danh bạ đã ký: chữ ký đúng nhưng nội dung không phải danh bạ phiên bản 1",
    ),
    (
        "signed directory: the difference leads on from another edition",
        "danh bạ đã ký: bản chênh lệch nối tiếp một bản khác",
    ),
    (
        "signed directory: the difference makes something else than it says",
        "danh bạ đã ký: áp dụng bản chênh lệch ra kết quả khác với kết quả đã ghi",
    ),
    (
        "signed directory: a difference, and there is nothing yet that it could lead on from",
        "danh bạ đã ký: đây là bản chênh lệch, mà chưa có bản nào để nối tiếp",
    ),
))  # fmt: skip


_CODES: Final = Phrases((
    ("an identifier code is empty", "mã định danh để trống"),
    ("white space stands around an identifier code", "có khoảng trắng quanh mã định danh"),
    (r"character (\d+) of an identifier code is white space", r"ký tự thứ \1 của mã định danh là khoảng trắng"),
    (r"character (\d+) of an identifier code is of another script", r"ký tự thứ \1 của mã định danh không phải chữ Latinh A-Z"),
    (r"character (\d+) of an identifier code is a small letter", r"ký tự thứ \1 của mã định danh là chữ thường"),
    (
        r"character (\d+) of an identifier code is none of A-Z, 0-9 and '\.'",
        r"ký tự thứ \1 của mã định danh không phải A-Z, 0-9 hay dấu chấm",
    ),
    (
        r"an identifier code has (\d+) characters, at most (\d+) are allowed",
        r"mã định danh dài \1 ký tự, tối đa \2",
    ),
    (r"group (\d+) of an identifier code is empty", r"nhóm thứ \1 của mã định danh để trống"),
    (
        r"the number of an enterprise has 10 or 13 digits, this one (\d+)",
        r"mã số doanh nghiệp có 10 hoặc 13 chữ số, mã này có \1",
    ),
    ("the scheme of an identifier code is none of Z01 to Z99", "lược đồ của mã định danh không phải Z01 đến Z99"),
    (
        "an identifier code of a scheme has 1 to 32 characters behind the scheme's own",
        "mã theo lược đồ có từ 1 đến 32 ký tự sau mã lược đồ",
    ),
    (
        r"no group of level 1 has the letter of group (\d+): (\w+) are known",
        r"chữ cái ở nhóm thứ \1 không phải của nhóm cấp 1 nào: chỉ có \2",
    ),
    (
        "neither the first nor the last group of an identifier code is a letter and two digits",
        "nhóm đầu và nhóm cuối của mã định danh đều không phải một chữ cái và hai chữ số",
    ),
    (
        r"the 2016 form of an identifier code has (\d+) groups, this one (\d+)",
        r"mã định danh dạng 2016 có \1 nhóm, mã này có \2",
    ),
    (
        r"group (\d+) of an identifier code of the 2016 form has other characters than digits",
        r"nhóm thứ \1 của mã định danh dạng 2016 có ký tự không phải chữ số",
    ),
    (
        r"group (\d+) of an identifier code of the 2016 form has (\d+) digits, 2 or 3 are due",
        r"nhóm thứ \1 của mã định danh dạng 2016 có \2 chữ số, phải là 2 hoặc 3",
    ),
    (
        "not an identifier code of the 2016 or the 2020 form",
        "không phải mã định danh dạng 2016 (QCVN 102:2016) hay dạng 2020 (Quyết định 20/2020)",
    ),
))  # fmt: skip
_WHERE: Final = re.compile(r"(line|entry) (\d+)")
_MORE: Final = re.compile(r"and (\d+) more")


def vietnamese(detail: str) -> str:
    """Return what is wrong in Vietnamese, one thing or several with their places; what is not known stays in English."""
    return "; ".join(map(_one, detail.split("; ")))


def _one(text: str) -> str:
    more = _MORE.fullmatch(text)
    if more is not None:
        return f"và {more[1]} lỗi khác"
    pieces = text.split(": ")
    for start in range(len(pieces)):
        known = _known(": ".join(pieces[start:]))
        if known is not None:
            return ": ".join([*map(_place, pieces[:start]), known])
    return text


def _place(text: str) -> str:
    match = _WHERE.fullmatch(text)
    return text if match is None else f"{'dòng' if match[1] == 'line' else 'mục'} {match[2]}"


def of_code(detail: str) -> str | None:
    """Return what is wrong with an identifier code, in Vietnamese; None if it is about something else."""
    return _CODES.say(detail)


def _known(problem: str) -> str | None:
    return _PROBLEMS.say(problem) or of_code(problem)


def told(finding: Finding, words: Callable[[str, str], str]) -> str:
    """Return a finding as a line. ``words`` chooses between English and Vietnamese."""
    return words(str(finding), vietnamese(str(finding)))
