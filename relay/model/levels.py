"""Government levels, one exchange each."""

from __future__ import annotations

from enum import StrEnum

from relay.model.codes import depth


class Level(StrEnum):
    """The four levels; the exchange of each is ``level.<value>``."""

    CENTRAL = "central"
    PROVINCE = "province"
    DISTRICT = "district"
    COMMUNE = "commune"


def default_level(code: str, authority: Level | None = None) -> Level:
    """Return the level of a normal code for which the directory stores none.

    Units of ministries: central. Provincial codes (H, K): depth 0 or a second group 01-29: province; 30-99: district;
    deeper under such a district: commune. Others: the level of the registering authority, else central.
    """
    groups = code.split(".")
    if groups[0][0] in "HK" and len(groups[0]) == 3 and groups[0][1:].isdigit():
        if depth(code) == 0:
            return Level.PROVINCE
        second = groups[1]
        if second.isdigit() and 30 <= int(second) <= 99:
            return Level.DISTRICT if depth(code) == 1 else Level.COMMUNE
        return Level.PROVINCE
    if groups[0][0] in "ABCDEFGIJ":
        return Level.CENTRAL
    return authority or Level.CENTRAL
