"""The commands and their options."""

from __future__ import annotations

import dataclasses
import os
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import stamina.instrumentation
import structlog

from resilient_sse.cli._check import Check
from resilient_sse.cli._demo._command import Demo
from resilient_sse.cli._demo._serve import Serve
from resilient_sse.cli._formats import FORMATS
from resilient_sse.cli._outcome import (
    CANNOT_WRITE,
    INTERRUPTED,
    USAGE,
    Outcome,
    outcome_of,
    run_until_interrupted,
    say,
)
from resilient_sse.cli._screen import can_draw
from resilient_sse.cli._tail import Tail, TailOptions
from resilient_sse.cli._target import Target, reconnect_options, request_options
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


@commands.command(short_help="Write events to stdout, one per line.")
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


@commands.command(short_help="Show a stream on the whole screen.")
@request_options
@reconnect_options
def watch(**options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
    """Show what the stream of URL is doing, on the whole screen; Ctrl-C ends it."""
    if not can_draw():
        raise click.UsageError("watch needs a terminal to draw on; use tail")
    return run_until_interrupted(Watch(Target(**options)))


@commands.command(short_help="Say what would break a client of a server.")
@request_options
@click.option(
    "--seconds",
    type=click.FloatRange(0.1),
    default=20,
    metavar="SECONDS",
    help="Listen at most so long (default: 20).",
)
def check(seconds: float, **options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
    """Try the server of URL as a client would, and say in plain words what it does.

    The exit code is 1 if something would break a client.
    """
    return run_until_interrupted(Check(Target(**options), seconds))


@commands.command(short_help="See a client survive what a network does to it.")
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    default=20,
    metavar="SECONDS",
    help="Take about so long (default: 20).",
)
@click.option(
    "--seed",
    default=1,
    metavar="N",
    help="Decides on the order and the moments of the faults (default: 1).",
)
@click.option(
    "--backend",
    type=click.Choice(["asyncio", "trio"]),
    default="asyncio",
    show_default=True,
    help="The event loop; trio has to be installed.",
)
@click.option("--serve", is_flag=True, help="Only serve a stream for you to play with.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    metavar="PORT",
    help="Where --serve listens (default: 8000; 0: anywhere).",
)
def demo(*, seconds: float, seed: int, backend: str, serve: bool, port: int) -> Outcome:
    """See a client survive what a network does to it.

    A server is cut, refuses, falls silent, is killed and started again. In the end, what it
    published is compared with what came; the exit code is 1 if that is not the same.
    """
    if serve:
        return run_until_interrupted(Serve(port))
    if find_spec(backend) is None:
        raise click.UsageError(f"{backend} is not installed: pip install {backend}")
    return run_until_interrupted(Demo(seconds, seed), backend)


def run(arguments: Sequence[str] | None) -> int:
    """Run a command line, and return the exit code."""
    _prepare_output()
    outcome = _outcome(arguments)
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


def _outcome(arguments: Sequence[str] | None) -> Outcome:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - it was closed
        return Outcome(CANNOT_WRITE, "cannot write the output: stdout is closed")
    try:
        outcome: Any = commands.main(arguments, "resilient-sse", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        help_of = "resilient-sse" if context is None else context.command_path
        return Outcome(USAGE, f"{error.format_message()} (see {help_of} --help)")
    except click.Abort:
        return Outcome(INTERRUPTED)
    except OSError as error:  # click could not write its help
        return outcome_of(error)
    return outcome if isinstance(outcome, Outcome) else Outcome(int(outcome))
