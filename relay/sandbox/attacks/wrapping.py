"""Signature wrapping: the signed piece stays whole and is moved to where nobody reads, something else is read."""

from __future__ import annotations

from relay.errors import Code
from relay.sandbox.attacks.case import Family
from relay.sandbox.attacks.forge import (
    DS,
    EDXML,
    T_ENVELOPED,
    T_EXC,
    THIRD,
    Forge,
    between,
    inserted,
    replaced,
    signature_of,
    spliced,
)

FAMILY = Family(
    "wrapping",
    "McIntosh and Austel, XML Signature Element Wrapping Attacks and Countermeasures (2005)",
)
_SAML = "Somorovsky and others, On Breaking SAML: Be Whoever You Want to Be (USENIX Security 2012)"
_ENVELOPE = b"<edXML:edXMLEnvelope ", b"</edXML:edXMLEnvelope>"
_HEADER = b"<edXML:edXMLHeader>", b"</edXML:edXMLHeader>"
_ELSEWHERE = "the recipient that is read: other than the signed one"


def _envelope(body: bytes) -> bytes:
    return between(body, *_ENVELOPE)


def _evil(forge: Forge) -> bytes:
    return forge.unsigned(to=(THIRD,), subject="Nội dung khác")


def _by_id(forge: Forge, place: str) -> bytes:
    """The signed envelope, referred to by its Id, moved away; a false one in its place."""
    marked = replaced(forge.unsigned(), "<edXML:edXMLEnvelope ", '<edXML:edXMLEnvelope Id="signed" ')
    seal = forge.seal(
        marked,
        reference=' URI="#signed"',
        content=_canonical(_envelope(marked)),
    )
    signed = _envelope(spliced(marked, seal))
    false = replaced(_evil(forge), "<edXML:edXMLEnvelope ", '<edXML:edXMLEnvelope Id="other" ')
    if place == "sibling":
        return inserted(false, "<AttachmentEncoded>", signed)
    if place == "inside":
        return inserted(false, "</edXML:edXMLHeader>", signed)
    return inserted(spliced(false, seal), "</edXML>", b"<Keep>" + _envelope(marked) + b"</Keep>")


def _canonical(piece: bytes) -> bytes:
    from relay.sandbox.attacks.canonical import canonical

    return canonical(piece)


def _moved_whole(forge: Forge) -> bytes:
    """The signature where it is looked for, in a false document that holds the true one."""
    true = forge.unsigned()
    seal = forge.seal(true)
    inner = true[true.index(b"<edXML ") :].rstrip()
    return inserted(spliced(_evil(forge), seal), "</edXML>\n", inner)


def _in_object(forge: Forge) -> bytes:
    true = forge.unsigned()
    inner = true[true.index(b"<edXML ") :].rstrip().decode()
    seal = forge.seal(true, more_children=f"<Object>{inner}</Object>")
    return spliced(_evil(forge), seal)


def _enveloping(forge: Forge) -> bytes:
    """The signature as root of its own, the document in its Object."""
    true = forge.unsigned()
    inner = true[true.index(b"<edXML ") :].rstrip().decode()
    return forge.seal(
        true,
        reference=' URI="#o"',
        more_children=f'<Object Id="o">{inner}</Object>',
        content=_canonical(inner.encode()),
    )


def _inside_another(forge: Forge) -> bytes:
    signed = forge.good()
    return inserted(_evil(forge), "<AttachmentEncoded>", signed[signed.index(b"<edXML ") :].rstrip())


def _ancestor(forge: Forge) -> bytes:
    """The document under a root of the same name: what is signed is a descendant, what is read its ancestor."""
    signed = forge.good()
    inner = signed[signed.index(b"<edXML ") :].rstrip()
    false = _evil(forge)
    return replaced(false, b"<edXML:edXMLEnvelope", inner + b"<edXML:edXMLEnvelope")


def _second(forge: Forge, piece: tuple[bytes, bytes], *, behind: bool = False) -> bytes:
    signed = forge.good()
    evil = between(_evil(forge), *piece)
    end = piece[1]
    if behind:
        at = signed.index(end) + len(end)
        return signed[:at] + evil + signed[at:]
    return inserted(signed, piece[0], evil)


