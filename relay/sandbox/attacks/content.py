"""What is signed reads in two ways: comments and sections inside texts, namespaces, values that stand twice, files."""

# ruff: noqa: PLW0108 -- builders stand below what names them

from __future__ import annotations

import base64
import io
import warnings
import zipfile
from collections.abc import Callable
from typing import Final

from relay.errors import Code
from relay.sandbox.attacks.case import Family
from relay.sandbox.attacks.forge import (
    EDXML,
    RECIPIENT,
    SENDER,
    SUBJECT,
    THIRD,
    Forge,
    b64,
    between,
    inserted,
    replaced,
    spliced,
)

SPLITTING: Final = Family("splitting", "CVE-2017-11427 and CVE-2018-0489: comments inside a name")
NAMESPACES: Final = Family(
    "namespaces",
    "Jensen, Meyer, Somorovsky and Schwenk, On the Effectiveness of XML Schema Validation (2011)",
)
VALUES: Final = Family("values that stand twice", "docs/edxml.md; On Breaking SAML, section 4")
FILES: Final = Family("files", "Mainka, Mladenov and Rohlmann, Shadow Attacks (NDSS 2021)")
EXHAUSTION: Final = Family("exhaustion", "OWASP, XML Denial of Service; CWE-400")

_TO: Final = f">{RECIPIENT}<"
_FROM: Final = f"<edXML:From><edXML:OrganId>{SENDER}<"


def _after(old: str, new: str) -> Callable[[Forge], bytes]:
    """Change a good document; canonical XML does not see the change."""
    return lambda forge: replaced(forge.good(), old, new)


def _before(old: str, new: str) -> Callable[[Forge], bytes]:
    """The sender signs it so."""
    return lambda forge: forge.edited(old, new)


_SPLIT: Final = "a code that one reader takes whole and another in part"
SPLITTING.add("a comment put into a code after signing", Code.COMMENT_IN_TEXT, "parse.check_comments", _SPLIT, _after(_TO, f">{RECIPIENT[:2]}<!-- -->{RECIPIENT[2:]}<"))  # fmt: skip
SPLITTING.add("a comment put behind a code after signing", Code.COMMENT_IN_TEXT, "parse.check_comments", _SPLIT, _after(_TO, f">{RECIPIENT}<!-- --><"))  # fmt: skip
SPLITTING.add("a comment in a code that the sender signed", Code.COMMENT_IN_TEXT, "parse.check_comments", _SPLIT, _before(_TO, f">{RECIPIENT}<!---->.01<"))  # fmt: skip
SPLITTING.add("a comment in the subject", Code.COMMENT_IN_TEXT, "parse.check_comments", "a subject that a list cuts off", _after(SUBJECT, SUBJECT + "<!-- -->"))  # fmt: skip
SPLITTING.add("a comment in the digest", Code.COMMENT_IN_TEXT, "parse.check_comments", "which of two digests is compared", lambda forge: forge.with_recipe(digest_text=lambda text: "<!--x-->" + text), source="CVE-2025-29775")  # fmt: skip
SPLITTING.add("a comment that hides a digest in SignedInfo", Code.SIGNATURE_MALFORMED, "signature.check_bare", "which of two digests is compared", lambda forge: forge.with_recipe(more_info="<!-- <DigestValue>AAAA</DigestValue> -->"), source="CVE-2025-29775")  # fmt: skip
SPLITTING.add("an instruction inside a code", Code.PI_FORBIDDEN, "parse.check_instructions", _SPLIT, _before(_TO, f">{RECIPIENT}<?x?>.01<"))  # fmt: skip
SPLITTING.add("an instruction between elements", Code.PI_FORBIDDEN, "parse.check_instructions", "instructions that act on a reader", lambda forge: forge.with_insert("<edXML:To>", "<?route H01?>"))  # fmt: skip
SPLITTING.add("an element inside a code", Code.BAD_CODE, "fields.organ_code", _SPLIT, _before(_TO, f">{RECIPIENT}<edXML:x></edXML:x>.01<"))  # fmt: skip
SPLITTING.add("a second code inside a part of From", Code.DUPLICATE_VALUE, "fields.organ_code", "readers that look for the code at any depth", _before(f"{_FROM}/edXML:OrganId>", f"{_FROM}/edXML:OrganId><edXML:Parent><edXML:OrganId>{THIRD}</edXML:OrganId></edXML:Parent>"))  # fmt: skip
SPLITTING.add("an element inside the document's id", Code.BAD_VALUE, "fields.text_of", "an id that one reader takes whole and another in part", _before("<edXML:DocumentId>", "<edXML:DocumentId><edXML:x></edXML:x>"))  # fmt: skip
SPLITTING.add("a section that hides markup in a code", Code.BAD_CODE, "codes.normal_form", "readers that unpack sections twice", _before(_TO, f"><![CDATA[{RECIPIENT}</edXML:OrganId>]]><"))  # fmt: skip


