"""The profile ``manifest``: the envelope is signed, attachments hang on it by their digests alone."""

# ruff: noqa: PLW0108 -- builders stand below what names them

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from relay.errors import Code
from relay.sandbox.attacks.canonical import canonical
from relay.sandbox.attacks.case import Family, Shot
from relay.sandbox.attacks.content import archive, pdf, pdf_update
from relay.sandbox.attacks.forge import (
    DS,
    ENC,
    RECIPIENT,
    THIRD,
    Forge,
    Letter,
    Recipe,
    b64,
    between,
    inserted,
    replaced,
    spliced,
)

FAMILY: Final = Family(
    "manifest profile", "docs/protocol.md, Big attachments; XML Signature 1.1, section 5.1"
)
ENVELOPE: Final = b"<edXML:edXMLEnvelope ", b"</edXML:edXMLEnvelope>"
_A, _B = b"0123456789" * 30, b"abcdefghij" * 30
_LINE_END: Final = "</edXML:Reference>"
_PAYLOAD: Final = "ContentTransferEncoded"
_BIG: Final = 40_000  # octets: beyond what is taken out of a body before it is parsed

Change = Callable[[bytes], bytes]


def lined(octets: bytes, *, name: str = "sha256", uri: str = "") -> str:
    """Return the digest of an attachment as its line carries it."""
    digest = b64(hashlib.new(name, octets, usedforsecurity=False).digest())
    return (
        f'<ds:DigestMethod xmlns:ds="{DS}" Algorithm="{uri or ENC + "sha256"}"></ds:DigestMethod>'
        f'<ds:DigestValue xmlns:ds="{DS}">{digest}</ds:DigestValue>'
    )


def prepared(forge: Forge, files: tuple[tuple[str, bytes], ...] = (("a.txt", _A), ("b.txt", _B))) -> bytes:
    """Return an unsigned package with an id on its envelope and a digest in each line."""
    body = replaced(
        forge.unsigned(files=files), "<edXML:edXMLEnvelope ", '<edXML:edXMLEnvelope Id="van-ban" '
    )
    head, *rest = body.split(_LINE_END.encode())
    for (_, content), part in zip(files, rest, strict=True):
        head += lined(content).encode() + _LINE_END.encode() + part
    return head


def sealed(forge: Forge, body: bytes, uri: str = "#van-ban", recipe: Recipe | None = None) -> bytes:
    """Sign the envelope of a package."""
    envelope = between(body, *ENVELOPE)
    chosen = replace(recipe or Recipe(), reference=f' URI="{uri}"', content=canonical(envelope))
    return spliced(body, forge.seal(body, recipe=chosen))


def _after(change: Change, **how: Any) -> Callable[[Forge], bytes]:  # noqa: ANN401
    """Change what no signature covers."""
    return lambda forge: change(sealed(forge, prepared(forge, **how)))


def _before(change: Change, **how: Any) -> Callable[[Forge], bytes]:  # noqa: ANN401
    """The sender signs it so."""
    return lambda forge: sealed(forge, change(prepared(forge, **how)))


def _put(before: str, piece: str) -> Change:
    return lambda body: inserted(body, before, piece)


def _set(old: str, new: str) -> Change:
    return lambda body: replaced(body, old, new)


def _outside(old: str, new: str) -> Change:
    """Replace the first occurrence behind the envelope."""

    def change(body: bytes) -> bytes:
        at = body.index(b"</edXML:edXMLEnvelope>")
        return body[:at] + replaced(body[at:], old, new)

    return change


def _attachment(number: int, content: bytes, extra: str = "") -> str:
    return (
        f"<Attachment><ContentId>cid:attachment-{number}</ContentId>{extra}"
        f"<{_PAYLOAD}>{b64(content)}</{_PAYLOAD}></Attachment>"
    )


def _swapped(body: bytes) -> bytes:
    first, second = b64(_A).encode(), b64(_B).encode()
    return body.replace(first, b"@@").replace(second, first).replace(b"@@", second)


def _removed(body: bytes) -> bytes:
    return replaced(body, between(body, b"<Attachment>", b"</Attachment>"), b"")


