"""How a setting is declared: its default, unit, bounds and meaning stand in one place, beside its type."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_SPEC: Final = "setting"


@dataclass(frozen=True, slots=True)
class Spec:
    """What is known of one setting beside its type and default."""

    text: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    pattern: str = ""
    file: bool = False  # must be a readable file when the configuration is loaded
    secret: bool = False  # its file may be open to its owner alone
    key: bool = False  # a text that names a signing key: a file, or a PKCS#11 URI


class Description(NamedTuple):
    """A setting in words."""

    type: str
    default: object  # None with ``type`` not optional means: has to be given
    unit: str
    text: str
    required: bool
    bounds: str


def setting(
    default: T,
    text: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    pattern: str = "",
    file: bool = False,
    secret: bool = False,
    key: bool = False,
) -> T:
    """Declare a setting with a default. ``low`` and ``high`` are inclusive."""
    spec = Spec(text, unit, low, high, pattern, file, secret, key)
    return dataclasses.field(default=default, metadata={_SPEC: spec})


def required(
    text: str, *, pattern: str = "", file: bool = False, secret: bool = False, key: bool = False
) -> Any:  # noqa: ANN401
    """Declare a setting that has to be given."""
    return dataclasses.field(metadata={_SPEC: Spec(text, "", None, None, pattern, file, secret, key)})


def section(kind: Callable[[], T], text: str) -> T:
    """Declare a section all of whose settings have defaults."""
    return dataclasses.field(default_factory=kind, metadata={_SPEC: Spec(text)})


def spec_of(item: Field[Any]) -> Spec:
    """Return what was declared for a field."""
    found = item.metadata[_SPEC]
    assert isinstance(found, Spec)
    return found


def members(kind: type) -> Iterator[tuple[Field[Any], Any]]:
    """Yield each field of a section with its resolved type."""
    hints = get_type_hints(kind)
    for item in dataclasses.fields(kind):
        yield item, hints[item.name]


def is_section(hint: object) -> bool:
    """Whether a type is a section rather than a value."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def is_required(item: Field[Any]) -> bool:
    """Whether the setting has no default."""
    return item.default is MISSING and item.default_factory is MISSING


def optional(hint: object) -> tuple[object, bool]:
    """Return the type without ``None`` and whether None was allowed."""
    if get_origin(hint) in {Union, UnionType}:
        inner = [one for one in get_args(hint) if one is not NoneType]
        return inner[0], True
    return hint, False


def type_name(hint: object) -> str:
    """Return a type as people read it."""
    inner, _ = optional(hint)
    if get_origin(inner) is Literal:
        return "one of " + ", ".join(f"`{one}`" for one in get_args(inner))
    if get_origin(inner) is tuple:
        return f"list of {type_name(get_args(inner)[0])}"
    names: dict[object, str] = {
        str: "text",
        int: "integer",
        float: "number",
        bool: "true or false",
        Path: "path",
    }
    return names[inner]


def describe_field(item: Field[Any], hint: object) -> Description:
    """Return the description of one setting."""
    spec = spec_of(item)
    if spec.low is not None and spec.high is not None:
        bounds = f"{spec.low:.10g} to {spec.high:.10g}"
    elif spec.low is not None:
        bounds = f"at least {spec.low:.10g}"
    else:
        bounds = ""
    default = None if is_required(item) else item.default
    return Description(type_name(hint), default, spec.unit, spec.text, is_required(item), bounds)