# --- namespaces

_ALIEN: Final = "urn:x"
NAMESPACES.add("the prefix bound anew around To", Code.NO_RECIPIENT, "format._recipients", "readers that look at prefixes", _before("<edXML:To>", f'<edXML:To xmlns:edXML="{_ALIEN}">'))  # fmt: skip
NAMESPACES.add("a second From in another namespace", Code.DUPLICATE_VALUE, "fields.check_single", "readers that look at local names", lambda forge: forge.with_insert("<edXML:From>", f'<x:From xmlns:x="{_ALIEN}"><x:OrganId>{THIRD}</x:OrganId></x:From>'), source="docs/edxml.md")  # fmt: skip
NAMESPACES.add("a second OrganId in no namespace", Code.DUPLICATE_VALUE, "fields.check_single", "readers that look at local names", lambda forge: forge.with_insert(f"<edXML:OrganId>{SENDER}<", f'<OrganId xmlns="">{THIRD}</OrganId>'))  # fmt: skip
NAMESPACES.add("the header in no namespace", Code.MISSING_VALUE, "fields.Parts.need", "readers that look at local names", lambda forge: _in_no_namespace(forge))  # fmt: skip
NAMESPACES.add("a type named by a prefix", Code.HIDDEN_NAMESPACE, "content.check_types", "exclusive C14N does not sign what the prefix is bound to", _before("<edXML:To>", f'<edXML:To xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="edXML:{RECIPIENT}">'), source="Exclusive XML Canonicalization 1.0, section 1.3; Schema Part 1, section 2.6.1")  # fmt: skip
NAMESPACES.add("an id that stands twice", Code.FOREIGN_ID, "content.check_ids", "readers that find what is signed by its id", lambda forge: forge.sign(replaced(replaced(forge.unsigned(), "<edXML:To>", '<edXML:To Id="x">'), "<edXML:From>", '<edXML:From ID="x">')), source="W3C, xml:id 1.0, section 4")  # fmt: skip
NAMESPACES.add("a prefix that is not declared", Code.NOT_XML, "parse.parse", "readers that take it", lambda forge: forge.good().replace(b' xmlns:edXML="' + EDXML.encode() + b'"', b""))  # fmt: skip
NAMESPACES.add("the prefix bound to another namespace", Code.SIGNATURE_MISPLACED, "signature.check_place", "readers that look at prefixes", lambda forge: replaced(forge.good(), f'xmlns:edXML="{EDXML}"', f'xmlns:edXML="{_ALIEN}"'))  # fmt: skip
NAMESPACES.add("xml bound to something else", Code.NOT_XML, "parse.parse", "xml:lang and xml:id that mean another thing", lambda forge: replaced(forge.good(), "<edXML:To>", f'<edXML:To xmlns:xml="{_ALIEN}">'), source="Namespaces in XML 1.0, section 3")  # fmt: skip
NAMESPACES.add("xmlns bound", Code.NOT_XML, "parse.parse", "declarations that are attributes to one reader", lambda forge: replaced(forge.good(), "<edXML:To>", f'<edXML:To xmlns:xmlns="{_ALIEN}">'), source="Namespaces in XML 1.0, section 3")  # fmt: skip
NAMESPACES.add("a name relative to nothing", Code.DIGEST_MISMATCH, "verifier.check_digest", "canonical XML refuses it, some engines do not", lambda forge: replaced(forge.good(), "<AttachmentEncoded>", '<x xmlns="relative"></x><AttachmentEncoded>'), source="Canonical XML 1.0, section 1.3")  # fmt: skip
NAMESPACES.add("an attribute twice under two prefixes", Code.NOT_XML, "parse.parse", "which of the two is read", lambda forge: replaced(forge.good(), "<edXML:To>", f'<edXML:To xmlns:a="{_ALIEN}" xmlns:b="{_ALIEN}" a:x="1" b:x="2">'), source="Namespaces in XML 1.0, section 6.3")  # fmt: skip
NAMESPACES.add("the signature in a namespace that looks the same", Code.UNSIGNED, "signature.check_signed", "readers that look at local names", lambda forge: forge.good().replace(b"http://www.w3.org/2000/09/xmldsig#", b"http://www.w3.org/2000/09/xmldsig"))  # fmt: skip
NAMESPACES.add("an attribute of another namespace in the signature", Code.SIGNATURE_MALFORMED, "signature.check_bare", "attributes that one engine reads and another does not", lambda forge: forge.with_recipe(attributes=f' xmlns:x="{_ALIEN}" x:Id="s"'))  # fmt: skip


