"""State secrets: what must not travel, and the many texts with the same letters that must."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Final, Literal

import pytest

from adapters.edxml.facts import AttachedFile
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.secrecy import fold_text, load_rule, shipped_rule
from relay.errors import Code, ConfigurationError, RefusedError
from relay.model.elements import Elements
from relay.model.message import Kind
from relay.resources import shipped
from tests.support.packages import build_document, build_status, replaced
from tests.support.views import view_of

FORMS: Final = ("NFC", "NFD")
Form = Literal["NFC", "NFD"]

SECRET_TEXTS = (
    "Mật",
    "mật",
    "MẬT",
    "  Mật\n",
    "Tối mật",
    "TỐI  MẬT",
    "tuyệt\u00a0mật",
    "Tuyệt\nMật",
    "[MẬT] Về việc diễn tập",
    "[ Tối mật ] Kế hoạch",
    "(Tối mật) Báo cáo quý I",
    "{Tuyệt mật}",
    "［MẬT］ Công văn",
    "【Mật】 Tờ trình",
    "“Mật”",
    "* M Ậ T *",
    "Ma\u034f\u0323\u0302t",
    "M\u200bật",
    "Mật.",
    "[MẬT",
)
OPEN_TEXTS = (
    "",
    "Mật độ dân số tỉnh năm 2025",
    "mật độ",
    "Bảo mật",
    "Bảo mật thông tin cá nhân",
    "bí mật",
    "Bí mật kinh doanh của doanh nghiệp",
    "Mật ong rừng",
    "mật ong",
    "mật khẩu",
    "Thay đổi mật khẩu định kỳ",
    "Mật mã dân sự",
    "Chuyển hàng sang cơ yếu mật mã",
    "Quy định về văn bản mật",
    "Danh mục bí mật nhà nước",
    "Hội nghị về bảo vệ bí mật nhà nước độ Tối mật",
    "Cây mật nhân",
    "mật thiết",
    "Phối hợp mật thiết giữa các sở",
    "[Bảo mật] Hướng dẫn",
    "(mật độ xây dựng) Quy hoạch",
    "Sỏi mật",
    "Phẫu thuật túi mật (nội soi)",
    "Gấu nuôi lấy mật",
    "Mặt",
    "Mất",
    "Mat",
    "[MAT] Tuyen sinh",
    "Tối mát",
    "Về việc [MẬT] trong văn bản",
    "Tuyệt mật mã",
)
OPEN_NAMES = (
    "Mật độ dân số.pdf",
    "mật.ong.pdf",
    "bảo mật.docx",
    "Mật ong 2025.xlsx",
    "mật khẩu.txt",
    "mật.thiết kế cầu.pdf",
    "Mat.pdf",
)
SECRET_NAMES = (
    "Mật.pdf",
    "[Mật] phụ lục.pdf",
    "TỐI MẬT.DOCX",
    "tuyệt mật.edxml",
    "(Mật)phụ lục",
    "Mật",
    "mật.signed.pdf",
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", SECRET_TEXTS)
def test_a_mark_is_found(text: str, form: Form) -> None:
    assert shipped_rule().marks_text(unicodedata.normalize(form, text))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", OPEN_TEXTS)
def test_an_open_text_passes(text: str, form: Form) -> None:
    assert not shipped_rule().marks_text(unicodedata.normalize(form, text))


@pytest.mark.parametrize("form", FORMS)
def test_names_of_files_count_with_and_without_extension(form: Form) -> None:
    rule = shipped_rule()
    for name in SECRET_NAMES:
        assert rule.marks_text(unicodedata.normalize(form, name), file_name=True), name
    for name in OPEN_NAMES:
        assert not rule.marks_text(unicodedata.normalize(form, name), file_name=True), name


def refused(package: bytes, kind: Kind = Kind.EDOC) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        EdxmlFormat().read(view_of(package), kind)
    return caught.value


def test_each_field_counts() -> None:
    file = AttachedFile("Mật.pdf", b"x")
    described = AttachedFile("a.pdf", b"x", description="(Mật) bản đồ")
    for package in (
        build_document("H53", ["G22"], subject="[Mật] x"),
        build_document("H53", ["G22"], type_name="Tối mật"),
        build_document("H53", ["G22"], attachments=[file]),
        build_document("H53", ["G22"], attachments=[described]),
    ):
        assert refused(package).code is Code.STATE_SECRET
    assert (
        refused(build_status("G22", "H53", "1", description="[Mật]"), Kind.STATUS).code is Code.STATE_SECRET
    )


def test_other_fields_and_other_places_do_not_count() -> None:
    EdxmlFormat().read(view_of(build_document("H53", ["G22"], content="Mật", appendixes=("Mật",))), Kind.EDOC)


@pytest.mark.parametrize(
    "planted",
    [
        "<edXML:SecretLevel>Mật</edXML:SecretLevel>",
        "<edXML:SecretLevel>Mat</edXML:SecretLevel>",
        "<edXML:SecretLevel>TOI MAT</edXML:SecretLevel>",
        "<DoMat xmlns=''>tuyệt mật</DoMat>",
        "<x:Độ_Mật xmlns:x='urn:x'>Mật</x:Độ_Mật>",
        "<edXML:Security><edXML:Level><edXML:Name>Mật</edXML:Name></edXML:Level></edXML:Security>",
        "<edXML:Classification value='Tối mật'/>",
        "<edXML:Other do-mat='Mật'/>",
        "<edXML:Other xmlns:x='urn:x' x:SECURITY_LEVEL='[Mật]'/>",
        "<edXML:Subject><b>M</b><b>ật</b></edXML:Subject>",
    ],
)
def test_a_level_counts_wherever_it_stands(planted: str) -> None:
    package = build_document("H53", ["G22"])
    for where in ("<edXML:OtherInfo>", '<edXML:edXMLManifest version="1.0">', "<AttachmentEncoded>"):
        there = planted if "edXML:" in where else planted.replace("edXML:", "")  # no prefix is bound there
        assert refused(replaced(package, where, where + there)).code is Code.STATE_SECRET


@pytest.mark.parametrize(
    "planted",
    [
        "<edXML:SecretLevel>Thường</edXML:SecretLevel>",
        "<edXML:SecretLevel/>",
        "<edXML:DoMat>Không mật</edXML:DoMat>",
        "<edXML:Other>Mật</edXML:Other>",
        "<edXML:Other level='Mật'/>",
        "<edXML:Security>bảo mật</edXML:Security>",
    ],
)
def test_an_open_level_passes(planted: str) -> None:
    package = build_document("H53", ["G22"])
    EdxmlFormat().read(
        view_of(replaced(package, "<edXML:OtherInfo>", f"<edXML:OtherInfo>{planted}")), Kind.EDOC
    )


def test_the_refusal_comes_before_all_others_and_repeats_no_text() -> None:
    package = build_document("h53", [], subject="[Mật] Kế hoạch A1", document_id="")
    error = refused(package)
    assert error.code is Code.STATE_SECRET
    assert "A1" not in str(error)


def test_the_senders_own_writer_stops_it_too() -> None:
    with pytest.raises(RefusedError) as caught:
        build_document("H53", ["G22"], subject="(Mật) x", checked=True)
    assert caught.value.code is Code.STATE_SECRET


@pytest.mark.parametrize(
    "text",
    ["", "- a", "marks: [Mật]", "{marks: 1, level_values: [a], levels: [a], fields: [a], file_names: [a], brackets: ['[]']}",
     "{marks: [a], level_values: [a], levels: [a], fields: [a], file_names: [a], brackets: ['[']}", "a: [", "\x00"],
)  # fmt: skip
def test_a_damaged_rule_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state_secrets.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_rule(path)
    assert caught.value.code is Code.CONFIG_INVALID


def test_the_rule_is_data(tmp_path: Path) -> None:
    path = tmp_path / "state_secrets.yaml"
    original = shipped("config/state_secrets.yaml").read_text(encoding="utf-8")
    path.write_text(original.replace("  - Tối mật\n", "  - Nội bộ\n"), encoding="utf-8")
    rule = load_rule(path)
    assert rule.marks_text("NỘI BỘ")
    assert not rule.marks_text("Tối mật")


def test_no_invisible_character_hides_a_mark() -> None:
    unseen = [
        chr(point)
        for point in range(0x110000)
        if unicodedata.category(chr(point)) in {"Cc", "Cf", "Zs", "Zl", "Zp"}
        or point in {0x34F, 0xFE0E, 0xFE0F}
    ]
    assert len(unseen) > 100
    assert fold_text("".join(unseen)) == ""
    assert shipped_rule().marks_text("Tối" + "".join(unseen) + "mật")


def test_names_of_any_length_are_looked_at_and_only_short_ones_kept() -> None:
    rule = load_rule(shipped("config/state_secrets.yaml"))
    for name in ("x" * 50_000, "Subject"):
        assert rule.find(Elements.leaf(name, "Công văn".encode())) is None
    assert list(rule._kinds) == ["Subject"]
