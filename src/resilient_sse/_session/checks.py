"""What a keyword may be: each check raises an error that says what to write instead."""

from __future__ import annotations

import inspect
import math


def check_seconds(name: str, value: object, *, zero: bool = False) -> None:
    """Ask for a finite number of seconds, above 0 or, with ``zero``, from 0 on."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{name} must be a number of seconds, not {value!r}"
        raise TypeError(msg)
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        what = "0 or more" if zero else "above 0"
        msg = f"{name} must be a finite number of seconds, {what}, not {value!r}"
        raise ValueError(msg)


def check_count(name: str, value: object, *, at_least: int) -> None:
    """Ask for a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be an int, not {value!r}"
        raise TypeError(msg)
    if value < at_least:
        msg = f"{name} must be at least {at_least}, not {value!r}"
        raise ValueError(msg)


def check_text(name: str, value: object) -> None:
    """Ask for a str."""
    if not isinstance(value, str):
        msg = f"{name} must be a str, not {value!r}"
        raise TypeError(msg)


def check_callable(name: str, value: object) -> None:
    """Ask for something that can be called."""
    if not callable(value):
        msg = f"{name} must be callable, not {value!r}"
        raise TypeError(msg)


def check_plain(name: str, value: object) -> None:
    """Refuse a coroutine function."""
    if is_coroutine_function(value):
        msg = f"{name} must be a plain function, and {value!r} is a coroutine function"
        raise TypeError(msg)


def check_instance(name: str, value: object) -> None:
    """Refuse a class, which can be called, but makes an object instead of doing its work."""
    if isinstance(value, type):
        msg = f"{name} must be an instance, not the class {value.__name__}: {value.__name__}()"
        raise TypeError(msg)


def is_coroutine_function(value: object) -> bool:
    """Say whether calling this object makes a coroutine."""
    call = getattr(type(value), "__call__", None)  # noqa: B004 - not whether it can be called
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(call)
