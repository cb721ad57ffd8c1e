"""One element of a parsed package to one object of the model, by the rules of its class.

Matches by namespace and local name, in any order. What is odd becomes a finding, what cannot be read without guessing a
fault; what the model has no place for is kept as it stood.
"""

# ruff: noqa: ANN401 -- lxml ships no types, and values of the model are of several

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lxml import etree

from adapters.edxml import values as read
from adapters.edxml.fields import CONTROL
from adapters.edxml.model import Kept, normal_or_none
from adapters.edxml.names import NAMESPACE, local_name
from adapters.edxml.oddities import Fault, Finding, Oddity
from adapters.edxml.quick import FILLERS, FULL_2016, ODD, SHORT_2016, SPACE
from adapters.edxml.rules import Shape, Slot, Value
from relay.errors import Code

_SHORT: Final = 80
_OWN: Final = f"{{{NAMESPACE}}}"
_MISSPELT: Final = {
    "Business": "Bussiness",
    "BusinessDocType": "BussinessDocType",
    "BusinessDocReason": "BussinessDocReason",
    "BusinessDocumentInfo": "BussinessDocumentInfo",
    "BussinesDocType": "BussinessDocType",
    "Bussines": "Bussiness",
}
_LEGACY: Final = frozenset(
    {
        *(
            "ReplyFors",
            "ReferenceCodes",
            "ResponseForTask",
            "ApplicationType",
            "ErrorList",
            "DigitalSignature",
        ),
        *("Format", "FieldName", "MimeType"),
    }
)
_SDK_ATTRIBUTES: Final = frozenset({"id", "version", "mustUnderstand", "actor"})
_PARTIES: Final = frozenset({"From", "To", "ResponseFor"})
_FOREIGN: Final = ("{http://www.w3.org/", "{http://schemas.xmlsoap.org/")
_SIMPLE: Final = {
    Value.DATE: read.read_date,
    Value.TIME: read.read_time,
    Value.NUMBER: read.read_number,
    Value.BOOLEAN: read.read_boolean,
    Value.FLAG: read.read_flag,
}
_EMPTY: Final = {
    "OrganId": Code.BAD_CODE,
    "DocumentId": Code.EMPTY_DOCUMENT_ID,
    "StatusCode": Code.BAD_STATUS_CODE,
}


