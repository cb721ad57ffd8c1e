"""The tolerant reader: bytes of a package to the model, with every deviation from the standard named.

For tools and gateways' programmers. The relay itself reads what was signed, by ``format``, which takes less. What the
standard asks and what is met in traffic is all read; what would change the meaning (which recipient, which document,
which bytes) is never assumed but refused.
"""

# ruff: noqa: ANN401 -- lxml ships no types, and values of the model are of several

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from adapters.edxml import names
from adapters.edxml.content import BytesSource, Content, Source
from adapters.edxml.model import (
    Attachment,
    Document,
    MessageHeader,
    Package,
    Reference,
    SignatureKind,
    StatusHeader,
    StatusMessage,
    TraceHeaderList,
)
from adapters.edxml.oddities import Fault, Finding, Oddity
from adapters.edxml.rules import shape_of
from adapters.edxml.sense import make_sense
from adapters.edxml.skeleton import Skeleton, skeleton_of
from adapters.edxml.walker import Walker, is_tidy
from adapters.edxml.wellformed import Mended, parsed
from relay.errors import Code, RefusedError
from relay.model.envelope import StatusCode
from relay.model.verdict import XMLDSIG, ParseLimits

MAX_BYTES: Final = 512 * 1024 * 1024
_LIMITS: Final = ParseLimits()
_STATUS_CODES: Final = frozenset(code.value for code in StatusCode)
_STATUS_CODE: Final = names.q("StatusCode")
_BUSINESS: Final = frozenset({"Business", "Bussiness"})
_TYPES: Final = frozenset({"BussinessDocType", "BusinessDocType"})
_BUSSINESS: Final = names.q("Bussiness")
_SPELT: Final = re.compile(rb"Buss?iness[\s>/]|BusinessDocType")
_DS_SIGNATURE: Final = f"{{{XMLDSIG}}}Signature"
_DS: Final = f"{{{XMLDSIG}}}"
_TRACES: Final = names.q("TraceHeaderList")
_NO_ATTRIBUTES: Final[frozenset[str]] = frozenset()


_Found = TypeVar("_Found", Finding, Fault)


@dataclass(frozen=True, slots=True)
class Reading:
    """What came out of reading a package: never an exception, whatever the bytes."""

    package: Package | None
    """None where not even the parts of the package could be told."""
    findings: tuple[Finding, ...] = ()
    faults: tuple[Fault, ...] = ()
    size: int = 0
    """Bytes of the package."""
    tree: Any = field(default=None, compare=False, repr=False)
    """The parsed tree, payloads cut out; for whoever holds it against a schema."""

    @property
    def readable(self) -> bool:
        """Whether it says who, to whom and which document, without a guess."""
        return self.package is not None and not self.faults


def read(source: Source | bytes, limits: ParseLimits = _LIMITS, max_bytes: int = MAX_BYTES) -> Reading:
    """Read a package that can be read without a guess.

    Args:
        source: the package; payloads are not looked at, and not even read before somebody asks for their content.
        limits: bounds on all but the payloads.
        max_bytes: of the whole.

    Raises:
        RefusedError: the first fault, with line and path: what the hardened parser refuses, WRONG-ROOT, TYPE-MISMATCH,
            MISSING-VALUE, DUPLICATE-VALUE, BAD-VALUE, BAD-CODE, BAD-DOCUMENT-TYPE, EMPTY-DOCUMENT-ID, NO-RECIPIENT,
            STATUS-HAS-TO, BAD-STATUS-CODE.
    """
    reading = survey(source, limits, max_bytes)
    if reading.faults:
        raise reading.faults[0].error()
    return reading


def survey(source: Source | bytes, limits: ParseLimits = _LIMITS, max_bytes: int = MAX_BYTES) -> Reading:
    """Read a package and gather all faults and findings. Arguments as ``read``; raises nothing."""
    source = BytesSource(source) if isinstance(source, bytes) else source
    try:
        skeleton = skeleton_of(source, max_bytes, limits.max_bytes)
        mended = parsed(skeleton.body, limits)
        if skeleton.spans and not _complete(mended.root, skeleton):
            skeleton = skeleton.whole(limits.max_bytes)
            mended = parsed(skeleton.body, limits)
    except RefusedError as error:
        return Reading(None, faults=(Fault(error.code, 0, "", error.detail),), size=source.size)
    return _Reader(skeleton, mended).reading()


