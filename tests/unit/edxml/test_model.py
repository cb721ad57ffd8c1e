"""Model, writer and reader agree: what is written is read back the same, and passes the strict schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.edxml import model as m
from adapters.edxml.check import check
from adapters.edxml.content import Content
from adapters.edxml.diff import differences
from adapters.edxml.fields import CONTROL
from adapters.edxml.jsonform import as_json, from_json
from adapters.edxml.oddities import Oddity, oddities
from adapters.edxml.reader import read, survey
from adapters.edxml.rules import Shape, Slot, Value, shape_of
from adapters.edxml.schema import schema_faults
from adapters.edxml.secrecy import shipped_rule
from adapters.edxml.writer import package_bytes
from relay.errors import RefusedError
from relay.model.times import VIETNAM
from relay.resources import shipped
from tests.support.edxml_corpus import CORPUS, DOC, REPLACE, STATUS, UPDATE

# what XML can hold, without line ends (which a parser may change) and white space around
letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")


def line(limit: int) -> st.SearchStrategy[str]:
    found = st.text(letters, min_size=1, max_size=min(limit or 30, 30)).map(lambda text: text.strip(" "))
    return found.filter(lambda text: bool(text) and not shipped_rule().marks_text(text, file_name=True))


codes = st.one_of(
    st.from_regex(r"[A-K][0-9]{2}(\.[0-9A-Z]{1,4}){0,4}", fullmatch=True),
    st.from_regex(r"[0-9]{3}\.[0-9]{2}\.[0-9]{2}\.[A-K][0-9]{2}", fullmatch=True),
    st.from_regex(r"[0-9]{10}(-[0-9]{3})?", fullmatch=True),
)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(
    lambda at: at.replace(microsecond=0, tzinfo=VIETNAM)
)
days = st.dates(date(1990, 1, 1), date(2100, 1, 1))


def value(slot: Slot) -> st.SearchStrategy[Any]:
    rule = slot.rule
    if slot.shape is not None:
        return built(slot.shape)
    if rule.tag == "StatusCode":
        return st.sampled_from(["01", "02", "03", "04", "05", "06", "13", "15", "16"])
    return {
        Value.TEXT: line(rule.limit),
        Value.ID: line(rule.limit).filter(lambda text: not (rule.identity and CONTROL.search(text))),
        Value.ORGAN: codes,
        Value.DAY_TEXT: days.map(lambda day: f"{day:%Y/%m/%d}"),
        Value.DATE: days,
        Value.TIME: moments,
        Value.NUMBER: st.integers(rule.low, rule.high or 10**9 - 1),
        Value.BOOLEAN: st.booleans(),
        Value.FLAG: st.booleans(),
    }[rule.value]


def built(shape: Shape) -> st.SearchStrategy[Any]:
    """Return objects of a class of the model with any lawful values; one that says nothing at all is not written."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for slot in shape.slots:
        one = value(slot)
        if slot.rule.many:
            least = 1 if slot.rule.due else 0
            fields[slot.name] = st.lists(one, min_size=least, max_size=3).map(tuple)
        elif slot.rule.due:
            fields[slot.name] = one
        else:
            fields[slot.name] = st.one_of(st.just("" if slot.rule.value in TEXTS else None), one)
    made = st.fixed_dictionaries(fields).map(lambda given: shape.cls(**given))
    return made.filter(lambda one: one != shape.cls())


TEXTS = {Value.TEXT, Value.ID, Value.ORGAN, Value.DAY_TEXT}


def attached(files: list[tuple[str, bytes]]) -> tuple[tuple[m.Reference, ...], tuple[m.Attachment, ...]]:
    attachments = tuple(
        m.Attachment(content_id=f"cid:{index}", attachment_name=name, content=Content.of(content))
        for index, (name, content) in enumerate(files, 1)
    )
    references = tuple(
        m.Reference(content_id=one.content_id, attachment_name=one.attachment_name) for one in attachments
    )
    return references, attachments


