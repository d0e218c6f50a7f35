"""``python -m examples.demo``: the demonstration as a program.

The exit code is 0 only if nothing was lost and nothing came twice.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

import click

from examples.demo.command import Demo
from resilient_sse.cli._commands import run
from resilient_sse.cli._outcome import Outcome, run_until_interrupted


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
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
def demo(*, seconds: float, seed: int, backend: str) -> Outcome:
    """See a client survive what a network does to it.

    A server is cut, refuses, falls silent, is killed and started again. In the end, what it
    published is compared with what came; the exit code is 1 if that is not the same.
    """
    if find_spec(backend) is None:
        raise click.UsageError(f"{backend} is not installed: pip install {backend}")
    return run_until_interrupted(Demo(seconds, seed), backend)


if __name__ == "__main__":
    sys.exit(run(None, demo, "python -m examples.demo"))
