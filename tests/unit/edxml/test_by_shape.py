"""The reader finds what hangs on the elements once for each shape: held against one that goes through each tree anew."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from adapters.edxml.format import EdxmlFormat
from adapters.edxml.names import local_name, q
from adapters.edxml.secrecy import shipped_rule
from relay.errors import RefusedError
from relay.model.envelope import Envelope
from relay.model.message import Kind
from relay.model.verdict import Node, ParseLimits, SignedView
from relay.trust.view import unverified
from tests.support import bytree
from tests.support.packages import build_document, build_status

EDXML = EdxmlFormat()
_TEXTS = (
    "",
    " ",
    "0",
    "1",
    "2",
    "3",
    "5",
    "01",
    "13",
    "99",
    "H53",
    "h53",
    "G22",
    " H26",
    "Mật",
    "(Tối mật) x",
    "a\nb",
    "x" * 600,
)
_NAMES = (
    "From To OrganId DocumentId Code StatusCode ResponseFor Priority SecretLevel Bussiness BussinessDocType "
    "ReplacementInfoList ReplacementInfo AttachmentEncoded"
)
_TAGS = (*map(q, _NAMES.split()), "OrganId", "{urn:x}To", "{urn:x}DocumentId", "{urn:x}OrganId", "Code")


def bodies() -> list[tuple[bytes, Kind]]:
    return [
        (build_document("H53", ["G22", "H26.15"]), Kind.EDOC),
        (build_document("H53", ["G22"], priority=2, number="", notation=""), Kind.EDOC),
        (build_status("G22", "H53", "H53,2026,1"), Kind.STATUS),
        (build_status("G22", "H53", "H53,2026,1", status_code="02", description="Sai thể thức"), Kind.STATUS),
    ]


def tree(body: bytes, kind: Kind) -> Node:
    return unverified(body, EDXML.place(kind), ParseLimits()).root


def said(read: Callable[[], Envelope]) -> Envelope | tuple[str, str]:
    try:
        return read()
    except RefusedError as error:
        return error.code.value, error.detail


def same(root: Node, kind: Kind) -> Envelope | tuple[str, str]:
    rule = shipped_rule()
    wanted = said(lambda: bytree.read(root, kind, rule))
    view = SignedView.of(root)
    assert rule.find(view.elements) == bytree.secret(root, rule)
    for _ in range(2):  # the shape is known the second time
        assert said(lambda: EDXML.read(view, kind)) == wanted
    return wanted


def changed(node: Node, rng: random.Random, at: int) -> Node:
    """Return the tree with one change near its element number ``at``, counted in the order of the document."""
    count = -1

    def visit(one: Node) -> Node:
        nonlocal count
        count += 1
        here = count == at
        children = list(map(visit, one.children))
        if here:
            return _one_change(one._replace(children=tuple(children)), rng)
        return one._replace(children=tuple(children))

    return visit(node)


def _one_change(node: Node, rng: random.Random) -> Node:
    children = list(node.children)
    kind = rng.randrange(8)
    if kind == 0 and children:
        children.append(rng.choice(children))
    elif kind == 1 and children:
        children.pop(rng.randrange(len(children)))
    elif kind == 2 and children:
        chosen = rng.choice(children)
        children.insert(
            rng.randrange(len(children)), chosen._replace(tag=f"{{urn:x}}{local_name(chosen.tag)}")
        )
    elif kind == 3:
        children.append(Node(rng.choice(_TAGS), rng.choice(_TEXTS), (), ()))
    elif kind == 4:
        return node._replace(tag=rng.choice(_TAGS))
    elif kind == 5:
        name = rng.choice(("DoMat", "version", "{urn:x}domat"))
        return node._replace(attributes=(*node.attributes, (name, rng.choice(_TEXTS))))
    elif kind == 6:
        rng.shuffle(children)
    else:
        return node._replace(text=rng.choice((*_TEXTS, None)))
    return node._replace(children=tuple(children))


def size(node: Node) -> int:
    return 1 + sum(map(size, node.children))


@pytest.mark.parametrize("number", range(4))
def test_what_is_good_reads_the_same(number: int) -> None:
    body, kind = bodies()[number]
    assert isinstance(same(tree(body, kind), kind), Envelope)
    assert isinstance(same(tree(body, kind), Kind.EDOC if kind is Kind.STATUS else Kind.STATUS), tuple)


@pytest.mark.parametrize("number", range(4))
def test_what_was_changed_reads_the_same_or_is_refused_by_the_same_words(number: int) -> None:
    body, kind = bodies()[number]
    root, rng = tree(body, kind), random.Random(number)
    codes = set()
    for _ in range(500):
        made = root
        for _ in range(rng.choice((1, 1, 2, 3))):
            made = changed(made, rng, rng.randrange(size(made)))
        answer = same(made, kind)
        codes.add("" if isinstance(answer, Envelope) else answer[0])
    assert len(codes) >= 6, codes  # it went many ways


def test_two_documents_of_one_shape_are_read_each_for_itself() -> None:
    place, limits = EDXML.place(Kind.EDOC), ParseLimits()
    views = [unverified(build_document(sender, ["G22"]), place, limits) for sender in ("H53", "H26")]
    assert views[0].shape is views[1].shape
    read = [EDXML.read(SignedView(view, "", 0), Kind.EDOC) for view in views]
    assert [one.sender for one in read] == ["H53", "H26"]
    assert read == [bytree.read(view.root, Kind.EDOC, shipped_rule()) for view in views]
