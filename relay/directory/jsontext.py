"""JSON whose texts can be written again: an escape may name half a character, which no encoding holds (RFC 8259, 8.2)."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str) -> Any:  # noqa: ANN401 - anything may stand in JSON
    """Return the value of a JSON text.

    Raises:
        ValueError: not JSON, or a text in it is none in UTF-8.
    """
    value = json.loads(text)
    if _HALF.search(text) is not None:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value
