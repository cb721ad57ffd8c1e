"""The one place where trouble becomes a message in the caller's language and an exit code."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import click

from relay.cli.options import language, wants_json
from relay.errors import Code, ConfigurationError, OperationError, RefusedError, TransientError, TrucError
from relay.model.subjects import readable

EXIT_REFUSED: Final = 1
EXIT_CONFIGURATION: Final = 3
EXIT_TRANSIENT: Final = 4
EXIT_NOT_FOUND: Final = 5
EXIT_INTERRUPTED: Final = 130

EXIT_CODES: Final = """\b
Exit codes:
  0  done
  1  refused, or the outcome is not the one wanted
  2  wrong usage
  3  configuration, keys or sandbox: an operator mends it
  4  trouble that passes: broker or registry, or nothing came in time
  5  not found
  6  nothing is wrong, but not all is vouched for: doctor, evidence verify
"""

_PROCESSES: Final = frozenset({"worker", "keeper"})
_BY_CODE: Final = {
    Code.NOT_FOUND: EXIT_NOT_FOUND,
    Code.RECEIPT_TIMEOUT: EXIT_TRANSIENT,
    Code.SANDBOX_LOCKED: EXIT_TRANSIENT,
    Code.SANDBOX_BROKEN: EXIT_CONFIGURATION,
    Code.BROKER_MISSING: EXIT_CONFIGURATION,
    Code.TOPOLOGY_NOT_READY: EXIT_TRANSIENT,
    Code.REGISTRY_IN_USE: EXIT_TRANSIENT,
    Code.EVIDENCE_PENDING: EXIT_TRANSIENT,
}


def exit_code(error: TrucError) -> int:
    """Return the exit code of an error, 1, 3, 4 or 5."""
    if isinstance(error, OperationError) and error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if isinstance(error, ConfigurationError) or error.code is Code.BROKER_UNTRUSTED:
        return EXIT_CONFIGURATION
    if isinstance(error, TransientError):
        return EXIT_TRANSIENT
    if isinstance(error, RefusedError):
        return EXIT_REFUSED
    return _BY_CODE.get(error.code, EXIT_REFUSED)


def explain(code: Code, detail: str, lang: str) -> str:
    """Return message, remedy and owner of a code for a person, several lines.

    What the remedy says of the very command that runs is left out.
    """
    from relay.cli.advice import advice
    from relay.cli.wording import vietnamese
    from relay.errors.catalogue import entry

    one = entry(code)
    vi = lang == "vi"
    message, remedy = (one.message["vi"], one.remedy["vi"]) if vi else (one.message["en"], one.remedy["en"])
    labels = ("khắc phục", "phụ trách") if vi else ("remedy", "owner")
    lines = [f"{code.value}: {message}"]
    if detail:
        lines.append(f"  {readable(vietnamese(detail) if vi else detail)}")
    if remedy := advice(remedy):
        lines.append(f"  {labels[0]}: {remedy}")
    lines.append(f"  {labels[1]}: {owner_name(one.owner, lang)}")
    return "\n".join(lines)


def owner_name(owner: str, lang: str) -> str:
    """Return who can mend it, in the language."""
    vietnamese = {
        "sender": "đơn vị gửi",
        "recipient": "đơn vị nhận",
        "gateway": "điểm kết nối",
        "relay": "trục",
        "operator": "người vận hành",
    }
    return vietnamese[owner] if lang == "vi" else owner


def facts(code: Code, detail: str = "") -> dict[str, Any]:
    """Return a code as the object of ``--json``, both languages in it."""
    from relay.errors.catalogue import entry

    one = entry(code)
    return {
        "code": code.value,
        "owner": one.owner,
        "retryable": one.retryable,
        "message": dict(one.message),
        "remedy": dict(one.remedy),
        **({"detail": detail} if detail else {}),
    }


def show(error: TrucError, context: click.Context) -> None:
    """Write an error to standard error, as an object if the command was asked for JSON."""
    if wants_json(context):
        text = json.dumps({"error": facts(error.code, error.detail)}, ensure_ascii=False)
    else:
        text = explain(error.code, error.detail, language(context))
    click.echo(text, err=True)


class TrucGroup(click.Group):
    """A group that lets no expected trouble end in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command; turn what is expected into message and exit code."""
        try:
            return super().invoke(ctx)
        except TrucError as error:
            show(error, ctx)
            ctx.exit(exit_code(error))
        except OSError as error:
            # A path that somebody gave. What a process of the relay meets is for its log, with all that led to it.
            if error.filename is None or ctx.invoked_subcommand in _PROCESSES:
                raise
            unusable = OperationError(Code.FILE_UNUSABLE, f"{error.filename}: {error.strerror}")
            show(unusable, ctx)
            ctx.exit(exit_code(unusable))
        except KeyboardInterrupt:
            click.echo(err=True)
            sys.exit(EXIT_INTERRUPTED)
