"""``truc drain``: end workers of this machine without losing their work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.errors import EXIT_TRANSIENT
from relay.cli.operating import relay_of
from relay.cli.options import config_option, dry_run_option, home_option, json_option, note, print_json, words

if TYPE_CHECKING:
    from relay.operate.processes import Drained


@click.command()
@click.option(
    "--worker", "names", multiple=True, metavar="NAME", help="This worker; may be given several times."
)
@click.option("--all", "everyone", is_flag=True, help="All workers of this relay on this machine.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    help="Seconds to wait for them to end. None is killed.",
)
@config_option
@home_option
@dry_run_option
@json_option
def drain(
    names: tuple[str, ...],
    everyone: bool,
    timeout: float,
    config: Path | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Have workers take nothing new, finish what they have in hand, and end.

    Sends SIGTERM to the workers of this machine that the registry names, and waits. What is not finished in time is
    given back: the broker delivers it again, and another worker completes it. With the shipped units it stays down until
    systemctl start; other supervisors, a sandbox's among them, may start it anew at once, which is then
    said. Exit code 4: one had not ended in time.
    """
    if bool(names) == everyone:
        raise click.UsageError("--worker NAME or --all")
    from relay.model.audit import Act
    from relay.observe.clock import SystemClock
    from relay.operate import processes
    from relay.operate.acting import who

    clock = SystemClock()
    with relay_of(home, config) as relay:
        registry = relay.registry
        meant = processes.chosen(registry, names, everyone=everyone)
        rest = processes.others(registry, meant)
        if dry_run:
            _show(meant, rest, as_json=as_json, dry_run=True)
            return
        for one in meant:
            act = Act(clock.now(), who(), processes.DRAIN, one.process.name, f"process {one.process.pid}")
            registry.note_act(act)
        signals = processes.Pidfd()
        try:
            done = processes.drain(meant, registry, signals, clock, timeout, _Progress())
        finally:
            signals.close()
        done = processes.restarted(done, registry, time.sleep)
        rest = processes.others(registry, done)
    _show(done, rest, as_json=as_json, dry_run=False)
    if not all(one.ended for one in done):
        click.get_current_context().exit(EXIT_TRANSIENT)


class _Progress:
    """Tells who is waited for, when that has changed."""

    def __init__(self) -> None:
        self._said: list[tuple[str, int]] = []

    def __call__(self, left: list[tuple[str, int]]) -> None:
        if left != self._said:
            self._said = left
            note(
                words("waiting: ", "đang chờ: ")
                + ", ".join(
                    words(f"{name} ({count} in hand)", f"{name} (còn {count})") for name, count in left
                )
            )


def _show(found: list[Drained], others: int, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        more = {"dry_run": True} if dry_run else {}
        print_json({"workers": [_json(one, dry_run=dry_run) for one in found], "others": others, **more})
        return
    for one in found:
        click.echo(_line(one, dry_run=dry_run))
    if not others and not any(one.restarted for one in found):
        click.echo(
            words(
                "no other worker runs: nothing is taken until one is started",
                "không còn worker nào chạy: chưa có gì được xử lý cho tới khi khởi động lại",
            )
        )


def _json(one: Drained, *, dry_run: bool) -> dict[str, Any]:
    process = one.process
    facts: dict[str, Any] = {
        "worker": process.name,
        "pid": process.pid,
        "host": process.host,
        "since": process.since,
        "version": process.version,
        "in_hand": one.before,
    }
    if dry_run:
        return facts
    return {**facts, "ended": one.ended, "unfinished": one.unfinished, "restarted": one.restarted}


def _line(one: Drained, *, dry_run: bool) -> str:
    name, pid = one.process.name, one.process.pid
    if dry_run:
        return words(
            f"would drain {name} (process {pid}, {one.before} in hand)",
            f"sẽ cho {name} ngừng nhận và kết thúc (tiến trình {pid}, đang xử lý {one.before})",
        )
    if not one.ended:
        return words(
            f"{name}: still running, {one.unfinished} in hand; it was not killed, wait or look at its log",
            f"{name}: vẫn đang chạy, còn {one.unfinished}; không bị buộc dừng, hãy chờ hoặc xem nhật ký",
        )
    line = words(
        f"{name}: ended; it had {one.before} in hand",
        f"{name}: đã kết thúc; trước đó đang xử lý {one.before}",
    )
    if one.unfinished:
        line += words(
            f"; {one.unfinished} unfinished, given back to the broker",
            f"; {one.unfinished} chưa xong, đã trả lại hàng đợi",
        )
    if one.restarted:
        line += words("; its supervisor has started it anew", "; đã được khởi động lại tự động")
    return line