files = st.lists(st.tuples(line(30), st.binary(max_size=600)), max_size=3).map(attached)
documents = st.builds(
    lambda header, trace, both: m.Document(
        message_header=header, trace_header_list=trace, references=both[0], attachments=both[1]
    ),
    built(shape_of(m.MessageHeader)),
    built(shape_of(m.TraceHeaderList)),
    files,
)
statuses = st.builds(lambda header: m.StatusMessage(message_header=header), built(shape_of(m.StatusHeader)))


@given(st.one_of(documents, statuses))
@settings(max_examples=120, deadline=None)
def test_what_is_written_is_read_back_the_same_and_passes_the_strict_schema(package: m.Package) -> None:
    body = package_bytes(package)
    assert body == package_bytes(package)
    reading = read(body)
    assert reading.package == package
    assert not differences(package, reading.package)
    assert schema_faults(reading.tree, "strict") == ()
    assert schema_faults(reading.tree, "tolerant") == ()
    # what the standard lets pass and still is worth a word
    assert {one.oddity for one in reading.findings} <= WORTH_A_WORD


WORTH_A_WORD = {
    *(Oddity.FILLER, Oddity.FROM_IS_TO, Oddity.TO_REPEATED, Oddity.BUSINESS_PART_MISSING),
    *(Oddity.BUSINESS_PART_IDLE, Oddity.REVOKES_OWN_ID, Oddity.DROPPED_NOT_ADDRESSED),
    *(Oddity.REPLACEMENT_REPEATED, Oddity.REASON_MISSING, Oddity.DUE_BEFORE_PROMULGATION),
    *(Oddity.DOCUMENT_ID_FORM, Oddity.NUMBER_WITH_LETTERS),
}


@given(st.one_of(documents, statuses))
@settings(max_examples=40, deadline=None)
def test_json_gives_the_same_package_back(package: m.Package) -> None:
    contents = {}
    told = as_json(package)
    if isinstance(package, m.Document):
        for index, (raw, one) in enumerate(zip(told["Attachment"], package.attachments, strict=True)):
            raw["File"] = f"file {index}"
            contents[raw["File"]] = one.content
            raw["ContentType"] = "x/y"
        package = dataclasses.replace(
            package,
            attachments=tuple(dataclasses.replace(one, content_type="x/y") for one in package.attachments),
        )
    assert from_json(told, lambda name: contents[name] or Content.of(b"")) == package


# each element, taken away, doubled, emptied, renamed, filled with something else


def leaves(body: str) -> Iterator[tuple[str, int]]:
    """Yield each element of the envelope by its path in the tree."""
    root = etree.fromstring(body.encode())
    tree = root.getroottree()
    for node in root.iter(etree.Element):
        if node is not root:
            yield tree.getelementpath(node), len(node)


def mutated(body: str, path: str, how: str) -> bytes:
    root = etree.fromstring(body.encode())
    node = root.find(path)
    parent = node.getparent()
    if how == "gone":
        parent.remove(node)
    elif how == "twice":
        parent.insert(parent.index(node), etree.fromstring(etree.tostring(node, with_tail=False)))
    elif how == "renamed":
        node.tag = node.tag + "X"
    elif how == "foreign":
        node.tag = "{urn:other}" + etree.QName(node).localname
    elif how == "last":
        parent.append(node)
    else:
        for child in list(node):
            node.remove(child)
        node.text = {"empty": None, "filled": "x<&>\u202e" * 3, "long": "9" * 70_000, "space": " \n\t "}[how]
    found: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return found