def _complete(root: Any, skeleton: Skeleton) -> bool:
    """Whether every mark came out where a payload stands, and nowhere else."""
    marks = [(node.text or "").strip() for node in root.iter(names.PAYLOAD) if not len(node)]
    return [mark for mark in marks if mark in skeleton.marks] == list(skeleton.marks)


class _Reader:
    """One reading of one package."""

    def __init__(self, skeleton: Skeleton, mended: Mended) -> None:
        self._skeleton = skeleton
        self._root = mended.root
        self._walker = Walker(mended.line_shift, tidy=is_tidy(mended.root))
        self._walker.findings += mended.findings
        self._listed: dict[str, dict[str, list[Any]]] = {}

    def reading(self) -> Reading:
        """Read it all."""
        package = self._package()
        if package is not None:
            make_sense(package, self._walker)
        walker = self._walker
        return Reading(
            package,
            tuple(one if one.line or not one.path else self._placed(one) for one in walker.findings),
            tuple(one if one.line or not one.path else self._placed(one) for one in walker.faults),
            self._skeleton.source.size,
            self._root,
        )

    def _placed(self, one: _Found) -> _Found:
        """Return a finding or fault with the line of its element, or of the deepest one above it that is there."""
        node, place = self._root, ""
        for step in one.path.split("/"):
            name, _, index = step.partition("[")
            same = self._named(node, place).get(name, [])
            position = int(index.rstrip("]")) - 1 if index else 0
            if position >= len(same):
                break
            node, place = same[position], f"{place}/{step}"
        return replace(one, line=self._walker.line(node))

    def _named(self, node: Any, place: str) -> dict[str, list[Any]]:
        """Return the children of the element at a place by local name; listed once, however many ask."""
        if place not in self._listed:
            children: dict[str, list[Any]] = {}
            for child in node:
                if isinstance(child.tag, str):
                    children.setdefault(names.local_name(child.tag), []).append(child)
            self._listed[place] = children
        return self._listed[place]

    # the parts of a package

    def _package(self) -> Package | None:
        walker, root = self._walker, self._root
        envelopes, holders = self._children(root, "", (names.ENVELOPE, names.ATTACHMENTS))
        envelope = self._only(envelopes, root, "edXMLEnvelope", "")
        if envelope is None:
            return None
        path = "edXMLEnvelope"
        headers, bodies = self._children(envelope, path, (names.HEADER, names.BODY), frozenset({"Id"}))
        header = self._only(headers, envelope, "edXMLHeader", path)
        if header is None:
            return None
        inside = f"{path}/edXMLHeader"
        order = (names.MESSAGE_HEADER, _TRACES, names.STUB_SIGNATURE, _DS_SIGNATURE)
        messages, traces, stubs, signatures = self._children(header, inside, order)
        message = self._only(messages, header, "MessageHeader", inside)
        if message is None:
            return None
        for extra in traces[1:]:
            walker.fault(
                Code.DUPLICATE_VALUE,
                extra,
                f"{inside}/TraceHeaderList",
                "TraceHeaderList stands more than once",
            )
        signature = (
            SignatureKind.XMLDSIG if signatures else SignatureKind.STUB if stubs else SignatureKind.NONE
        )
        for stub in stubs:
            walker.find(Oddity.SIGNATURE_STUB, stub, f"{inside}/Signature")
        if len(_SPELT.findall(self._skeleton.body)) != 2 or not traces or traces[0].find(_BUSSINESS) is None:
            self._misplaced_business(header, inside)
        if message.find(_STATUS_CODE) is not None:
            return self._status(message, traces, bodies, holders, signature)
        if message.find(names.q("To")) is None and message.find(names.q("DocumentId")) is None:
            walker.fault(
                Code.MISSING_VALUE,
                message,
                f"{inside}/MessageHeader",
                "neither a document's To nor a StatusCode",
            )
            return None
        return self._document(message, traces, bodies, holders, signature, inside)

    def _document(
        self,
        message: Any,
        traces: list[Any],
        bodies: list[Any],
        holders: list[Any],
        signature: SignatureKind,
        path: str,
    ) -> Document:
        walker = self._walker
        facts = walker.part(message, shape_of(MessageHeader), f"{path}/MessageHeader")
        trace = None
        if traces:
            trace = walker.part(traces[0], shape_of(TraceHeaderList), f"{path}/TraceHeaderList")
        else:
            walker.find(Oddity.MISSING, message, f"{path}/TraceHeaderList")
        references = self._references(message, bodies)
        attachments = self._attachments(holders)
        return Document(
            message_header=facts,
            trace_header_list=trace,
            references=tuple(references),
            attachments=tuple(attachments),
            signature=signature,
            kept=tuple(walker.kept),
        )

    def _status(
        self,
        message: Any,
        traces: list[Any],
        bodies: list[Any],
        holders: list[Any],
        signature: SignatureKind,
    ) -> StatusMessage:
        walker = self._walker
        here = "edXMLEnvelope/edXMLHeader/MessageHeader"
        recipient = message.find(names.q("To"))
        if recipient is not None:
            walker.fault(
                Code.STATUS_HAS_TO,
                recipient,
                f"{here}/To",
                "a status is addressed by ResponseFor and has no To",
            )
        for holder in holders:
            if holder.find(names.ATTACHMENT) is not None:
                walker.fault(Code.TYPE_MISMATCH, holder, "AttachmentEncoded", "a status has no attachments")
        for above, extras in (
            ("edXMLEnvelope/edXMLHeader/", traces),
            ("edXMLEnvelope/", bodies),
            ("", holders),
        ):
            for extra in extras:
                name = names.local_name(extra.tag)
                walker.find(Oddity.STATUS_EXTRA, extra, f"{above}{name}", name)
                if (
                    extra.find(names.ATTACHMENT) is None
                ):  # payloads are no more to be shown than those of a document
                    walker.keep(extra, f"{above}{name}")
        facts = walker.part(message, shape_of(StatusHeader), here)
        if facts.status_code and facts.status_code not in _STATUS_CODES:
            node = message.find(_STATUS_CODE)
            walker.fault(
                Code.BAD_STATUS_CODE, node, f"{here}/StatusCode", "StatusCode is none of 01 to 06, 13, 15, 16"
            )
        about = facts.response_for
        if about is not None and not about.document_id and not about.code:
            walker.fault(
                Code.MISSING_VALUE,
                message,
                f"{here}/ResponseFor",
                "ResponseFor has neither DocumentId nor Code",
            )
        return StatusMessage(message_header=facts, signature=signature, kept=tuple(walker.kept))

    def _references(self, message: Any, bodies: list[Any]) -> list[Reference]:
        """Read the manifest; mind that a digest of the profile for big attachments may stand in a reference."""
        walker = self._walker
        found: list[Reference] = []
        path = "edXMLEnvelope/edXMLBody"
        if not bodies:
            walker.find(Oddity.MISSING, message, path)
        for extra in bodies[1:]:
            walker.find(Oddity.REPEATED, extra, path)
        shape = shape_of(Reference)
        for body in bodies:
            (manifests,) = self._children(body, path, (names.MANIFEST,))
            if not manifests:
                walker.find(Oddity.MISSING, body, f"{path}/edXMLManifest")
            for extra in manifests[1:]:
                walker.find(Oddity.REPEATED, extra, f"{path}/edXMLManifest")
            for manifest in manifests:
                inside = f"{path}/edXMLManifest"
                (references,) = self._children(manifest, inside, (names.REFERENCE,), frozenset({"version"}))
                if manifest.get("version") != "1.0":
                    walker.find(Oddity.MISSING, manifest, f"{inside}/@version", manifest.get("version") or "")
                for node in references:
                    found.append(self._one(node, shape, f"{inside}/Reference[{len(found) + 1}]"))
        return found

    def _one(self, node: Any, shape: Any, path: str) -> Reference:
        digests = [child for child in node if isinstance(child.tag, str) and child.tag.startswith(_DS)]
        for digest in digests:
            node.remove(digest)
        reference: Reference = self._walker.part(node, shape, path)
        node.extend(digests)
        return reference

    def _attachments(self, holders: list[Any]) -> list[Attachment]:
        walker = self._walker
        found: list[Attachment] = []
        for extra in holders[1:]:
            walker.find(Oddity.REPEATED, extra, "AttachmentEncoded")
        shape = shape_of(Attachment)
        for holder in holders:
            (nodes,) = self._children(holder, "AttachmentEncoded", (names.ATTACHMENT,))
            if not nodes:
                walker.find(Oddity.EMPTY, holder, "AttachmentEncoded")
            for node in nodes:
                path = f"AttachmentEncoded/Attachment[{len(found) + 1}]"
                payloads: list[Any] = []
                facts: Attachment = walker.part(node, shape, path, names.PAYLOAD, payloads)
                content = self._content(node, payloads, path)
                found.append(
                    Attachment(
                        content_id=facts.content_id,
                        attachment_name=facts.attachment_name,
                        description=facts.description,
                        content_type=facts.content_type,
                        content=content,
                    )
                )
        return found

    def _content(self, node: Any, payloads: list[Any], path: str) -> Content | None:
        """Return where the bytes of an attachment come from; they are decoded when somebody wants them."""
        walker = self._walker
        here = f"{path}/ContentTransferEncoded"
        if not payloads:
            walker.fault(Code.MISSING_VALUE, node, path, "Attachment has no ContentTransferEncoded")
            return None
        if len(payloads) > 1:
            walker.fault(
                Code.DUPLICATE_VALUE, payloads[1], here, "ContentTransferEncoded stands more than once"
            )
            return None
        payload = payloads[0]
        if any(isinstance(child.tag, str) for child in payload):
            walker.fault(
                Code.BAD_VALUE, payload, here, "ContentTransferEncoded holds elements where base64 is due"
            )
            return None
        text = payload.text or ""
        for child in payload:
            text += child.tail or ""
        bare = text.strip()
        span = self._skeleton.marks.get(bare)
        if span is not None:
            if span.folded:
                walker.find(Oddity.BASE64_FOLDED, payload, here)
            return Content.of_base64(self._skeleton.source, span.offset, span.length)
        if "\n" in text:
            walker.find(Oddity.BASE64_FOLDED, payload, here)
        return Content.of_base64_text(text)

    # what stands where

    def _children(
        self,
        parent: Any,
        path: str,
        tags: tuple[str, ...],
        attributes: frozenset[str] = _NO_ATTRIBUTES,
    ) -> list[list[Any]]:
        """Sort the children of an element by these tags, which also are the order due; note what is none of them."""
        walker = self._walker
        sorted_by_tag: dict[str, list[Any]] = {tag: [] for tag in tags}
        last, orderly = 0, True
        if not walker.tidy:
            walker.around(parent, path or "edXML", attributes)
        for child in parent:
            here = sorted_by_tag.get(child.tag)
            if here is not None:
                here.append(child)
                position = tags.index(child.tag)
                if position < last and orderly:
                    orderly = False
                    walker.find(Oddity.ORDER, child, f"{path}/{names.local_name(child.tag)}".lstrip("/"))
                last = max(last, position)
            elif isinstance(child.tag, str):
                name = names.local_name(child.tag)
                walker.stranger(child, None, {}, path)
                if any(names.local_name(tag) == name for tag in tags[:1]):
                    walker.fault(
                        Code.DUPLICATE_VALUE,
                        child,
                        f"{path}/{name}".lstrip("/"),
                        f"{name} in a foreign namespace",
                    )
        return list(sorted_by_tag.values())

    def _only(self, found: list[Any], parent: Any, name: str, path: str) -> Any | None:
        """Return the one element of a sort; a fault where there is none or several."""
        here = f"{path}/{name}".lstrip("/")
        if not found:
            self._walker.fault(
                Code.MISSING_VALUE, parent, here, f"{names.local_name(parent.tag)} has no {name}"
            )
            return None
        for extra in found[1:]:
            self._walker.fault(Code.DUPLICATE_VALUE, extra, here, f"{name} stands more than once")
        return found[0]

    def _misplaced_business(self, header: Any, path: str) -> None:
        """A business block that the axis and the relay overlook: harmless where it says "new", a fault where it does not."""
        for node in header.iterdescendants():
            if not isinstance(node.tag, str) or names.local_name(node.tag) not in _BUSINESS:
                continue
            name = names.local_name(node.tag)
            if name == "Bussiness" and node.getparent().tag == _TRACES:
                misspelt = next(
                    (
                        one
                        for one in node
                        if isinstance(one.tag, str) and names.local_name(one.tag) == "BusinessDocType"
                    ),
                    None,
                )
                if misspelt is not None and (misspelt.text or "").strip() not in {"", "0"}:
                    self._overlooked(misspelt, f"{path}/TraceHeaderList/Bussiness/BusinessDocType")
                continue
            if name == "Bussiness":
                self._walker.find(Oddity.MISPLACED, node, f"{path}/{name}", name)
            types = [
                (one.text or "").strip()
                for one in node
                if isinstance(one.tag, str) and names.local_name(one.tag) in _TYPES
            ]
            if any(text not in {"", "0"} for text in types):
                inside = f"{path}/TraceHeaderList" if node.getparent().tag == _TRACES else path
                self._overlooked(node, f"{inside}/{name}")

    def _overlooked(self, node: Any, path: str) -> None:
        self._walker.fault(
            Code.BAD_DOCUMENT_TYPE,
            node,
            path,
            "a business type other than 0 stands in a misspelt or misplaced element, which the axis drops",
        )
