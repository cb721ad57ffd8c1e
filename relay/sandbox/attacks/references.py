"""References and transforms: what is digested is not what is read, or digesting does what the attacker wants."""

from __future__ import annotations

from collections.abc import Callable

from relay.errors import Code
from relay.sandbox.attacks.case import Family
from relay.sandbox.attacks.forge import DS, EXC, T_ENVELOPED, T_EXC, Forge, replaced

REFERENCES = Family("references", "W3C, XML Signature Best Practices (2013), best practices 3 to 9")
TRANSFORMS = Family("transforms", "Bradley Hill, Attacking XML Security (Black Hat 2007); CVE-2007-3716")


def _refers(uri: str) -> Callable[[Forge], bytes]:
    return lambda forge: forge.with_recipe(reference=f' URI="{uri}"')


_URIS = (
    ("to a web address", "http://127.0.0.1:9/x", "the relay fetches what the attacker names (SSRF)", "best practice 4"),
    ("to a local file", "file:///etc/passwd", "the relay digests its own files", "best practice 4"),
    ("by XPointer to the root", "#xpointer(/)", "another spelling of the whole, with comments", "XML Signature 1.1, section 4.4.3.2"),
    ("by XPointer to an Id", "#xpointer(id('envelope'))", "Id look-up by another way", "XML Signature 1.1, section 4.4.3.2"),
    ("to white space", " ", "readers that trim", ""),
    ("to the package's own name", "package.edxml", "a detached file in the place of the document", ""),
)  # fmt: skip
for _name, _uri, _target, _source in _URIS:
    REFERENCES.add(
        _name,
        Code.FOREIGN_REFERENCE,
        "signature.check_uri",
        _target,
        _refers(_uri),
        source=_source,
    )
REFERENCES.add(
    "to a part by Id",
    Code.FOREIGN_REFERENCE,
    "manifest.check_envelope",
    "a part is signed, the whole is read",
    _refers("#envelope"),
)
REFERENCES.add(
    "without a URI",
    Code.FOREIGN_REFERENCE,
    "signature.check_uri",
    "what is signed is left to the application",
    lambda forge: forge.with_recipe(reference=""),
    source="XML Signature 1.1, section 4.4.3.1",
)
REFERENCES.add(
    "none at all",
    Code.SIGNATURE_MALFORMED,
    "signature.check_children",
    "a signature over nothing",
    lambda forge: forge.with_recipe(no_reference=True),
    source="CVE-2013-2153",
)
REFERENCES.add(
    "twice the same",
    Code.FOREIGN_REFERENCE,
    "signature.check_one_reference",
    "engines that check one of several",
    lambda forge: forge.with_recipe(more_references=_reference(forge)),
)
REFERENCES.add(
    "a Manifest of XML Signature behind the reference",
    Code.SIGNATURE_MALFORMED,
    "signature.check_children",
    "references of a Manifest are not checked by core validation",
    lambda forge: forge.with_recipe(
        more_children=f'<Object><Manifest Id="m">{_reference(forge)}</Manifest></Object>'
    ),
    source="XML Signature 1.1, section 5.1",
)
REFERENCES.add(
    "with a Type that says Manifest",
    Code.SIGNATURE_MALFORMED,
    "signature.check_bare",
    "engines that act on Type",
    lambda forge: forge.with_recipe(reference=f' URI="" Type="{DS}Manifest"'),
    source="XML Signature 1.1, section 4.4.3.1",
)
REFERENCES.add(
    "with an Id of its own",
    Code.SIGNATURE_MALFORMED,
    "signature.check_bare",
    "Ids in the signature that another reference can point at",
    lambda forge: forge.with_recipe(reference=' Id="r" URI=""'),
)


def _reference(forge: Forge) -> str:
    from relay.sandbox.attacks.forge import between

    return between(forge.good(), b"<Reference ", b"</Reference>").decode()


def _transforms(inner: str) -> Callable[[Forge], bytes]:
    return lambda forge: forge.with_recipe(transforms=f"<Transforms>{inner}</Transforms>")


_C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
_XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
_FILTER = "http://www.w3.org/2002/06/xmldsig-filter2"
_STYLESHEET = (
    '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/">'
    '<x xmlns="urn:x"></x></xsl:template></xsl:stylesheet>'
)
_PREFIXES = f'<InclusiveNamespaces xmlns="{EXC}" PrefixList="#default edXML"></InclusiveNamespaces>'
_CHANGED = "what is digested is computed by the attacker, not read from the document"

