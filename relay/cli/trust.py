"""``truc trust``: what signatures are judged by, how fresh it is, and fetching it by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.options import (
    config_option,
    dry_run_option,
    home_option,
    json_option,
    note,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.model.subjects import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from relay.model.agency import Agency
    from relay.settings import Settings
    from relay.trust.certificate import Certificate
    from relay.trust.chain import TrustStore
    from relay.trust.renew import Renewed, Wanted
    from relay.trust.standing import Standing

EXIT_NOT_ALL: Final = 1
_FEW: Final = 20
_STATES: Final = {
    "fresh": ("fresh", "còn mới"),
    "due": ("due", "đến hạn làm mới"),
    "grace": ("past its date, in grace", "quá hạn, trong thời gian châm chước"),
    "over": ("OUT OF DATE", "ĐÃ QUÁ HẠN"),
}


@click.group()
def trust() -> None:
    """Anchors, authorities, revocation lists and OCSP answers: how they stand, and fetching them."""


@trust.command(
    epilog="""\b
Exit codes:
  0  nothing is past its date
  1  a list or an answer is past its date, or a fetched file is damaged
  2  wrong usage
  3  the configuration or a file that it names cannot be used
  5  no sandbox in --home
"""
)
@config_option
@home_option
@json_option
def status(config: Path | None, home: Path, as_json: bool) -> None:
    """Show anchors, authorities that lead to them, and each list and answer in force with its age and the time left.

    What is shown is what a worker of this machine judges by, with the same files.
    """
    from relay.directory.authorities import signers_of
    from relay.observe.clock import SystemClock
    from relay.trust.standing import State, standings

    chosen, store, agencies, trouble = _opened(config, home)
    now = SystemClock().now()
    anchors, known = store.authorities()
    found = sorted(standings(store, now), key=lambda one: (one.source, one.left(now)))
    whose = _names(agencies)
    wayless = sorted(
        {
            whose.get(one.sha256, one.subject)
            for one in signers_of(agencies, now)
            if not store.check([one], now).chain
        }
    )
    policy = {
        "revocation": chosen.trust.revocation,
        "required": chosen.trust.crl_required,
        "hard_fail_after_s": chosen.trust.hard_fail_after_s,
        "fetched": chosen.trust.fetch.folder,
    }
    if as_json:
        print_json(
            {
                "at": now,
                "policy": policy,
                "anchors": [_certificate(one) for one in anchors],
                "authorities": [_certificate(one) for one in known],
                "material": [_standing(one, now, whose) for one in found],
                "damaged": list(store.damaged()),
                "without_way": wayless,
                "directory": trouble or None,
            }
        )
    else:
        _show(anchors, known, found, now, whose)
        if (
            chosen.trust.fetch.folder
        ):  # else nothing is asked about anybody, and signatures bring their authorities
            _wayless(wayless)
        for name in store.damaged():
            click.echo(words(f"damaged: {name}", f"tệp hỏng: {name}"))
        if trouble:
            click.echo(words(f"directory not read: {trouble}", f"không đọc được danh mục: {trouble}"))
    if store.damaged() or any(one.state in {State.GRACE, State.OVER} for one in found):
        raise SystemExit(EXIT_NOT_ALL)


@trust.command(
    epilog="""\b
Exit codes:
  0  everything that is wanted is there
  1  something could not be had; what was there before stays in force
  2  wrong usage
  3  the configuration names no trust.fetch.folder, or a file that cannot be used
  5  no sandbox in --home
