"""Agency identifier codes in both written forms.

Inside Trục the 2020 form is the normal one (Decision 20/2020/QĐ-TTg, articles 4 to 8: top-down, ``H26.15.01``); the
2016 form (QCVN 102:2016/BTTTT: bottom-up, four groups, ``000.01.15.H26``) is accepted and kept as an alias.
"""

from __future__ import annotations

import re
from typing import Final

from relay.errors import Code, RefusedError

MAX_LENGTH: Final = 35  # Decision 20/2020, article 4

_F2016 = re.compile(r"(?:[0-9]{2,3}\.){1,3}[A-KW][0-9]{2}", re.ASCII)
_F2020 = re.compile(r"[A-KW][0-9]{2}(?:\.[0-9A-Z]+)*", re.ASCII)
_SCHEME = re.compile(r"Z(?:0[1-9]|[1-9][0-9])\.?[0-9A-Z.]{1,32}", re.ASCII)
_BUSINESS = re.compile(r"[0-9]{10}(?:-?[0-9]{3})?", re.ASCII)


def normal_form(written: str) -> str:
    """Return the 2020 form of a code as written.

    ``000.01.15.H26`` and ``H26.15.01`` both give ``H26.15.01``. Scheme and enterprise codes are returned as they are.

    Raises:
        RefusedError: BAD-CODE: white space around, lower case, look-alike letters, wrong shape or length.
    """
    if len(written) > MAX_LENGTH or not written.isascii():
        raise RefusedError(Code.BAD_CODE, "an identifier code is at most 35 of A-Z, 0-9 and '.'")
    if _F2020.fullmatch(written) or _BUSINESS.fullmatch(written):
        return written
    if _F2016.fullmatch(written):
        groups = written.split(".")
        kept = [group for group in reversed(groups[:-1]) if group.strip("0")]
        return ".".join([groups[-1], *kept])
    if _SCHEME.fullmatch(written) and not written.endswith(".") and ".." not in written:
        return written
    raise RefusedError(Code.BAD_CODE, "not an identifier code of the 2016 or the 2020 form")


def form_2016(code: str) -> str | None:
    """Return the 2016 form of a normal code, or None where that form cannot hold it.

    Default rule only; a directory may list another alias. The form has one letter group and at most three numeric
    groups of widths 2, 2 and 3.
    """
    if not _F2020.fullmatch(code):
        return None
    head, *rest = code.split(".")
    widths = (2, 2, 3)
    if len(rest) > len(widths):
        return None
    if any(not group.isdigit() or len(group) != width for group, width in zip(rest, widths, strict=False)):
        return None
    if any(not group.strip("0") for group in rest):
        return None  # zeros mean an empty group there
    padded = rest + ["0" * width for width in widths[len(rest) :]]
    return ".".join([*reversed(padded), head])


def depth(code: str) -> int:
    """Return how many groups a normal code has below its first one."""
    return code.count(".")


def parent_code(code: str) -> str | None:
    """Return the code one level up, or None at the top."""
    head, dot, _ = code.rpartition(".")
    return head if dot else None
