"""Marks of state secrets in a signed view. What counts as one is data: ``config/state_secrets.yaml``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from adapters.edxml.fields import below
from adapters.edxml.names import local_name
from relay.errors import Code, ConfigurationError, RefusedError
from relay.model.elements import Elements, Shape, decoded
from relay.model.kept import Kept
from relay.resources import shipped

# the second one is what programs add that sign or convert: "a.signed.pdf", "a.docx.pdf"
_EXTENSION: Final = re.compile(r"(?:\.(?:signed|pdf|docx?|xlsx?))?\.[0-9a-z]{1,8}\Z")
# White space and what shows nothing: controls, formats (categories Cc and Cf), joiners, variation selectors.
_UNSEEN: Final = re.compile(
    "[\\s\\x00-\\x1f\\x7f-\\x9f\\xad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u180b-\\u180f\\u200b-\\u200f"
    "\\u2028-\\u202e\\u2060-\\u206f\\ufe00-\\ufe0f\\ufeff\\ufff9-\\ufffb\\U000110bd\\U000110cd\\U00013430-\\U0001343f"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0001\\U000e0020-\\U000e007f\\U000e0100-\\U000e01ef]+"
)
# Letters that folding turns into at least one letter each, and what stands between them. No full stop: of a file name the
# part behind one may be left out.
_PLAIN: Final = "(?:[0-9A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ][ ,_/-]?)"
# Composed letters and ASCII: folding changes them one by one, and no two of them into one.
_COMPOSED: Final = re.compile("[ -~À-ÖØ-öø-ɏḀ-ỿ]*")
_LEVEL, _FIELD, _FILE_NAME = 1, 2, 4
_MOST_NAMES: Final = 4096
_LONG_NAME: Final = 256
_MOST_SHAPES: Final = 1024
_ROOM: Final = 16 * 1024 * 1024  # bytes, roughly
_PER_LOOK: Final = 400
_SHORT: Final = 40
_LISTS: Final = ("marks", "level_values", "levels", "fields", "file_names", "brackets")


def fold_text(text: str) -> str:
    """Return a text for comparison: one Unicode form, no letter case, no white space, nothing invisible."""
    # compatibility form, because marks are also typed with full-width brackets and letters; taken apart first, because
    # an invisible character between a letter and its accents keeps them from being joined
    return unicodedata.normalize("NFC", _UNSEEN.sub("", unicodedata.normalize("NFKD", text)).casefold())


_fold_short: Final = lru_cache(maxsize=2048)(fold_text)


def fold_name(name: str) -> str:
    """Return the name of an element or attribute for comparison: bare lower-case letters and digits."""
    bare = unicodedata.normalize("NFKD", local_name(name)).casefold().replace("đ", "d")
    return "".join(character for character in bare if character.isalnum())


class _Look(NamedTuple):
    """One element or attribute at which the rule looks, in all documents of one shape."""

    name: str
    kind: int
    piece: int  # the only piece of its text; below zero if there are several, or none
    texts: tuple[tuple[int, ...], ...]  # each a list of pieces
    values: tuple[int, ...] = ()  # of attributes


def _bare(folded: str) -> str:
    """Return a folded text without punctuation and symbols at its ends."""
    start, end = 0, len(folded)
    while start < end and not folded[start].isalnum():
        start += 1
    while end > start and not folded[end - 1].isalnum():
        end -= 1
    return folded[start:end]


@dataclass(frozen=True, slots=True)
class SecrecyRule:
    """What marks a state secret; all members folded. Made by ``load_rule``."""

    marks: frozenset[str]
    level_values: frozenset[str]
    levels: frozenset[str]
    fields: frozenset[str]
    file_names: frozenset[str]
    brackets: tuple[tuple[str, str], ...]
    _kinds: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What tags and names of attributes are, as far as they were met."""
    _looks: Kept[Shape, tuple[_Look, ...]] = field(
        default_factory=lambda: Kept(_MOST_SHAPES, _ROOM), init=False, repr=False, compare=False
    )
    """Where to look in documents of a shape."""
    _ordinary: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """Matches texts that are too long for a mark and start with no bracket: nearly all of them."""
    _letter: str = field(init=False, repr=False, compare=False)
    """A letter that every mark has, no ASCII; empty if there is none."""

    def __post_init__(self) -> None:
        longest = max((len(mark) for mark in self.marks), default=0)
        no_bracket = not any(opening.isalnum() for opening, _ in self.brackets)
        shared = frozenset[str]().union(*self.marks).intersection(*self.marks)
        letters = (one for one in sorted(shared) if not one.isascii() and _COMPOSED.fullmatch(one))
        object.__setattr__(self, "_letter", next(letters, ""))
        object.__setattr__(
            self, "_ordinary", re.compile(_PLAIN + f"{{{longest + 1}}}" if no_bracket else r"(?!)")
        )

    def check(self, elements: Elements) -> None:
        """Look at every element and attribute of a view.

        Raises:
            RefusedError: STATE-SECRET; the detail names the element, never its text.
        """
        place = self.find(elements)
        if place is not None:
            raise RefusedError(Code.STATE_SECRET, f"a mark of secrecy stands in {place}")

    def find(self, elements: Elements) -> str | None:
        """Return the local name of an element or attribute that marks a state secret, or None."""
        looks = self._looks.get(elements.shape)
        if looks is None:
            looks = tuple(self._looks_at(elements.shape))
            shape = elements.shape
            size = sum(_PER_LOOK + 40 * sum(map(len, look.texts)) for look in looks)
            self._looks.keep(shape, looks, shape.size + size)
        pieces = elements.pieces
        for name, kind, piece, texts, values in looks:
            if kind & _LEVEL:
                if any(self._marks_level(_joined(elements, text)) for text in texts) or any(
                    self._marks_level(elements.values[value]) for value in values
                ):
                    return name
                continue
            octets = pieces[piece] if piece >= 0 else None
            text = decoded(octets) if octets else "" if piece >= 0 else _joined(elements, texts[0])
            if text and self.marks_text(text, file_name=kind & _FILE_NAME != 0):
                return name
        return None

    def _looks_at(self, shape: Shape) -> Iterator[_Look]:
        """Yield what is to be looked at: the same for all documents of the shape."""
        attributes: dict[int, list[tuple[int, str]]] = {}
        for number, (element, name) in enumerate(shape.attributes):
            attributes.setdefault(element, []).append((number, name))
        waiting = [0]
        while waiting:
            element = waiting.pop()
            tag = shape.tags[element]
            kind = self._kind_of(tag)
            if kind & _LEVEL:  # its own text, that of its parts, and their attributes, one by one
                parts = list(below(shape, element))
                texts = tuple(shape.texts[part] for part in parts)
                values = tuple(number for part in parts for number, _ in attributes.get(part, ()))
                yield _Look(local_name(tag), _LEVEL, -1, texts, values)
            if kind & _FIELD:
                text = _whole_text(shape, element)
                piece = text[0] if len(text) == 1 else -1
                yield _Look(local_name(tag), kind & ~_LEVEL, piece, (text,))
            for number, name in attributes.get(element, ()):
                if self._kind_of(name) & _LEVEL:
                    yield _Look(local_name(name), _LEVEL, -1, (), (number,))
            waiting.extend(shape.children[element])

    def _kind_of(self, tag: str) -> int:
        """Return what the name of an element or attribute is to this rule, and keep it."""
        known = self._kinds.get(tag)
        if known is not None:
            return known
        name = fold_name(tag)
        kind = (
            (_LEVEL if name in self.levels else 0)
            | (_FIELD if name in self.fields else 0)
            | (_FILE_NAME if name in self.file_names else 0)
        )
        if len(tag) <= _LONG_NAME:  # anybody may write names of tens of thousands of letters
            if len(self._kinds) >= _MOST_NAMES:
                self._kinds.clear()
            self._kinds[tag] = kind
        return kind

    def marks_text(self, text: str, *, file_name: bool = False) -> bool:
        """Whether a text is a mark, or starts with one in brackets; of a file name, also without its extension."""
        if not text or self._ordinary.match(text):
            return False
        if self._letter and self._letter not in text.casefold() and _COMPOSED.fullmatch(text):
            return False
        folded = _fold_short(text) if len(text) <= _SHORT else fold_text(text)
        if _bare(folded) in self.marks:
            return True
        if file_name and _bare(_EXTENSION.sub("", folded)) in self.marks:
            return True
        for opening, closing in self.brackets:
            if folded.startswith(opening):
                inside, found, _ = folded[len(opening) :].partition(closing)
                if found and _bare(inside) in self.marks:
                    return True
        return False

    def _marks_level(self, value: str) -> bool:
        return self.marks_text(value) or _bare(fold_text(value)) in self.level_values


