"""The commands about cursors, and their options."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from resilient_sse.cli._cursors import (
    REPORTS,
    CursorOptions,
    forget_cursors,
    list_cursors,
    set_cursor,
    show_cursor,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cli._outcome import Outcome

__all__ = ["cursors"]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _age(_context: click.Context, _option: click.Parameter, value: str | None) -> timedelta | None:
    """Read a number with a unit."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no age, such as 90d, 12h or 30m")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


@click.group(short_help="Look after the cursors of a store.", no_args_is_help=False)
def cursors() -> None:
    """Look after the cursors of a store: see them, set one, forget those that are over.

    STORE is the path of an SQLite file, or a URL of Redis or PostgreSQL.
    """


def cursor_options(command: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Give a command what all those about cursors have."""

    @wraps(command)
    def run(**options: Any) -> Outcome:  # noqa: ANN401 - click gives them by name
        common = CursorOptions(**{name: options.pop(name) for name in CursorOptions._fields})
        return command(common, **options)

    made: Callable[..., Outcome] = run
    for option in (
        click.option(
            "--format",
            "form",
            type=click.Choice(list(REPORTS)),
            default="text",
            show_default=True,
            help="For people; one JSON object per line for each cursor.",
        ),
        click.option(
            "--group",
            metavar="NAME",
            help="The cursors of this group or lease, instead of those without a lease.",
        ),
        click.option(
            "--prefix",
            metavar="PREFIX",
            help="What the names of the keys or tables begin with, if you chose it.",
        ),
        click.argument("store"),
    ):
        made = option(made)
    return made


@cursors.command("list", short_help="Write all cursors.")
@cursor_options
def list_(options: CursorOptions) -> Outcome:
    """Write all cursors of STORE, of its groups and leases too, one per line."""
    return list_cursors(options)


@cursors.command(short_help="Write one cursor.")
@cursor_options
@click.argument("key")
def show(options: CursorOptions, key: str) -> Outcome:
    """Write the cursor of KEY, which is the URL of its stream unless the program chose another."""
    return show_cursor(options, key)


@cursors.command("set", short_help="Have a stream go on from somewhere else.")
@cursor_options
@click.argument("key")
@click.argument("cursor")
def set_(options: CursorOptions, key: str, cursor: str) -> Outcome:
    """Have the stream of KEY go on from CURSOR when it is read next.

    A lease must not be held meanwhile.
    """
    return set_cursor(options, key, cursor)


@cursors.command(short_help="Forget cursors.")
@cursor_options
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option(
    "--older-than",
    callback=_age,
    metavar="AGE",
    help="Those that were saved longer ago, such as 90d or 12h; without any KEY.",
)
def forget(options: CursorOptions, keys: tuple[str, ...], older_than: timedelta | None) -> Outcome:
    """Forget the cursors of every KEY, and write what was forgotten.

    A lease must not be held meanwhile; --older-than leaves those that are.
    """
    if bool(keys) == (older_than is not None):
        raise click.UsageError("say which: a KEY or several, or --older-than AGE")
    return forget_cursors(options, keys, older_than)
