"""What must never meet a parser: document types, entities, instructions, inclusions; and encodings."""

from __future__ import annotations

from collections.abc import Callable

from relay.errors import Code
from relay.sandbox.attacks.case import Family
from relay.sandbox.attacks.forge import RECIPIENT, SENDER, SUBJECT, Forge, inserted, replaced

ENTITIES = Family("entities", "Steuck, XXE (2002); OWASP, XML External Entity Prevention")
ENCODING = Family("encoding", "Unicode Technical Report 36, section 3; RFC 3629, section 10")

_ROOT = "<edXML "


def _typed(subset: str, body: bytes) -> bytes:
    return inserted(body, _ROOT, f"<!DOCTYPE edXML {subset}>")


def _laughs(forge: Forge) -> bytes:
    steps = "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    body = replaced(forge.good(), SUBJECT, "&j;")
    return _typed(f'[<!ENTITY a "aaaaaaaaaa">{steps}]', body)


def _blow_up(forge: Forge) -> bytes:
    body = replaced(forge.good(), SUBJECT, "&a;" * 20_000)
    return _typed(f'[<!ENTITY a "{"a" * 20_000}">]', body)


ENTITIES.add("a document type", Code.DTD_FORBIDDEN, "parse.check_prolog", "defaults and entities from outside the signed bytes",
             lambda forge: _typed('SYSTEM "edxml.dtd"', forge.good()), source="CVE-2025-25291")  # fmt: skip
ENTITIES.add("a document type without anything", Code.DTD_FORBIDDEN, "parse.check_prolog", "two parsers that read on differently",
             lambda forge: inserted(forge.good(), _ROOT, "<!DOCTYPE edXML>"), source="CVE-2025-25292")  # fmt: skip
ENTITIES.add("an internal entity for a code", Code.ENTITY_FORBIDDEN, "parse.check_prolog", "a code that reads differently with and without a DTD",
             lambda forge: _typed(f'[<!ENTITY c "{RECIPIENT}">]', replaced(forge.good(), f">{RECIPIENT}<", ">&c;<")), source="CVE-2025-25291")  # fmt: skip
ENTITIES.add("an external entity: a local file", Code.ENTITY_FORBIDDEN, "parse.check_prolog", "files of the relay in a receipt",
             lambda forge: _typed('[<!ENTITY f SYSTEM "file:///etc/passwd">]', replaced(forge.good(), SUBJECT, "&f;")))  # fmt: skip
ENTITIES.add("an external entity: the network", Code.ENTITY_FORBIDDEN, "parse.check_prolog", "requests from the relay's machine",
             lambda forge: _typed('[<!ENTITY f SYSTEM "http://127.0.0.1:9/">]', replaced(forge.good(), SUBJECT, "&f;")))  # fmt: skip
ENTITIES.add("a parameter entity", Code.ENTITY_FORBIDDEN, "parse.check_prolog", "a DTD of the attacker's, read from outside",
             lambda forge: _typed('[<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]', forge.good()), source="CVE-2014-0191")  # fmt: skip
ENTITIES.add(
    "a billion laughs", Code.ENTITY_FORBIDDEN, "parse.check_prolog", "memory", _laughs, source="CVE-2003-1564"
)
ENTITIES.add(
    "quadratic blow-up",
    Code.ENTITY_FORBIDDEN,
    "parse.check_prolog",
    "memory and time",
    _blow_up,
    source="CVE-2013-0338",
)
ENTITIES.add("an attribute default that makes an Id", Code.DTD_FORBIDDEN, "parse.check_prolog", "Ids and values that stand in no signed byte",
             lambda forge: _typed('[<!ATTLIST edXML Id ID "x">]', forge.good()), source="XML Signature 1.1, section 8.1.2")  # fmt: skip
ENTITIES.add("an entity without a declaration", Code.NOT_XML, "parse.parse", "parsers that drop what they do not know",
             lambda forge: replaced(forge.good(), SUBJECT, "&nothing;"))  # fmt: skip
ENTITIES.add("a document type behind a comment", Code.DTD_FORBIDDEN, "parse.check_prolog", "scanners that look at the first bytes",
             lambda forge: inserted(forge.good(), _ROOT, "<!-- <edXML> --><?x y?><!DOCTYPE edXML>"))  # fmt: skip
