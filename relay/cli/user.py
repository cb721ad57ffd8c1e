"""``truc user``: the broker users of gateways in production."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from relay.cli.options import (
    agency_code,
    config_option,
    dry_run_option,
    home_option,
    json_option,
    language,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.errors import Code, ConfigurationError

if TYPE_CHECKING:
    from relay.model.audit import Act
    from relay.operate.users import Done, UserRow, Users

C = TypeVar("C", bound=Callable[..., Any])

_CODE = click.argument("code", type=agency_code)
_PASSWORD_FILE = click.option(
    "--password-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the password to this new file, mode 0600, in the place of standard output.",
)
_FORCE = click.option("--force", is_flag=True, help="Do it even where it is refused as unsafe.")
_BYTES = 24  # of a password, before base64


@click.group()
def user() -> None:
    """Broker users of gateways: made, changed over, suspended, closed.

    Each command changes the directory file, the broker and nothing else, writes an audit row first, and may be repeated
    after a crash.
    """


def _common(command: C) -> C:
    for option in (json_option, dry_run_option, home_option, config_option):
        command = option(command)
    return command


@user.command("ls")
@config_option
@home_option
@json_option
def ls(config: Path | None, home: Path, as_json: bool) -> None:
    """List the users of all gateways.

    How each logs in, whether its gateway is admitted, its open connections (some seconds old), the last change.
    """
    with _users(config, home) as users:
        rows = users.ls()
    if as_json:
        print_json([_row_json(row) for row in rows])
        return
    head = words(
        "code,user,login,admission,connections,ends,last change",
        "mã,người dùng,đăng nhập,tình trạng,kết nối,hết hạn,thay đổi cuối",
    )
    table = [tuple(head.split(","))]
    for row in rows:
        last = f"{people_time(row.last.at)} {row.last.act} {row.last.who}" if row.last else "-"
        table.append(
            (
                row.code,
                row.login,
                _by(row.by.value) if row.by else words("not on the broker", "chưa có trên máy chủ"),
                _admission(row.admission.value),
                str(row.connections),
                people_time(row.until) if row.until else "-",
                last,
            )
        )
    print_table(table)


@user.command()
@_CODE
@click.option("--external", is_flag=True, help="Login by client certificate alone (EXTERNAL): no password.")
@click.option(
    "--login",
    default="",
    metavar="NAME",
    help="With --external: the name that the broker finds in the certificate; by default the code.",
)
@_PASSWORD_FILE
@_common
def add(
    code: str,
    external: bool,
    login: str,
    password_file: Path | None,
    config: Path | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a gateway's user.

    The gateway stands in the directory; it gets the queues, bindings and rights that follow from there. The password is made here, shown once, and kept nowhere.
    """
    if login and not external:
        raise click.UsageError("--login goes with --external: a user with a password is named by its code")
    with _users(config, home, dry_run=dry_run) as users, _hidden(password_file) as hide:
        _show(users.add(code, login=login, external=external), hide, dry_run=dry_run, as_json=as_json)


