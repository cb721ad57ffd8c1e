"""``truc directory certificate``: which certificates sign for an agency."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import (
    agency_code,
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
from relay.errors import Code, ConfigurationError
from relay.model.subjects import readable

if TYPE_CHECKING:
    from relay.operate.certificates import Certificates, Row

_CODE = click.argument("code", type=agency_code)
_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_NONCE = 16  # bytes


@click.group()
def certificate() -> None:
    """Certificates that sign for an agency: proven, registered, retired.

    \b
    truc directory certificate challenge H53 > challenge.txt        the operator
    openssl dgst -sha256 -sign key.pem -out proof.bin challenge.txt the agency, or: … prove challenge.txt --key key.pem
    truc directory certificate add H53 new.pem --proof proof.bin    the operator
    truc directory certificate retire H53 old.pem --at …            once nothing is signed with the former one
    """  # noqa: D301 - a backspace keeps click from filling the lines


@certificate.command("ls")
@click.argument("code", type=agency_code, required=False)
@config_option
@home_option
@json_option
def ls(code: str | None, config: Path | None, home: Path, as_json: bool) -> None:
    """List the certificates of one agency, or of all."""
    with _certificates(config, home) as certificates:
        rows = certificates.ls(code)
    if as_json:
        print_json([_json(row) for row in rows])
        return
    print_table([_line(row) for row in rows])


@certificate.command()
@_CODE
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the challenge to this file in the place of standard output.",
)
@config_option
@home_option
@json_option
def challenge(code: str, out: Path | None, config: Path | None, home: Path, as_json: bool) -> None:
    """Make a challenge for an agency to sign.

    It signs the exact bytes with the key of its new certificate. A challenge may be answered for seven days, and proves one certificate.
    """
    with _certificates(config, home) as certificates:
        made = certificates.challenge(code)
    if out is not None:
        try:
            out.write_bytes(made.text)
        except OSError as error:
            raise ConfigurationError(Code.CONFIG_INVALID, f"{out}: {error.strerror}") from error
    if as_json:
        print_json({"code": code, "challenge": made.text.decode("ascii"), "until": made.until, "file": out})
    elif out is None:
        click.echo(made.text, nl=False)
    else:
        until = people_time(made.until)
        click.echo(words(f"{out}, to be answered until {until}", f"{out}, trả lời trước {until}"))


@certificate.command()
@click.argument("challenge-file", type=_EXISTING)
@click.option(
    "--key", required=True, type=_EXISTING, help="Private key of the certificate, PEM, unencrypted."
)
@json_option
def prove(challenge_file: Path, key: Path, as_json: bool) -> None:
    """Sign a challenge, as the agency does.

    Prints the signature in base64: the same as "openssl dgst -sha256 -sign KEY CHALLENGE-FILE | base64".
    """
    from relay.settings.model import check_secret_mode
    from relay.trust.possession import prove as sign

    check_secret_mode(key, "--key")
    proof = sign(key.read_bytes(), challenge_file.read_bytes()).decode("ascii")
    if as_json:
        print_json({"proof": proof.strip()})
    else:
        click.echo(proof, nl=False)


@certificate.command()
@_CODE
@click.argument("file", type=_EXISTING)
@click.option("--proof", type=_EXISTING, help="Signature over a challenge of this agency's, raw or base64.")
@click.option("--csr", type=_EXISTING, help="Or the PKCS#10 request that the certificate was issued for.")
@click.option(
    "--from",
    "first_day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day in Vietnam on which it may sign; by default at once.",
)
@config_option
@home_option
@dry_run_option
@json_option
def add(
    code: str,
    file: Path,
    proof: Path | None,
    csr: Path | None,
    first_day: datetime | None,
    config: Path | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Register a certificate beside those there are.

    FILE holds it in PEM with its chain, or in DER. Checked first: that the agency holds its key, that it chains to an anchor of this relay's and is valid, not revoked,
    made for signing, no relay's and nobody else's. Workers take it within seconds.
    """
    from relay.trust.chain import read_certificates

    if (proof is None) == (csr is None):
        raise click.UsageError("one of --proof and --csr")
    with _certificates(config, home, dry_run=dry_run) as certificates:
        row = certificates.add(
            code,
            read_certificates(file),
            proof=proof.read_bytes() if proof else None,
            request=csr.read_bytes() if csr else None,
            not_before=first_day.date() if first_day else None,
        )
    _show(row, words("registered", "đã đăng ký"), dry_run=dry_run, as_json=as_json)


