"""What is generated on docs/protocol.md, between marks: the table of codes that a gateway can be told, from
``config/errors.yaml``, and one receipt of docs/examples/files, broken into lines.

`make docs` writes both anew. A code that no group names and no operator alone meets stands under the last heading, so
that none can be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.errors.catalogue import Entry

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "protocol.md"
RECEIPT: Final = PAGE.parent / "examples" / "files" / "acknowledgement-accepted.xml"
CODES_BEGIN: Final = "<!-- codes: begin; written by `make docs` from config/errors.yaml -->"
CODES_END: Final = "<!-- codes: end -->"
RECEIPT_BEGIN: Final = "<!-- receipt: begin; written by `make docs` from docs/examples/files -->"
RECEIPT_END: Final = "<!-- receipt: end -->"
_WIDTH: Final = 120

OPERATORS: Final = re.compile(
    r"OK|NOT-FOUND|NOT-ON-RECORD|NOT-PERMITTED|FILE-UNUSABLE|UNSAFE-CHANGE|PROOF-INVALID|CERTIFICATE-TAKEN|USER-EXISTS"
    r"|(CONFIG|DIRECTORY|KEY|LIBXML|BROKER|PUBLISH|TOPOLOGY|REGISTRY|SANDBOX|RECEIPT|DEMO|EVIDENCE|TIME-STAMP|WITNESS)-.+"
)
"""What an operator, or a person at the command line of `truc`, meets; no receipt carries it."""

GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "The publish: properties, headers, lane",
        (
            *(
                "MISSING-TRANSPORT-ID",
                "BAD-TRANSPORT-ID",
                "WRONG-TYPE",
                "WRONG-CONTENT-TYPE",
                "NOT-PERSISTENT",
            ),
            *("CC-FORBIDDEN", "EXPIRATION-FORBIDDEN", "REPLY-TO-FORBIDDEN", "CONTENT-ENCODING-FORBIDDEN"),
            *("FORBIDDEN-HEADER", "BAD-DEADLINE", "BAD-ROUTING-KEY", "WRONG-LANE", "EMPTY-BODY", "TOO-LARGE"),
            *("ID-REUSED", "SAME-CONTENT"),
        ),
    ),
    (
        "The bytes",
        (
            *("NOT-XML", "NOT-UTF8", "DTD-FORBIDDEN", "ENTITY-FORBIDDEN", "PI-FORBIDDEN", "COMMENT-IN-TEXT"),
            *("TOO-DEEP", "TOO-COMPLEX", "WRONG-ROOT", "HIDDEN-NAMESPACE"),
        ),
    ),
    (
        "Signature and signer",
        (
            *(
                "UNSIGNED",
                "MANY-SIGNATURES",
                "SIGNATURE-MISPLACED",
                "SIGNATURE-MALFORMED",
                "FOREIGN-REFERENCE",
            ),
            *(
                "FOREIGN-TRANSFORM",
                "WEAK-ALGORITHM",
                "KEYINFO-MALFORMED",
                "DIGEST-MISMATCH",
                "SIGNATURE-INVALID",
            ),
            *("FOREIGN-ID", "MANIFEST-MALFORMED", "UNSIGNED-CONTENT"),
            *("ATTACHMENT-MISMATCH", "ATTACHMENT-ALTERED"),
            *("BAD-CERTIFICATE", "UNKNOWN-CA", "CERTIFICATE-EXPIRED", "CERTIFICATE-NOT-YET-VALID"),
            *(
                "CERTIFICATE-REVOKED",
                "REVOCATION-UNKNOWN",
                "WRONG-SIGNER",
                "UNKNOWN-SENDER",
                "SENDER-SUSPENDED",
            ),
            *("SENDER-NOT-ALLOWED",),
        ),
    ),
    (
        "What the package says",
        (
            *(
                "TYPE-MISMATCH",
                "MISSING-VALUE",
                "DUPLICATE-VALUE",
                "BAD-CODE",
                "BAD-VALUE",
                "BAD-DOCUMENT-TYPE",
            ),
            *("EMPTY-DOCUMENT-ID", "NO-RECIPIENT", "STATE-SECRET"),
        ),
    ),
    (
        "Recipients",
        (
            *("UNKNOWN-RECIPIENT", "RECIPIENT-CLOSED", "RECIPIENT-SUSPENDED", "RECIPIENT-NOT-SERVED"),
            *("TRIAL-ONLY", "QUEUE-FULL", "UNROUTABLE", "NO-CONFIRM", "ATTACHMENT-PENDING"),
        ),
    ),
    (
        "Statuses and take-back",
        (
            *("STATUS-HAS-TO", "BAD-STATUS-CODE", "STATUS-UNKNOWN-DOCUMENT", "STATUS-AMBIGUOUS"),
            *(
                "STATUS-NOT-A-PARTY",
                "STATUS-WITHOUT-REQUEST",
                "STATUS-AFTER-WITHDRAWAL",
                "TAKE-BACK-NOT-YOURS",
            ),
            *("WITHDRAWN",),
        ),
    ),
    (
        "Outcomes and notices",
        (
            *("OVERDUE", "BODY-LOST", "UNDELIVERABLE", "HELD", "SET-ASIDE", "NO-USER", "EXPIRED-IN-QUEUE"),
            *("REJECTED-BY-GATEWAY", "DELIVERY-DROPPED", "SUBMISSION-DROPPED"),
            *("ATTACHMENT-REFUSED", "ATTACHMENT-UNCHECKED"),
        ),
    ),
)


def page() -> str:
    """Return docs/protocol.md as catalogue and files have it now. Raises ValueError: the marks are not there."""
    from relay.errors.catalogue import catalogue

    text = PAGE.read_text(encoding="utf-8")
    codes = "".join(table(catalogue().values()))
    text = _between(text, CODES_BEGIN, CODES_END, codes)
    block = "\n```xml\n" + "\n".join(broken(RECEIPT.read_text(encoding="utf-8"))) + "\n```\n\n"
    return _between(text, RECEIPT_BEGIN, RECEIPT_END, block)


def _between(text: str, begin: str, end: str, content: str) -> str:
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"docs/protocol.md has lost a mark: {begin}")
    return f"{before}{begin}\n{content}{end}{after}"


def broken(receipt: str) -> Iterator[str]:
    """Yield a receipt in lines to be read: one for each element, cut between attributes; its signature is left out."""
    text = re.sub(r"(<Signature [^>]*>).*(</Signature>)", r"\1…\2", receipt, flags=re.DOTALL)
    text = re.sub(r"(?<=>)(?=<(?!/))|(?<=</message>)(?=</)", "\n", text)
    for line in text.splitlines():
        while len(line) > _WIDTH and (cut := line.rfind('" ', 0, _WIDTH)) > 0:
            yield line[: cut + 1]
            line = " " + line[cut + 2 :]
        yield line


def table(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the tables, line by line: for each group the codes with what they mean, whose they are, and what to do."""
    known = {str(one.code): one for one in entries}
    named = {code for _, codes in GROUPS for code in codes}
    others = tuple(code for code in known if code not in named and not OPERATORS.fullmatch(code))
    for title, codes in (*GROUPS, ("Others", others)):
        if not codes:
            continue
        yield f"\n#### {title}\n\n"
        yield "| code | who mends it | again? | what it means, what to do first | nghĩa là gì, cần làm gì trước tiên |\n"
        yield "| --- | --- | --- | --- | --- |\n"
        for code in codes:
            one = known[code]
            english, vietnamese = (_flat(f"{one.message[lang]} {one.remedy[lang]}") for lang in ("en", "vi"))
            again = "yes" if one.retryable else "no"
            yield f"| `{code}` | {one.owner} | {again} | {english} | {vietnamese} |\n"
    yield "\n"


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
