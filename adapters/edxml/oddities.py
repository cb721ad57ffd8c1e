"""What a tolerant reader meets and takes: a closed list. Texts, owners and levels stand in ``config/edxml_oddities.yaml``.

A *finding* is one of these at one place. What would change the meaning is no finding but a *fault*: a refusal by one of
the codes of ``relay.errors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Literal

import yaml

from relay.errors import Code, RefusedError
from relay.errors.catalogue import Language, Owner
from relay.resources import shipped

Level = Literal["note", "warning"]


class Oddity(StrEnum):
    """The closed list. Its texts stand under the same names in the shipped file; a test compares the two."""

    # the bytes
    BYTE_ORDER_MARK = "byte-order-mark"
    LEADING_BYTES = "leading-bytes"
    TRAILING_BYTES = "trailing-bytes"
    UNDECLARED_PREFIX = "undeclared-prefix"

    # elements
    ORDER = "order"
    MISSING = "missing"
    EMPTY = "empty"
    REPEATED = "repeated"
    UNKNOWN_ELEMENT = "unknown-element"
    UNKNOWN_ATTRIBUTE = "unknown-attribute"
    SDK_ATTRIBUTE = "sdk-attribute"
    LEGACY_ELEMENT = "legacy-element"
    MISSPELT = "misspelt"
    MISPLACED = "misplaced"
    FOREIGN_NAMESPACE = "foreign-namespace"
    STRAY_TEXT = "stray-text"
    ELEMENTS_IN_TEXT = "elements-in-text"

    # values
    TOO_LONG = "too-long"
    FILLER = "filler"
    DATE_DAY_FIRST = "date-day-first"
    DATE_DASHES = "date-dashes"
    DATE_DIGITS = "date-digits"
    DATE_WITH_TIME = "date-with-time"
    DATE_IMPOSSIBLE = "date-impossible"
    DATE_UNREAD = "date-unread"
    TIME_FORM = "time-form"
    TIME_UNREAD = "time-unread"
    NOT_A_NUMBER = "not-a-number"
    OUT_OF_RANGE = "out-of-range"
    PRIORITY_FIVE = "priority-five"
    STEERING_ZERO = "steering-zero"
    BOOLEAN_FORM = "boolean-form"
    PAPER_COUNT = "paper-count"
    NUMBER_WITH_LETTERS = "number-with-letters"

    # agencies
    ORGAN_ID_SHAPE = "organ-id-shape"
    ORGAN_ID_SPACE = "organ-id-space"
    ORGAN_ID_SHORT = "organ-id-short"
    FROM_IS_TO = "from-is-to"
    TO_REPEATED = "to-repeated"

    # business
    BUSINESS_TYPE_MISSING = "business-type-missing"
    BUSINESS_PART_MISSING = "business-part-missing"
    BUSINESS_PART_IDLE = "business-part-idle"
    REVOKES_OWN_ID = "revokes-own-id"
    DROPPED_NOT_ADDRESSED = "dropped-not-addressed"
    REPLACEMENT_REPEATED = "replacement-repeated"
    REASON_MISSING = "reason-missing"
    DUE_BEFORE_PROMULGATION = "due-before-promulgation"
    DOCUMENT_ID_FORM = "document-id-form"
    STATUS_EXTRA = "status-extra"
    SIGNATURE_STUB = "signature-stub"

    # manifest and attachments
    REFERENCE_ALONE = "reference-alone"
    ATTACHMENT_ALONE = "attachment-alone"
    CONTENT_ID_BARE = "content-id-bare"
    CONTENT_ID_MISSING = "content-id-missing"
    NAME_DIFFERS = "name-differs"
    TYPE_DIFFERS = "type-differs"

    # the bytes of attachments
    BASE64_FOLDED = "base64-folded"
    BASE64_UNPADDED = "base64-unpadded"
    ZIP_WRAPPED = "zip-wrapped"
    ZIP_TOO_LARGE = "zip-too-large"
    ZIP_ENCRYPTED = "zip-encrypted"
    ZIP_DAMAGED = "zip-damaged"
    ZIP_PATH = "zip-path"
    ZIP_NESTED = "zip-nested"
    CONTENT_NOT_AS_NAMED = "content-not-as-named"
    CONTENT_NOT_AS_DECLARED = "content-not-as-declared"
    PDF_DAMAGED = "pdf-damaged"
    PROGRAM = "program"
    FILE_EMPTY = "file-empty"
    NAME_UNSAFE = "name-unsafe"
    NAME_DECOMPOSED = "name-decomposed"


@dataclass(frozen=True, slots=True)
class OddityEntry:
    """The texts of one oddity: what it is, what the reader assumed, what to do first."""

    oddity: Oddity
    level: Level
    owner: Owner
    message: dict[Language, str]
    assumed: dict[Language, str]
    remedy: dict[Language, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One oddity at one place. ``found`` and ``read`` are short and for people; never logged."""

    oddity: Oddity
    line: int  # in the file, from 1; 0: the file as a whole
    path: str  # from below the root, local names, "[n]" where several stand
    found: str = ""  # what stands there
    read: str = ""  # as what it was taken

    @property
    def entry(self) -> OddityEntry:
        """Its texts."""
        return oddities()[self.oddity]


@dataclass(frozen=True, slots=True)
class Fault:
    """A place that cannot be read without guessing who, which document or which bytes."""

    code: Code
    line: int
    path: str
    detail: str = ""  # in English; names elements, never their content

    def error(self) -> RefusedError:
        """Return it as an error."""
        place = f"line {self.line}, {self.path}" if self.path else ""
        return RefusedError(self.code, ": ".join(part for part in (place, self.detail) if part))


@cache
def oddities() -> dict[Oddity, OddityEntry]:
    """Return every entry. Raises ``KeyError`` or ``ValueError`` when the shipped file is damaged."""
    raw = yaml.safe_load(shipped("config/edxml_oddities.yaml").read_text(encoding="utf-8"))
    return {
        Oddity(name): OddityEntry(
            Oddity(name), body["level"], body["owner"], body["message"], body["assumed"], body["remedy"]
        )
        for name, body in raw.items()
    }
