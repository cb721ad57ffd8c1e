"""What commands say of one error, in Vietnamese: the detail that stands below the text of its code.

Details are written in English where they arise, since logs, programs and receipts read them; people read them here. What
is said of packages and directories has words of its own, beside what says it. What is not known here stays in English.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from relay.cli.options import words
from relay.errors.phrases import Phrases

_N: Final = r"(\S+)"
_DETAILS: Final = Phrases((
    # signatures
    ("no XML signature", "không có chữ ký XML"),
    ("more than one XML signature", "có nhiều hơn một chữ ký XML"),
    (rf"(\d+) elements {_N}", r"có \1 phần tử \2, chỉ được một"),
    (rf"not the last child of {_N}", r"không phải là phần tử con cuối cùng của \1"),
    (rf"{_N} is not exactly (.+)", r"\1 phải gồm đúng \2"),
    (r"(\d+) references, one is taken", r"có \1 tham chiếu (Reference), chỉ được một"),
    ("canonicalisation is not plain exclusive C14N", "phép chuẩn hóa không phải là exclusive C14N không tham số"),
    (rf"{_N} has parameters", r"\1 có tham số, không được phép"),
    (r"signature method (.+)", r"thuật toán ký \1"),
    (r"digest method (.+)", r"thuật toán băm \1"),
    ("the reference is not to the whole document", "tham chiếu không trỏ tới toàn bộ văn bản"),
    ("unexpected child of Transforms", "Transforms có phần tử con lạ"),
    ("a transform has parameters", "một phép biến đổi có tham số"),
    (
        "not exactly enveloped-signature and exclusive C14N",
        "phải gồm đúng hai phép biến đổi: enveloped-signature và exclusive C14N",
    ),
    ("the digest has a wrong length", "giá trị băm sai độ dài"),
    ("KeyInfo is not exactly one X509Data", "KeyInfo phải gồm đúng một X509Data"),
    (r"1 to (\d+) certificates are taken", r"phải có từ 1 đến \1 chứng thư"),
    ("X509Data holds something else than certificates", "X509Data không chỉ gồm chứng thư"),
    ("not exactly one DER structure", "dữ liệu chứng thư không phải là đúng một cấu trúc DER"),
    (rf"{_N} lacks a child", r"\1 thiếu một phần tử con"),
    ("a CDATA section inside the signature", "có đoạn CDATA bên trong chữ ký"),
    ("the content is not what was signed", "nội dung không còn là nội dung đã được ký"),
    ("the signature value does not hold", "giá trị chữ ký không đúng"),
    ("the signature value has a wrong length", "giá trị chữ ký sai độ dài"),
    (rf"{_N} with a key of the kind {_N}", r"thuật toán \1 không đi với khóa loại \2"),
    ("an id stands twice", "một Id xuất hiện hai lần"),
    ("a value depends on a namespace prefix", "có giá trị phụ thuộc vào tiền tố không gian tên"),
    ("no canonical form", "không có dạng chuẩn hóa"),
    (rf"a surprise of ours: {_N}", r"lỗi của chính phần mềm trục: \1"),
    (r"the root is not (.+)", r"phần tử gốc không phải là \1"),
    # the profile manifest
    ("the reference is not to the envelope", "tham chiếu không trỏ tới edXMLEnvelope"),
    ("the envelope's id is not the only one", "ngoài Id của edXMLEnvelope còn có Id khác"),
    ("a comment or instruction outside the envelope", "có chú thích hoặc chỉ thị xử lý ngoài edXMLEnvelope"),
    (rf"{_N} holds more than envelope and attachments", r"\1 còn chứa phần khác ngoài edXMLEnvelope và tệp đính kèm"),
    ("something beside the attachments", "có phần khác nằm cạnh các tệp đính kèm"),
    ("an attachment holds other elements than the four", "tệp đính kèm có phần tử khác ngoài bốn phần tử cho phép"),
    ("elements where an attachment has text", "có phần tử con ở chỗ tệp đính kèm chỉ được ghi chữ"),
    (rf"text in {_N}", r"có chữ trong \1"),
    (rf"an attribute in {_N}", r"có thuộc tính trong \1"),
    (rf"several {_N}", r"có nhiều \1"),
    (rf"a line without exactly one {_N}", r"một dòng của danh mục không có đúng một \1"),
    ("a line describes its attachment twice", "một dòng của danh mục mô tả tệp đính kèm hai lần"),
    ("a digest method with parameters", "thuật toán băm có tham số"),
    ("a digest has a wrong length", "một giá trị băm sai độ dài"),
    ("lines without a ContentId of their own", "có dòng của danh mục không có ContentId riêng"),
    (
        "attachments and signed lines do not pair one to one",
        "tệp đính kèm và các dòng đã ký không khớp một-một",
    ),
    (rf"{_N} is not the signed one", r"\1 khác với giá trị đã ký"),
    ("an attachment is not what was signed", "một tệp đính kèm không còn là tệp đã được ký"),
    ("an attachment is no base64", "một tệp đính kèm không phải là base64"),
    ("the package has an id already", "gói tin đã có một Id"),
    ("a line has a digest already", "một dòng của danh mục đã có giá trị băm"),
    # certificates
    ("not a certificate", "không phải là chứng thư"),
    ("its serial number is not positive", "số sê-ri của chứng thư không phải số dương"),
    ("its public key cannot be read", "không đọc được khóa công khai của chứng thư"),
    (r"RSA of (\d+) bits, at least (\d+)", r"khóa RSA \1 bit, ít nhất phải \2"),
    (r"RSA of (\d+) bits, at most (\d+)", r"khóa RSA \1 bit, nhiều nhất \2"),
    (rf"curve {_N}", r"đường cong \1 không được nhận"),
    (rf"a key of the kind {_N}", r"loại khóa \1 không được nhận"),
    (rf"RSA with the public exponent {_N}", r"khóa RSA có số mũ công khai \1"),
    ("its extensions cannot be read", "không đọc được phần mở rộng của chứng thư"),
    ("it names several relays", "chứng thư nêu tên nhiều trục"),
    (r"no usable list or answer for (.+)", r"không có danh sách thu hồi hay trả lời OCSP dùng được cho \1"),
    (r"(.+): signature algorithm not taken", r"\1: thuật toán ký chứng thư không được nhận"),
    (r"(.+): signed with a weak hash", r"\1: được ký bằng thuật toán băm yếu"),
    (r"(.+): critical extension (.+)", r"\1: phần mở rộng bắt buộc (critical) \2 không được hỗ trợ"),
    (r"(.+): extensions cannot be read", r"\1: không đọc được phần mở rộng"),
    (r"(.+): not a certificate authority", r"\1: không phải là tổ chức chứng thực"),
    (r"(.+): path length exceeded", r"\1: vượt độ dài đường dẫn chứng thực cho phép"),
    (r"(.+): may not sign certificates", r"\1: không được phép ký chứng thư"),
    (
        r"(.+): none of the extended key usages that are asked for",
        r"\1: không có mục đích sử dụng khóa mở rộng nào được yêu cầu",
    ),
    ("a certificate authority's certificate signs no content", "chứng thư của tổ chức chứng thực không được dùng để ký văn bản"),
    ("its key usage is not signing", "mục đích sử dụng khóa của chứng thư không phải là ký"),
    (
        "its extended key usage is that of a time-stamper or responder",
        "chứng thư dành cho cấp dấu thời gian hoặc trả lời OCSP",
    ),
    ("a relay's certificate signs no document", "chứng thư của trục không được dùng để ký văn bản"),
    ("not a relay's certificate", "không phải là chứng thư của trục"),
    (r"(.+): a mail address that is none", r"\1: địa chỉ thư điện tử sai dạng"),
    (r"(.+): name constraints in a form that is not understood", r"\1: không hiểu được dạng ràng buộc tên"),
    (r"(.+): no certificate policy is valid", r"\1: không có chính sách chứng thư nào còn hiệu lực"),
    (r"(.+): policy mappings are not understood", r"\1: không hiểu được ánh xạ chính sách"),
    (
        r"(.+): none of the certificate policies that are asked for",
        r"\1: không có chính sách chứng thư nào được yêu cầu",
    ),
    (rf"not a certificate of {_N}", r"không phải là chứng thư của \1"),
    ("no anchor was given", "chưa cho chứng thư gốc nào"),
    # what stands around a package
    ("published without user_id", "gửi mà không có user_id"),
    (
        "truc-deadline: RFC 3339, within the bounds",
        "truc-deadline: phải là thời điểm theo RFC 3339, nằm trong giới hạn cho phép",
    ),
    (r"at most (\d+) bytes", r"tối đa \1 byte"),
    (r"at most (\d+) recipients", r"tối đa \1 nơi nhận"),
    (r"body x recipients at most (\d+) bytes", r"dung lượng nhân với số nơi nhận tối đa \1 byte"),
    ("the signed Priority is not urgent", "Priority trong phần đã ký không phải là khẩn"),
    (r"(\d+) deliveries", r"\1 lần giao"),
    # what a command was asked for
    (
        r"(Attachment\[\d+\]): File names no file to attach",
        r"\1: thiếu File, là đường dẫn của tệp cần đính kèm (tính từ thư mục chứa tệp dữ kiện)",
    ),
    (
        r"no sandbox in (.+?): `truc up --home` makes one",
        r"không có môi trường thử ở \1: `truc up --home` tạo ra một môi trường",
    ),
    (
        r"no sandbox in (.+?): `truc up --home` makes one, --file names a directory",
        r"không có môi trường thử ở \1: `truc up --home` tạo ra một môi trường, --file chỉ ra một tệp danh bạ",
    ),
    (r"no sandbox in (.+)", r"không có môi trường thử ở \1"),
    (r"nothing runs in (.+?): `truc up --home`", r"không có gì đang chạy ở \1: hãy chạy `truc up --home`"),
    (rf"{_N} is not an agency of this sandbox", r"\1 không phải là đơn vị của môi trường thử này"),
    (rf"{_N} is not a gateway of this sandbox", r"\1 không phải là điểm kết nối của môi trường thử này"),
    (rf"{_N} has sent nothing under {_N}", r"\1 chưa gửi gì với mã \2"),
    (rf"{_N} has sent no {_N} from here", r"\1 không gửi \2 từ đây"),
    (rf"not a recipient of {_N}: (.+)", r"không phải là nơi nhận của \1: \2"),
    (rf"nothing is on record under {_N}", r"không có bản ghi nào dưới mã \1"),
    (rf"there is no code {_N}", r"không có mã \1"),
    (r"(.+) exists; evidence is never written over", r"\1 đã có sẵn; chứng cứ không bao giờ bị ghi đè"),
    (r"(.+): no exported log stands there", r"\1: ở đó không có nhật ký đã xuất"),
    (r"(.+) is no JSON", r"\1 không phải là JSON"),
    (r"no head at byte (\d+)", r"không có đầu nhật ký ở byte thứ \1"),
    (r"(.+) exists; an export is never written over", r"\1 đã có sẵn; bản xuất không bao giờ ghi đè"),
    (
        rf"{_N} stands in the outbox and goes with the next truc inbox of this agency",
        r"\1 nằm trong hộp thư đi, sẽ được gửi ở lần chạy truc inbox kế tiếp của đơn vị này",
    ),
    (
        rf"(.+); ({_N} stands in the outbox and goes with the next truc inbox of this agency)",
        r"\1; \3 nằm trong hộp thư đi, sẽ được gửi ở lần chạy truc inbox kế tiếp của đơn vị này",
    ),
    (
        rf"no keeper signed a head within {_N} s: is one running\?",
        r"không có keeper nào ký đầu nhật ký trong \1 giây: keeper có đang chạy không?",
    ),
    ("this relay is no witness of itself", "trục không thể làm chứng cho chính mình"),
    # what the system says
    (r"(.+): No such file or directory", r"\1: không có tệp hoặc thư mục này"),
    (r"(.+): Not a directory", r"\1: không phải là thư mục"),
    (r"(.+): Is a directory", r"\1: là thư mục"),
    (r"(.+): File exists", r"\1: đã có sẵn"),
    (r"(.+): Permission denied", r"\1: không có quyền"),
    (r"(.+): Read-only file system", r"\1: ổ đĩa chỉ đọc"),
    (r"(.+): No space left on device", r"\1: hết chỗ trên ổ đĩa"),
    ("Connection refused", "kết nối bị từ chối"),
    # evidence
    (rf"record (\d+) is not in batch (\d+) of chain {_N}", r"bản ghi \1 không nằm trong lô \2 của chuỗi \3"),
    (r"batch (\d+) of the main log is not under head (\d+)", r"lô \1 của nhật ký chính không nằm dưới đầu nhật ký \2"),
    (r"head (\d+) is not the beginning of head (\d+)", r"đầu nhật ký \2 không nối tiếp đầu nhật ký \1"),
    ("a record in a batch that the proof does not hold", "có bản ghi thuộc một lô mà tệp chứng minh không có"),
    ("the proof proves nothing", "tệp chứng minh không chứng minh điều gì"),
    (
        "a consistency proof for each two heads is wanted",
        "thiếu chứng minh rằng mỗi đầu nhật ký nối tiếp đầu trước nó",
    ),
    (r"no head covers batch (\d+) of the main log yet", r"chưa có đầu nhật ký nào bao trùm lô \1 của nhật ký chính"),
    (rf"record (\d+) of chain {_N} stands in no batch yet", r"bản ghi \1 của chuỗi \2 chưa nằm trong lô nào"),
    (rf"no (?:proof|evidence) of form {_N}", r"không phải tệp chứng cứ dạng \1"),
    (rf"chains/{_N} ends inside a record, or holds what is none", r"chains/\1 kết thúc giữa một bản ghi, hoặc có phần không phải là bản ghi"),
    (rf"chains/{_N} is named like no chain", r"chains/\1 có tên không phải là tên của một chuỗi"),
    (r"(.+) is too large", r"\1 quá lớn"),
    ("no file of a witness", "không phải là tệp làm chứng"),
    ("no head is signed yet", "chưa có đầu nhật ký nào được ký"),
    (rf"a later head of {_N} is known", r"đã biết một đầu nhật ký mới hơn của \1"),
    (
        r"no proof from the head that is known: export with --since (\d+)",
        r"thiếu chứng minh từ đầu nhật ký đã biết: xuất lại với --since \1",
    ),
    (rf"the head of {_N} is signed by (.+)", r"đầu nhật ký của \1 lại do \2 ký"),
    (rf"the statement of {_N} is signed by (.+)", r"lời chứng của \1 lại do \2 ký"),
    (rf"the statement is about {_N}", r"lời chứng nói về \1"),
    # places of a log
    (rf"statement on head {_N}", r"lời chứng về đầu nhật ký \1"),
    (r"heads (\d+) to (\d+)", r"các đầu nhật ký \1 đến \2"),
    (r"head (\d+) from elsewhere", r"đầu nhật ký \1 từ nơi khác"),
    (rf"head (\d+) of {_N}", r"đầu nhật ký \1 của \2"),
    (r"head (\d+)", r"đầu nhật ký \1"),
    # configuration
    ("the configuration cannot be used", "cấu hình không dùng được"),
    ("no login at the broker", "không đăng nhập được vào máy chủ hàng đợi"),
    (r"(.+): no such setting", r"\1: không có khóa này"),
    ("no such setting", "không có khóa này"),
    (r"(.+): is missing", r"\1: thiếu"),
    (r"relay\.name: (.+) is no name of a relay", r"relay.name: \1 không phải là tên trục hợp lệ"),
    (rf"relay\.name: this relay is {_N}, and stays it", r"relay.name: trục này tên là \1 và không đổi tên"),
    (rf"relay\.name: the relay of (.+) is called {_N} too", r"relay.name: trục ở \1 cũng tên là \2"),
    (r"(.+): not YAML", r"\1: không phải là YAML"),
    # queues
    (r"(\d+) waiting", r"\1 bản tin đang chờ"),
    (r"(\d+) messages", r"\1 bản tin"),
    (r"(\d+) taken and not acknowledged, (\d+) waiting", r"\1 bản tin đã lấy mà chưa xác nhận, \2 đang chờ"),
    (r"(.+) and (\d+) more", r"\1 và \2 mục khác"),
))  # fmt: skip


def vietnamese(detail: str) -> str:
    """Return the detail of an error in Vietnamese; as it is where nobody has put it into words."""
    from adapters.edxml.wording import vietnamese as of_package
    from relay.directory.wording import vietnamese as of_directory

    for words_of in (of_package, of_directory):
        said = words_of(detail)
        if said != detail:
            return said
    return _DETAILS.say(detail) or detail


def several(names: Iterable[str]) -> str:
    """Return the first names and how many more there are, in the language asked for."""
    from relay.operate.doctor.check import some

    said = some(names)
    return words(said, vietnamese(said))
