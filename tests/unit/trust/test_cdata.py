"""No CDATA section inside the signature; elsewhere they are letters like others."""

from __future__ import annotations

import pytest

from relay.errors import Code, RefusedError
from relay.trust.cdata import check_no_section
from tests.support.xmlsign import DS, sign
from tests.unit.trust.conftest import DOCUMENT, World

PLACES = (b"SignatureValue", b"DigestValue", b"X509Certificate")


def wrapped(body: bytes, tag: bytes, prefix: bytes = b"") -> bytes:
    tag = prefix + tag
    return body.replace(b"<%b>" % tag, b"<%b><![CDATA[" % tag).replace(b"</%b>" % tag, b"]]></%b>" % tag)


@pytest.mark.parametrize("place", PLACES)
def test_inside_the_signature_it_is_refused(world: World, place: bytes) -> None:
    body = sign(DOCUMENT, world.recipe)
    assert world.verify(body).verdict.reason is Code.OK
    verdict = world.verify(wrapped(body, place)).verdict
    assert (verdict.reason, verdict.detail) == (
        Code.SIGNATURE_MALFORMED,
        "a CDATA section inside the signature",
    )


@pytest.mark.parametrize("piece", [b"<![CDATA[]]>", b"<![CDATA[ ]]>"])
def test_between_its_children_too(world: World, piece: bytes) -> None:
    body = sign(DOCUMENT, world.recipe).replace(b"<KeyInfo>", piece + b"<KeyInfo>")
    assert world.verify(body).verdict.reason is Code.SIGNATURE_MALFORMED


@pytest.mark.parametrize("before", [True, False])
def test_elsewhere_it_is_text(world: World, before: bool) -> None:
    sections = b"<e><![CDATA[<SignatureValue>]]><![CDATA[]]></e>"
    old, new = (b"<header>", sections + b"<header>") if before else (b"</bulk>", b"</bulk>" + sections)
    assert world.verify(sign(DOCUMENT.replace(old, new), world.recipe)).verdict.reason is Code.OK


def test_the_word_alone_is_none(world: World) -> None:
    document = DOCUMENT.replace(b"</bulk>", b"</bulk><!-- <![CDATA[ -->")
    assert world.verify(sign(document, world.recipe)).verdict.reason is Code.OK


@pytest.mark.parametrize(
    ("inside", "refused"),
    [
        ("<s:Signature xmlns:s='{ds}'><s:a><![CDATA[x]]></s:a></s:Signature>", True),
        ("<Signature xmlns='{ds}'/><a><![CDATA[x]]></a>", False),
        ("<Signature xmlns='{ds}'><Signature/></Signature><a><![CDATA[x]]></a>", False),
        ("<Signature xmlns='{ds}'><Signature/><![CDATA[x]]></Signature>", True),
        ("<Signature xmlns='urn:x'><![CDATA[x]]></Signature>", False),
        ("<Signature><![CDATA[x]]></Signature>", False),
        ("<![CDATA[<Signature xmlns='{ds}'>]]><a><![CDATA[x]]></a>", False),
        ("<a><![CDATA[x]]></b>", True),  # not well-formed to the other parser
    ],
)
def test_what_is_inside(inside: str, refused: bool) -> None:
    source = f"<r>{inside.format(ds=DS)}</r>".encode()
    if not refused:
        check_no_section(source)
        return
    with pytest.raises(RefusedError) as caught:
        check_no_section(source)
    assert caught.value.code is Code.SIGNATURE_MALFORMED
