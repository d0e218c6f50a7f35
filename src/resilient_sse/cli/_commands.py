"""The commands and their options."""

from __future__ import annotations

import dataclasses
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import stamina.instrumentation
import structlog

from resilient_sse.cli._check.command import Check
from resilient_sse.cli._check.report import REPORTS
from resilient_sse.cli._cursor_commands import cursors
from resilient_sse.cli._formats import FORMATS
from resilient_sse.cli._live.screen import can_draw
from resilient_sse.cli._outcome import (
    CANNOT_WRITE,
    INTERRUPTED,
    USAGE,
    Outcome,
    outcome_of,
    run_until_interrupted,
    say,
)
from resilient_sse.cli._serve import Serve
from resilient_sse.cli._tail import Tail, TailOptions
from resilient_sse.cli._target import Target, reconnect_options, request_options
from resilient_sse.cli._watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

_CODES = """\b
Exit codes:
  0         it ended as it should
  1         check found a problem; cursors found none, or its lease is held
  2         the command line is wrong
  3         it gave up on the stream
  4         the output or the cursor could not be written
  130, 143  Ctrl-C, SIGTERM"""
_TAIL_EXAMPLES = """\b
Examples:
  resilient-sse tail https://example.com/events
  resilient-sse tail https://example.com/events --cursor place.db | jq .data
  resilient-sse tail https://example.com/events --auth-env TOKEN --attempts 3
  resilient-sse tail https://example.com/chat --json '{}' --until '[DONE]'"""
_WATCH_EXAMPLES = """\b
Examples:
  resilient-sse watch https://example.com/events
  resilient-sse watch https://example.com/events --idle-timeout 45"""
_CHECK_EXAMPLES = """\b
Examples:
  resilient-sse check https://example.com/events
  resilient-sse check https://example.com/events --format json --seconds 60"""


@click.group(
    invoke_without_command=True,
    epilog=_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(version("resilient-sse"), message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> Outcome:
    """Read Server-Sent Events through whatever a network does to them."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        return Outcome(USAGE)
    return Outcome(0)


@commands.command(
    short_help="Write events to stdout, one per line.", epilog=f"{_TAIL_EXAMPLES}\n\n{_CODES}"
)
@request_options
@reconnect_options
@click.option(
    "--format",
    type=click.Choice(list(FORMATS)),
    default="json",
    show_default=True,
    help="One JSON object per line; one line for people; the data alone; as on the wire.",
)
@click.option(
    "--cursor",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep the place in this file (SQLite), and go on from there next time.",
)
@click.option("--event", multiple=True, metavar="TYPE", help="Write events of this type only.")
@click.option("--until", metavar="DATA", help="Stop after an event with this data.")
@click.option(
    "--max-events", type=click.IntRange(1), metavar="N", help="Stop after writing so many events."
)
@click.option("-q", "--quiet", is_flag=True, help="Write nothing to stderr but the final error.")
def tail(**options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
    """Write the events of URL to stdout, one per line, through failures and reconnects.

    On a terminal, a line at the bottom says what the connection is doing. An event counts as done
    when its line is written: --cursor never skips one that you did not get.
    """
    chosen = {field.name: options.pop(field.name) for field in dataclasses.fields(TailOptions)}
    return run_until_interrupted(Tail(Target(**options), TailOptions(**chosen)))


@commands.command(
    short_help="Show a stream on the whole screen.", epilog=f"{_WATCH_EXAMPLES}\n\n{_CODES}"
)
@request_options
@reconnect_options
def watch(**options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
    """Show what the stream of URL is doing, on the whole screen; Ctrl-C ends it."""
    if not can_draw():
        raise click.UsageError("watch needs a terminal to draw on; use tail")
    return run_until_interrupted(Watch(Target(**options)))


@commands.command(
    short_help="Say what would break a client of a server.", epilog=f"{_CHECK_EXAMPLES}\n\n{_CODES}"
)
@request_options
@click.option(
    "--seconds",
    type=click.FloatRange(0.1),
    default=20,
    metavar="SECONDS",
    help="Listen at most so long (default: 20).",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(REPORTS)),
    default="text",
    show_default=True,
    help="For people; one JSON object per line for each finding.",
)
def check(seconds: float, form: str, **options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
    """Try the server of URL as a client would, and say in plain words what it does.

    The exit code is 1 if something would break a client.
    """
    return run_until_interrupted(Check(Target(**options), seconds, form))


@commands.command(short_help="Serve a stream to play with.")
@click.option("--serve", is_flag=True, help="Serve a stream for you to play with.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    metavar="PORT",
    help="Where it listens (default: 8000; 0: anywhere).",
)
def demo(*, serve: bool, port: int) -> Outcome:
    """Serve a stream to play with, on this machine alone; Ctrl-C ends it.

    With --serve: an event every second, and those of the last hour. The demonstration itself is no
    part of this command: `make demo`, in a checkout.
    """
    if not serve:
        raise click.UsageError(
            "add --serve for a stream; the demonstration is `make demo`, in a checkout"
        )
    return run_until_interrupted(Serve(port))


commands.add_command(cursors)


def run(
    arguments: Sequence[str] | None,
    program: click.Command = commands,
    name: str = "resilient-sse",
) -> int:
    """Run a command line, and return the exit code.

    Args:
        arguments: The command line; None for that of this process.
        program: What to run; it returns an `Outcome`.
        name: How it is called.
    """
    _prepare_output()
    outcome = _outcome(arguments, program, name)
    if outcome.message:
        say(outcome.message)
    return outcome.code


def _prepare_output() -> None:
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - it was closed
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for good
    # A character that the terminal's encoding does not have must not end a view.
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(errors="replace")
    # stdout belongs to the events.
    stamina.instrumentation.set_on_retry_hooks([])
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def _outcome(arguments: Sequence[str] | None, program: click.Command, name: str) -> Outcome:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - it was closed
        return Outcome(CANNOT_WRITE, "cannot write the output: stdout is closed")
    try:
        outcome: Any = program.main(arguments, name, standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        help_of = name if context is None else context.command_path
        return Outcome(USAGE, f"{error.format_message()} (see {help_of} --help)")
    except click.Abort:
        return Outcome(INTERRUPTED)
    except OSError as error:  # click could not write its help
        return outcome_of(error)
    return outcome if isinstance(outcome, Outcome) else Outcome(int(outcome))
