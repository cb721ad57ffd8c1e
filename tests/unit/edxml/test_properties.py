"""Properties: what is written is read back, and no tree brings the reader down."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.edxml import names
from adapters.edxml.attachments import received_files, safe_name
from adapters.edxml.facts import AttachedFile, DocumentFields, Organ, StatusFields
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.secrecy import fold_text, shipped_rule
from adapters.edxml.show import shown
from adapters.edxml.writer import document_package, status_package
from relay.errors import RefusedError
from relay.model.codes import normal_form
from relay.model.envelope import StatusCode
from relay.model.message import Kind
from relay.model.verdict import Node, SignedView
from tests.support.spelling import SPELLINGS, oddities
from tests.support.views import view_of

EDXML = EdxmlFormat()

codes = st.one_of(
    st.from_regex(r"[A-K][0-9]{2}(\.[0-9A-Z]{1,4}){0,4}", fullmatch=True),
    st.from_regex(r"[0-9]{3}\.[0-9]{2}\.[0-9]{2}\.[A-K][0-9]{2}", fullmatch=True),
    st.from_regex(r"[0-9]{10}", fullmatch=True),
)
# what XML can hold, without line ends (a parser would normalise them in the unsigned bytes)
letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
line = st.text(letters, min_size=1, max_size=30).map(lambda text: text.strip(" ")).filter(bool)
open_line = line.filter(lambda text: not shipped_rule().marks_text(text, file_name=True))
files = st.builds(
    AttachedFile,
    name=open_line,
    content=st.binary(max_size=200),
    content_type=st.sampled_from(["application/pdf", "application/zip", "text/plain"]),
    description=st.just(""),
)
moments = st.datetimes(
    datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(timezone(timedelta(hours=-3)))
)
documents = st.builds(
    DocumentFields,
    sender=st.builds(Organ, code=codes, name=line),
    recipients=st.lists(st.builds(Organ, code=codes), min_size=1, max_size=5).map(tuple),
    document_id=line,
    number=line.map(lambda text: text[:11].strip(" ") or "1"),
    notation=line,
    place=line,
    promulgated_on=st.dates(date(1990, 1, 1), date(2100, 1, 1)),
    type_number=st.integers(1, 32),
    type_name=open_line,
    subject=open_line,
    signer_name=line,
    traced_at=moments,
    attachments=st.lists(files, max_size=3).map(tuple),
    priority=st.integers(0, 4),
    business_type=st.integers(0, 3),
    to_places=st.lists(line, max_size=2).map(tuple),
)
statuses = st.builds(
    StatusFields,
    reporter=st.builds(Organ, code=codes),
    addressee=codes,
    document_id=line,
    number=line,
    promulgation_date=line,
    status_code=st.sampled_from([code.value for code in StatusCode]),
    reported_at=moments,
    description=open_line,
)
spellings = st.sampled_from(sorted(SPELLINGS))


@given(documents, spellings)
@settings(max_examples=100, deadline=None)
def test_a_document_is_read_as_it_was_written_whatever_the_spelling(
    fields: DocumentFields, spelling: str
) -> None:
    envelope = EDXML.read(view_of(oddities(document_package(fields, checked=False))[spelling]), Kind.EDOC)
    assert envelope.sender_written == fields.sender.code
    assert envelope.sender == normal_form(fields.sender.code)
    assert [recipient.code for recipient in envelope.recipients] == list(
        dict.fromkeys(normal_form(recipient.code) for recipient in fields.recipients)
    )
    assert (envelope.document_id, envelope.subject) == (fields.document_id, fields.subject)
    assert (envelope.code_number, envelope.code_notation) == (fields.number, fields.notation)
    assert (envelope.priority, envelope.business_type) == (fields.priority, fields.business_type)
    assert envelope.promulgation_date == fields.promulgated_on.strftime("%Y/%m/%d")


@given(documents)
@settings(max_examples=60, deadline=None)
def test_the_files_come_back_in_order_with_safe_and_different_names(fields: DocumentFields) -> None:
    files = received_files(view_of(document_package(fields, checked=False)))
    assert [file.content for file in files] == [file.content for file in fields.attachments]
    assert [file.written_name for file in files] == [file.name for file in fields.attachments]
    assert len({file.name.casefold() for file in files}) == len(files)


@given(statuses, spellings)
@settings(max_examples=60, deadline=None)
def test_a_status_is_read_as_it_was_written_whatever_the_spelling(
    fields: StatusFields, spelling: str
) -> None:
    envelope = EDXML.read(view_of(oddities(status_package(fields, checked=False))[spelling]), Kind.STATUS)
    assert envelope.status_code == fields.status_code
    assert envelope.recipients[0].written == fields.addressee
    assert envelope.refers_to is not None
    assert envelope.refers_to.document_id == fields.document_id
    assert envelope.refers_to.code == fields.number
    assert envelope.description == fields.description


# Trees made of the format's own names in any arrangement, so that the reader gets far into them.
tags = st.sampled_from(
    [
        *(
            names.q(name)
            for name in (
                *(
                    "edXML",
                    "edXMLEnvelope",
                    "edXMLHeader",
                    "MessageHeader",
                    "From",
                    "To",
                    "OrganId",
                    "DocumentId",
                ),
                *(
                    "ResponseFor",
                    "StatusCode",
                    "Code",
                    "CodeNumber",
                    "OtherInfo",
                    "Priority",
                    "TraceHeaderList",
                ),
                *("Bussiness", "BussinessDocType", "Subject", "AttachmentEncoded", "Attachment", "ContentId"),
                *(
                    "ContentTransferEncoded",
                    "AttachmentName",
                    "SecretLevel",
                    "PromulgationInfo",
                    "PromulgationDate",
                ),
            )
        ),
        "OrganId",
        "{urn:x}To",
        "",
    ]
)
texts = st.one_of(
    st.none(),
    st.sampled_from(["H53", "G22", " H26", "0", "1", "01", "13", "Mật", "PK", "aGE="]),
    st.text(max_size=8),
)


def node(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        tag=tags,
        text=texts,
        attributes=st.lists(
            st.tuples(st.sampled_from(["DoMat", "version", ""]), st.text(max_size=5)), max_size=1
        ).map(tuple),
        children=st.lists(children, max_size=5).map(tuple),
    )


leaves = st.builds(Node, tag=tags, text=texts, attributes=st.just(()), children=st.just(()))
trees = st.recursive(leaves, node, max_leaves=30)


def wrapped(header: tuple[Node, ...], rest: tuple[Node, ...]) -> Node:
    """Return a root with these children in its message header, so that the random part is where it matters."""

    def element(name: str, *children: Node) -> Node:
        return Node(names.q(name), None, (), children)

    return element(
        "edXML",
        element("edXMLEnvelope", element("edXMLHeader", element("MessageHeader", *header), *rest)),
        *rest,
    )


roots = st.one_of(
    trees, st.builds(wrapped, st.lists(trees, max_size=6).map(tuple), st.lists(trees, max_size=2).map(tuple))
)


@given(roots, st.sampled_from(Kind))
@settings(max_examples=200, deadline=None)
def test_the_reader_gives_an_envelope_or_refuses(root: Node, kind: Kind) -> None:
    try:
        envelope = EDXML.read(SignedView.of(root), kind)
    except RefusedError:
        return
    assert envelope.recipients
    assert normal_form(envelope.sender) == envelope.sender


@given(roots)
@settings(max_examples=100, deadline=None)
def test_showing_never_fails_and_taking_out_only_refuses(root: Node) -> None:
    view = SignedView.of(root)
    assert shown(view) == shown(view)
    with suppress(RefusedError):
        received_files(view)


@given(st.text(max_size=400))
def test_a_safe_name_is_one_part_that_fits(written: str) -> None:
    name = safe_name(written)
    assert name
    assert name not in {".", ".."}
    assert not set(name) & set('/\\\0:*?"<>|\n\r')
    assert len(name.encode()) <= 200
    assert safe_name(name) == name


@given(st.text(max_size=40))
def test_folding_knows_one_unicode_form(text: str) -> None:
    assert fold_text(unicodedata.normalize("NFD", text)) == fold_text(unicodedata.normalize("NFC", text))