def _placed(forge: Forge, before: bytes) -> bytes:
    """A signature that holds, at another place."""
    body = forge.unsigned()
    return inserted(body, before, forge.seal(body))


def _by_two(forge: Forge) -> bytes:
    body = forge.unsigned()
    return spliced(spliced(body, forge.seal(body)), forge.seal(body, forge.signer(THIRD)))


def _nested(forge: Forge) -> bytes:
    body = forge.unsigned()
    return forge.sign(body, more_children=f"<Object>{forge.seal(body).decode()}</Object>")


def _beside_another(forge: Forge, before: bytes, behind: bytes = b"", *, within: bytes = b"") -> bytes:
    """What lies between the first start tag of a Signature and the next end tag is more than the true signature; without
    it, the document is to the letter the one that was signed."""
    body = forge.good()
    seal = signature_of(body)
    told = replaced(seal, b"<Signature ", b"<Signature\n")
    if within:
        told = replaced(told, b"</Signature>", within)
    return replaced(body, seal, before + told + behind)


def _in_comment(forge: Forge) -> bytes:
    body = forge.good()
    seal = signature_of(body)
    value = between(seal, b"<SignatureValue>", b"</SignatureValue>")
    false = replaced(seal, value, value[:16] + (b"BBBB" if value[16:20] == b"AAAA" else b"AAAA") + value[20:])
    return replaced(body, seal, b"<!--" + seal + b"-->" + replaced(false, b"<Signature ", b"<Signature\n"))


def _changed_places(forge: Forge) -> bytes:
    """Texts where tags are looked for and tags where texts are: between the same angle brackets the same tags stand, if
    nobody looks which bracket is which. The digest is of these octets as they are."""
    body = forge.unsigned()
    subject = between(body, b"<edXML:Subject>", b"</edXML:Subject>")
    text = subject.removeprefix(b"<edXML:Subject>").removesuffix(b"</edXML:Subject>")
    told = replaced(body, b"<edXML:From>", b">edXML:From<![CDATA[")
    told = replaced(told, subject, b"<edXML:Subject<" + text + b"]]>/edXML:Subject>")
    return spliced(told, forge.seal(told, content=told[told.index(b"<edXML ") :].rstrip()))


_OTHER = b'<Signature xmlns="urn:other">'

