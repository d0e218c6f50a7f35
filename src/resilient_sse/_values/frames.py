"""What a traceback that shows local variables (rich, structlog, Sentry) shows of ours: nothing.

The frames of a request hold its URL and headers, each under another name. To hide them one by one
would be to forget the next one. So the locals of all frames that an exception has left behind are
cleared, ours and those of the HTTP libraries under us; those of the caller's own functions are not.
"""

from __future__ import annotations

import functools
import inspect
import opcode
from contextlib import suppress
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from resilient_sse._values.causes import causes

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_CLEARED: Final = frozenset(
    {
        *("resilient_sse", "httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2"),
        *("anyio", "asyncio", "httpx_aiohttp", "aiohttp", "redis", "psycopg"),
    }
)
_RESUMABLE: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_YIELD: Final = opcode.opmap["YIELD_VALUE"]


def forget_locals(error: BaseException) -> None:
    """Clear the locals of the frames that an exception, or what caused it, has left behind."""
    for cause in causes(error):
        for frame, _ in walk_tb(cause.__traceback__):
            if str(frame.f_globals.get("__name__")).partition(".")[0] not in _CLEARED:
                continue
            # An exception that was raised in several tasks, as HTTP/2 connections do, has frames of
            # them all. Before Python 3.13 to clear one that waits is to kill its task.
            code = frame.f_code
            if code.co_flags & _RESUMABLE and code.co_code[frame.f_lasti] == _YIELD:
                continue
            with suppress(RuntimeError):  # it is one of those that are running
                frame.clear()


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Have no local variable, in and below a function, outlive an exception that leaves it.

    For what a caller of ours gives secrets to. Coroutine functions are taken, too.
    """

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            forget_locals(error)
            raise

    async def acall(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of any coroutine function
        try:
            return await cast("Any", function)(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            forget_locals(error)
            raise

    chosen: Any = acall if inspect.iscoroutinefunction(function) else call
    return cast("Callable[P, T]", functools.wraps(function)(chosen))