ENTITIES.add("an element declaration in front of the root", Code.NOT_XML, "parse.check_prolog", "scanners that know DOCTYPE alone",
             lambda forge: inserted(forge.good(), _ROOT, "<!ELEMENT edXML ANY>"))  # fmt: skip
ENTITIES.add("a signed processing instruction", Code.PI_FORBIDDEN, "parse.check_instructions", "instructions that act on a reader",
             lambda forge: forge.with_insert("<edXML:TraceHeaderList>", '<?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?>'), source="docs/protocol.md, Signing")  # fmt: skip
ENTITIES.add("XInclude for a code", Code.BAD_CODE, "fields.organ_code", "a code that is fetched when it is read",
             lambda forge: forge.edited(f"<edXML:OrganId>{RECIPIENT}<", '<edXML:OrganId><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/hostname" parse="text"></xi:include><'), source="W3C, XInclude 1.0, section 4")  # fmt: skip
ENTITIES.add("XInclude put in after signing", Code.DIGEST_MISMATCH, "verifier.check_digest", "content that is fetched when it is read",
             lambda forge: inserted(forge.good(), "<AttachmentEncoded>", '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/hostname"></xi:include>'), source="W3C, XInclude 1.0, section 4")  # fmt: skip


def _recoded(codec: str, name: str, start: bytes = b"") -> Callable[[Forge], bytes]:
    def build(forge: Forge) -> bytes:
        text = forge.good().decode().replace('encoding="UTF-8"', f'encoding="{name}"', 1)
        return start + text.encode(codec, "xmlcharrefreplace")

    return build


def _bytes(old: str, new: bytes) -> Callable[[Forge], bytes]:
    return lambda forge: replaced(forge.good(), old, new)


ENCODING.add("UTF-7", Code.NOT_UTF8, "parse.check_declaration", "markup hidden in letters", _recoded("utf-7", "UTF-7"), source="RFC 2152")  # fmt: skip
ENCODING.add("UTF-7 declared, UTF-8 inside", Code.NOT_UTF8, "parse.check_declaration", "a reader that obeys the declaration",
             lambda forge: replaced(forge.good(), 'encoding="UTF-8"', 'encoding="UTF-7"'))  # fmt: skip