def _in_no_namespace(forge: Forge) -> bytes:
    body = forge.unsigned()
    body = replaced(body, "<edXML:MessageHeader>", '<MessageHeader xmlns="">')
    body = replaced(body, "</edXML:MessageHeader>", "</MessageHeader>")
    return forge.sign(body)


# --- values

VALUES.add("two OrganId in From", Code.DUPLICATE_VALUE, "fields.check_single", "which sender is meant", lambda forge: forge.with_insert(f"<edXML:OrganId>{SENDER}<", f"<edXML:OrganId>{THIRD}</edXML:OrganId>"))  # fmt: skip
VALUES.add("two OrganId in To", Code.DUPLICATE_VALUE, "fields.check_single", "which recipient is meant", lambda forge: forge.with_insert(f"<edXML:OrganId>{RECIPIENT}<", f"<edXML:OrganId>{THIRD}</edXML:OrganId>"))  # fmt: skip
VALUES.add("two From", Code.DUPLICATE_VALUE, "fields.check_single", "which sender is meant", lambda forge: forge.with_insert("<edXML:To>", f"<edXML:From><edXML:OrganId>{THIRD}</edXML:OrganId></edXML:From>"))  # fmt: skip
VALUES.add("two MessageHeader", Code.DUPLICATE_VALUE, "fields.check_single", "which header is meant", lambda forge: forge.with_insert("<edXML:MessageHeader>", f"<edXML:MessageHeader><edXML:From><edXML:OrganId>{THIRD}</edXML:OrganId></edXML:From></edXML:MessageHeader>"))  # fmt: skip
VALUES.add("two DocumentId", Code.DUPLICATE_VALUE, "fields.check_single", "which document a status speaks of", lambda forge: forge.with_insert("<edXML:DocumentId>", "<edXML:DocumentId>x</edXML:DocumentId>"))  # fmt: skip
VALUES.add("an empty DocumentId", Code.EMPTY_DOCUMENT_ID, "format._document", "a document that no status can name", lambda forge: forge.good(document_id=""))  # fmt: skip
VALUES.add("no From", Code.MISSING_VALUE, "fields.Parts.need", "a document of nobody", lambda forge: _left_out(forge, b"<edXML:From>", b"</edXML:From>"))  # fmt: skip
VALUES.add("no DocumentId", Code.MISSING_VALUE, "fields.Parts.need", "a document that no status can name", lambda forge: _left_out(forge, b"<edXML:DocumentId>", b"</edXML:DocumentId>"))  # fmt: skip
VALUES.add("no MessageHeader", Code.MISSING_VALUE, "fields.Parts.need", "a document of nobody", lambda forge: _left_out(forge, b"<edXML:MessageHeader>", b"</edXML:MessageHeader>"))  # fmt: skip
VALUES.add(
    "no recipient",
    Code.NO_RECIPIENT,
    "format._recipients",
    "a document for nobody",
    lambda forge: forge.good(to=()),
)
VALUES.add("a subject of forty thousand letters", Code.BAD_VALUE, "fields.text_of", "what stands for long text is read in its place", lambda forge: forge.good(subject="A" * 40_000), source="CWE-400")  # fmt: skip
VALUES.add("an endless DocumentId", Code.BAD_VALUE, "fields.text_of", "memory, logs and listings", lambda forge: forge.good(document_id="x" * 5000), source="CWE-400")  # fmt: skip
VALUES.add("an odd BussinessDocType", Code.BAD_DOCUMENT_TYPE, "format._business_type", "a revocation that one reader sees and another does not", _before("<edXML:BussinessDocType>0<", "<edXML:BussinessDocType>01<"))  # fmt: skip


