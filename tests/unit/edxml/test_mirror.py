"""Another hand reads the same: the JDK's DOM over the whole corpus, in one machine."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.edxml.model import Document, Package
from adapters.edxml.reader import survey
from adapters.edxml.rules import Shape, Value, shape_of
from adapters.edxml.walker import written
from tests.support import jdk
from tests.support.edxml_corpus import CORPUS, Case

pytestmark = pytest.mark.jdk

HEADER = "edXMLEnvelope[1]/edXMLHeader[1]/"


def said(package: Package) -> Iterator[tuple[str, str, bool]]:
    """Yield path, text and whether the text counts with the white space around it."""
    header = package.message_header
    yield from leaves(header, shape_of(type(header)), f"{HEADER}MessageHeader[1]")
    if isinstance(package, Document):
        if package.trace_header_list is not None:
            trace = package.trace_header_list
            yield from leaves(trace, shape_of(type(trace)), f"{HEADER}TraceHeaderList[1]")
        for index, reference in enumerate(package.references, 1):
            path = f"edXMLEnvelope[1]/edXMLBody[1]/edXMLManifest[1]/Reference[{index}]"
            yield from leaves(reference, shape_of(type(reference)), path)


def leaves(value: Any, shape: Shape, path: str) -> Iterator[tuple[str, str, bool]]:
    for slot in shape.slots:
        held = getattr(value, slot.name)
        if held is None or (isinstance(held, str | tuple) and not held):
            continue
        base = f"{path}/{slot.rule.within}[1]" if slot.rule.within else path
        for index, one in enumerate(held if slot.rule.many else (held,), 1):
            here = f"{base}/{slot.rule.tag}[{index}]"
            if slot.shape is not None:
                yield from leaves(one, slot.shape, here)
            else:
                flag = slot.rule.value is Value.FLAG
                text = ("1" if one else "0") if flag else written(one)
                yield here, text, slot.rule.value is Value.ORGAN


def test_the_jdk_sees_the_same_values_and_the_same_bytes(tmp_path: Path) -> None:
    cases: dict[str, Case] = {}
    for number, case in enumerate(CORPUS):
        if case.faults or case.relay.startswith("NOT-"):
            continue  # what is no XML, or cannot be read without a guess
        file = tmp_path / f"{number}.edxml"
        file.write_bytes(case.body)
        cases[str(file)] = case
    listing = tmp_path / "list"
    listing.write_text("\n".join(cases), encoding="utf-8")
    seen = jdk.dump(listing)
    assert set(seen) == set(cases)
    compared = 0
    for path, case in cases.items():
        reading = survey(case.body)
        assert reading.package is not None
        taken_otherwise = {one.path.replace("[1]", "") for one in reading.findings}
        for place, text, exact in said(reading.package):
            if place.replace("[1]", "") in taken_otherwise:
                continue
            theirs = base64.b64decode(seen[path][place]).decode()
            assert text == (theirs if exact else theirs.strip(" \t\r\n")), (case.name, place)
            compared += 1
        if isinstance(reading.package, Document) and len(reading.package.attachments) == 1:
            content = reading.package.attachments[0].content
            assert content is not None
            place = "AttachmentEncoded[1]/Attachment[1]/ContentTransferEncoded[1]"
            assert content.sha256 == seen[path][place], case.name
    assert compared > 5000
