"""CDATA sections inside the signature: a way to write letters that some readers pass over.

The tree of libxml2, as it is read here, does not know them, and libxmlsec1 takes what is in them; the JDK looks at text nodes
alone, so that a digest or a value in a section is another one to it, or none. What two readers see differently is refused.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

from relay.errors import Code, RefusedError
from relay.trust import names

_OPEN: Final = b"<![CDATA["
_SIGNATURE: Final = names.SIGNATURE.removeprefix("{").replace("}", " ")


def check_no_section(source: bytes) -> None:
    """Refuse a CDATA section inside a signature. SIGNATURE-MALFORMED.

    ``source`` is what the tree was made of, well-formed and without document type. It is read once more, by another
    parser, only where sections stand in it at all.
    """
    if (
        b"[" in source and _OPEN in source and _inside(source)
    ):  # one letter is found many times faster than nine
        raise RefusedError(Code.SIGNATURE_MALFORMED, "a CDATA section inside the signature")


def _inside(source: bytes) -> bool:
    """Whether a section stands inside a signature; True also where the other parser does not take the document."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    depth, found = 0, False

    def start(name: str, _attributes: Any) -> None:  # noqa: ANN401 -- a name and what stands in it
        nonlocal depth
        if depth or name == _SIGNATURE:
            depth += 1

    def end(_name: str) -> None:
        nonlocal depth
        depth -= bool(depth)

    def section() -> None:
        nonlocal found
        found = found or depth > 0

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartCdataSectionHandler = section
    try:
        parser.Parse(source, True)
    except expat.ExpatError:
        return True
    return found
