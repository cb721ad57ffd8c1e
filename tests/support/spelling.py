"""Odd but legal ways to write the same package: what any XML writer in the field may produce."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from lxml import etree

from adapters.edxml.names import NAMESPACE, q

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_TRACE: Final = q("TraceHeaderList")
_XML_SPACE: Final = " \t\r\n"


@dataclass(frozen=True)
class Spelling:
    """How to write; the defaults are plain."""

    prefix: str = ""
    declare_everywhere: bool = False
    declaration: str = _DECLARATION
    quote: str = '"'
    between: str = ""  # white space between elements
    comments: bool = False
    cdata: bool = False
    references: bool = False  # letters as &#x...;
    empty: str = "pair"  # pair, short, spaced
    space_in_tags: bool = False
    foreign_namespaces: bool = False
    soap_attributes: bool = False
    reverse_attributes: bool = False
    end: str = "\n"


PLAIN: Final = Spelling()
SPELLINGS: Final[dict[str, Spelling]] = {
    "default namespace": PLAIN,
    "other prefix": replace(PLAIN, prefix="vb"),
    "prefix declared on each element": replace(PLAIN, prefix="x", declare_everywhere=True),
    "prefix of Vietnamese letters": replace(PLAIN, prefix="văn.bản-1"),
    "no declaration": replace(PLAIN, declaration=""),
    "declaration in single quotes": replace(PLAIN, declaration="<?xml version='1.0' encoding='utf-8'?>\r\n"),
    "declaration standalone": replace(
        PLAIN, declaration='<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    ),
    "declaration without encoding": replace(PLAIN, declaration='<?xml version="1.0"?>'),
    "byte order mark": replace(PLAIN, declaration="\ufeff" + _DECLARATION),
    "single quotes": replace(PLAIN, quote="'"),
    "indented": replace(PLAIN, between="\n    "),
    "line ends CRLF": replace(PLAIN, between="\r\n\t", end="\r\n"),
    "comments between elements": replace(PLAIN, between="\n", comments=True),
    "CDATA": replace(PLAIN, cdata=True),
    "numeric references": replace(PLAIN, references=True),
    "short empty elements": replace(PLAIN, empty="short"),
    "spaced empty elements": replace(PLAIN, empty="spaced"),
    "space inside tags": replace(PLAIN, space_in_tags=True),
    "foreign namespaces": replace(PLAIN, foreign_namespaces=True),
    "attributes of SOAP": replace(PLAIN, soap_attributes=True),
    "attributes in another order": replace(
        PLAIN, soap_attributes=True, reverse_attributes=True, foreign_namespaces=True
    ),
    "no line end at the end": replace(PLAIN, end=""),
    "all at once": Spelling(
        prefix="đ",
        declaration="<?xml version='1.0' encoding='UTF-8'?>\r\n",
        quote="'",
        between="\r\n  ",
        comments=True,
        cdata=True,
        references=True,
        empty="spaced",
        space_in_tags=True,
        foreign_namespaces=True,
        soap_attributes=True,
        reverse_attributes=True,
        end="",
    ),
}


def oddities(package: bytes) -> dict[str, bytes]:
    """Return the package in each odd spelling, by the name of the spelling."""
    root = etree.fromstring(package, etree.XMLParser(resolve_entities=False, huge_tree=True))
    return {name: respelled(root, spelling) for name, spelling in SPELLINGS.items()}


def respelled(root: Any, how: Spelling) -> bytes:
    """Return a tree of edXML elements written in one way."""
    return (how.declaration + "".join(_written(root, how, at_root=True)) + how.end).encode()


def _written(element: Any, how: Spelling, *, at_root: bool = False) -> list[str]:
    name = etree.QName(element).localname
    tag = f"{how.prefix}:{name}" if how.prefix else name
    attributes = list(element.attrib.items())
    if how.soap_attributes and element.tag == _TRACE:
        attributes += [("id", "1"), ("version", "1.0"), ("mustUnderstand", "1"), ("actor", "urn:next")]
    if at_root or how.declare_everywhere:
        attributes.insert(0, (f"xmlns:{how.prefix}" if how.prefix else "xmlns", NAMESPACE))
    if at_root and how.foreign_namespaces:
        attributes += [
            ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
            ("xmlns:xsd", "http://www.w3.org/2001/XMLSchema"),
            ("xmlns:xlink", "http://www.w3.org/1999/xlink"),
        ]
    if how.reverse_attributes:
        attributes.reverse()
    gap, equals, close = ("\n  ", " = ", " ") if how.space_in_tags else (" ", "=", "")
    listed = "".join(
        f"{gap}{key}{equals}{how.quote}{_escaped(value, how)}{how.quote}" for key, value in attributes
    )
    children = [child for child in element if isinstance(child.tag, str)]
    if not children and not element.text:
        return {
            "pair": [f"<{tag}{listed}{close}></{tag}{close}>"],
            "short": [f"<{tag}{listed}/>"],
            "spaced": [f"<{tag}{listed} />"],
        }[how.empty]
    out = [f"<{tag}{listed}{close}>"]
    if children:
        assert not (element.text or "").strip(_XML_SPACE)
        for index, child in enumerate(children):
            out.append(how.between)
            if how.comments:
                out.append(f"<!-- {index}: <To>H99</To> & ghi chú -->{how.between}")
            out += _written(child, how)
        out.append(how.between)
    else:
        out.append(_text(element.text, how))
    out.append(f"</{tag}{close}>")
    return out


def _text(text: str, how: Spelling) -> str:
    if len(text) > 4096:  # payloads stay plain: written letter by letter they would grow eightfold
        return _escaped(text, replace(how, references=False))
    if how.cdata and "]]>" not in text and "\r" not in text:
        if how.references and len(text) > 1:  # both ways in one text
            half = len(text) // 2
            return f"<![CDATA[{text[:half]}]]>{_escaped(text[half:], how)}"
        return f"<![CDATA[{text}]]>"
    return _escaped(text, how)


def _escaped(text: str, how: Spelling) -> str:
    if how.references:
        return "".join(f"&#x{ord(character):x};" for character in text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;").replace("\r", "&#13;")
    return text.replace(how.quote, "&quot;" if how.quote == '"' else "&apos;")
