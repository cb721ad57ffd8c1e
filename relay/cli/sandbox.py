"""``truc up``, ``down``, ``demo`` and ``keys``: the sandbox."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import (
    agency_code,
    dry_run_option,
    home_option,
    json_option,
    language,
    note,
    print_json,
    words,
)

if TYPE_CHECKING:
    from relay.sandbox.contents import Sandbox


@click.command()
@home_option
@click.option(
    "--workers", type=click.IntRange(1, 16), help="Number of workers; default: as before, at first 1."
)
@click.option(
    "--tls/--no-tls",
    "tls",
    default=None,
    help="TLS and nothing else, or plain AMQP on loopback; default: as before, at first plain.",
)
@click.option(
    "--name",
    help="Name of the relay, as it stands in receipts; default: as before, at first truc-dev. It stays.",
)
@click.option(
    "--trust",
    "trusts",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Another sandbox whose relay's signatures are believed, so that it can be a witness. Repeatable; default: as before.",
)
@click.option("--detach", is_flag=True, help="Return when sending works, and leave everything running.")
@dry_run_option
@json_option
def up(
    home: Path,
    workers: int | None,
    tls: bool | None,
    name: str | None,
    trusts: tuple[Path, ...],
    detach: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring a sandbox up: a private broker, development certificates, sample agencies, workers and keeper.

    A second call on a running, damaged or stopped sandbox repairs it and keeps its data, ports, passwords and
    certificates. Without --detach it stays, restarts what dies, and ends everything on Ctrl-C.

    With --tls the broker and its management speak TLS only; gateways log in by password or by client certificate, both
    in sandbox.json. A sandbox may be changed from one to the other; its broker is restarted for it.

    Two sandboxes of different names that trust each other can witness each other's evidence (docs/operating-evidence.md).
    """
    if dry_run:
        _tell_up(home, tls, name, trusts, as_json=as_json)
        return
    from relay.sandbox.contents import running
    from relay.sandbox.up import up as bring_up

    told = False

    def ready() -> None:
        nonlocal told
        told = True
        _show(running(home), as_json=as_json)

    sandbox = bring_up(
        home,
        workers=workers,
        tls=tls,
        name=name,
        trusts=trusts or None,
        detach=detach,
        say=note,
        on_ready=ready,
    )
    if not told:
        _show(sandbox, as_json=as_json)


def _tell_up(
    home: Path, tls: bool | None, name: str | None, trusts: tuple[Path, ...], *, as_json: bool
) -> None:
    from relay.sandbox.home import RELAY_NAME, Home
    from relay.sandbox.up import Asked

    place = Home(home)
    folders = tuple(str(Home(one).path) for one in trusts)
    Asked(name=name, trusts=folders).check(place)
    exists = place.exists()
    kept = place.kept() if exists else None
    before = kept.tls if kept else False
    after = before if tls is None else tls
    if as_json:
        print_json(
            {
                "dry_run": True,
                "home": home,
                "exists": exists,
                "tls": after,
                "relay_name": kept.relay_name if kept else name or RELAY_NAME,
                "trusts": list(folders or (kept.trusts if kept else ())),
            }
        )
    elif exists and after != before:
        click.echo(
            words(
                f"would change the sandbox in {home} to {'TLS' if after else 'plain AMQP'} and restart its broker",
                f"sẽ chuyển sandbox ở {home} sang {'TLS' if after else 'AMQP không mã hóa'} và khởi động lại máy chủ",
            )
        )
    elif exists:
        click.echo(
            words(f"would start or repair the sandbox in {home}", f"sẽ khởi động hoặc sửa sandbox ở {home}")
        )
    else:
        click.echo(words(f"would make a sandbox in {home}", f"sẽ tạo sandbox ở {home}"))


def _show(sandbox: Sandbox, *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "home": sandbox.home,
        "sandbox_json": sandbox.home / "sandbox.json",
        "amqp_url": sandbox.amqp_url,
        "management_url": sandbox.management_url,
        **({"tls_ca_cert": sandbox.tls_ca_cert} if sandbox.tls_ca_cert else {}),
        "metrics_urls": list(sandbox.metrics_urls),
        "agencies": sorted(sandbox.agencies),
        "pids": {
            "broker": sandbox.pids.broker,
            "keeper": sandbox.pids.keeper,
            "supervisor": sandbox.pids.supervisor,
            "workers": list(sandbox.pids.workers),
        },
    }
    if as_json:
        print_json(facts)
    else:
        click.echo(words(f"ready: {sandbox.home}", f"sẵn sàng: {sandbox.home}"))
        click.echo(f"  {sandbox.amqp_url}  {sandbox.management_url}")
        click.echo(words("  agencies: ", "  đơn vị: ") + " ".join(facts["agencies"]))
        home = sandbox.home
        click.echo(
            words("  try: ", "  thử: ") + f'truc send --home {home} --as H26 --to H53 --subject "Thử" --wait'
        )
    sys.stdout.flush()


