"""JSON out of events: one parsed object for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar, overload

from resilient_sse._pipe import AsyncPipe, closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Generator, Iterable

    from resilient_sse._event import ServerSentEvent

__all__ = ["aiter_json", "iter_json"]

T = TypeVar("T")
_SHOWN = 80


@overload
def iter_json(
    events: Iterable[ServerSentEvent], *, done: str | None = "[DONE]"
) -> Generator[Any, None, None]: ...


@overload
def iter_json(
    events: Iterable[ServerSentEvent],
    *,
    loads: Callable[[str], T],
    done: str | None = "[DONE]",
) -> Generator[T, None, None]: ...


def iter_json(
    events: Iterable[ServerSentEvent],
    *,
    loads: Callable[[str], Any] = json.loads,
    done: str | None = "[DONE]",
) -> Generator[Any, None, None]:
    """Parse the data of each event as JSON, up to the sentinel.

    ```python
    for chunk in iter_json(event_source.iter_sse()):
        print(chunk["choices"][0]["delta"].get("content", ""), end="")
    ```

    However it ends (sentinel, error, early exit), ``events`` is closed if it is a generator;
    a `SyncReconnectingEventSource` is not.

    Args:
        events: Any iterable of events.
        loads: The parser: ``json.loads``, ``orjson.loads``, a msgspec decoder's ``decode``,
            pydantic's ``TypeAdapter(T).validate_json``. What it returns is what comes out, also
            for type checkers.
        done: The data of the event that ends the stream, as language models' servers send it;
            None if there is none.

    Raises:
        ValueError: If ``loads`` refuses the data of an event; the message says which. The
            parser's own error is its ``__cause__``. What came before has been delivered.
    """
    with closing(events):
        for event in events:
            if event.data == done:
                return
            yield _parse(event, loads)


@overload
def aiter_json(
    events: AsyncIterable[ServerSentEvent], *, done: str | None = "[DONE]"
) -> AsyncPipe[ServerSentEvent, Any]: ...


@overload
def aiter_json(
    events: AsyncIterable[ServerSentEvent],
    *,
    loads: Callable[[str], T],
    done: str | None = "[DONE]",
) -> AsyncPipe[ServerSentEvent, T]: ...


def aiter_json(
    events: AsyncIterable[ServerSentEvent],
    *,
    loads: Callable[[str], Any] = json.loads,
    done: str | None = "[DONE]",
) -> AsyncPipe[ServerSentEvent, Any]:
    """Parse the data of each event as JSON, up to the sentinel, as `iter_json` does.

    What it returns is an iterator and no generator: it may be left at any time without a warning.
    To leave early and close a generator given as ``events``, call its ``aclose()``
    (``contextlib.aclosing`` does).

    Args:
        events: Any asynchronous iterable of events.
        loads: The parser; see `iter_json`.
        done: The data of the event that ends the stream; None if there is none.

    Raises:
        ValueError: If ``loads`` refuses the data of an event; see `iter_json`.
    """

    def step(event: ServerSentEvent) -> list[Any] | None:
        return None if event.data == done else [_parse(event, loads)]

    return AsyncPipe(events, step)


def _parse(event: ServerSentEvent, loads: Callable[[str], T]) -> T:
    try:
        return loads(event.data)
    except Exception as error:
        which = f"event {event.event!r}" + (f" with id {event.id!r}" if event.id else "")
        data = event.data if len(event.data) <= _SHOWN else f"{event.data[:_SHOWN]}..."
        msg = f"the data of the {which} is not the JSON expected ({error}): {data!r}"
        raise ValueError(msg) from error
