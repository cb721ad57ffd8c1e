"""What a check of trust says below its code is there in Vietnamese too, in the very words of the code that says it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import relay.trust
from relay.cli.wording import vietnamese

_ROOM = Path(relay.trust.__file__).parent
_FILES = (
    "signature",
    "parse",
    "content",
    "cdata",
    "certificate",
    "constraints",
    "manifest",
    "path",
    "policies",
    "verifier",
    "view",
)
_FREE = {"constraints": "{fault} by {authority}"}  # the fault is a phrase of its own


def _details() -> Iterator[tuple[str, str]]:
    """Yield what each refusal of the room says, with something in the place of each value."""
    for name in _FILES:
        for node in ast.walk(ast.parse((_ROOM / f"{name}.py").read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            code, said = node.args[0], node.args[1]
            if not (isinstance(code, ast.Attribute) and ast.unparse(code).startswith("Code.")):
                continue
            text = ast.unparse(said)
            if _FREE.get(name, "\0") in text:
                continue
            if isinstance(said, ast.Constant) and isinstance(said.value, str) and said.value:
                yield name, said.value
            elif isinstance(said, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "7" for part in said.values]
                if any(
                    isinstance(part, ast.Constant) and str(part.value).strip(" ,:") for part in said.values
                ):
                    yield name, "".join(map(str, parts))


@pytest.mark.parametrize(("file", "detail"), sorted(set(_details())))
def test_each_detail_of_trust_is_there_in_vietnamese(file: str, detail: str) -> None:
    assert vietnamese(detail) != detail, file


def test_the_checks_are_found_in_their_source() -> None:
    assert len(set(_details())) > 70


def test_what_is_not_known_stays_as_it_is() -> None:
    assert vietnamese("CN=H26,C=VN") == "CN=H26,C=VN"
    assert vietnamese("") == ""


def test_values_stay_in_their_places() -> None:
    assert vietnamese("3 references, one is taken") == "có 3 tham chiếu (Reference), chỉ được một"
    assert vietnamese("CN=A,C=VN: path length exceeded").startswith("CN=A,C=VN: ")
    assert vietnamese("H26 has sent nothing under X") == "H26 chưa gửi gì với mã X"
    assert vietnamese("G14, H26 and 3 more") == "G14, H26 và 3 mục khác"
    assert (
        vietnamese("record 5 is not in batch 1 of chain 4e-8")
        == "bản ghi 5 không nằm trong lô 1 của chuỗi 4e-8"
    )
    assert vietnamese("head 1 is not the beginning of head 2") == "đầu nhật ký 2 không nối tiếp đầu nhật ký 1"
    waits = "stands in the outbox and goes with the next truc inbox of this agency"
    assert vietnamese(f"Connection refused; 7-a {waits}").startswith("Connection refused; 7-a nằm trong")