def _doubled(body: bytes) -> bytes:
    one = between(body, b"<Attachment>", b"</Attachment>")
    return replaced(body, one, one * 2)


def _no_holder(body: bytes) -> bytes:
    return replaced(body, between(body, b"<AttachmentEncoded>", b"</AttachmentEncoded>"), b"")


def _two_holders(body: bytes) -> bytes:
    return replaced(
        body,
        b"</Attachment><Attachment>",
        b"</Attachment></AttachmentEncoded><AttachmentEncoded><Attachment>",
    )


def _unpacked(forge: Forge) -> bytes:
    """The digest is over what the archive holds, the archive is another one that holds the same."""
    packed = archive()
    body = replaced(
        forge.unsigned(files=(("a.zip", packed),)),
        "<edXML:edXMLEnvelope ",
        '<edXML:edXMLEnvelope Id="van-ban" ',
    )
    return sealed(forge, inserted(body, _LINE_END, lined(b"0123456789" * 20)))


def _over_text(forge: Forge) -> bytes:
    """The digest is over the base64, not over what it holds."""
    body = replaced(
        forge.unsigned(files=(("a.txt", _A),)), "<edXML:edXMLEnvelope ", '<edXML:edXMLEnvelope Id="van-ban" '
    )
    return sealed(forge, inserted(body, _LINE_END, lined(b64(_A).encode())))


def _weak(name: str, uri: str) -> Callable[[Forge], bytes]:
    def build(forge: Forge) -> bytes:
        body = replaced(
            forge.unsigned(files=(("a.txt", _A),)),
            "<edXML:edXMLEnvelope ",
            '<edXML:edXMLEnvelope Id="van-ban" ',
        )
        return sealed(forge, inserted(body, _LINE_END, lined(_A, name=name, uri=uri)))

    return build


def _whole_wrapped(forge: Forge) -> bytes:
    """The signed envelope moved into a false package, whose own envelope comes first."""
    signed = between(sealed(forge, prepared(forge)), *ENVELOPE)
    false = forge.unsigned(to=(THIRD,), files=())
    return inserted(false, "</edXML>", signed)


def _envelope_in_attachments(forge: Forge) -> bytes:
    """A false envelope in front, the signed one where attachments stand, both with the id."""
    signed = between(sealed(forge, prepared(forge)), *ENVELOPE)
    false = replaced(prepared(forge), f">{RECIPIENT}<", f">{THIRD}<")
    return inserted(false, "<AttachmentEncoded>", signed)


def _unlisted(forge: Forge) -> bytes:
    """A package without any line, and an attachment."""
    body = sealed(forge, prepared(forge, ()))
    return inserted(body, "</edXML>", f"<AttachmentEncoded>{_attachment(1, _A)}</AttachmentEncoded>")


def _by_whole(change: Change) -> Callable[[Forge], bytes]:
    """Signed whole with the digests there: a reader of either profile."""
    return lambda forge: change(forge.sign(prepared(forge)))


