"""Options that several commands share, and how facts are printed: UTC in JSON, Vietnam time for people."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from relay.errors import RefusedError
from relay.model.codes import normal_form
from relay.model.times import VIETNAM, rfc3339

if TYPE_CHECKING:
    from relay.settings.keyplace import KeyPlace

Command = TypeVar("Command", bound=Callable[..., Any])

_JSON: Final = "truc.json"
_LANG: Final = "truc.lang"
_RUNNING: Final = "truc.running"
LANGUAGES: Final = ("vi", "en")


def default_home() -> Path:
    """Return where the sandbox is: ``TRUC_HOME``, else ``truc/sandbox`` in the user's data folder."""
    if chosen := os.environ.get("TRUC_HOME"):
        return Path(chosen).absolute()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "truc" / "sandbox"


def default_language() -> str:
    """Return vi where the locale says so, else en."""
    locale = next(
        (value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), ""
    )
    return "vi" if locale.lower().startswith("vi") else "en"


def language(context: click.Context | None = None) -> str:
    """Return the language of messages to people, ``vi`` or ``en``."""
    context = context or click.get_current_context(silent=True)
    chosen = context.meta.get(_LANG) if context else None
    return str(chosen or default_language())


def wants_json(context: click.Context | None = None) -> bool:
    """Whether the command was asked for ``--json``."""
    context = context or click.get_current_context(silent=True)
    return bool(context and context.meta.get(_JSON))


def running(context: click.Context | None = None) -> str:
    """Return the words of the command that runs, as ``directory search``; empty for ``truc`` alone."""
    context = context or click.get_current_context(silent=True)
    return str(context.meta.get(_RUNNING, "")) if context else ""


def words(en: str, vi: str) -> str:
    """Return the text of the chosen language."""
    return vi if language() == "vi" else en


def _remember(key: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:  # noqa: ANN401
        if value:
            context.meta[key] = value
        # Trouble is told when the contexts of the subcommands are gone; what they share stays.
        context.meta[_RUNNING] = " ".join(_names(context))
        return value

    return callback


def _names(context: click.Context) -> list[str]:
    return [] if context.parent is None else [*_names(context.parent), str(context.info_name)]


def lang_option(command: Command) -> Command:
    """Add ``--lang``; it may stand before or after the command's name."""
    return click.option(
        "--lang",
        type=click.Choice(LANGUAGES),
        expose_value=False,
        is_eager=True,
        callback=_remember(_LANG),
        help="Language of messages to people; without it the locale decides.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return lang_option(
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            is_eager=True,
            callback=_remember(_JSON),
            help="Print one JSON value; times in UTC.",
        )(command)
    )


def config_option(command: Command) -> Command:
    """Add ``--config``: the relay that is meant, where it is not the sandbox."""
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Configuration of a relay; without it the sandbox of --home.",
    )(command)


def home_option(command: Command) -> Command:
    """Add ``--home``."""
    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_home,
        show_default="$TRUC_HOME or ~/.local/share/truc/sandbox",
        help="Folder of the sandbox.",
    )(command)


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--key`` and what belongs to it; the command gets ``key_place``, a ``KeyPlace`` or None."""

    @functools.wraps(command)
    def with_place(
        *arguments: object,
        key: str | None,
        certificate: tuple[Path, ...],
        key_password_file: Path | None,
        **options: object,
    ) -> Any:  # noqa: ANN401 - whatever the command returns
        return command(*arguments, key_place=_place(key, certificate, key_password_file), **options)

    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option(
            "--key-password-file",
            type=file,
            help="File whose first line opens the key's file; a token's PIN is named by its URI.",
        ),
        click.option(
            "--certificate",
            type=file,
            multiple=True,
            help="Certificate chain of --key, PEM, leaf first; not needed where a PKCS#12 file holds it.",
        ),
        click.option(
            "--key",
            metavar="FILE|URI",
            help="Sign with this key instead of the sandbox's: PEM, PKCS#12, or a PKCS#11 URI.",
        ),
    ):
        with_place = option(with_place)
    return with_place


def _place(key: str | None, certificates: tuple[Path, ...], password_file: Path | None) -> KeyPlace | None:
    if key is None:
        if certificates or password_file:
            raise click.UsageError("--certificate and --key-password-file belong to --key")
        return None
    from relay.settings.keyplace import KeyPlace, is_uri

    place = KeyPlace(key if is_uri(key) else str(Path(key).absolute()), certificates, password_file)
    if not certificates and not place.holds_certificates:
        raise click.UsageError("--key needs --certificate")
    if password_file and is_uri(key):
        raise click.UsageError("a token's PIN is named by pin-source in the URI, not by --key-password-file")
    return place


def dry_run_option(command: Command) -> Command:
    """Add ``--dry-run``."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(command)


def agency_code(written: str) -> str:
    """Read an identifier code in the 2016 or the 2020 form; return the normal (2020) form."""
    try:
        return normal_form(written)
    except RefusedError as error:
        raise click.BadParameter(f"{written!r}: {error.detail}") from None


def as_option(command: Command) -> Command:
    """Add ``--as CODE``."""
    return click.option(
        "--as", "code", required=True, type=agency_code, metavar="CODE", help="Agency in whose name to act."
    )(command)


def people_time(at: datetime) -> str:
    """Return a time for people: Vietnam time with its offset."""
    return f"{at.astimezone(VIETNAM):%d/%m/%Y %H:%M:%S} +07:00"


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print one JSON value on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def print_table(rows: Iterable[tuple[str, ...]], indent: str = "") -> None:
    """Print rows in columns, each as wide as its widest cell."""
    kept = list(rows)
    widths = [
        max((len(row[column]) for row in kept), default=0) for column in range(max(map(len, kept), default=0))
    ]
    for row in kept:
        click.echo(
            indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        )


def note(text: str) -> None:
    """Say something to a person, on standard error; nothing when JSON was asked for."""
    if not wants_json():
        click.echo(text, err=True)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)