FAMILY.add(
    "a Signature of another namespace in front, its end tag written otherwise",
    Code.DIGEST_MISMATCH,
    "verifier.check_digest",
    "readers that cut the signature out by its tags",
    lambda forge: _beside_another(forge, _OTHER + b"</Signature >"),
    source="docs/security.md, The way of the bytes",
)
FAMILY.add(
    "elements between such a Signature and the true one",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that cut the signature out by its tags",
    lambda forge: _beside_another(forge, _OTHER + b"</Signature ></edXML:edXMLHeader><edXML:edXMLHeader>"),
    source="docs/security.md, The way of the bytes",
)
FAMILY.add(
    "the true signature in such a Signature",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that cut the signature out by its tags",
    lambda forge: _beside_another(forge, _OTHER, b"</Signature>", within=b"</Signature >"),
    source="docs/security.md, The way of the bytes",
)
FAMILY.add(
    "tags in a section and texts between stray brackets, signed as they stand",
    Code.DIGEST_MISMATCH,
    "verifier.check_digest",
    "readers that take a document apart at its angle brackets",
    _changed_places,
    source="docs/security.md, The way of the bytes",
)
FAMILY.add(
    "the true signature in a comment, a false one in its place",
    Code.SIGNATURE_INVALID,
    "verifier.check_value",
    "readers that find the signature by its tags",
    _in_comment,
    source="docs/security.md, The way of the bytes",
)
FAMILY.add(
    "the signed envelope moved to a sibling, by its Id",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    _ELSEWHERE,
    lambda forge: _by_id(forge, "sibling"),
)
FAMILY.add(
    "the signed envelope moved into the false header, by its Id",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    _ELSEWHERE,
    lambda forge: _by_id(forge, "inside"),
    source=_SAML,
)
FAMILY.add(
    "the signed envelope kept at the end, the signature in the false one, by its Id",
    Code.FOREIGN_REFERENCE,
    "manifest.check_envelope",
    _ELSEWHERE,
    lambda forge: _by_id(forge, "kept"),
    source="CVE-2021-28091",
)
FAMILY.add(
    "the whole true document at the end of a false one",
    Code.DIGEST_MISMATCH,
    "verifier.check_digest",
    _ELSEWHERE,
    _moved_whole,
)
FAMILY.add(
    "the true document in an Object of the signature",
    Code.SIGNATURE_MALFORMED,
    "signature.check_children",
    _ELSEWHERE,
    _in_object,
    source=_SAML,
)
FAMILY.add(
    "an enveloping signature as root",
    Code.WRONG_ROOT,
    "parse.check_root",
    "readers that look for the envelope at any depth",
    _enveloping,
    source="XML Signature 1.1, section 2 (enveloping signatures)",
)
FAMILY.add(
    "the signed document inside a false one",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that find a signature that holds, somewhere",
    _inside_another,
)
FAMILY.add(
    "the signed document under a false root of the same name",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that take the first or the outermost envelope",
    _ancestor,
    source="Gajek, Jensen, Liao and Schwenk, Analysis of Signature Wrapping Attacks (ICWS 2009)",
)
FAMILY.add(
    "a second envelope in front of the signed one",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that take the first envelope",
    lambda forge: _second(forge, _ENVELOPE),
)
FAMILY.add(
    "a second envelope behind the signed one",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that take the last envelope",
    lambda forge: _second(forge, _ENVELOPE, behind=True),
)
FAMILY.add(
    "a second header in front of the signed one",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that take the first header",
    lambda forge: _second(forge, _HEADER),
)
FAMILY.add(
    "a second header that the sender signed along",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that take another of two headers",
    lambda forge: forge.with_insert("<edXML:edXMLHeader>", between(_evil(forge), *_HEADER)),
    source="docs/protocol.md, Signing",
)
FAMILY.add(
    "two signatures that both hold",
    Code.MANY_SIGNATURES,
    "signature.check_one_signature",
    "which of two signers a reader believes",
    _by_two,
    source=_SAML,
)
FAMILY.add(
    "the signature nested in another one",
    Code.MANY_SIGNATURES,
    "signature.check_one_signature",
    "which of two signatures is verified and which names the signer",
    _nested,
    source="CVE-2024-45409",
)
FAMILY.add(
    "the signature last in the root",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "the rule of one place: another place is another reading",
    lambda forge: _placed(forge, b"</edXML>\n"),
    source="docs/protocol.md, Signing",
)
FAMILY.add(
    "the signature first in the header",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "the rule of one place",
    lambda forge: _placed(forge, b"<edXML:MessageHeader>"),
    source="docs/protocol.md, Signing",
)
FAMILY.add(
    "the signature inside MessageHeader",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "the rule of one place",
    lambda forge: _placed(forge, b"</edXML:MessageHeader>"),
    source="docs/protocol.md, Signing",
)
FAMILY.add(
    "something new behind the signature",
    Code.SIGNATURE_MISPLACED,
    "signature.check_place",
    "readers that take the last child of the header",
    lambda forge: inserted(
        forge.good(), "</edXML:edXMLHeader>", "<edXML:TraceHeaderList></edXML:TraceHeaderList>"
    ),
    source=_SAML,
)
FAMILY.add(
    "no signature at all",
    Code.UNSIGNED,
    "signature.check_signed",
    "a relay that takes what nobody signed (exclusion attack)",
    lambda forge: forge.unsigned(),
    source=_SAML,
)
FAMILY.add(
    "a stub in the namespace of edXML for a signature",
    Code.UNSIGNED,
    "signature.check_signed",
    "readers that look at local names",
    lambda forge: spliced(
        forge.unsigned(),
        f'<edXML:Signature xmlns:edXML="{EDXML}"><edXML:SignatureValue>AAAA</edXML:SignatureValue></edXML:Signature>'.encode(),
    ),
    source="docs/edxml.md, What the relay reads",
)
FAMILY.add(
    "the signature of another document of the same sender",
    Code.DIGEST_MISMATCH,
    "verifier.check_digest",
    "a signature taken from one document and put into another",
    lambda forge: spliced(_evil(forge), signature_of(forge.good())),
    source="XML Signature 1.1, section 3.2.1 (reference validation)",
)
FAMILY.add(
    "a second reference to the false envelope by its Id",
    Code.FOREIGN_REFERENCE,
    "signature.check_one_reference",
    "readers that read what any of the references covers",
    lambda forge: forge.with_recipe(
        more_references=f'<Reference URI="#x"><Transforms>{T_ENVELOPED}{T_EXC}</Transforms>'
        f'<DigestMethod Algorithm="{DS}sha1"></DigestMethod><DigestValue>AAAA</DigestValue></Reference>'
    ),
    source="CVE-2013-2153",
)
FAMILY.add(
    "two SignedInfo",
    Code.SIGNATURE_MALFORMED,
    "signature.check_children",
    "engines that verify one SignedInfo and read the digest in another",
    lambda forge: inserted(
        forge.good(),
        "<SignedInfo>",
        between(forge.good(subject="Nội dung khác"), b"<SignedInfo>", b"</SignedInfo>"),
    ),
    source="CVE-2025-29774",
)
FAMILY.add(
    "a signature in the body that the sender signed along",
    Code.MANY_SIGNATURES,
    "signature.check_one_signature",
    "which of two signatures a reader believes",
    lambda forge: forge.sign(
        inserted(forge.unsigned(), "<AttachmentEncoded>", forge.seal(forge.unsigned(), forge.signer(THIRD)))
    ),
    source=_SAML,
)
for _name, _info in (
    ("text in SignedInfo", "x"),
    ("a comment in SignedInfo", "<!-- x -->"),
):
    FAMILY.add(
        _name,
        Code.SIGNATURE_MALFORMED,
        "signature.check_bare",
        "what one engine skips and another reads",
        lambda forge, info=_info: forge.with_recipe(more_info=info),  # type: ignore[misc]
        source="CVE-2025-29775",
    )
