"""Bytes that are nearly XML: what real programs put before, behind and around a package is told and set aside.

Everything goes through the relay's hardened parser; what is mended here is mended in the copy that is parsed alone.
"""

# ruff: noqa: ANN401 -- lxml ships no types, and values of the model are of several

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from adapters.edxml import names
from adapters.edxml.oddities import Finding, Oddity
from relay.errors import Code, RefusedError
from relay.model.verdict import XMLDSIG, ParseLimits
from relay.trust.parse import parse

_BOM: Final = b"\xef\xbb\xbf"
_PREFIXES: Final = {
    b"edXML": names.NAMESPACE,
    b"xlink": "http://www.w3.org/1999/xlink",
    b"xsi": "http://www.w3.org/2001/XMLSchema-instance",
    b"xsd": "http://www.w3.org/2001/XMLSchema",
    b"ds": XMLDSIG,
}
_LEGACY: Final = (b"http://www.e-doc.vn/Schema/", b"http://www.go.vn/eDoc", b"http://edxml.gov.vn/schema")
_NO_NAMESPACE: Final = 201  # libxml2: XML_NS_ERR_UNDEFINED_NAMESPACE
_PREFIX: Final = re.compile(r"Namespace prefix (\S+) ")
_ROOT_START: Final = re.compile(rb"<(?:[^\s<>/:!?]+:)?edXML(?=[\s>/])")
_ROOT_END: Final = re.compile(rb"</(?:[^\s<>/:!?]+:)?edXML\s*>")
_LAWFUL_END: Final = re.compile(rb"(?:\s|<!--(?:(?!--).)*-->|<\?(?:(?!\?>).)*\?>)*", re.DOTALL)
_LONGEST_LAWFUL: Final = 4096  # bytes of comments behind a root; more is looked at by the parser alone
_OPAQUE: Final = frozenset({names.PAYLOAD})
_LINE_END: Final = b"\n"


@dataclass(frozen=True, slots=True)
class Mended:
    """A parsed tree and what was set aside to get it."""

    root: Any
    findings: tuple[Finding, ...]
    line_shift: int


def parsed(body: bytes, limits: ParseLimits) -> Mended:
    """Parse a package, payloads cut out or not.

    Raises:
        RefusedError: what the hardened parser refuses, where no harmless cause was found; WRONG-ROOT names a namespace
            of the past.
    """
    findings: list[Finding] = []
    shift = 0
    if body.startswith(_BOM):
        findings.append(Finding(Oddity.BYTE_ORDER_MARK, 0, ""))
    start = body.find(b"<")
    before = body[: max(start, 0)].removeprefix(_BOM)
    if start > 0 and before and not (before.isspace() and not body.startswith(b"<?xml", start)):
        findings.append(Finding(Oddity.LEADING_BYTES, 1, "", f"{start} B"))
        shift = body.count(_LINE_END, 0, start)
        body = body[start:]
    root = _try(body, limits, findings)
    return Mended(root, tuple(findings), shift)


def _try(body: bytes, limits: ParseLimits, findings: list[Finding]) -> Any:
    for _ in range(len(_PREFIXES) + 2):
        try:
            return parse(body, names.ROOT, _OPAQUE, limits)
        except RefusedError as error:
            mended = _mended(body, error, findings)
            if mended is None:
                if error.code is Code.WRONG_ROOT:
                    raise RefusedError(error.code, _namespace_of(body)) from error
                raise
            body = mended
    raise RefusedError(Code.NOT_XML, "not well-formed in several ways")


def _mended(body: bytes, error: RefusedError, findings: list[Finding]) -> bytes | None:
    """Return other bytes that say the same and may be well-formed; None where there are none."""
    if error.code not in {Code.NOT_XML, Code.NOT_UTF8}:
        return None
    if getattr(error.__cause__, "code", None) == _NO_NAMESPACE:
        match = _PREFIX.search(str(error.__cause__))
        prefix = match[1].encode() if match else b""
        root = _ROOT_START.search(body)
        if prefix not in _PREFIXES or root is None:
            return None
        findings.append(
            Finding(
                Oddity.UNDECLARED_PREFIX, body.count(_LINE_END, 0, root.start()) + 1, "edXML", prefix.decode()
            )
        )
        declared = b' xmlns:%b="%b"' % (prefix, _PREFIXES[prefix].encode())
        return body[: root.end()] + declared + body[root.end() :]
    end = _ROOT_END.search(body)
    if end is None:
        return None
    behind = body[end.end() :]
    if not behind or _ROOT_START.search(behind):
        return None
    if len(behind) <= _LONGEST_LAWFUL and _LAWFUL_END.fullmatch(behind):
        return None
    line = body.count(_LINE_END, 0, end.end()) + 1
    findings.append(Finding(Oddity.TRAILING_BYTES, line, "", f"{len(behind)} B"))
    return body[: end.end()]


def _namespace_of(body: bytes) -> str:
    """Say what is wrong with a root that is none of ours."""
    for namespace in _LEGACY:
        if namespace in body[:4096]:
            return f"the namespace {namespace.decode()} is one of the past, which the axis does not take"
    return "the root is not edXML of the namespace of QCVN 102:2016"