def _left_out(forge: Forge, start: bytes, end: bytes) -> bytes:
    body = forge.unsigned()
    return forge.sign(replaced(body, between(body, start, end), b""))


# --- files

_PAYLOAD: Final = b"0123456789" * 20


def _swapped(
    change: Callable[[bytes], bytes], content: Callable[[], bytes], name: str
) -> Callable[[Forge], bytes]:
    """A document whose attachment is another one than was signed."""

    def build(forge: Forge) -> bytes:
        true = content()
        body = forge.good(files=((name, true),))
        return replaced(body, b64(true), b64(change(true)))

    return build


def pdf() -> bytes:
    """Return a PDF of no page."""
    return b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def _zip(*entries: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two entries of one name are meant
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def archive() -> bytes:
    """Return an archive of one file."""
    return _zip(("a.txt", _PAYLOAD))


_UPDATE: Final = b"1 0 obj<</Type/Catalog/Pages 3 0 R>>endobj\ntrailer<</Root 1 0 R/Prev 0>>\n%%EOF\n"


def pdf_update() -> bytes:
    """Return what an incremental update of that PDF appends: another catalogue."""
    return _UPDATE


_DIGEST: Final = Code.DIGEST_MISMATCH
FILES.add("a PDF with an update appended", _DIGEST, "verifier.check_digest", "shadow content: shown in the place of what was signed", _swapped(lambda true: true + _UPDATE, pdf, "cv.pdf"))  # fmt: skip
FILES.add("a PDF with bytes behind its end", _DIGEST, "verifier.check_digest", "universal signature forgery: readers that look elsewhere", _swapped(lambda true: true + b"%" * 40, pdf, "cv.pdf"), source="Mladenov and others, 1 Trillion Dollar Refund (CCS 2019)")  # fmt: skip
FILES.add("an archive with a second entry", _DIGEST, "verifier.check_digest", "which entry is unpacked", _swapped(lambda _true: _zip(("a.txt", _PAYLOAD), ("a.txt", b"other")), archive, "a.zip"), source="CVE-2013-4787 (master key)")  # fmt: skip
FILES.add("an archive that unpacks to a thousand times its size", _DIGEST, "verifier.check_digest", "memory and disk of who unpacks", _swapped(lambda _true: _zip(("a.txt", bytes(1_000_000))), archive, "a.zip"), source="CWE-409")  # fmt: skip
FILES.add("an archive whose entry leads out of its folder", _DIGEST, "verifier.check_digest", "files of who unpacks", _swapped(lambda _true: _zip(("../../a.txt", _PAYLOAD)), archive, "a.zip"), source="CVE-2018-1002200 (zip slip)")  # fmt: skip
FILES.add("an archive with another comment", _DIGEST, "verifier.check_digest", "one more spelling of the same files", _swapped(lambda true: true[:-2] + b"\x01\x00x", archive, "a.zip"))  # fmt: skip
FILES.add("a program in the place of a letter", _DIGEST, "verifier.check_digest", "whoever opens it", _swapped(lambda _true: b"MZ" + bytes(200), lambda: _PAYLOAD, "cv.txt"))  # fmt: skip
FILES.add("the file's name changed", _DIGEST, "verifier.check_digest", "a program that is named as a letter", lambda forge: replaced(forge.good(files=(("cv.txt", _PAYLOAD),)), "cv.txt", "cv.exe"))  # fmt: skip
FILES.add("a file more", _DIGEST, "verifier.check_digest", "a file that nobody signed", lambda forge: inserted(forge.good(), "</AttachmentEncoded>", "<Attachment><ContentId>cid:x</ContentId></Attachment>"))  # fmt: skip
FILES.add(
    "a file less",
    _DIGEST,
    "verifier.check_digest",
    "a letter without its annex",
    lambda forge: _without_files(forge),
)
FILES.add("the same octets in other lines of base64", _DIGEST, "verifier.check_digest", "two bodies that say the same", lambda forge: replaced(forge.good(files=(("a", _PAYLOAD),)), b64(_PAYLOAD)[:76], b64(_PAYLOAD)[:76] + "\n"), source="RFC 4648, section 3.1")  # fmt: skip


_BIG: Final = (
    bytes(range(256)) * 200,
    bytes(reversed(range(256))) * 200,
)  # beyond what is parsed with the rest
_FILES: Final = (("a.bin", _BIG[0]), ("b.bin", _BIG[1]))


def _big(change: Callable[[bytes], bytes]) -> Callable[[Forge], bytes]:
    return lambda forge: change(forge.good(files=_FILES))


def _both_swapped(body: bytes) -> bytes:
    first, second = (b64(each).encode() for each in _BIG)
    return body.replace(first, b"@@").replace(second, first).replace(b"@@", second)


FILES.add("a big attachment altered", _DIGEST, "verifier.check_digest", "bytes that are digested beside the parser", _big(lambda body: replaced(body, b64(_BIG[0])[-80:], "A" * 76 + b64(_BIG[0])[-4:])))  # fmt: skip
FILES.add("two big attachments swapped", _DIGEST, "verifier.check_digest", "which bytes stand at which place", _big(_both_swapped))  # fmt: skip
FILES.add("a big attachment cut short", _DIGEST, "verifier.check_digest", "bytes that are digested beside the parser", _big(lambda body: replaced(body, b64(_BIG[0])[-400:], "")))  # fmt: skip
FILES.add("a big attachment that stands for the other", _DIGEST, "verifier.check_digest", "the sign that stands for bytes taken for them", _big(lambda body: replaced(body, b64(_BIG[1]), "TrucBulkText00000000")))  # fmt: skip
FILES.add("markup inside a big attachment", _DIGEST, "verifier.check_digest", "what stands for the bytes hides markup", _big(lambda body: replaced(body, b64(_BIG[0])[-400:], "<x></x>" + b64(_BIG[0])[-400:])))  # fmt: skip


def _spelt(forge: Forge) -> bytes:
    """Signed: long text in an unknown element, and a file whose base64 is the sign for long text. Then they change places."""
    mark, text = "TrucBulkText00000000", b64(_BIG[0])[:40_000]
    body = forge.unsigned(files=(("a.bin", base64.b64decode(mark)),))
    signed = forge.sign(inserted(body, "<edXML:TraceHeaderList>", f"<edXML:Note>{text}</edXML:Note>"))
    turned = replaced(signed, f">{mark}<", f">{text}<")
    return replaced(turned, f"<edXML:Note>{text}<", f"<edXML:Note>&#84;{mark[1:]}<")


FILES.add("the sign that stands for bytes spelt by a reference", _DIGEST, "verifier.check_digest", "a file that was signed as something else", _spelt)  # fmt: skip


def _in_comment(body: bytes) -> bytes:
    text = b64(_BIG[0])
    return inserted(
        replaced(body, text, "&#84;rucBulkText00000000"), "<edXML:MessageHeader>", f"<!-- >{text}< -->"
    )


FILES.add("the sign spelt in the place of a big attachment, its bytes in a comment", _DIGEST, "verifier.check_digest", "bytes digested that stand where nobody reads", _big(_in_comment))  # fmt: skip


FILES.add("a long text of base64 letters that is no attachment", Code.TOO_COMPLEX, "parse.check_texts", "the sign that stands for bytes read as a text", lambda forge: forge.with_insert("<edXML:TraceHeaderList>", f"<edXML:Note>{'QUJD' * 25_000}</edXML:Note>"))  # fmt: skip


def _without_files(forge: Forge) -> bytes:
    body = forge.good()
    start, end = body.index(b"<AttachmentEncoded>"), body.index(b"</AttachmentEncoded>")
    return body[:start] + body[end + len(b"</AttachmentEncoded>") :]


# --- exhaustion


def _nested(depth: int, *, signed: bool) -> Callable[[Forge], bytes]:
    def build(forge: Forge) -> bytes:
        body = inserted(
            forge.unsigned(), "<edXML:TraceHeaderList>", b"<edXML:A>" * depth + b"</edXML:A>" * depth
        )
        return forge.sign(body) if signed else spliced(body, forge.seal(forge.unsigned()))

    return build


def _stuffed(piece: Callable[[], bytes]) -> Callable[[Forge], bytes]:
    """A good document with something put in: what is not taken in time costs."""
    return lambda forge: inserted(forge.good(), "<edXML:TraceHeaderList>", piece())


def _signed(piece: Callable[[], bytes]) -> Callable[[Forge], bytes]:
    """The sender signs it: nothing but the limit stops it."""
    return lambda forge: forge.sign(inserted(forge.unsigned(), "<edXML:TraceHeaderList>", piece()))


def _attributes(count: int) -> bytes:
    return b"<a" + b"".join(b" b%d='1'" % n for n in range(count)) + b"></a>"


_MEMORY: Final = "memory: an element costs a hundred bytes and more"
EXHAUSTION.add("forty levels", Code.TOO_DEEP, "parse.check_depth", "recursion", _nested(40, signed=True))
EXHAUSTION.add("nine thousand levels", Code.TOO_DEEP, "parse.parse", "the parser's and our own stack", _nested(9000, signed=False), source="CWE-674")  # fmt: skip
EXHAUSTION.add("ninety thousand elements", Code.TOO_COMPLEX, "parse.check_markup", _MEMORY, _stuffed(lambda: b"<a/>" * 90_000))  # fmt: skip
EXHAUSTION.add("thirty thousand elements, signed", Code.TOO_COMPLEX, "parse.check_elements", _MEMORY, _signed(lambda: b"<a></a>" * 30_000))  # fmt: skip
EXHAUSTION.add("ninety thousand empty sections, signed", Code.TOO_COMPLEX, "parse.check_markup", "time, and texts in pieces", _signed(lambda: b"<a>" + b"<![CDATA[]]>" * 90_000 + b"</a>"))  # fmt: skip
EXHAUSTION.add("thirty thousand attributes at one element", Code.TOO_COMPLEX, "parse.check_equals", "time: canonical XML sorts them", _stuffed(lambda: _attributes(30_000)))  # fmt: skip
EXHAUSTION.add("twenty-five thousand attributes, sixty at an element", Code.TOO_COMPLEX, "parse.check_equals", "time: canonical XML looks each name up", _signed(lambda: _attributes(60) * 420))  # fmt: skip
EXHAUSTION.add("a hundred attributes at one element, signed", Code.TOO_COMPLEX, "parse.check_attributes", "time: canonical XML sorts them", _signed(lambda: _attributes(100)))  # fmt: skip
EXHAUSTION.add("names of attributes that fall together", Code.TOO_COMPLEX, "parse.check_equals", "time: a table of names that degenerates", _stuffed(lambda: b"<a" + b"".join(b" c%x='1'" % (n * 65536) for n in range(21_000)) + b"/>"), source="CVE-2012-0841")  # fmt: skip
EXHAUSTION.add("an attribute of a hundred kilobytes, signed", Code.TOO_COMPLEX, "parse.check_texts", "memory", _signed(lambda: b'<a b="' + b"x" * 100_000 + b'"></a>'))  # fmt: skip
EXHAUSTION.add("a text of a megabyte, signed", Code.TOO_COMPLEX, "parse.check_texts", "memory: texts are copied into the view", _signed(lambda: b"<a>" + b"x" * 1_000_000 + b"</a>"))  # fmt: skip
EXHAUSTION.add("a subject of a megabyte", Code.TOO_COMPLEX, "parse.check_texts", "memory: texts are copied into the view", lambda forge: forge.good(subject="x" * 1_000_000))  # fmt: skip
EXHAUSTION.add("ten thousand comments in a text", Code.COMMENT_IN_TEXT, "parse.check_comments", "time", _stuffed(lambda: b"<a>" + b"x<!-- -->" * 10_000 + b"</a>"))  # fmt: skip
EXHAUSTION.add("a tag without an end", Code.NOT_XML, "parse.parse", "scanners that go back", _stuffed(lambda: b"<a " * 5_000))  # fmt: skip
EXHAUSTION.add("a comment without an end", Code.NOT_XML, "parse.check_prolog", "scanners that go back", lambda _forge: b"<!--" + b"- -" * 100_000)  # fmt: skip
EXHAUSTION.add("a declaration without an end", Code.NOT_XML, "parse._behind_declaration", "scanners that go on", lambda _forge: b"<?xml " + b"version " * 50_000)  # fmt: skip