def _big(change: Change) -> Callable[[Forge], bytes]:
    """An attachment so big that it is taken out before the parser sees it."""
    return _after(change, files=(("a.bin", bytes(range(256)) * (_BIG // 256)), ("b.txt", _B)))


def _big_text() -> str:
    return base64.b64encode(bytes(range(256)) * (_BIG // 256)).decode()


def _in_the_middle(piece: str) -> Change:
    text = _big_text()
    return _set(text, text[:20_000] + piece + text[20_000:])


def _hidden_before(mark: str) -> Change:
    """Long text where no attachment is: what stands for it must not be taken for one."""
    return lambda body: inserted(body, "<AttachmentEncoded>", f"<x>{mark}</x>")


_UNSIGNED: Final = Code.UNSIGNED_CONTENT
_LISTED: Final = Code.MANIFEST_MALFORMED
_PAIRS: Final = Code.ATTACHMENT_MISMATCH
_ALTERED: Final = Code.ATTACHMENT_ALTERED
_NEW: Final = "something that nobody signed and every reader shows"
_OTHER: Final = "a file in the place of the one that was signed"
_WHICH: Final = "which of two readings a reader takes"

# attachments
FAMILY.add("an attachment altered", _ALTERED, "manifest.check_payload", _OTHER, _after(_outside(b64(_A), b64(_A[:-1] + b"0"))))  # fmt: skip
FAMILY.add("two attachments swapped", _ALTERED, "manifest.check_payload", _OTHER, _after(_swapped))
FAMILY.add("a PDF with an update appended", _ALTERED, "manifest.check_payload", "shadow content: shown in the place of what was signed", lambda forge: _outside(b64(pdf()), b64(pdf() + pdf_update()))(sealed(forge, prepared(forge, (("cv.pdf", pdf()),)))), source="Mainka, Mladenov and Rohlmann, Shadow Attacks (NDSS 2021)")  # fmt: skip
FAMILY.add("a digest over what an archive holds", _ALTERED, "manifest.check_payload", "another archive that holds the same, and more", _unpacked, source="CVE-2013-4787 (two readers of one archive)")  # fmt: skip
FAMILY.add("a digest over the base64", _ALTERED, "manifest.check_payload", "readers that take the digest over another spelling", _over_text)  # fmt: skip
FAMILY.add("an attachment added", _PAIRS, "manifest.check_pairs", _NEW, _after(_put("</AttachmentEncoded>", _attachment(9, _A))))  # fmt: skip
FAMILY.add("an attachment where none was signed", _PAIRS, "manifest.check_pairs", _NEW, _unlisted)
FAMILY.add(
    "an attachment removed", _PAIRS, "manifest.check_pairs", "a letter without its annex", _after(_removed)
)
FAMILY.add(
    "all attachments removed",
    _PAIRS,
    "manifest.check_pairs",
    "a letter without its annexes",
    _after(_no_holder),
)
FAMILY.add("an attachment that stands twice", _PAIRS, "manifest.check_pairs", _WHICH, _after(_doubled))
FAMILY.add("the same file twice under two ids, one signed", _PAIRS, "manifest.check_pairs", _NEW, _after(_put("</AttachmentEncoded>", _attachment(9, _A))))  # fmt: skip
FAMILY.add("another content id", _PAIRS, "manifest.check_pairs", "a file that hangs on another line", _after(_outside("cid:attachment-1", "cid:attachment-7")))  # fmt: skip
FAMILY.add("the file's name changed", _PAIRS, "manifest.check_description", "a program that is named as a letter", _after(_outside("a.txt", "a.exe")))  # fmt: skip
FAMILY.add("the file's type changed", _PAIRS, "manifest.check_description", "a reader that obeys the type", _after(_outside("text/plain", "text/html")))  # fmt: skip
FAMILY.add("text that is no base64", _ALTERED, "verifier._attached", "readers that skip letters", _after(_outside(b64(_A), b64(_A)[:8] + "*" + b64(_A)[8:])), source="RFC 4648, section 3.3")  # fmt: skip
FAMILY.add("base64 that goes on behind its end", _ALTERED, "verifier._attached", "readers that stop at the padding, and readers that do not", _after(_outside(b64(_A), b64(_A[:-1]) + b64(_A[-1:]))), source="RFC 4648, section 3.3")  # fmt: skip
FAMILY.add("base64 without its padding", _ALTERED, "verifier._attached", "two bodies that say the same", lambda forge: _unpadded(forge), source="RFC 4648, section 3.2")  # fmt: skip
FAMILY.add("loose bits at the end of base64", _ALTERED, "verifier._attached", "two bodies that say the same", lambda forge: _loose_end(forge), source="RFC 4648, section 3.5")  # fmt: skip


def _goes_on(forge: Forge) -> bytes:
    """Two base64 texts one behind the other, the first of which ends where a piece ends; digested as one."""
    first, second = bytes(786_431), b"xyz"
    body = sealed(forge, prepared(forge, (("a.bin", first + second),)))
    return _outside(b64(first + second), b64(first) + b64(second))(body)


def _unpadded(forge: Forge) -> bytes:
    text = b64(_A[:298])
    return _outside(text, text.rstrip("="))(sealed(forge, prepared(forge, (("a.txt", _A[:298]),))))


def _sign_in_envelope(forge: Forge) -> bytes:
    """The envelope holds an element of bytes with the sign in it; what came to stand there is long."""
    held = f"<edXML:{_PAYLOAD}>TrucBulkText00000000</edXML:{_PAYLOAD}>"
    signed = sealed(forge, inserted(prepared(forge), "<edXML:TraceHeaderList>", held))
    return replaced(signed, "TrucBulkText00000000", "A" * _BIG)


def _loose_end(forge: Forge) -> bytes:
    content = _A[:298]  # one octet in the last group: four bits are loose
    text = b64(content)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-3] + alphabet[alphabet.index(text[-3]) ^ 1] + "=="
    return _outside(text, other)(sealed(forge, prepared(forge, (("a.txt", content),))))


# what stands beside the envelope
FAMILY.add("something new beside the envelope", _UNSIGNED, "manifest.check_root_children", _NEW, _after(_put("<AttachmentEncoded>", "<Note>x</Note>")))  # fmt: skip
FAMILY.add("a second envelope behind", Code.SIGNATURE_MISPLACED, "signature.check_place", _WHICH, _whole_wrapped)  # fmt: skip
FAMILY.add("the signed envelope among the attachments, a false one in front", Code.SIGNATURE_MISPLACED, "signature.check_place", _WHICH, _envelope_in_attachments)  # fmt: skip
FAMILY.add(
    "two holders of attachments", _UNSIGNED, "manifest.check_root_children", _WHICH, _after(_two_holders)
)
FAMILY.add("an attribute of the root", _UNSIGNED, "manifest.check_no_attributes", _NEW, _after(_set("<edXML xmlns", '<edXML version="2" xmlns')))  # fmt: skip
FAMILY.add("an attribute of an attachment", _UNSIGNED, "manifest.check_no_attributes", _NEW, _after(_set("<Attachment>", '<Attachment hidden="1">')))  # fmt: skip
FAMILY.add("an attribute of the bytes", _UNSIGNED, "manifest.check_no_attributes", "another transfer encoding that a reader obeys", _after(_outside("<edXML:ContentTransferEncoded ", '<edXML:ContentTransferEncoded encoding="hex" ')))  # fmt: skip
FAMILY.add("text beside the envelope", _UNSIGNED, "manifest.check_no_text", _NEW, _after(_put("<AttachmentEncoded>", "Kèm theo")))  # fmt: skip
FAMILY.add("text between attachments", _UNSIGNED, "manifest.check_no_text", _NEW, _after(_put("</AttachmentEncoded>", "Kèm theo")))  # fmt: skip
FAMILY.add("a comment among the attachments", _UNSIGNED, "manifest.check_no_comments", _NEW, _after(_put("<Attachment>", "<!-- x -->")))  # fmt: skip
FAMILY.add("a comment behind the root", _UNSIGNED, "manifest.check_no_comments", _NEW, _after(lambda body: body.rstrip() + b"<!-- x -->"))  # fmt: skip
FAMILY.add("an instruction in front of the root", Code.UNSIGNED_CONTENT, "manifest.check_no_comments", "instructions that act on a reader", _after(_put("<edXML ", '<?xml-stylesheet href="http://127.0.0.1:9/"?>')))  # fmt: skip
FAMILY.add("something else in an attachment", _UNSIGNED, "manifest.check_attachment", _NEW, _after(_put("</Attachment>", "<Note>x</Note>")))  # fmt: skip
FAMILY.add("the bytes twice in an attachment", _UNSIGNED, "manifest.check_attachment", _WHICH, _after(_put("</Attachment>", f"<{_PAYLOAD}>{b64(_B)}</{_PAYLOAD}>")))  # fmt: skip
FAMILY.add("elements inside the bytes", _UNSIGNED, "manifest.check_attachment", "readers that join texts", _after(_outside(b64(_A), b64(_A)[:40] + "<x></x>" + b64(_A)[40:])))  # fmt: skip
FAMILY.add("something that is no attachment among them", _UNSIGNED, "manifest.check_attachment", _NEW, _after(_put("</AttachmentEncoded>", "<Note>x</Note>")))  # fmt: skip
FAMILY.add("an attachment under another name", _UNSIGNED, "manifest.check_attachment", _NEW, _after(_put("</AttachmentEncoded>", _attachment(9, _A).replace("Attachment>", "Annex>"))))  # fmt: skip

# ids and references
FAMILY.add("a second id inside the envelope", Code.FOREIGN_ID, "manifest.check_one_id", "readers that find the signed part by another id", _before(_set("<edXML:edXMLBody>", '<edXML:edXMLBody Id="van-ban-2">')), source="CVE-2021-28091")  # fmt: skip
FAMILY.add("a second id in another spelling", Code.FOREIGN_ID, "manifest.check_one_id", "readers that know xml:id, ID or id", _before(_set("<edXML:edXMLBody>", '<edXML:edXMLBody xml:id="x">')), source="W3C, xml:id 1.0")  # fmt: skip
FAMILY.add("the same id twice", Code.FOREIGN_ID, "manifest.check_one_id", _WHICH, _before(_set("<edXML:edXMLBody>", '<edXML:edXMLBody Id="van-ban">')), source="On Breaking SAML, section 4")  # fmt: skip
FAMILY.add("a reference to another part", Code.FOREIGN_REFERENCE, "manifest.check_envelope", "a part is signed, the whole is read", lambda forge: sealed(forge, replaced(prepared(forge), ' Id="van-ban"', "").replace(b"<edXML:MessageHeader>", b'<edXML:MessageHeader Id="van-ban">')))  # fmt: skip
FAMILY.add("a reference to an id that is not there", Code.FOREIGN_REFERENCE, "manifest.check_envelope", "engines that digest nothing", lambda forge: sealed(forge, prepared(forge), "#other"))  # fmt: skip
FAMILY.add("an id in another attribute", Code.FOREIGN_REFERENCE, "manifest.check_envelope", "readers that know one spelling", lambda forge: sealed(forge, replaced(prepared(forge), ' Id="van-ban"', ' ID="van-ban"')))  # fmt: skip
FAMILY.add("the envelope altered", Code.DIGEST_MISMATCH, "verifier.check_digest", "content changed after signing", _after(_set("phối hợp", "phân công")))  # fmt: skip
FAMILY.add("a digest of a line altered", Code.DIGEST_MISMATCH, "verifier.check_digest", _OTHER, _after(lambda body: replaced(body, lined(_A), lined(_B))))  # fmt: skip
FAMILY.add("an attachment altered in a package signed whole", Code.DIGEST_MISMATCH, "verifier.check_digest", "readers that take digests in the lines for the profile", _by_whole(_outside(b64(_A), b64(_A[:-1] + b"0"))))  # fmt: skip
FAMILY.add("the profile in a status", Code.FOREIGN_REFERENCE, "signature.check_uri", "a status that is signed in part", lambda forge: _status(forge))  # fmt: skip

# lines
FAMILY.add("a line without a digest", _LISTED, "manifest.check_line", "an attachment that is not bound", _before(lambda body: replaced(body, lined(_A), "")))  # fmt: skip
FAMILY.add("a line with two digests", _LISTED, "manifest.check_line", _WHICH, _before(lambda body: replaced(body, lined(_A), lined(_A) + lined(_B))))  # fmt: skip
FAMILY.add("a line with two names", _LISTED, "manifest.check_line", _WHICH, _before(_put("<edXML:AttachmentName>", "<edXML:AttachmentName>x</edXML:AttachmentName>")))  # fmt: skip
FAMILY.add("a digest method with a parameter", _LISTED, "manifest.check_line", "parameters that one engine reads and another does not", _before(_set("></ds:DigestMethod>", '><x xmlns="urn:x"></x></ds:DigestMethod>')))  # fmt: skip
FAMILY.add("a digest that is cut short", _LISTED, "manifest.check_line_digest", "a digest that fits many files", _before(lambda body: replaced(body, lined(_A), lined(_A).replace(b64(hashlib.sha256(_A).digest()), b64(hashlib.sha256(_A).digest()[:9])))), source="CVE-2009-0217")  # fmt: skip
FAMILY.add("two lines of one id", _LISTED, "manifest.check_lines", _WHICH, _before(_set("cid:attachment-2", "cid:attachment-1")))  # fmt: skip
FAMILY.add("a line without an id", _LISTED, "manifest.check_lines", "an attachment that hangs on nothing", _before(_set("cid:attachment-1", "")))  # fmt: skip
FAMILY.add("ids that differ by their prefix", _LISTED, "manifest.check_lines", "readers that leave the prefix out", _before(_set("cid:attachment-2", "attachment-1")))  # fmt: skip
FAMILY.add("two lists", _LISTED, "manifest.check_one_list", _WHICH, _before(_put("<edXML:edXMLManifest ", '<edXML:edXMLManifest version="1.0"></edXML:edXMLManifest>')))  # fmt: skip
FAMILY.add("a digest by SHA-1", Code.WEAK_ALGORITHM, "signature.digest_algorithm", "a second file with the same digest", _weak("sha1", DS + "sha1"), source="Stevens and others, SHAttered (2017)")  # fmt: skip
FAMILY.add("a digest by MD5", Code.WEAK_ALGORITHM, "signature.digest_algorithm", "a second file with the same digest", _weak("md5", "http://www.w3.org/2001/04/xmldsig-more#md5"), source="RFC 6151")  # fmt: skip

# what is taken out of a body before it is parsed
FAMILY.add("a big attachment altered", _ALTERED, "manifest.check_payload", _OTHER, _big(_outside(_big_text()[-8:], "AAAAAAAA")))  # fmt: skip
FAMILY.add("markup inside a big attachment", Code.UNSIGNED_CONTENT, "manifest.check_attachment", "what stands for the bytes hides markup", _big(_in_the_middle("<x></x>")))  # fmt: skip
FAMILY.add("a reference inside a big attachment", _ALTERED, "verifier._attached", "what stands for the bytes hides an entity", _big(_in_the_middle("&#65;")))  # fmt: skip
FAMILY.add("an end of a section inside a big attachment", Code.NOT_XML, "parse.parse", "what stands for the bytes hides markup", _big(_in_the_middle("]]>")))  # fmt: skip
FAMILY.add("an attachment that is the sign for a big one", _ALTERED, "manifest.check_payload", "the sign that stands for bytes taken for them", _big(_outside(b64(_B), "TrucBulkText00000000")))  # fmt: skip
FAMILY.add("base64 that goes on behind a megabyte that ends", _ALTERED, "verifier._attached", "readers that decode piece by piece", lambda forge: _goes_on(forge), source="RFC 4648, section 3.3")  # fmt: skip
FAMILY.add("long text that is no attachment", Code.UNSIGNED_CONTENT, "manifest.check_root_children", "bytes that nobody digests", _big(_hidden_before("A" * 40_000)))  # fmt: skip
FAMILY.add("the sign for a big one inside the envelope, turned into long text", Code.DIGEST_MISMATCH, "verifier.check_digest", "long text that was signed as its sign", lambda forge: _sign_in_envelope(forge))  # fmt: skip
FAMILY.add("the sign spelt in the place of a big one, its bytes in a comment", _ALTERED, "manifest.check_payload", "bytes digested that stand where nobody reads", _big(lambda body: inserted(replaced(body, _big_text(), "&#84;rucBulkText00000000"), "<edXML:MessageHeader>", f"<!-- >{_big_text()}< -->")))  # fmt: skip
FAMILY.add("the sign for a big one as text beside", (_UNSIGNED,), "manifest.check_no_text", "the sign that stands for bytes taken for text", _big(_put("<AttachmentEncoded>", "TrucBulkText00000000")))  # fmt: skip


def _status(forge: Forge) -> Shot:
    body = forge.status(Letter(), "01", RECIPIENT)
    body = replaced(body, "<edXML:edXMLEnvelope ", '<edXML:edXMLEnvelope Id="van-ban" ')
    signed = spliced(
        body,
        forge.seal(
            body,
            forge.signer(RECIPIENT),
            reference=' URI="#van-ban"',
            content=canonical(between(body, *ENVELOPE)),
        ),
    )
    return Shot(signed, user=RECIPIENT, kind="status")
