"""The part of JSON Schema that the project's schemas use. An unknown keyword is an error, not a pass."""

from __future__ import annotations

import re
from typing import Any

_NOTES = {"$schema", "$id", "$defs", "title", "description"}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def faults(
    value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = "$"
) -> list[str]:
    """Return what breaks the schema, one sentence each; empty if it holds."""
    root = root or schema
    found: list[str] = []
    for keyword, rule in schema.items():
        if keyword in _NOTES:
            continue
        check = _CHECKS.get(keyword)
        if check is None:
            raise ValueError(f"no check for the keyword {keyword}: it would pass unseen")
        found += check(value, rule, schema, root, at)
    return found


def _type(value: Any, rule: Any, _schema: Any, _root: Any, at: str) -> list[str]:
    wanted = rule if isinstance(rule, list) else [rule]
    right = any(
        isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
        for name in wanted
    )
    return [] if right else [f"{at}: not {' or '.join(wanted)}"]


def _ref(value: Any, rule: str, _schema: Any, root: dict[str, Any], at: str) -> list[str]:
    target: Any = root
    for step in rule.removeprefix("#/").split("/"):
        target = target[step]
    return faults(value, target, root, at)


def _required(value: Any, rule: list[str], _schema: Any, _root: Any, at: str) -> list[str]:
    return [f"{at}: lacks {name}" for name in rule if isinstance(value, dict) and name not in value]


def _properties(value: Any, rule: dict[str, Any], _schema: Any, root: Any, at: str) -> list[str]:
    if not isinstance(value, dict):
        return []
    return [
        fault
        for name, inner in rule.items()
        if name in value
        for fault in faults(value[name], inner, root, f"{at}.{name}")
    ]


def _additional(value: Any, rule: Any, schema: dict[str, Any], root: Any, at: str) -> list[str]:
    others = (
        [name for name in value if name not in schema.get("properties", {})]
        if isinstance(value, dict)
        else []
    )
    if rule is False:
        return [f"{at}: {name} is unknown" for name in others]
    return [fault for name in others for fault in faults(value[name], rule, root, f"{at}.{name}")]


def _names(value: Any, rule: Any, _schema: Any, root: Any, at: str) -> list[str]:
    names = value if isinstance(value, dict) else []
    return [fault for name in names for fault in faults(name, rule, root, f"{at}: name {name}")]


def _items(value: Any, rule: Any, _schema: Any, root: Any, at: str) -> list[str]:
    if not isinstance(value, list):
        return []
    return [
        fault for number, item in enumerate(value) for fault in faults(item, rule, root, f"{at}[{number}]")
    ]


def _any(value: Any, rule: list[Any], _schema: Any, root: Any, at: str) -> list[str]:
    return [] if any(not faults(value, one, root, at) for one in rule) else [f"{at}: fits nothing allowed"]


_CHECKS: dict[str, Any] = {
    "type": _type,
    "$ref": _ref,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "anyOf": _any,
    "enum": lambda value, rule, _s, _r, at: [] if value in rule else [f"{at}: not one of {rule}"],
    "pattern": lambda value, rule, _s, _r, at: (
        [f"{at}: does not match {rule}"] if isinstance(value, str) and not re.search(rule, value) else []
    ),
    "minLength": lambda value, rule, _s, _r, at: (
        [f"{at}: too short"] if isinstance(value, str) and len(value) < rule else []
    ),
    "minItems": lambda value, rule, _s, _r, at: (
        [f"{at}: too few"] if isinstance(value, list) and len(value) < rule else []
    ),
    "minimum": lambda value, rule, _s, _r, at: (
        [f"{at}: too small"] if isinstance(value, int) and value < rule else []
    ),
    "uniqueItems": lambda value, _rule, _s, _r, at: (
        [f"{at}: stands twice"]
        if isinstance(value, list) and len({str(one) for one in value}) < len(value)
        else []
    ),
}