class Walker:
    """Reads elements; gathers findings, faults and what is kept."""

    def __init__(self, line_shift: int = 0, *, tidy: bool = False) -> None:
        """Take what is to be added to lines, and whether ``is_tidy`` said so of the whole tree."""
        self.findings: list[Finding] = []
        self.faults: list[Fault] = []
        self.kept: list[Kept] = []
        self._shift = line_shift
        self.tidy = tidy

    # places

    def line(self, element: Any) -> int:
        """Return the line of an element in the file as received."""
        return (element.sourceline or 0) + self._shift

    def find(self, oddity: Oddity, element: Any, path: str, found: str = "", shown: str = "") -> None:
        """Note a finding."""
        self.findings.append(Finding(oddity, self.line(element), path, short(found), shown))

    def fault(self, code: Code, element: Any, path: str, detail: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(code, self.line(element), path, detail))

    def keep(self, element: Any, path: str) -> None:
        """Keep an element as it stands."""
        xml = etree.tostring(element, encoding="unicode", with_tail=False)
        self.kept.append(Kept(path=path, line=self.line(element), xml=xml))

    # elements

    def part(
        self, element: Any, shape: Shape, path: str, aside: str = "", asides: list[Any] | None = None
    ) -> Any:
        """Read an element with elements inside into an object of ``shape.cls``.

        Args:
            element: as parsed.
            shape: the rules of the class.
            path: of the element.
            aside: tag of children that are put into ``asides`` unread.
            asides: where they go.
        """
        found: dict[str, Any] = {}
        by_tag = shape.by_tag
        last, orderly, lists = -1, True, False
        tidy = self.tidy
        if not tidy:
            self.around(element, path)
        for child in element:
            slot = by_tag.get(child.tag)
            if (
                slot is not None
                and tidy
                and slot.quick is not None
                and slot.position > last
                and not len(child)
            ):
                value = slot.quick(child.text)  # whatever stands further on than the last was not met yet
                if value is not ODD:
                    found[slot.name] = value
                    last = slot.position
                    continue
            if slot is None:
                if aside and child.tag == aside and asides is not None:
                    asides.append(child)
                    last = len(shape.slots)
                elif isinstance(child.tag, str):
                    self.stranger(child, shape, found, path)
                continue
            rule = slot.rule
            if slot.position >= last:
                last = slot.position
            elif orderly:
                orderly = False
                self.find(Oddity.ORDER, child, f"{path}/{rule.within or rule.tag}")
            if rule.many and not rule.within:
                lists = True
                there = found.setdefault(slot.name, [])
                there.append(self._one(child, slot, f"{path}/{rule.tag}[{len(there) + 1}]"))
            elif slot.name in found:
                self.again(child, slot, f"{path}/{rule.within or rule.tag}")
            elif rule.within:
                lists = True
                found[slot.name] = self._held(child, slot, f"{path}/{rule.within}")
            else:
                found[slot.name] = self._one(child, slot, f"{path}/{rule.tag}")
        if not found and not shape.due:
            self.find(Oddity.EMPTY, element, path)
        for slot in shape.due:
            if slot.name not in found:
                self.missing(element, slot, path)
        if lists:
            found.update((name, tuple(one)) for name, one in found.items() if type(one) is list)
        return shape.cls(**found)

    def _one(self, element: Any, slot: Slot, path: str) -> Any:
        return (
            self.part(element, slot.shape, path) if slot.shape is not None else self.leaf(element, slot, path)
        )

    def _held(self, holder: Any, slot: Slot, path: str) -> list[Any]:
        """Read what an element holds that does nothing else."""
        rule = slot.rule
        inner: list[Any] = []
        if not self.tidy:
            self.around(holder, path)
        for child in holder:
            if child.tag == slot.inner:
                inner.append(self._one(child, slot, f"{path}/{rule.tag}[{len(inner) + 1}]"))
            elif isinstance(child.tag, str):
                self.stranger(child, None, {}, path)
        if not inner:
            self.find(Oddity.EMPTY, holder, path)
        return inner

    def leaf(self, element: Any, slot: Slot, path: str) -> Any:
        """Read the text of an element as the value that its rule says."""
        rule = slot.rule
        raw = element.text or ""
        if len(element):
            raw = self._flat(element, slot, path, raw)
        if element.attrib:
            self.attributes(element, path)
        text = raw.strip(SPACE)
        value = rule.value
        if not text:
            if rule.vital:
                self.fault(_EMPTY.get(rule.tag, Code.MISSING_VALUE), element, path, f"{rule.tag} is empty")
            else:
                self.find(Oddity.EMPTY, element, path)
            return "" if value in _TEXTS else None
        if value is Value.ORGAN:
            return self._organ(element, raw, path)
        if value in _TEXTS:
            if rule.limit and len(text) > rule.limit:
                self.find(Oddity.TOO_LONG, element, path, f"{len(text)}", f"{rule.limit}")
            if text in FILLERS:
                self.find(Oddity.FILLER, element, path, text)
            if value is Value.DAY_TEXT:
                day, oddity = read.read_date(text)
                if oddity is not None:
                    self.find(oddity, element, path, text, shown(day))
            if rule.identity and value is not Value.TEXT and CONTROL.search(text):
                self.fault(Code.BAD_VALUE, element, path, f"{rule.tag} holds control characters")
            return text
        return self._simple(element, slot, text, path)

    def _simple(self, element: Any, slot: Slot, text: str, path: str) -> Any:
        """Read a date, time, number or truth."""
        rule = slot.rule
        value: Any
        value, oddity = _SIMPLE[rule.value](text)
        if oddity is None and rule.value is Value.NUMBER:
            value, oddity = _in_range(slot, value)
        if oddity is Oddity.PAPER_COUNT and rule.tag != "Paper":
            value, oddity = None, Oddity.OUT_OF_RANGE
        if oddity is None:
            return value
        if rule.tag == "BussinessDocType":
            self.fault(Code.BAD_DOCUMENT_TYPE, element, path, "BussinessDocType is none of 0, 1, 2, 3")
            return None
        if value is None:
            if rule.vital:
                self.fault(Code.BAD_VALUE, element, path, f"{rule.tag} is none of its list")
            self.keep(element, path)
        self.find(oddity, element, path, text, shown(value))
        return value

    def _organ(self, element: Any, raw: str, path: str) -> str:
        """Read an identifier code: as written, white space too, since nothing may be guessed about a recipient."""
        bare = raw.strip(SPACE)
        if bare != raw:
            self.find(Oddity.ORGAN_ID_SPACE, element, path, f'"{raw}"')
        if normal_or_none(bare) is None:
            self.find(Oddity.ORGAN_ID_SHAPE, element, path, bare)
        elif SHORT_2016.fullmatch(bare) and not FULL_2016.fullmatch(bare):
            self.find(Oddity.ORGAN_ID_SHORT, element, path, bare, normal_or_none(bare) or "")
        return raw

    def _flat(self, element: Any, slot: Slot, path: str, raw: str) -> str:
        """Return the text of an element that should hold nothing else."""
        inner = [child for child in element if isinstance(child.tag, str)]
        if inner:
            self._deceives(element, path)
            if slot.rule.identity:
                code = Code.BAD_CODE if slot.rule.value is Value.ORGAN else Code.BAD_VALUE
                self.fault(code, element, path, f"{slot.rule.tag} holds elements where a text is due")
            self.find(Oddity.ELEMENTS_IN_TEXT, element, path)
            self.keep(element, path)
        return raw + "".join(child.tail or "" for child in element)

    # what has no place

    def missing(self, element: Any, slot: Slot, path: str) -> None:
        """Note that something due does not stand there."""
        if slot.rule.vital:
            code = Code.NO_RECIPIENT if slot.rule.tag == "To" else Code.MISSING_VALUE
            self.fault(code, element, path, f"{local_name(element.tag)} has no {slot.rule.tag}")
            return
        self.find(Oddity.MISSING, element, f"{path}/{slot.rule.within or slot.rule.tag}")

    def again(self, element: Any, slot: Slot, path: str) -> None:
        """Note a second one of what stands once; keep it, unless it could deceive."""
        if slot.rule.identity:
            self.fault(Code.DUPLICATE_VALUE, element, path, f"{slot.rule.tag} stands more than once")
        self.find(Oddity.REPEATED, element, path, "".join(element.itertext()))
        self.keep(element, path)

    def stranger(self, element: Any, shape: Shape | None, found: dict[str, Any], path: str) -> None:
        """Note and keep an element that has no place here."""
        tag = element.tag
        name = local_name(tag)
        here = f"{path}/{name}"
        if not tag.startswith(_OWN):
            slot = None if shape is None else shape.by_name.get(name)
            if slot is not None and slot.rule.identity and (slot.name in found or _has_own(element, name)):
                self.fault(
                    Code.DUPLICATE_VALUE, element, here, f"{name} stands twice, once in a foreign namespace"
                )
            self.find(
                Oddity.FOREIGN_NAMESPACE, element, here, tag[1:].partition("}")[0] if tag[0] == "{" else ""
            )
        elif name in _MISSPELT:
            self.find(Oddity.MISSPELT, element, here, name, _MISSPELT[name])
        elif name in _LEGACY:
            self.find(Oddity.LEGACY_ELEMENT, element, here, name)
        else:
            self.find(Oddity.UNKNOWN_ELEMENT, element, here, name, self._near(name, shape))
        if len(element):
            self._deceives(element, here)
        self.keep(element, here)

    def _deceives(self, element: Any, path: str) -> None:
        """A second OrganId deeper inside a From, To or ResponseFor would let two readers see two agencies."""
        party = element.getparent()
        name = "" if party is None else local_name(party.tag)
        if name in _PARTIES:
            for inner in element.iterdescendants():
                if isinstance(inner.tag, str) and local_name(inner.tag) == "OrganId":
                    self.fault(Code.DUPLICATE_VALUE, inner, path, f"another OrganId stands deeper in {name}")
                    return

    @staticmethod
    def _near(name: str, shape: Shape | None) -> str:
        """Return the known name that differs in letter case alone."""
        if shape is None:
            return ""
        return next((known for known in shape.by_name if known.casefold() == name.casefold()), "")

    def attributes(self, element: Any, path: str, known: frozenset[str] = frozenset()) -> None:
        """Note the attributes of an element; the standard has hardly any."""
        for name, value in element.attrib.items():
            if name in known:
                continue
            odd = (
                Oddity.SDK_ATTRIBUTE
                if name in _SDK_ATTRIBUTES or name.startswith(_FOREIGN)
                else Oddity.UNKNOWN_ATTRIBUTE
            )
            here = f"{path}/@{local_name(name)}"
            self.find(odd, element, here, value)
            if odd is Oddity.UNKNOWN_ATTRIBUTE:
                self.kept.append(Kept(path=here, line=self.line(element), xml=value))

    def around(self, element: Any, path: str, known: frozenset[str] = frozenset()) -> None:
        """Note attributes of an element and text between its children."""
        if element.attrib:
            self.attributes(element, path, known)
        for text in (element.text, *(child.tail for child in element)):
            if text and not text.isspace():
                self._stray(element, path, text)

    def _stray(self, element: Any, path: str, text: str) -> None:
        self.find(Oddity.STRAY_TEXT, element, path, text.strip(SPACE))
        self.kept.append(Kept(path=path, line=self.line(element), xml=text))


