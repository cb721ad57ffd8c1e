"""``truc why``: where a document is, what it waits for, since when, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.errors import EXIT_NOT_FOUND
from relay.cli.operating import relay_of
from relay.cli.options import (
    agency_code,
    config_option,
    home_option,
    json_option,
    language,
    people_time,
    print_json,
)

if TYPE_CHECKING:
    from relay.operate.why import Reason


@click.command()
@click.argument("transport-id")
@click.option(
    "--sender", type=agency_code, metavar="CODE", help="Only this sender's; several may use one transport id."
)
@config_option
@home_option
@json_option
def why(transport_id: str, sender: str | None, config: Path | None, home: Path, as_json: bool) -> None:
    """Say in a sentence where a document is, what it waits for, since when, and what to do.

    One sentence for each case: recipients that stand alike are told together. Comes from the registry and from a look
    at the queues; where in a queue a document stands, no broker tells. Exit code 5: nothing is known of the id.
    """
    from relay.cli.track import print_attachments
    from relay.observe.clock import SystemClock
    from relay.operate.attachments import facts as attachment_facts
    from relay.operate.attachments import told
    from relay.operate.gathering import gather
    from relay.operate.why import sentence
    from relay.operate.why import why as reasons_of

    with relay_of(home, config) as relay:
        now = SystemClock().now()
        facts = gather(
            transport_id, sender, relay.registry, relay.directory_if_any(), relay.browser_if_any, now
        )
        verdicts = [one for standing in facts.standings for one in told(relay.registry, standing)]
    reasons = reasons_of(facts)
    if as_json:
        print_json(
            {
                "transport_id": transport_id,
                "found": reasons[0].key != "unknown",
                "broker": facts.queues is not None,
                "reasons": [_json(one) for one in reasons],
                "attachments": [attachment_facts(one) for one in verdicts],
            }
        )
    else:
        several = len({one.sender for one in reasons if one.sender}) > 1
        chosen = "vi" if language() == "vi" else "en"
        for one in reasons:
            before = f"[{one.sender}] " if several and one.sender else ""
            click.echo(before + sentence(one, chosen, people_time))  # type: ignore[arg-type]
        print_attachments(verdicts)
    if reasons[0].key == "unknown":
        click.get_current_context().exit(EXIT_NOT_FOUND)


def _json(reason: Reason) -> dict[str, Any]:
    from relay.model.times import rfc3339
    from relay.operate.why import sentence

    return {
        "case": reason.key,
        "sender": reason.sender,
        "recipients": list(reason.recipients),
        "since": reason.since,
        "also": list(reason.also),
        **{name: value for name, value in reason.values.items() if name != "id"},
        "sentence": {
            "vi": sentence(reason, "vi", rfc3339),
            "en": sentence(reason, "en", rfc3339),
        },
    }