"""
)
@config_option
@home_option
@dry_run_option
@json_option
def fetch(config: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """Fetch each list and answer now, whether it is due or not; workers take them up within seconds.

    The keeper does the same at half of their life. On a machine with workers and without a keeper, and no shared folder,
    run this regularly. With --dry-run it only lists what would be asked where.
    """
    from relay.errors import Code, ConfigurationError
    from relay.observe.clock import SystemClock
    from relay.operate.revocation import renewer_of, signers

    chosen, store, agencies, trouble = _opened(config, home)
    clock = SystemClock()
    renewer = renewer_of(chosen, store)
    if renewer is None:
        raise ConfigurationError(Code.CONFIG_INVALID, "trust.fetch.folder: is missing: nothing is fetched")
    if trouble:
        raise ConfigurationError(Code.DIRECTORY_INVALID, trouble)
    wanted = renewer.wanted(signers(chosen, lambda: agencies, clock.now()), clock.now())
    whose = _names(agencies)
    _wayless(sorted({whose.get(one.sha256, one.subject) for one in renewer.wayless}))
    if dry_run:
        _plan(wanted, whose, as_json=as_json)
        return
    results = [renewer.renew(one, clock.now()) for one in wanted]
    try:
        renewer.publish(results)
    except OSError as error:
        raise ConfigurationError(Code.CONFIG_INVALID, f"trust.fetch.folder: {error.strerror}") from error
    renewer.tidy(wanted, clock.now())
    _told(results, whose, as_json=as_json)
    if not all(one.outcome.good for one in results):
        raise SystemExit(EXIT_NOT_ALL)


def _opened(config: Path | None, home: Path) -> tuple[Settings, TrustStore, tuple[Agency, ...], str]:
    """Return settings, store, agencies, and why the directory could not be read."""
    from relay import settings
    from relay.cli.following import load_directory
    from relay.cli.wiring import trust_store
    from relay.directory.authorities import authorities_of
    from relay.errors import TrucError
    from relay.observe.clock import SystemClock
    from relay.sandbox.contents import running

    chosen = settings.load(config or running(home).settings, files=False)
    store = trust_store(chosen)
    try:
        agencies = load_directory(chosen, store, SystemClock()).agencies()
    except TrucError as error:
        return chosen, store, (), error.detail or str(error)
    store.learn(authorities_of(agencies))
    return chosen, store, agencies, ""


def _wayless(codes: Sequence[str]) -> None:
    from relay.cli.wording import several

    if codes:
        note(
            words(
                f"no way to an anchor is known here for {several(codes)}: name their authorities in"
                " trust.intermediates, or register them with the certificate",
                f"chưa biết đường tới chứng thư gốc cho {several(codes)}: đặt chứng thư trung gian vào"
                " trust.intermediates hoặc đăng ký kèm chứng thư",
            )
        )


def _names(agencies: Iterable[Agency]) -> dict[str, str]:
    """Return whose a certificate is, by its SHA-256."""
    return {one.sha256: agency.code for agency in agencies for one in agency.certificates}


def _certificate(one: Certificate) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "sha256": one.sha256,
        "not_before": one.not_before,
        "not_after": one.not_after,
    }


def _standing(one: Standing, now: datetime, whose: dict[str, str]) -> dict[str, Any]:
    return {
        "source": one.source,
        "subject": one.subject,
        "agency": whose.get(one.subject),
        "state": one.state.value,
        "made_at": one.this_update,
        "until": one.next_update,
        "age_s": round(one.age(now)),
        "left_s": round(one.left(now)),
        "entries": one.entries,
    }


def _show(
    anchors: Sequence[Certificate],
    known: Sequence[Certificate],
    found: Sequence[Standing],
    now: datetime,
    whose: dict[str, str],
) -> None:
    from relay.operate.doctor.check import span

    for title, group in (
        (words("anchors", "chứng thư gốc"), anchors),
        (words("authorities that lead to them", "tổ chức cấp trung gian"), known),
    ):
        click.echo(f"{title}:" if group else f"{title}: " + words("none", "không có"))
        print_table(
            [(readable(one.subject), words("until", "đến"), people_time(one.not_after)) for one in group],
            "  ",
        )
    click.echo(words("lists and answers:", "danh sách thu hồi và trả lời OCSP:"))
    if not found:
        click.echo(words("  none", "  không có"))
    urgent = [one for one in found if one.source == "crl" or one.state.value != "fresh"]
    fresh = [one for one in found if one not in urgent]
    rows = []
    for one in (*urgent, *fresh[:_FEW]):
        left = one.left(now)
        about = readable(one.subject) if one.source == "crl" else whose.get(one.subject, one.subject[:16])
        en, vi = _STATES[one.state.value]
        rows.append(
            (
                one.source,
                about,
                words(en, vi),
                words(f"{span(one.age(now))} old", f"lập cách đây {span(one.age(now))}"),
                words(f"{span(left)} left", f"còn {span(left)}")
                if left > 0
                else words(f"ended {span(-left)} ago", f"hết hạn {span(-left)} trước"),
            )
        )
    print_table(rows, "  ")
    if len(fresh) > _FEW:
        more = len(fresh) - _FEW
        click.echo(words(f"  and {more} more answers, all fresh", f"  và {more} trả lời khác, đều còn mới"))


def _about(one: Wanted, whose: dict[str, str]) -> str:
    if one.certificate is None:
        return one.addresses[0]
    return whose.get(one.certificate.sha256, one.certificate.subject)


def _plan(wanted: Sequence[Wanted], whose: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "source": one.source,
                    "about": _about(one, whose),
                    "addresses": list(one.addresses),
                    "file": one.name,
                }
                for one in wanted
            ]
        )
        return
    if not wanted:
        click.echo(words("nothing is wanted", "không có gì cần tải"))
    print_table([(one.source, _about(one, whose), ", ".join(one.addresses)) for one in wanted])


def _told(results: Sequence[Renewed], whose: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "source": one.wanted.source,
                    "about": _about(one.wanted, whose),
                    "outcome": one.outcome.value,
                    "detail": one.detail,
                    "file": one.wanted.name,
                }
                for one in results
            ]
        )
        return
    if not results:
        click.echo(words("nothing is wanted", "không có gì cần tải"))
    rows = [(one.wanted.source, _about(one.wanted, whose), one.outcome.value, one.detail) for one in results]
    print_table(rows)