# Attributes where none are due, or text between elements.
_UNTIDY: Final = etree.XPath(
    "boolean(//@*[not(name() = 'version' and local-name(..) = 'edXMLManifest')])"
    " or boolean(//*[*]/text()[normalize-space()])"
)


def is_tidy(root: Any) -> bool:
    """Whether a tree has no attribute but the manifest's version, and no text between elements: most have none."""
    return not _UNTIDY(root)


_TEXTS: Final = frozenset({Value.TEXT, Value.ID, Value.ORGAN, Value.DAY_TEXT})


def _has_own(element: Any, name: str) -> bool:
    """Whether the element's parent also has a child of that name in the format's namespace."""
    parent = element.getparent()
    return parent is not None and next(parent.iterchildren(_OWN + name), None) is not None


def _in_range(slot: Slot, value: int | None) -> tuple[int | None, Oddity | None]:
    """Hold a number against its list; two values of the past are taken for what they meant."""
    rule = slot.rule
    if value is None or value < rule.low or (rule.high and value > rule.high):
        if rule.tag == "Priority" and value == 5:
            return 0, Oddity.PRIORITY_FIVE
        if rule.tag == "SteeringType" and value == 0:
            return 1, Oddity.STEERING_ZERO
        if rule.tag in _UNBOUNDED and value is not None and value >= rule.low:
            return value, Oddity.OUT_OF_RANGE
        return None, Oddity.OUT_OF_RANGE
    return value, None


_UNBOUNDED: Final = frozenset({"PromulgationAmount", "PageAmount"})


def shown(value: Any) -> str:
    """Return a value as the standard writes it; empty for none."""
    return "" if value is None else written(value)


def written(value: Any) -> str:
    """Return a value of the model as the standard writes it."""
    for kind, how in _WRITTEN:
        if isinstance(value, kind):
            return how(value)
    return str(value)


def short(text: str) -> str:
    """Return a text for one line of a page: printable, cut."""
    plain = "".join(character if character.isprintable() else " " for character in text[: 4 * _SHORT])
    folded = " ".join(plain.split())
    return folded if len(folded) <= _SHORT else folded[: _SHORT - 1] + "…"


def _time(value: Any) -> str:
    from relay.model.times import VIETNAM

    local = value.astimezone(VIETNAM)
    return f"{local.year:04}{local:/%m/%d %H:%M:%S}"  # %Y has no leading zeros


def _kinds() -> tuple[tuple[type, Callable[[Any], str]], ...]:
    from datetime import date, datetime

    return (
        (bool, lambda value: "true" if value else "false"),
        (datetime, _time),
        (date, lambda value: f"{value.year:04}/{value.month:02}/{value.day:02}"),
    )


_WRITTEN: Final = _kinds()
