"""Everything that can be said of a package without a key: as it is read, as the relay reads it, as the schema has it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from adapters.edxml import names
from adapters.edxml.attachments import Examined, UnpackLimits, examined, safe_name, unique
from adapters.edxml.content import BytesSource, Source
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.model import Attachment, Document, Reference
from adapters.edxml.oddities import Fault, Finding, Oddity
from adapters.edxml.reader import Reading, survey
from adapters.edxml.schema import Mode, SchemaFault, schema_faults
from adapters.edxml.sense import paired
from adapters.edxml.walker import short
from relay.errors import Code, RefusedError
from relay.model.message import Kind
from relay.model.verdict import ParseLimits, SignedView
from relay.trust.view import unverified

_LIMITS: Final = ParseLimits()


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One attachment, looked into."""

    name: str  # safe, NFC, different from all others of the package
    written_name: str
    content_type: str  # as declared
    reference: Reference | None
    attachment: Attachment
    examined: Examined | None  # None: its bytes cannot be read


@dataclass(frozen=True, slots=True)
class Checked:
    """What came out of a check."""

    reading: Reading
    files: tuple[CheckedFile, ...]
    findings: tuple[Finding, ...]  # of the reading and of the files
    faults: tuple[Fault, ...]
    relay: RefusedError | None  # why the relay would refuse it, its signature aside
    schema: tuple[SchemaFault, ...]  # what the schema objects to
    mode: Mode

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are more than notes."""
        return tuple(one for one in self.findings if one.entry.level == "warning")

    @property
    def passed(self) -> bool:
        """Whether it is as the mode wants it.

        Tolerant: it can be read without a guess, and the relay would take it. Strict: besides, it has no deviation
        above a note and the strict schema has no objection.
        """
        if self.faults or self.relay is not None:
            return False
        return self.mode == "tolerant" or not (self.warnings or self.schema)


def check(source: Source | bytes, mode: Mode = "tolerant", limits: UnpackLimits | None = None) -> Checked:
    """Check a package, attachments included. Raises nothing of its own; ``OSError`` where a file cannot be read."""
    source = BytesSource(source) if isinstance(source, bytes) else source
    reading = survey(source)
    findings, faults = list(reading.findings), list(reading.faults)
    files: list[CheckedFile] = []
    if isinstance(reading.package, Document):
        files = _files(reading.package, reading, findings, faults, limits or UnpackLimits())
    objections: tuple[SchemaFault, ...] = ()
    if reading.tree is not None:
        objections = schema_faults(reading.tree, mode)
    return Checked(
        reading, tuple(files), tuple(findings), tuple(faults), relay_objection(source), objections, mode
    )


def _files(
    document: Document,
    reading: Reading,
    findings: list[Finding],
    faults: list[Fault],
    limits: UnpackLimits,
) -> list[CheckedFile]:
    lines = [
        (node.sourceline or 0)
        for holder in reading.tree.iterchildren(names.ATTACHMENTS)
        for node in holder.iterchildren(names.ATTACHMENT)
    ]
    taken: set[str] = set()
    files = []
    for index, (reference, attachment) in enumerate(paired(document), 1):
        path, line = f"AttachmentEncoded/Attachment[{index}]", lines[index - 1]
        listed = reference or Reference()
        written = attachment.attachment_name or listed.attachment_name
        content_type = attachment.content_type or listed.content_type
        plain = safe_name(written, index)
        name = unique(plain, taken)
        if plain != written:
            composed = unicodedata.normalize("NFC", written) == plain
            odd = Oddity.NAME_DECOMPOSED if composed else Oddity.NAME_UNSAFE
            findings.append(Finding(odd, line, f"{path}/AttachmentName", short(written), name))
        out: Examined | None = None
        if attachment.content is not None:
            try:
                out = examined(attachment.content, written, content_type, bounds=limits)
            except RefusedError as error:
                faults.append(Fault(error.code, line, f"{path}/ContentTransferEncoded", error.detail))
            else:
                findings += [
                    Finding(one, line, path, _found(one, written, content_type), out.kind)
                    for one in out.oddities
                ]
        files.append(CheckedFile(name, written, content_type, reference, attachment, out))
    return files


def _found(oddity: Oddity, name: str, content_type: str) -> str:
    return content_type if oddity is Oddity.CONTENT_NOT_AS_DECLARED else short(name)


def relay_objection(source: Source) -> RefusedError | None:
    """Return why the relay would refuse what the package says, as far as that shows without its signature."""
    reader = EdxmlFormat()
    try:
        if source.size > _LIMITS.max_bytes:
            raise RefusedError(Code.TOO_LARGE, f"{source.size} bytes, at most {_LIMITS.max_bytes}")
        body = source.read_at(0, source.size)
        view = SignedView(unverified(body, reader.place(Kind.EDOC), _LIMITS), "", len(body))
        header = view.root.first(names.ENVELOPE, names.HEADER, names.MESSAGE_HEADER)
        is_status = header is not None and header.first(names.q("StatusCode")) is not None
        reader.read(view, Kind.STATUS if is_status else Kind.EDOC)
    except RefusedError as error:
        return error
    return None
