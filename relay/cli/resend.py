"""``truc resend``: receipts once more, deliveries brought forward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli.errors import EXIT_TRANSIENT
from relay.cli.operating import relay_of
from relay.cli.options import (
    agency_code,
    config_option,
    dry_run_option,
    home_option,
    json_option,
    print_json,
    words,
)

if TYPE_CHECKING:
    from relay.operate.resend import Step

_SAID: Final = {
    "brought-forward": ("brought forward from {where}", "đã đưa lên trước từ {where}"),
    "released": ("released from quarantine ({where})", "đã trả lại từ khu cách ly ({where})"),
    "lost": (
        "no body is left: the keeper tells the sender BODY-LOST",
        "không còn nội dung: keeper báo BODY-LOST cho đơn vị gửi",
    ),
    "lost-before": (
        "no body is left; the sender was told BODY-LOST or is about to be, and has to submit the same bytes again",
        "không còn nội dung; đơn vị gửi đã hoặc sắp được báo BODY-LOST và phải gửi lại đúng gói tin đó",
    ),
    "in-queue": (
        "went into {where}: it stands there, or was taken; only if it is known to be gone: --gone",
        "đã vào {where}: còn ở đó hoặc đã được lấy; chỉ khi chắc chắn không còn: --gone",
    ),
    "ended": ("nothing to do, ended", "không phải làm gì, đã kết thúc"),
    "in-hand": ("a worker is at it: ask again in a moment", "worker đang xử lý: thử lại sau giây lát"),
    "unsure": (
        "its body may be on its way to a worker: ask again in a moment",
        "nội dung có thể đang trên đường tới worker: thử lại sau giây lát",
    ),
    "receipt": ("receipt {where} published again", "đã gửi lại biên nhận {where}"),
    "receipt-failed": (
        "receipt {where} not confirmed: the keeper goes on trying if it never was",
        "biên nhận {where} chưa được xác nhận: keeper tiếp tục thử nếu chưa từng được xác nhận",
    ),
}


@click.command()
@click.argument("transport-id")
@click.option(
    "--sender", type=agency_code, metavar="CODE", help="Only this sender's; several may use one transport id."
)
@click.option(
    "--to", type=agency_code, multiple=True, metavar="CODE", help="Only this recipient; repeatable."
)
@click.option(
    "--receipts", is_flag=True, help="The stored receipts again instead: same bytes, marked as repetitions."
)
@click.option(
    "--gone",
    is_flag=True,
    help="What went into a recipient's queue is known to be gone (somebody emptied it): tell the sender BODY-LOST.",
)
@config_option
@home_option
@dry_run_option
@json_option
def resend(
    transport_id: str,
    sender: str | None,
    to: tuple[str, ...],
    receipts: bool,
    gone: bool,
    config: Path | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Do now what can be done for a document's open deliveries, or tell its receipts once more.

    A delivery whose body is on the retry ladder is brought forward; one in quarantine is released; where no body is
    left, the keeper tells the sender BODY-LOST, and the same submission again completes what is open. Nothing is
    published twice that stands in a recipient's queue. Exit code 4: of something it cannot be said yet; ask again.
    """
    if receipts and (to or gone):
        raise click.UsageError("--receipts goes with neither --to nor --gone")
    from relay.cli.quarantine import hands_of
    from relay.operate import resend as work

    with relay_of(home, config) as relay:
        hands = hands_of(relay)
        if receipts:
            steps = work.receipts(hands, transport_id, sender, dry_run=dry_run)
        else:
            steps = work.resend(
                hands,
                relay.directory(),
                relay.browser,
                transport_id,
                sender,
                to,
                gone=gone,
                dry_run=dry_run,
            )
    if as_json:
        print_json(
            {
                "transport_id": transport_id,
                "dry_run": dry_run,
                "steps": [
                    {"what": one.what.value, "recipients": list(one.recipients), "where": one.where}
                    for one in steps
                ],
            }
        )
    else:
        for one in steps:
            click.echo(_line(one, dry_run=dry_run))
    if any(one.what in {work.What.UNSURE, work.What.IN_HAND, work.What.RECEIPT_FAILED} for one in steps):
        click.get_current_context().exit(EXIT_TRANSIENT)


def _line(step: Step, *, dry_run: bool) -> str:
    en, vi = _SAID[step.what.value]
    would = words("would be: ", "sẽ là: ") if dry_run and step.acts else ""
    return f"{', '.join(step.recipients)}: {would}{words(en, vi).format(where=step.where)}"
