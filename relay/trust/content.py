"""What signed content may not hold, whatever the profile: ids that two elements share, prefixes inside values.

Both would make two readers of the same signed bytes see two things. In: the tree, without its signature.
"""

from __future__ import annotations

from typing import Any, Final

from lxml import etree

from relay.errors import Code, RefusedError

_XSI_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_ATTRIBUTED: Final = etree.XPath("//*[@*]")


def attributed(root: Any) -> list[Any]:  # noqa: ANN401 -- lxml ships no types
    """Return the elements that have attributes: a handful in most documents."""
    found: list[Any] = _ATTRIBUTED(root)
    return found


def is_id(name: str) -> bool:
    """Whether an attribute is an id in any spelling: Id, ID, id, xml:id, wsu:Id."""
    return name.rpartition("}")[2].lower() == "id"


def ids(elements: list[Any]) -> list[str]:
    """Return the values of all ids of these elements, as often as they stand."""
    return [value.strip() for one in elements for name, value in one.items() if is_id(name)]


def check_ids(elements: list[Any]) -> None:
    """Refuse an id that stands twice. FOREIGN-ID."""
    found = ids(elements)
    if len(found) != len(set(found)):
        raise RefusedError(Code.FOREIGN_ID, "an id stands twice")


def check_types(elements: list[Any]) -> None:
    """Refuse ``xsi:type``: exclusive C14N does not sign what its prefix is bound to. HIDDEN-NAMESPACE."""
    if any(_XSI_TYPE in one.attrib for one in elements):
        raise RefusedError(Code.HIDDEN_NAMESPACE, "a value depends on a namespace prefix")