@click.command()
@home_option
@dry_run_option
@json_option
def down(home: Path, dry_run: bool, as_json: bool) -> None:
    """End a sandbox: no process, port or lock stays, only the folder with its data."""
    if dry_run:
        if as_json:
            print_json({"dry_run": True, "home": home})
        else:
            click.echo(words(f"would end the sandbox in {home}", f"sẽ dừng sandbox ở {home}"))
        return
    from relay.sandbox.down import down as bring_down

    ran = bring_down(home)
    if as_json:
        print_json({"home": home, "ran": ran})
    elif ran:
        click.echo(words(f"ended: {home}", f"đã dừng: {home}"))
    else:
        click.echo(words(f"nothing runs in {home}", f"không có gì đang chạy ở {home}"))


@click.command()
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Make the sandbox in DIR and leave it there.",
)
@click.option("--tls", is_flag=True, help="Over TLS; gateways log in by client certificate.")
@json_option
def demo(keep: Path | None, tls: bool, as_json: bool) -> None:
    """See it run: real documents between agencies of all four levels, over a private broker.

    Good ones and wrong ones, receipts and statuses; prints the hops, checks every outcome, and ends with one line:
    "demo: D documents, V deliveries, R receipts, lost 0, duplicated 0". The exit code is 0 only if that holds.
    """
    from relay.sandbox.demo import run_demo

    click.get_current_context().exit(run_demo(keep, as_json, tls=tls, language=language(), say=click.echo))


@click.group()
def keys() -> None:
    """Keys and accounts of a sandbox."""


@keys.command("issue")
@click.argument("code", type=agency_code)
@click.option(
    "--kind",
    type=click.Choice(["ec-p256", "ec-p384", "rsa-2048", "rsa-3072"]),
    help="Give it a new key of this kind; the old certificate is revoked, that of its login too.",
)
@home_option
@dry_run_option
@json_option
def issue(code: str, kind: Any, home: Path, dry_run: bool, as_json: bool) -> None:  # noqa: ANN401 - a Literal, late
    """Issue a development certificate and a broker user for an agency's gateway.

    An agency that the sandbox does not know joins its directory. Without --kind a known one keeps what it has.
    """
    from relay.sandbox.home import Home

    had = kind is None and (Home(home).keys / f"{code}.pem").is_file()
    kept = words(
        f"{code} has a key and keeps it; --kind gives it a new one and revokes the old certificate",
        f"{code} đã có khóa, giữ nguyên; --kind cấp khóa mới và thu hồi chứng thư cũ",
    )
    if dry_run:
        if as_json:
            print_json({"dry_run": True, "code": code, "home": home})
        elif had:
            click.echo(kept)
        else:
            click.echo(
                words(f"would issue key and account for {code}", f"sẽ cấp khóa và tài khoản cho {code}")
            )
        return
    from relay.sandbox.keys import issue_keys

    agency = issue_keys(home, code, kind=kind)
    if as_json:
        # The password stands in sandbox.json, which only its owner can read; it is not printed.
        print_json(
            {
                "code": agency.code,
                "gateway": agency.gateway,
                "user": agency.user,
                "key": agency.key,
                "cert": agency.cert,
                "level": agency.level,
            }
        )
    else:
        click.echo(f"{agency.code}  {agency.user}\n  {agency.key}\n  {agency.cert}")
        if had:
            click.echo(kept)


@keys.command("relay")
@click.option(
    "--kind",
    type=click.Choice(["ec-p256", "ec-p384", "rsa-2048", "rsa-3072"]),
    default="ec-p256",
    show_default=True,
    help="Kind of the new key.",
)
@home_option
@dry_run_option
@json_option
def relay_key(kind: Any, home: Path, dry_run: bool, as_json: bool) -> None:  # noqa: ANN401 - a Literal, late
    """Give the sandbox's relay a new key and certificate; its processes take them without a restart.

    The former certificate stays in relay_certs of sandbox.json: what was sealed with it still verifies.
    """
    if dry_run:
        if as_json:
            print_json({"dry_run": True, "home": home})
        else:
            click.echo(
                words(f"would give the relay of {home} a new key", f"sẽ cấp khóa mới cho trục ở {home}")
            )
        return
    from relay.sandbox.keys import renew_relay

    issued = renew_relay(home, kind=kind)
    if as_json:
        print_json({"home": home, "key": issued.key, "cert": issued.cert})
    else:
        click.echo(f"{issued.key}\n{issued.cert}")