ENCODING.add(
    "UTF-16 with its mark",
    Code.NOT_UTF8,
    "parse.check_byte_order",
    "scanners that look at bytes",
    _recoded("utf-16", "UTF-16"),
)
ENCODING.add(
    "UTF-16 without a mark",
    Code.NOT_UTF8,
    "parse.check_byte_order",
    "scanners that look at bytes",
    _recoded("utf-16-le", "UTF-16"),
)
ENCODING.add(
    "UTF-32",
    Code.NOT_UTF8,
    "parse.check_letters",
    "scanners that look at bytes",
    _recoded("utf-32-be", "UTF-32"),
)
ENCODING.add(
    "Latin-1 declared",
    Code.NOT_UTF8,
    "parse.check_declaration",
    "other letters for the same bytes",
    _recoded("latin-1", "ISO-8859-1"),
)
ENCODING.add("an overlong <", Code.NOT_UTF8, "parse.check_letters", "markup that a check for < does not see", _bytes(SUBJECT, b"\xc0\xbcx\xc0\xbe"), source="CVE-2008-2938")  # fmt: skip
ENCODING.add("an overlong letter in a code", Code.NOT_UTF8, "parse.check_letters", "a code in two spellings", _bytes(f">{RECIPIENT}<", b">\xc1\x8898<"))  # fmt: skip
ENCODING.add(
    "surrogates in UTF-8",
    Code.NOT_UTF8,
    "parse.check_letters",
    "CESU-8 that some readers take",
    _bytes(SUBJECT, b"\xed\xa0\xbd\xed\xb8\x80"),
)
ENCODING.add(
    "beyond Unicode",
    Code.NOT_UTF8,
    "parse.check_letters",
    "code points that do not exist",
    _bytes(SUBJECT, b"\xf4\x90\x80\x80"),
)
ENCODING.add(
    "a NUL", Code.NOT_XML, "parse.parse", "readers in C that end there", _bytes(SUBJECT, b"ab\x00cd")
)
ENCODING.add(
    "a character that XML forbids",
    Code.NOT_XML,
    "parse.parse",
    "readers that take it",
    _bytes(SUBJECT, b"ab\x0bcd"),
)
ENCODING.add(
    "a NUL by reference", Code.NOT_XML, "parse.parse", "readers that take it", _bytes(SUBJECT, b"ab&#0;cd")
)
ENCODING.add("two byte order marks", Code.NOT_XML, "parse.check_prolog", "text in front of the root", lambda forge: b"\xef\xbb\xbf\xef\xbb\xbf" + forge.good())  # fmt: skip
ENCODING.add("XML 1.1", Code.NOT_XML, "parse.check_declaration", "other line ends and control characters", lambda forge: replaced(forge.good(), 'version="1.0"', 'version="1.1"'), source="XML 1.1, section 2.11")  # fmt: skip
ENCODING.add("two documents in one", Code.NOT_XML, "parse.parse", "readers that stop at the first root, or go on", lambda forge: forge.good() + forge.good()[39:])  # fmt: skip
ENCODING.add("cut off", Code.NOT_XML, "parse.parse", "readers that mend", lambda forge: forge.good()[:-9])
ENCODING.add("bytes behind the root", Code.NOT_XML, "parse.parse", "polyglots: XML in front, an archive behind", lambda forge: forge.good() + b"PK\x05\x06" + b"\x01" * 18)  # fmt: skip
ENCODING.add(
    "HTML entities", Code.NOT_XML, "parse.parse", "readers that know them", _bytes(SUBJECT, b"a&nbsp;b")
)
ENCODING.add(
    "no document",
    Code.WRONG_ROOT,
    "parse.check_root",
    "anything that is XML",
    lambda _forge: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
)
ENCODING.add("the right name in another namespace", Code.WRONG_ROOT, "parse.check_root", "readers that look at local names",
             lambda forge: forge.good().replace(b"http://www.mic.gov.vn/TBT/QCVN_102_2016", b"http://www.mic.gov.vn/TBT/QCVN_102_2015"))  # fmt: skip

LOOKALIKE = Family(
    "look-alike codes", "Unicode Technical Standard 39; Boucher and Anderson, Trojan Source (CVE-2021-42574)"
)


def _code(to: str) -> Callable[[Forge], bytes]:
    return lambda forge: forge.edited(
        f"<edXML:To><edXML:OrganId>{RECIPIENT}<", f"<edXML:To><edXML:OrganId>{to}<"
    )


for _name, _written in (
    ("Cyrillic En for H", "\u041d98"),
    ("Greek Eta for H", "\u039798"),
    ("full-width letters", "\uff289\uff18"),
    ("Arabic digits", "H\u0669\u0668"),
    ("mathematical digits", "H\U0001d7e1\U0001d7e0"),
    ("a decomposed letter", "H98\u0323"),
    ("a zero-width space", "H\u200b98"),
    ("a soft hyphen", "H\u00ad98"),
    ("right-to-left override", "\u202e89H"),
    ("a directional mark", "H98\u200e"),
    ("lower case", "h98"),
    ("a space in front", " H98"),
    ("a line break behind", "H98\n"),
    ("a no-break space behind", "H98\u00a0"),
    ("a tab inside by reference", "H&#9;98"),
    ("two codes in one", "H98,H98.01"),
    ("a pattern for all", "#"),
    ("forty letters", "H98." + "0" * 36),
):
    LOOKALIKE.add(
        _name,
        Code.BAD_CODE,
        "codes.normal_form",
        "a code that looks like another's, or routes like it",
        _code(_written),
    )
LOOKALIKE.add("right-to-left override in the document's id", Code.BAD_VALUE, "fields.identity_of", "a line of a log or a receipt that reads another way",
              lambda forge: forge.edited(f"<edXML:DocumentId>{SENDER}", f"<edXML:DocumentId>\u202e{SENDER}"), source="CVE-2021-42574")  # fmt: skip
LOOKALIKE.add("a line break in the document's id", Code.BAD_VALUE, "fields.identity_of", "two lines of a log for one",
              lambda forge: forge.edited(f"<edXML:DocumentId>{SENDER}", f"<edXML:DocumentId>x\n{SENDER}"), source="CWE-117")  # fmt: skip
