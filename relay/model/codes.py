"""Agency identifier codes in both written forms.

Inside Trục the 2020 form is the normal one (Decision 20/2020/QĐ-TTg, articles 4 to 8: top-down, ``H26.15.01``); the
2016 form (QCVN 102:2016/BTTTT: bottom-up, four groups, ``000.01.15.H26``) is accepted and kept as an alias.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from relay.errors import Code, RefusedError

MAX_LENGTH: Final = 35  # Decision 20/2020, article 4

_F2016 = re.compile(r"(?:[0-9]{2,3}\.){1,3}[A-KW][0-9]{2}", re.ASCII)
_F2020 = re.compile(r"[A-KW][0-9]{2}(?:\.[0-9A-Z]+)*", re.ASCII)
_SCHEME = re.compile(r"Z(?:0[1-9]|[1-9][0-9])\.?[0-9A-Z.]{1,32}", re.ASCII)
_SCHEME_NUMBER = re.compile(r"Z(?:0[1-9]|[1-9][0-9])", re.ASCII)
_LEVEL_ONE = re.compile(r"[A-Z][0-9]{2}", re.ASCII)
_GROUPS_2016: Final = 4
LETTERS: Final = "ABCDEFGHIJKW"
"""Of the groups of level 1; Z is that of the schemes."""
RANKS: Final = MappingProxyType(
    {
        "A": (1, 99),  # bodies of the Party
        "B": (1, 1),  # the Office of the President
        "C": (1, 99),  # the National Assembly
        "D": (1, 1),  # the Supreme People's Court
        "E": (1, 1),  # the Supreme People's Procuracy
        "F": (1, 1),  # the State Audit
        "G": (1, 99),  # ministries and agencies of the Government
        "H": (1, 63),  # People's Committees of provinces
        "I": (1, 6),  # socio-political organisations
        "J": (1, 99),  # social and professional organisations
        "K": (1, 63),  # People's Councils of provinces
    }
)
"""First and last number of each group: Decision 20/2020/QĐ-TTg, annex I, as amended by Decision 09/2025/QĐ-TTg."""
_BUSINESS = re.compile(r"[0-9]{10}(?:-?[0-9]{3})?", re.ASCII)


def normal_form(written: str) -> str:
    """Return the 2020 form of a code as written.

    ``000.01.15.H26`` and ``H26.15.01`` both give ``H26.15.01``. Scheme and enterprise codes are returned as they are.

    Raises:
        RefusedError: BAD-CODE: white space around, lower case, look-alike letters, wrong shape or length; the detail says
            which part is wrong, by its place, and repeats none.
    """
    if len(written) > MAX_LENGTH:
        raise RefusedError(
            Code.BAD_CODE,
            f"an identifier code has {len(written)} characters, at most {MAX_LENGTH} are allowed",
        )
    if _F2020.fullmatch(written) or _BUSINESS.fullmatch(written):
        return written
    if _F2016.fullmatch(written):
        groups = written.split(".")
        kept = [group for group in reversed(groups[:-1]) if group.strip("0")]
        return ".".join([groups[-1], *kept])
    if _SCHEME.fullmatch(written) and not written.endswith(".") and ".." not in written:
        return written
    raise RefusedError(Code.BAD_CODE, _fault(written))


def _fault(written: str) -> str:
    """Return what is wrong with something that is no code."""
    if not written:
        return "an identifier code is empty"
    if written.strip() != written:
        return "white space stands around an identifier code"
    for place, character in enumerate(written, 1):
        if character.isspace():
            return f"character {place} of an identifier code is white space"
        if not character.isascii():
            return f"character {place} of an identifier code is of another script"
        if character.islower():
            return f"character {place} of an identifier code is a small letter"
        if not (character.isalnum() or character in ".-"):
            return f"character {place} of an identifier code is none of A-Z, 0-9 and '.'"
    groups = written.split(".")
    for place, group in enumerate(groups, 1):
        if not group:
            return f"group {place} of an identifier code is empty"
    if written.replace("-", "").isdigit():
        return f"the number of an enterprise has 10 or 13 digits, this one {sum(map(str.isdigit, written))}"
    if "-" in written:
        return f"character {written.index('-') + 1} of an identifier code is none of A-Z, 0-9 and '.'"
    return _wrong_group(groups)


def _wrong_group(groups: list[str]) -> str:
    """Return which of the groups of a would-be code is wrong."""
    first, last = groups[0], groups[-1]
    if first[0] == "Z":
        if not _SCHEME_NUMBER.fullmatch(first[:3]):
            return "the scheme of an identifier code is none of Z01 to Z99"
        return "an identifier code of a scheme has 1 to 32 characters behind the scheme's own"
    if _LEVEL_ONE.fullmatch(first):
        return f"no group of level 1 has the letter of group 1: {LETTERS} are known"
    if not _LEVEL_ONE.fullmatch(last):
        return "neither the first nor the last group of an identifier code is a letter and two digits"
    if last[0] not in LETTERS:
        return f"no group of level 1 has the letter of group {len(groups)}: {LETTERS} are known"
    if len(groups) > _GROUPS_2016:
        return f"the 2016 form of an identifier code has {_GROUPS_2016} groups, this one {len(groups)}"
    for place, group in enumerate(groups[:-1], 1):
        if not group.isdigit():
            return f"group {place} of an identifier code of the 2016 form has other characters than digits"
        if len(group) not in {2, 3}:
            return f"group {place} of an identifier code of the 2016 form has {len(group)} digits, 2 or 3 are due"
    return "not an identifier code of the 2016 or the 2020 form"


def out_of_rank(code: str) -> bool:
    """Whether the first group of a normal code lies outside what the decisions give out or keep for their group."""
    head = code.partition(".")[0]
    if not _LEVEL_ONE.fullmatch(head) or head[0] not in RANKS:
        return False  # enterprises, schemes and the connection centres of the axis, which no decision lists
    low, high = RANKS[head[0]]
    return not low <= int(head[1:]) <= high


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
