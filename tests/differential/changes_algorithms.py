"""Changes of algorithms, transforms and references, each of them truly signed."""

from __future__ import annotations

import re
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from tests.differential.cases import broken, open_
from tests.differential.changes_tree import swap
from tests.differential.documents import Bench
from tests.differential.signing import by_secret, exclusive, probabilistic, sign
from tests.support.xmlsign import DS, ENC, ENVELOPED, EXC, MORE

_C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_C14N11: Final = "http://www.w3.org/2006/12/xml-c14n11"
_MODERN: Final = "http://www.w3.org/2007/05/xmldsig-more#"


# --- algorithms, each truly used


@open_("algorithm/digest-sha1")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(digest="sha1"))


@open_("algorithm/digest-sha224")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(digest="sha224"))


@open_("algorithm/digest-md5")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(digest="md5"))


@open_("algorithm/rsa-sha1")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen_of("rsa").but(hash="sha1"))


@open_("algorithm/ecdsa-sha1")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen_of("ecdsa").but(hash="sha1", method=f"{MORE}ecdsa-sha1"))


@open_("algorithm/sha224")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen_of(b.rng.choice(("rsa", "ecdsa"))).but(hash="sha224"))


@open_("algorithm/rsa-pss")
def _(b: Bench) -> bytes:
    pen = b.pen_of("rsa")
    return sign(
        b.draft(),
        pen.but(method=f"{_MODERN}sha256-rsa-MGF1", value=lambda octets: probabilistic(pen.signer, octets)),
    )


@broken("algorithm/hmac-with-the-public-key")
def _(b: Bench) -> bytes:
    key = b.pen.signer.key.public_key()
    form = b.rng.choice((Encoding.DER, Encoding.PEM))
    secret = key.public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
    return sign(b.draft(), b.pen.but(method=f"{MORE}hmac-sha256", value=by_secret(secret)))


@broken("algorithm/named-stronger")
def _(b: Bench) -> bytes:
    pen = b.pen_of("rsa")
    return swap(sign(b.draft(), pen), b"rsa-sha256", b"rsa-sha512")


@broken("algorithm/digest-named-stronger")
def _(b: Bench) -> bytes:
    return swap(sign(b.draft(), b.pen.but(digest="sha256")), f"{ENC}sha256".encode(), f"{ENC}sha512".encode())


@broken("algorithm/other-kind")
def _(b: Bench) -> bytes:
    """An RSA value under the name of ECDSA, and the other way round."""
    kind, other = b.rng.choice((("rsa", "ecdsa"), ("ecdsa", "rsa")))
    return sign(b.draft(), b.pen_of(kind).but(method=f"{MORE}{other}-sha256"))


@broken("algorithm/unknown")
def _(b: Bench) -> bytes:
    uri = b.rng.choice(
        ("", "none", f"{MORE}RSA-SHA256", f"{MORE}rsa-sha256 ", "urn:oid:1.2.840.113549.1.1.11")
    )
    return sign(b.draft(), b.pen_of("rsa").but(method=uri or " "))


@open_("algorithm/signed-info-inclusive")
def _(b: Bench) -> bytes:
    return sign(
        b.draft(),
        b.pen.but(c14n=f'<CanonicalizationMethod Algorithm="{_C14N}"/>', info_octets=_inclusive),
    )


def _inclusive(node: etree._Element) -> bytes:
    """Inclusive canonical form of SignedInfo where it will stand: with the namespaces of its ancestors."""
    edxml = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
    alone, there = f'<SignedInfo xmlns="{DS}"', f'<SignedInfo xmlns="{DS}" xmlns:edXML="{edxml}"'
    return exclusive(node).replace(alone.encode(), there.encode(), 1)


@open_("algorithm/signed-info-with-comments")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(c14n=f'<CanonicalizationMethod Algorithm="{EXC}WithComments"/>'))


@open_("algorithm/with-parameters")
def _(b: Bench) -> bytes:
    inner = f'<InclusiveNamespaces xmlns="{EXC}" PrefixList="edXML"/>'
    method = f'<CanonicalizationMethod Algorithm="{EXC}">{inner}</CanonicalizationMethod>'
    return sign(b.draft(), b.pen.but(c14n=method, info_octets=_inclusive))


# --- transforms


def _transforms(*algorithms: str) -> str:
    return f"<Transforms>{''.join(_transform(one) for one in algorithms)}</Transforms>"


def _transform(algorithm: str, inner: str = "") -> str:
    return f'<Transform Algorithm="{algorithm}">{inner}</Transform>'


@open_("transforms/swapped")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(transforms=_transforms(EXC, ENVELOPED)))


@open_("transforms/enveloped-alone")
def _(b: Bench) -> bytes:
    """Without a canonicalisation of its own the inclusive one is implied."""
    return sign(
        b.draft(),
        b.pen.but(
            transforms=_transforms(ENVELOPED),
            octets=lambda t: etree.tostring(t, method="c14n", with_comments=False),
        ),
    )


@open_("transforms/inclusive")
def _(b: Bench) -> bytes:
    which = b.rng.choice((_C14N, _C14N11))
    return sign(
        b.draft(),
        b.pen.but(
            transforms=_transforms(ENVELOPED, which),
            octets=lambda t: etree.tostring(t, method="c14n", with_comments=False),
        ),
    )


@open_("transforms/with-comments")
def _(b: Bench) -> bytes:
    draft = swap(b.draft(), b"<edXML:Subject>", b"<!-- n --><edXML:Subject>")
    # URI="" leaves comments out, whatever the canonicalisation asks for (XMLDSig 4.4.3.3)
    return sign(draft, b.pen.but(transforms=_transforms(ENVELOPED, f"{EXC}WithComments")))


