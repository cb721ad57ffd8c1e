"""``truc worker`` and ``truc keeper``: the two processes of production."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from relay.observe.pulse import Pulse


class Runner(Protocol):
    """A process that runs until it is told to stop."""

    async def run(self) -> None:
        """Run until ``stop``."""
        ...

    def stop(self) -> None:
        """Ask for a clean stop."""
        ...

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether it can do its work now, and why not."""
        ...


_CONFIG = click.option(
    "--config",
    "config",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file (docs/configuration.md).",
)


def _changes(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Read KEY=VALUE, several."""
    pairs = [one.partition("=") for one in given]
    if wrong := [key for key, equals, _ in pairs if not (key and equals)]:
        raise click.BadParameter(f"{wrong[0]!r} is not KEY=VALUE")
    return {key: value for key, _, value in pairs}


_SET = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_changes,
    help="A setting that wins over the file, such as http.port=9471; may be repeated.",
)


@click.command()
@_CONFIG
@click.option("--name", help="Name of this worker, unique in the relay; else worker.name of the file.")
@_SET
def worker(config: Path, name: str | None, changes: dict[str, str]) -> None:
    """Run one worker until SIGTERM: take, verify, route, deliver, report.

    Its HTTP port (http.port) answers /metrics, /live and /ready.
    """
    from relay.cli.wiring import build_worker
    from relay.settings import load

    process, parts = build_worker(load(config, {**changes, **({"worker.name": name} if name else {})}))
    _serve(process, parts, "worker", parts.settings.worker.name)


@click.command()
@_CONFIG
@_SET
def keeper(config: Path, changes: dict[str, str]) -> None:
    """Run the keeper until SIGTERM: unpublished receipts, deadlines, lost bodies, quarantine.

    Several may run; a lease in the registry makes one of them the keeper.
    """
    from relay.cli.wiring import build_keeper
    from relay.settings import load

    process, parts = build_keeper(load(config, changes))
    _serve(process, parts, "keeper", "keeper")


def _serve(process: Runner, parts: object, role: str, name: str) -> None:
    from relay import __version__
    from relay.cli.wiring import Common
    from relay.observe import logs
    from relay.observe.http import HttpServer
    from relay.observe.pulse import Pulse
    from relay.operate.processes import enrolled, this_process

    if not isinstance(parts, Common):
        raise TypeError("parts of a process")
    settings = parts.settings
    logs.configure(settings.logging.level, settings.logging.file, secrets=(settings.broker.password(),))
    pulse = Pulse(parts.clock, lambda: parts.commits.broken)
    server = None
    if settings.http.port:
        server = HttpServer(
            parts.metrics.exposition,
            process.ready,
            live=pulse.live,
            host=settings.http.host,
            port=settings.http.port,
        )
        server.start()
    myself = this_process(parts.owner, name, role, parts.clock.now(), __version__)
    try:
        with enrolled(parts.registry, myself):
            asyncio.run(_until_told(process, pulse))
    finally:
        if server is not None:
            server.stop()
        parts.registry.close()


async def _until_told(process: Runner, pulse: Pulse) -> None:
    from relay.observe import notify

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    beating = loop.create_task(pulse.run())
    telling = loop.create_task(notify.keep_telling(pulse.live, process.ready))
    try:
        await process.run()
    finally:
        telling.cancel()
        beating.cancel()