@pytest.mark.parametrize(
    "how", ["gone", "twice", "renamed", "foreign", "last", "empty", "filled", "long", "space"]
)
@pytest.mark.parametrize(
    "body", [DOC, UPDATE, REPLACE, STATUS], ids=["new", "update", "replacement", "status"]
)
def test_each_element_mutated_is_read_or_refused_and_never_overlooked(body: str, how: str) -> None:
    right = read(body.encode()).package
    assert right is not None
    for path, _ in leaves(body):
        changed = mutated(body, path, how)
        reading = survey(changed)
        if reading.faults or reading.findings or (path.endswith("Encoded") and check(changed).findings):
            continue
        # nothing was said, so it must be as lawful as before: absent where that is allowed, or equal in meaning
        again = reading.package
        assert again is not None
        assert not schema_faults(reading.tree, "strict"), (path, how)
        if how in {"twice", "renamed", "foreign", "empty", "space"}:
            assert path.rpartition("}")[2].partition("[")[0] in REPEATABLE or not differences(right, again), (
                path,
                how,
            )


REPEATABLE = {"ResponseFor", "Place", "Appendix", "To", "TraceHeader", "Receiver", "OrganId"}


# schemas, texts and rules say one thing


def bounds(schema: Any) -> dict[str, set[int]]:
    """Return the lengths that the strict schema gives to elements, by name."""
    xs = "{http://www.w3.org/2001/XMLSchema}"
    found: dict[str, set[int]] = {}
    for element in schema.iter(f"{xs}element"):
        kind = element.get("type", "")
        if kind.startswith("e:text-"):
            found.setdefault(element.get("name"), set()).add(int(kind[7:]))
    return found


def test_the_strict_schema_has_the_lengths_of_the_model() -> None:
    there = bounds(etree.parse(str(shipped("schemas/edxml/strict.xsd"))))
    wanted: dict[str, set[int]] = {}
    for cls in vars(m).values():
        if dataclasses.is_dataclass(cls) and isinstance(cls, type):
            for slot in shape_of(cls).slots:
                if (
                    slot.rule.limit
                    and slot.rule.value in {Value.TEXT, Value.ID}
                    and slot.rule.tag != "StatusCode"
                ):
                    wanted.setdefault(slot.rule.tag, set()).add(slot.rule.limit)
    assert there == wanted


@pytest.mark.parametrize("mode", ["strict", "tolerant"])
def test_both_schemas_name_each_element_of_the_model(mode: str) -> None:
    text = shipped(f"schemas/edxml/{mode}.xsd").read_text(encoding="utf-8")
    for cls in vars(m).values():
        if dataclasses.is_dataclass(cls) and isinstance(cls, type):
            for slot in shape_of(cls).slots:
                assert f'name="{slot.rule.tag}"' in text
                assert not slot.rule.within or f'name="{slot.rule.within}"' in text


def test_each_oddity_has_its_texts_in_both_languages() -> None:
    listed = oddities()
    assert set(listed) == set(Oddity)
    for one in listed.values():
        assert one.level in {"note", "warning"}
        assert one.owner in {"sender", "gateway", "recipient", "relay", "operator"}
        for texts in (one.message, one.assumed, one.remedy):
            assert set(texts) == {"vi", "en"}
            assert all(text.endswith((".", "|", ">")) or text for text in texts.values())
            assert texts["vi"] != texts["en"]


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_surveyed_without_an_exception(body: bytes) -> None:
    assert survey(body).faults
    with pytest.raises(RefusedError):
        read(body)


@given(st.sampled_from(CORPUS), st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_packages_are_surveyed_without_an_exception(case: Any, data: st.DataObject) -> None:
    body = bytearray(case.body[:6000])
    for _ in range(data.draw(st.integers(1, 4))):
        if body:
            at = data.draw(st.integers(0, len(body) - 1))
            body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    reading = survey(bytes(body))
    assert (reading.package is None) <= bool(reading.faults)


def test_texts_that_are_too_long_for_a_code_are_none_and_not_kept() -> None:
    assert m.normal_or_none("000.00.31.H53") == "H53.31"
    before = m._known.cache_info().currsize
    assert [m.normal_or_none(text) for text in ("H53" * 22, "x" * 1_000_000)] == [None, None]
    assert m._known.cache_info().currsize == before