@open_("transforms/twice")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(transforms=_transforms(ENVELOPED, EXC, EXC)))


@open_("transforms/enveloped-twice")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(transforms=_transforms(ENVELOPED, ENVELOPED, EXC)))


@broken("transforms/none")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(transforms=b.rng.choice(("", "<Transforms/>"))))


@broken("transforms/canonical-alone")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(transforms=_transforms(EXC)))


@open_("transforms/prefix-list")
def _(b: Bench) -> bytes:
    inner = f'<InclusiveNamespaces xmlns="{EXC}" PrefixList="edXML"/>'
    transforms = f"<Transforms>{_transform(ENVELOPED)}{_transform(EXC, inner)}</Transforms>"
    return sign(
        b.draft(),
        b.pen.but(
            transforms=transforms,
            octets=lambda t: etree.tostring(
                t, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=["edXML"]
            ),
        ),
    )


@open_("transforms/xpath")
def _(b: Bench) -> bytes:
    """Leaves the attachments out of what is signed."""
    filtered = '<XPath xmlns:e="http://www.mic.gov.vn/TBT/QCVN_102_2016">not(ancestor-or-self::e:AttachmentEncoded)</XPath>'
    transforms = (
        f"<Transforms>{_transform(ENVELOPED)}"
        f"{_transform('http://www.w3.org/TR/1999/REC-xpath-19991116', filtered)}{_transform(EXC)}</Transforms>"
    )
    return sign(b.draft(), b.pen.but(transforms=transforms, octets=_without_attachments))


def _without_attachments(tree: etree._ElementTree) -> bytes:
    copied = etree.fromstring(etree.tostring(tree)).getroottree()
    for found in copied.getroot().findall("{*}AttachmentEncoded"):
        copied.getroot().remove(found)
    return bytes(etree.tostring(copied, method="c14n", exclusive=True, with_comments=False))


@open_("transforms/xslt")
def _(b: Bench) -> bytes:
    sheet = (
        '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0">'
        '<xsl:template match="/"><same/></xsl:template></xsl:stylesheet>'
    )
    transforms = (
        f"<Transforms>{_transform(ENVELOPED)}"
        f"{_transform('http://www.w3.org/TR/1999/REC-xslt-19991116', sheet)}{_transform(EXC)}</Transforms>"
    )
    return sign(b.draft(), b.pen.but(transforms=transforms, octets=lambda _: b"<same></same>"))


@broken("transforms/base64")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(transforms=_transforms(ENVELOPED, f"{DS}base64")))


# --- reference


@open_("reference/by-id")
def _(b: Bench) -> bytes:
    """Only the envelope is signed; attachments are not."""
    draft = swap(b.draft(), b"<edXML:edXMLEnvelope ", b'<edXML:edXMLEnvelope Id="e" ')
    return sign(draft, b.pen.but(uri=' URI="#e"', octets=envelope))


def envelope(tree: etree._ElementTree) -> bytes:
    return bytes(etree.tostring(tree.getroot()[0], method="c14n", exclusive=True, with_comments=False))


@open_("reference/xpointer")
def _(b: Bench) -> bytes:
    uri = b.rng.choice((' URI="#xpointer(/)"', " URI=\"#xpointer(id('e'))\""))
    draft = swap(b.draft(), b"<edXML:edXMLEnvelope ", b'<edXML:edXMLEnvelope Id="e" ')
    whole = "id" not in uri
    return sign(draft, b.pen.but(uri=uri, octets=_commented if whole else envelope))


def _commented(tree: etree._ElementTree) -> bytes:
    return bytes(etree.tostring(tree, method="c14n", exclusive=True, with_comments=False))


@broken("reference/absent")
def _(b: Bench) -> bytes:
    return sign(b.draft(), b.pen.but(uri=None))


@broken("reference/elsewhere")
def _(b: Bench) -> bytes:
    uri = b.rng.choice(
        ("file:///nonexistent/truc", "http://127.0.0.1:9/x", "#nobody", "cid:1", "other.xml", " ")
    )
    return sign(b.draft(), b.pen.but(uri=f' URI="{uri}"'))


@open_("reference/two")
def _(b: Bench) -> bytes:
    """The same reference twice: nothing is wrong with either."""
    draft = b.draft()
    found = re.search(rb"<Reference.*?</Reference>", sign(draft, b.pen), re.DOTALL)
    assert found
    return sign(draft, b.pen.but(more_references=found[0].decode()))


@open_("reference/type")
def _(b: Bench) -> bytes:
    return sign(
        b.draft(),
        b.pen.but(reference_attributes=b.rng.choice((' Type=""', ' Id="r"', f' Type="{DS}Object"'))),
    )


@open_("reference/manifest-of-dsig")
def _(b: Bench) -> bytes:
    """A Reference to a ds:Manifest in an Object: what it lists is nobody's duty to check."""
    listed = (
        f'<Object xmlns="{DS}"><Manifest Id="m"><Reference URI=""><DigestMethod Algorithm="{ENC}sha256"/>'
        "<DigestValue>AAAA</DigestValue></Reference></Manifest></Object>"
    )
    manifest = etree.fromstring(listed)[0]
    return sign(
        b.draft(),
        b.pen.but(
            uri=' URI="#m"',
            reference_attributes=f' Type="{DS}Manifest"',
            transforms=_transforms(EXC),
            octets=lambda _: etree.tostring(manifest, method="c14n", exclusive=True, with_comments=False),
            more_children=listed.replace(f' xmlns="{DS}"', "", 1),
        ),
    )
