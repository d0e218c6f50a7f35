"""The commands and their options."""

from __future__ import annotations

import dataclasses
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import stamina.instrumentation
import structlog

from resilient_sse.cli._check import Check
from resilient_sse.cli._formats import FORMATS
from resilient_sse.cli._outcome import (
    INTERRUPTED,
    USAGE,
    Outcome,
    run_until_interrupted,
    say,
)
from resilient_sse.cli._tail import Tail, TailOptions
from resilient_sse.cli._target import Target, target_options
from resilient_sse.cli._watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("resilient-sse"), message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> Outcome:
    """Read Server-Sent Events through whatever a network does to them."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        return Outcome(USAGE)
    return Outcome(0)


@commands.command()
@target_options
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
    help="Keep the place in this file, and go on from there next time.",
)
@click.option("--event", multiple=True, metavar="TYPE", help="Write events of this type only.")
@click.option("--until", metavar="DATA", help="Stop after an event with this data.")
@click.option("--max-events", type=click.IntRange(1), help="Stop after writing so many events.")
@click.option("-q", "--quiet", is_flag=True, help="Write nothing to stderr but the final error.")
def tail(**options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
    """Write the events of URL to stdout, one per line, through failures and reconnects.

    On a terminal, a line at the bottom says what the connection is doing. An event counts as done
    when its line is written: --cursor never skips one that you did not get.
    """
    chosen = {field.name: options.pop(field.name) for field in dataclasses.fields(TailOptions)}
    return run_until_interrupted(Tail(Target(**options), TailOptions(**chosen)))


@commands.command()
@target_options
def watch(**options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
    """Show what the stream of URL is doing, on the whole screen; Ctrl-C ends it."""
    if not sys.stdout.isatty():
        raise click.UsageError("watch draws on a terminal, and stdout is none; use tail")
    return run_until_interrupted(Watch(Target(**options)))


@commands.command()
@target_options
@click.option(
    "--seconds",
    type=click.FloatRange(0.1),
    default=20.0,
    show_default=True,
    help="Listen at most so long.",
)
def check(seconds: float, **options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
    """Try the server of URL as a client would, and say in plain words what it does.

    The exit code is 1 if something would break a client.
    """
    return run_until_interrupted(Check(Target(**options), seconds))


def run(arguments: Sequence[str] | None) -> int:
    """Run a command line, and return the exit code."""
    # stdout belongs to the events.
    stamina.instrumentation.set_on_retry_hooks([])
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        outcome: Any = commands.main(arguments, "resilient-sse", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        help_of = "resilient-sse" if context is None else context.command_path
        outcome = Outcome(USAGE, f"{error.format_message()} (see {help_of} --help)")
    except click.Abort:
        outcome = Outcome(INTERRUPTED)
    code, message = outcome if isinstance(outcome, Outcome) else (outcome, "")
    if message:
        say(message)
    return int(code)