FAMILY.add(
    "an Id at SignedInfo",
    Code.SIGNATURE_MALFORMED,
    "signature.check_bare",
    "Ids in the signature that another reference can point at",
    lambda forge: forge.with_recipe(info_attributes=' Id="i"'),
)
FAMILY.add(
    "text at the end of the signature",
    Code.SIGNATURE_MALFORMED,
    "signature.check_bare",
    "unsigned text that a reader shows",
    lambda forge: replaced(forge.good(), "</KeyInfo></Signature>", "</KeyInfo>x</Signature>"),
)
FAMILY.add(
    "text in front of SignedInfo",
    Code.SIGNATURE_MALFORMED,
    "signature.check_bare",
    "unsigned text that a reader shows",
    lambda forge: replaced(forge.good(), "<SignedInfo>", "x<SignedInfo>"),
)
FAMILY.add(
    "an Id at SignatureValue",
    Code.SIGNATURE_MALFORMED,
    "signature.check_base64_holder",
    "Ids in the signature that another reference can point at",
    lambda forge: replaced(forge.good(), "<SignatureValue>", '<SignatureValue Id="v">'),
)
FAMILY.add(
    "a part of the signature in another namespace under the same prefix",
    Code.SIGNATURE_MALFORMED,
    "signature.check_children",
    "readers that look at prefixes",
    lambda forge: replaced(
        forge.with_recipe(prefix="ds"), "<ds:SignatureValue>", '<ds:SignatureValue xmlns:ds="urn:x">'
    ),
)
FAMILY.add(
    "a language at the signature",
    Code.SIGNATURE_MALFORMED,
    "signature.check_bare",
    "attributes that one engine reads and another does not",
    lambda forge: forge.with_recipe(attributes=' xml:lang="vi"'),
)