@certificate.command()
@_CODE
@click.argument("which", metavar="FILE|SHA256")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]),
    help="When it stops signing, with an offset (2026-07-01T00:00:00+07:00); by default now.",
)
@click.option("--force", is_flag=True, help="Do it even where nothing is left to sign with.")
@config_option
@home_option
@dry_run_option
@json_option
def retire(
    code: str,
    which: str,
    at: datetime | None,
    force: bool,
    config: Path | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let a certificate sign nothing more. What the relay accepted before that moment stays good.

    Workers refuse it within seconds, WRONG-SIGNER. A stolen key is for its authority to revoke; this stops it here at once.
    """
    from relay.trust.chain import read_certificates

    path = Path(which)
    name = read_certificates(path)[0].sha256 if path.is_file() else which
    with _certificates(config, home, dry_run=dry_run) as certificates:
        row = certificates.retire(code, name, at, force=force)
    _show(row, words("retired", "đã ngừng dùng"), dry_run=dry_run, as_json=as_json)


@contextmanager
def _certificates(config: Path | None, home: Path, *, dry_run: bool = False) -> Iterator[Certificates]:
    from relay import settings
    from relay.cli.wiring import trust_store
    from relay.evidence.chronicler import tool
    from relay.observe.clock import SystemClock
    from relay.operate.acting import who
    from relay.operate.certificates import Certificates
    from relay.registry import open_registry
    from relay.sandbox.contents import running

    chosen = settings.load(config or running(home).settings)
    registry = open_registry(
        chosen.registry.url,
        chosen.registry.lease_seconds,
        chronicler=tool(chosen.relay.name, SystemClock()),
    )
    try:
        yield Certificates(
            directory_file=chosen.directory.file,
            registry=registry,
            trust=trust_store(chosen),
            relay=chosen.relay.name,
            clock=SystemClock(),
            who=who(),
            nonce=lambda: secrets.token_hex(_NONCE),
            dry_run=dry_run,
        )
    finally:
        registry.close()


def _show(row: Row, done: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({**_json(row), "changed": row.changed, **({"dry_run": True} if dry_run else {})})
        return
    if not row.changed:
        note(words("nothing to change", "không có gì phải thay đổi"))
    elif dry_run:
        note(words("nothing was done (--dry-run)", "chưa làm gì (--dry-run)"))
    else:
        click.echo(f"{row.code}: {done}")
    print_table([_line(row)])


def _line(row: Row) -> tuple[str, ...]:
    dates = (
        f"{people_time(row.not_before)} – {people_time(row.not_after)}"
        if row.not_before and row.not_after
        else "-"
    )
    states = {
        "valid": "hiệu lực",
        "not-yet": "chưa hiệu lực",
        "expired": "hết hạn",
        "retired": "đã ngừng dùng",
        "unusable": "không dùng được",
    }
    end = people_time(row.retired_at) if row.retired_at else "-"
    return (row.code, row.sha256[:16], words(row.state, states[row.state]), dates, end, readable(row.subject))


def _json(row: Row) -> dict[str, Any]:
    return {
        "code": row.code,
        "sha256": row.sha256,
        "subject": row.subject,
        "state": row.state,
        "not_before": row.not_before,
        "not_after": row.not_after,
        "registered_from": row.registered.not_before.isoformat() if row.registered.not_before else None,
        "registered_to": row.registered.not_after.isoformat() if row.registered.not_after else None,
        "retired_at": row.retired_at,
    }
