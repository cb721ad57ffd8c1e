"""Wiring: what the national format says of a body that an operator looks at, its signature not looked at."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from relay.errors import RefusedError

if TYPE_CHECKING:
    from relay.operate.showing import Judge, Judged
    from relay.settings import Settings


def judge_of(settings: Settings) -> Judge:
    """Return the judge of edXML packages under a relay's own limits."""
    from adapters.edxml.format import EdxmlFormat
    from adapters.edxml.secrecy import shipped_rule
    from adapters.edxml.show import shown
    from relay.cli.wiring import parse_limits
    from relay.model.message import Kind
    from relay.model.verdict import SignedView
    from relay.operate.showing import Judged
    from relay.trust.view import unverified

    rule, place, limits = shipped_rule(), EdxmlFormat().place(Kind.EDOC), parse_limits(settings)

    def judge(body: bytes) -> Judged:
        try:
            elements = unverified(body, place, limits)
        except RefusedError as error:
            return Judged(readable=False, trouble=f"{error.code.value} {error.detail}".strip())
        if (marked := rule.find(elements)) is not None:
            return Judged(readable=True, secret=marked)
        facts = shown(SignedView(elements, sha256(body).hexdigest(), len(body)))
        return Judged(
            readable=True,
            facts={
                "sender": facts.sender,
                "recipients": [code for code, _ in facts.recipients],
                "document_id": facts.document_id,
                "code": facts.number,
                "promulgation_date": facts.promulgation_date,
                "type_name": facts.type_name,
                "priority": facts.priority,
                "status": facts.status_code,
                "attachments": len(facts.files),
            },
        )

    return judge