@user.command()
@_CODE
@click.option(
    "--overlap",
    type=click.FloatRange(0.01, 365),
    default=7.0,
    show_default=True,
    metavar="DAYS",
    help="How long the former user and password stay good beside the new ones.",
)
@click.option("--finish", is_flag=True, help="End the change-over now: the former user is removed.")
@click.option(
    "--at-once",
    is_flag=True,
    help="No overlap, for a password in wrong hands: a new one, and every open connection is closed.",
)
@_FORCE
@_PASSWORD_FILE
@_common
def rotate(
    code: str,
    overlap: float,
    finish: bool,
    at_once: bool,
    force: bool,
    password_file: Path | None,
    config: Path | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Change a gateway's password, with an overlap.

    It gets a new user and password beside the old ones; --finish removes these.

    RabbitMQ has one password for each user, so the gateway has two users meanwhile, CODE and CODE+1. Both have the same
    rights, and both speak for it.
    """
    if finish and (at_once or password_file):
        raise click.UsageError("--finish makes no password")
    with _users(config, home, dry_run=dry_run) as users, _hidden(password_file) as hide:
        if finish:
            done = users.finish(code, force=force)
        elif at_once:
            done = users.replace_password(code)
        else:
            done = users.rotate(code, users.clock.now() + timedelta(days=overlap), force=force)
        _show(done, hide, dry_run=dry_run, as_json=as_json)


@user.command()
@_common
def expire(config: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """End overlaps and suspensions in time.

    Removes every user whose overlap has ended and resumes every agency whose suspension has; for a timer, once an hour.
    One that fails keeps no other from its turn; the exit code is then that of the first failure.
    """
    from relay.cli.errors import exit_code, explain

    with _users(config, home, dry_run=dry_run) as users:
        done = users.expire()
    if as_json:
        print_json([_json(one, "", dry_run) for one in done])
    failed = [(one.code, one.error) for one in done if one.error is not None]
    for one in () if as_json else done:
        if one.error is None:
            click.echo(f"{one.code}: " + " ".join(one.changes))
    for code, error in failed:
        click.echo(f"{code}: {explain(error.code, error.detail, language())}", err=True)
    if failed:
        click.get_current_context().exit(exit_code(failed[0][1]))
    if not done and not as_json:
        click.echo(words("nobody's time has ended", "không có người dùng nào hết hạn"))


@user.command()
@_CODE
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day on which it takes part again, in Vietnam; truc user expire resumes it.",
)
@_common
def suspend(
    code: str, until: datetime | None, config: Path | None, home: Path, dry_run: bool, as_json: bool
) -> None:
    """Stop an agency.

    Nothing from it or to it is taken, its gateway loses its rights, its connections are closed. What stands in its queue stays there.
    """
    with _users(config, home, dry_run=dry_run) as users:
        done = users.suspend(code, until.date() if until else None)
        _show(done, None, dry_run=dry_run, as_json=as_json)


@user.command()
@_CODE
@_common
def resume(code: str, config: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """Take a suspended agency up again; its password is the one it had."""
    with _users(config, home, dry_run=dry_run) as users:
        _show(users.resume(code), None, dry_run=dry_run, as_json=as_json)


@user.command()
@_CODE
@_FORCE
@_common
def close(code: str, force: bool, config: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """End an agency for good.

    Nothing from it or to it is taken, its user is removed. Its queue stays until it is empty. Refused while something stands there, since nobody could read it any more.
    """
    with _users(config, home, dry_run=dry_run) as users:
        _show(users.close(code, force=force), None, dry_run=dry_run, as_json=as_json)


@contextmanager
def _users(config: Path | None, home: Path, *, dry_run: bool = False) -> Iterator[Users]:
    """Open what the commands work with."""
    from relay import settings
    from relay.broker.browse import QueueBrowser
    from relay.broker.connection import Endpoint
    from relay.broker.management import Management
    from relay.evidence.chronicler import tool
    from relay.observe.clock import SystemClock
    from relay.operate.acting import who
    from relay.operate.users import Users
    from relay.registry import open_registry
    from relay.sandbox.contents import running

    chosen = settings.load(config or running(home).settings)
    broker = chosen.broker
    if not broker.management_url:
        raise ConfigurationError(Code.CONFIG_INVALID, "broker.management_url is needed for truc user")
    password = broker.management_password()
    management = Management(
        broker.management_url, broker.management_user, password, vhost=broker.vhost, ca_file=broker.ca_file
    )
    endpoint = Endpoint.from_url(broker.url, broker.management_user, password, ca_file=broker.ca_file)
    registry = open_registry(
        chosen.registry.url,
        chosen.registry.lease_seconds,
        chronicler=tool(chosen.relay.name, SystemClock()),
    )
    try:
        yield Users(
            management=management,
            endpoint=endpoint,
            directory_file=chosen.directory.file,
            registry=registry,
            relay_user=broker.user,
            clock=SystemClock(),
            who=who(),
            password=lambda: secrets.token_urlsafe(_BYTES),
            ready=QueueBrowser(endpoint, name="truc user").depth,
            known_after=chosen.directory.reload_seconds + 1,
            dry_run=dry_run,
        )
    finally:
        registry.close()


class _Hidden:
    """A new file that takes a password, open before anything is changed so that none is lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(Code.CONFIG_INVALID, f"{path}: {error.strerror}") from error
        self.used = False

    def write(self, password: str) -> None:
        os.write(self._file, f"{password}\n".encode())
        os.fsync(self._file)
        self.used = True

    def close(self) -> None:
        os.close(self._file)
        if not self.used:
            self.path.unlink(missing_ok=True)


@contextmanager
def _hidden(path: Path | None) -> Iterator[_Hidden | None]:
    if path is None:
        yield None
        return
    hide = _Hidden(path)
    try:
        yield hide
    finally:
        hide.close()


def _show(done: Done, hide: _Hidden | None, *, dry_run: bool, as_json: bool) -> None:
    shown = done.password
    if shown and hide is not None:
        hide.write(shown)
        shown = ""
    if as_json:
        facts = _json(done, shown, dry_run)
        if hide is not None and hide.used:
            facts["password_file"] = hide.path
        print_json(facts)
        return
    for change in done.changes:
        click.echo(change)
    for line in _told(done, dry_run):
        click.echo(line)
    if hide is not None and hide.used:
        click.echo(words(f"password in {hide.path}", f"mật khẩu ở {hide.path}"))
    if shown:
        click.echo(words("password, shown this once:", "mật khẩu, chỉ hiện một lần này:"))
        click.echo(shown)


def _told(done: Done, dry_run: bool) -> Iterator[str]:
    if dry_run:
        yield words("nothing was done (--dry-run)", "chưa làm gì (--dry-run)")
    if done.admission is not None:
        yield f"{done.code}: {_admission(done.admission.value)}"
        if not dry_run and done.changes:
            yield words(
                "the broker obeys at once, running workers within some seconds (directory.reload_seconds)",
                "máy chủ thực hiện ngay, các tiến trình đang chạy sau vài giây (directory.reload_seconds)",
            )
    if done.login:
        by = f", {_by(done.by.value)}" if done.by else ""
        yield words(f"user {done.login}{by}", f"người dùng {done.login}{by}")
    if done.former and done.until is not None:
        end, names = people_time(done.until), " ".join(done.former)
        yield words(f"beside it until {end}: {names}", f"song song đến {end}: {names}")
    elif done.former:
        yield words(f"removed: {' '.join(done.former)}", f"đã bỏ: {' '.join(done.former)}")
    if done.closed:
        yield words(f"{done.closed} connections closed", f"đã đóng {done.closed} kết nối")
    for queue, count in done.queued.items():
        if count:
            yield words(f"{count} messages stay in {queue}", f"{count} bản tin ở lại {queue}")


def _admission(admission: str) -> str:
    vietnamese = {
        "trial": "dùng thử",
        "admitted": "đang tham gia",
        "suspended": "tạm ngừng",
        "closed": "đã đóng",
    }
    return words(admission, vietnamese[admission])


def _by(by: str) -> str:
    return words(by, {"password": "mật khẩu", "certificate": "chứng thư"}[by])


def _json(done: Done, password: str, dry_run: bool) -> dict[str, Any]:
    return {
        "act": done.act,
        "code": done.code,
        "user": done.login,
        "by": done.by.value if done.by else "",
        "admission": done.admission.value if done.admission else "",
        "former": list(done.former),
        "until": done.until,
        "changes": list(done.changes),
        "closed": done.closed,
        "queued": dict(done.queued),
        **({"error": done.error.code.value} if done.error else {}),
        **({"password": password} if password else {}),
        **({"dry_run": True} if dry_run else {}),
    }


def _row_json(row: UserRow) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "user": row.login,
        "by": row.by.value if row.by else "",
        "admission": row.admission.value,
        "until": row.until,
        "connections": row.connections,
        "last": act_json(row.last) if row.last else None,
    }


def act_json(act: Act) -> dict[str, str | datetime]:
    """Return an audit row as an object."""
    return {"at": act.at, "who": act.who, "act": act.act, "subject": act.subject, "detail": act.detail}
