"""What signed content may not hold, whatever the profile: ids that two elements share, prefixes inside values.

Both would make two readers of the same signed bytes see two things. In: all attributes, of whatever elements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from relay.errors import Code, RefusedError

_XSI_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"

Attributes = Iterable[tuple[str, str]]
"""Name, ``{namespace}local`` or plain, and value."""


def is_id(name: str) -> bool:
    """Whether an attribute is an id in any spelling: Id, ID, id, xml:id, wsu:Id."""
    return name[-2:].lower() == "id" and name.rpartition("}")[2].lower() == "id"


def ids(attributes: Attributes) -> list[str]:
    """Return the values of all ids among these, as often as they stand."""
    return [value.strip() for name, value in attributes if is_id(name)]


def check_ids(attributes: Attributes) -> None:
    """Refuse an id that stands twice; an empty one names nothing. FOREIGN-ID."""
    found = list(filter(None, ids(attributes)))
    if len(found) != len(set(found)):
        raise RefusedError(Code.FOREIGN_ID, "an id stands twice")


def check_types(attributes: Attributes) -> None:
    """Refuse ``xsi:type``: exclusive C14N does not sign what its prefix is bound to. HIDDEN-NAMESPACE."""
    if _XSI_TYPE in [name for name, _ in attributes]:
        raise RefusedError(Code.HIDDEN_NAMESPACE, "a value depends on a namespace prefix")