_SHAPES = (
    ("XSLT", f'{T_ENVELOPED}<Transform Algorithm="{_XSLT}">{_STYLESHEET}</Transform>{T_EXC}', "CVE-2007-3716", _CHANGED),
    ("XPath that selects a part", f'{T_ENVELOPED}<Transform Algorithm="{_XPATH}"><XPath>not(ancestor-or-self::*[local-name()="To"])</XPath></Transform>{T_EXC}', "CVE-2021-40690", "the recipient is left out of the digest"),
    ("XPath filter 2.0", f'{T_ENVELOPED}<Transform Algorithm="{_FILTER}"><XPath xmlns="{_FILTER}" Filter="subtract">//*</XPath></Transform>{T_EXC}', "", "everything is left out of the digest"),
    ("base64", f'{T_ENVELOPED}<Transform Algorithm="{DS}base64"></Transform>', "", "markup is left out of the digest"),
    ("inclusive C14N", f'{T_ENVELOPED}<Transform Algorithm="{_C14N}"></Transform>', "", "namespaces of the surroundings are signed along"),
    ("exclusive C14N with comments", f'{T_ENVELOPED}<Transform Algorithm="{EXC}WithComments"></Transform>', "", "comments become content"),
    ("InclusiveNamespaces in exclusive C14N", f'{T_ENVELOPED}<Transform Algorithm="{EXC}">{_PREFIXES}</Transform>', "Exclusive XML Canonicalization 1.0, section 2.1", "namespaces come and go by a list"),
    ("no canonicalisation", T_ENVELOPED, "", "the implied inclusive form instead of the profile's"),
    ("no enveloped-signature", T_EXC, "", "a digest that covers itself cannot hold; one that does is another's"),
    ("the two in the other order", T_EXC + T_ENVELOPED, "", "octets in front of a transform that wants nodes: parsed again"),
    ("one too many", T_ENVELOPED + T_EXC + T_EXC, "W3C, XML Signature Best Practices, best practice 2", "long lists of transforms cost without end"),
    ("hundreds of them", T_ENVELOPED + T_EXC * 300, "W3C, XML Signature Best Practices, best practice 2", "long lists of transforms cost without end"),
    ("enveloped-signature with a parameter", f'<Transform Algorithm="{DS}enveloped-signature"><XPath>/</XPath></Transform>{T_EXC}', "", "parameters that one engine reads and another does not"),
    ("an unknown one", f'{T_ENVELOPED}<Transform Algorithm="urn:x"></Transform>', "", "engines that skip what they do not know"),
    ("none at all", "", "", "the raw document, signature included"),
)  # fmt: skip
for _name, _inner, _source, _target in _SHAPES:
    TRANSFORMS.add(
        _name,
        Code.FOREIGN_TRANSFORM,
        "signature.check_transforms",
        _target,
        _transforms(_inner),
        source=_source,
    )
TRANSFORMS.add(
    "no Transforms element",
    Code.SIGNATURE_MALFORMED,
    "signature.check_children",
    "the raw document, signature included",
    lambda forge: forge.with_recipe(transforms=""),
)
for _name, _element, _source in (
    ("inclusive C14N of SignedInfo", f'<CanonicalizationMethod Algorithm="{_C14N}"></CanonicalizationMethod>', "CVE-2013-2172"),
    ("C14N with comments of SignedInfo", f'<CanonicalizationMethod Algorithm="{EXC}WithComments"></CanonicalizationMethod>', "CVE-2013-2172"),
    ("XSLT for the canonical form of SignedInfo", f'<CanonicalizationMethod Algorithm="{_XSLT}">{_STYLESHEET}</CanonicalizationMethod>', "CVE-2013-2172"),
    ("InclusiveNamespaces for SignedInfo", f'<CanonicalizationMethod Algorithm="{EXC}">{_PREFIXES}</CanonicalizationMethod>', "Exclusive XML Canonicalization 1.0, section 2.1"),
):  # fmt: skip
    TRANSFORMS.add(
        _name,
        Code.FOREIGN_TRANSFORM,
        "signature.check_canonicalization",
        "SignedInfo is made to mean another thing than it says",
        lambda forge, element=_element: forge.with_recipe(c14n=element),  # type: ignore[misc]
        source=_source,
    )


def _undigested(forge: Forge) -> bytes:
    """A good document with its transforms taken out afterwards."""
    return replaced(forge.good(), T_EXC + "</Transforms>", "</Transforms>")


TRANSFORMS.add(
    "a transform taken out after signing",
    Code.FOREIGN_TRANSFORM,
    "signature.check_transforms",
    "engines that add what is missing",
    _undigested,
)
TRANSFORMS.add(
    "a transform under another element's name",
    Code.SIGNATURE_MALFORMED,
    "signature.check_transforms",
    "engines that look at Algorithm alone",
    lambda forge: forge.with_recipe(
        transforms=f'<Transforms>{T_ENVELOPED}<Method Algorithm="{EXC}"></Method></Transforms>'
    ),
)
TRANSFORMS.add(
    "a comment inside a transform",
    Code.SIGNATURE_MALFORMED,
    "signature.check_bare",
    "what one engine skips and another reads",
    lambda forge: forge.with_recipe(
        transforms=f'<Transforms>{T_ENVELOPED}<Transform Algorithm="{EXC}"><!-- x --></Transform></Transforms>'
    ),
)
TRANSFORMS.add(
    "a name with a space behind it",
    Code.FOREIGN_TRANSFORM,
    "signature.check_transforms",
    "readers that trim",
    _transforms(f'{T_ENVELOPED}<Transform Algorithm="{EXC} "></Transform>'),
)