def _whole_text(shape: Shape, element: int) -> tuple[int, ...]:
    """Return the pieces of an element and its parts, so that a mark split over parts is seen in one of the two ways."""
    own = shape.texts[element]
    return own + tuple(piece for child in shape.children[element] for piece in _whole_text(shape, child))


def _joined(elements: Elements, text: tuple[int, ...]) -> str:
    """Return the text of some pieces, without those that were left out."""
    return "".join(decoded(piece) for one in text if (piece := elements.pieces[one]))


@cache
def shipped_rule() -> SecrecyRule:
    """Return the rule of ``config/state_secrets.yaml`` as shipped."""
    return load_rule(shipped("config/state_secrets.yaml"))


def load_rule(path: Path) -> SecrecyRule:
    """Read a rule.

    Raises:
        ConfigurationError: CONFIG-INVALID: not YAML, a list is missing, empty or holds something else than texts.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            Code.CONFIG_INVALID, f"{path.name} cannot be read: {type(error).__name__}"
        ) from error
    if not isinstance(raw, dict) or set(raw) != set(_LISTS):
        raise ConfigurationError(Code.CONFIG_INVALID, f"{path.name} must hold exactly {', '.join(_LISTS)}")
    lists = {name: _texts(raw[name], f"{path.name}: {name}") for name in _LISTS}
    pairs = [fold_text(pair) for pair in lists["brackets"]]
    if any(len(pair) != 2 for pair in pairs):
        raise ConfigurationError(
            Code.CONFIG_INVALID, f"{path.name}: each of brackets is a pair of characters"
        )
    return SecrecyRule(
        marks=frozenset(fold_text(mark) for mark in lists["marks"]),
        level_values=frozenset(fold_text(value) for value in lists["level_values"]),
        levels=frozenset(fold_name(name) for name in lists["levels"]),
        fields=frozenset(fold_name(name) for name in lists["fields"]),
        file_names=frozenset(fold_name(name) for name in lists["file_names"]),
        brackets=tuple((pair[0], pair[1]) for pair in pairs),
    )


def _texts(value: object, where: str) -> list[str]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(item, str) and item.strip() for item in value)
    ):
        raise ConfigurationError(Code.CONFIG_INVALID, f"{where} must be a list of texts")
    return value
