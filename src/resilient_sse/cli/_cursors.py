"""``resilient-sse cursors``: look after the cursors of a store."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from resilient_sse._values.redact import explain
from resilient_sse.cli._formats import json_line
from resilient_sse.cli._outcome import CANNOT_WRITE, DONE, PROBLEM, Outcome, printable, write
from resilient_sse.cursors._engine.schemes import SCHEMES
from resilient_sse.cursors._inventory.inventory import inventory_of
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from resilient_sse.cursors._inventory.inventory import Inventory, KeptCursor

__all__ = [
    "REPORTS",
    "CursorOptions",
    "forget_cursors",
    "list_cursors",
    "set_cursor",
    "show_cursor",
]

# What an engine raises. Those whose extra is missing raise nothing.
_ERRORS: Final = {"redis": ("redis", "RedisError"), "postgresql": ("psycopg", "Error")}


class CursorOptions(NamedTuple):
    """What all of these commands are given."""

    store: str
    prefix: str | None
    group: str | None
    form: str


def list_cursors(options: CursorOptions) -> Outcome:
    """Write all cursors, or those of one group."""

    def run(inventory: Inventory) -> Outcome:
        found = inventory.cursors()
        _write(options, [one for one in found if options.group in {None, one.group}])
        return DONE

    return _with_inventory(options, run)


def show_cursor(options: CursorOptions, key: str) -> Outcome:
    """Write one cursor."""

    def run(inventory: Inventory) -> Outcome:
        found = _find(inventory, options, [key])
        if options.form == "text":
            write(f"{printable(found[0].cursor)}\n".encode())
        else:
            _write(options, found)
        return DONE

    return _with_inventory(options, run)


def set_cursor(options: CursorOptions, key: str, cursor: str) -> Outcome:
    """Keep a cursor."""

    def run(inventory: Inventory) -> Outcome:
        _refuse_held(one for one in inventory.cursors() if _is(one, options, key))
        inventory.put(options.group, key, cursor)
        return DONE

    return _with_inventory(options, run)


def forget_cursors(
    options: CursorOptions, keys: Sequence[str], older_than: timedelta | None
) -> Outcome:
    """Forget cursors by key, or those that are old and whose lease nobody holds."""

    def run(inventory: Inventory) -> Outcome:
        if older_than is None:
            found = _find(inventory, options, keys)
            _refuse_held(found)
        else:
            oldest = time.time() - older_than.total_seconds()
            found = [
                one
                for one in inventory.cursors()
                if one.group == options.group and not one.held
                if one.saved_at is not None and one.saved_at < oldest
            ]
        inventory.forget(found)
        _write(options, found)
        return DONE

    return _with_inventory(options, run)


class _NothingDone(Exception):  # noqa: N818 - it is an outcome
    """What was asked for makes no sense with what there is."""


def _find(inventory: Inventory, options: CursorOptions, keys: Iterable[str]) -> list[KeptCursor]:
    there = {one.key: one for one in inventory.cursors() if one.group == options.group}
    for key in keys:
        if key not in there:
            where = "" if options.group is None else f" in the group {options.group!r}"
            raise _NothingDone(f"there is no cursor of {key!r}{where}")
    return [there[key] for key in keys]


def _is(one: KeptCursor, options: CursorOptions, key: str) -> bool:
    return (one.group, one.key) == (options.group, key)


def _refuse_held(cursors: Iterable[KeptCursor]) -> None:
    for one in cursors:
        if one.held:
            hint = "stop the replicas first: the one that reads would save its own"
            raise _NothingDone(f"the lease of {one.key!r} is held; {hint}")


def _with_inventory(options: CursorOptions, run: Callable[[Inventory], Outcome]) -> Outcome:
    engine: tuple[type[Exception], ...] = (sqlite3.Error, *_engine_errors(options.store))
    try:
        with closing(inventory_of(options.store, options.prefix)) as inventory:
            return run(inventory)
    except _NothingDone as nothing:
        return Outcome(PROBLEM, str(nothing))
    except (ValueError, FileNotFoundError, ImportError) as error:
        raise click.UsageError(explain(error)) from error
    except CursorError as error:
        return Outcome(CANNOT_WRITE, explain(error))
    except engine as error:
        return Outcome(CANNOT_WRITE, f"the store does not answer as it should: {explain(error)}")


def _engine_errors(store: str) -> list[type[Exception]]:
    engine = SCHEMES.get(store.partition("://")[0])
    if engine is None:
        return []
    library, name = _ERRORS[engine]
    try:
        home: Any = import_module(library)
    except ImportError:  # then nothing of it can be raised
        return []
    error: type[Exception] = getattr(home, name)
    return [error]


def _write(options: CursorOptions, cursors: Iterable[KeptCursor]) -> None:
    ordered = sorted(cursors, key=lambda one: (one.group or "", one.key))
    lines = REPORTS[options.form](ordered)
    write("".join(f"{line}\n" for line in lines).encode(errors="replace"))


def _as_json(cursors: Sequence[KeptCursor]) -> list[str]:
    return [json_line(one._asdict() | {"saved_at": _when(one)}) for one in cursors]


def _as_text(cursors: Sequence[KeptCursor]) -> list[str]:
    rows = [
        (one.key, one.cursor, _when(one) or "-", one.group or "-", "held" if one.held else "")
        for one in cursors
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    return [
        printable("  ".join(map(str.ljust, row, widths)).rstrip()).replace("\n", "\\n")
        for row in rows
    ]


def _when(one: KeptCursor) -> str | None:
    if one.saved_at is None:
        return None
    return datetime.fromtimestamp(one.saved_at, UTC).isoformat(timespec="seconds")


REPORTS: Final[dict[str, Callable[[Sequence[KeptCursor]], list[str]]]] = {
    "text": _as_text,
    "json": _as_json,
}
