"""JSON out of events: one parsed object for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from resilient_sse._decoding.pipe import AsyncPipe, closing
from resilient_sse._values.redact import quoted, redact_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator, Iterable

    from resilient_sse._values.event import ServerSentEvent

__all__ = ["aiter_json", "iter_json"]

T = TypeVar("T")
Loads: TypeAlias = Callable[[str], T] | Mapping[str, Callable[[str], T]]
_SHOWN = 80


@overload
def iter_json(
    events: Iterable[ServerSentEvent], *, done: str | None = "[DONE]"
) -> Generator[Any, None, None]: ...


@overload
def iter_json(
    events: Iterable[ServerSentEvent],
    *,
    loads: Loads[T],
    done: str | None = "[DONE]",
) -> Generator[T, None, None]: ...


def iter_json(
    events: Iterable[ServerSentEvent],
    *,
    loads: Loads[Any] = json.loads,
    done: str | None = "[DONE]",
) -> Generator[Any, None, None]:
    """Parse the data of each event as JSON, up to the sentinel.

    An event with empty data, which many gateways send as a heartbeat, is skipped.

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
            for type checkers. Or one for each type of event, by its name, as in
            ``{"message_start": TypeAdapter(Start).validate_json}``: what comes out is the union,
            and an event of another type is skipped, as one without a listener is in browsers.
        done: The data of the event that ends the stream, as language models' servers send it;
            None if there is none.

    Raises:
        ValueError: If ``loads`` refuses the data of an event; the message says which. The
            parser's own error is its ``__cause__``. What came before has been delivered.
    """
    parser_of = _chooser(loads)
    with closing(events):
        for event in events:
            if event.data == done:
                return
            parser = parser_of(event.event)
            if event.data and parser is not None:
                yield _parse(event, parser)


@overload
def aiter_json(
    events: AsyncIterable[ServerSentEvent], *, done: str | None = "[DONE]"
) -> AsyncPipe[ServerSentEvent, Any]: ...


@overload
def aiter_json(
    events: AsyncIterable[ServerSentEvent],
    *,
    loads: Loads[T],
    done: str | None = "[DONE]",
) -> AsyncPipe[ServerSentEvent, T]: ...


def aiter_json(
    events: AsyncIterable[ServerSentEvent],
    *,
    loads: Loads[Any] = json.loads,
    done: str | None = "[DONE]",
) -> AsyncPipe[ServerSentEvent, Any]:
    """Parse the data of each event as JSON, up to the sentinel, as `iter_json` does.

    What it returns is an iterator and no generator: it may be left at any time without a warning.
    To leave early and close a generator given as ``events``, call its ``aclose()``
    (``contextlib.aclosing`` does).

    Args:
        events: Any asynchronous iterable of events.
        loads: The parser, or one for each type of event; see `iter_json`.
        done: The data of the event that ends the stream; None if there is none.

    Raises:
        ValueError: If ``loads`` refuses the data of an event; see `iter_json`.
    """
    parser_of = _chooser(loads)

    def step(event: ServerSentEvent) -> list[Any] | None:
        if event.data == done:
            return None
        parser = parser_of(event.event)
        return [_parse(event, parser)] if event.data and parser is not None else []

    return AsyncPipe(events, step)


def _chooser(loads: Loads[T]) -> Callable[[str], Callable[[str], T] | None]:
    """Return what finds the parser of a type of event; None: it has none."""
    if callable(loads):
        return lambda _: loads
    return loads.get


def _parse(event: ServerSentEvent, loads: Callable[[str], T]) -> T:
    try:
        return loads(event.data)
    except Exception as error:
        which = f"event {quoted(event.event)}"
        if event.id:
            which += f" with id {quoted(event.id)}"
        data = event.data if len(event.data) <= _SHOWN else f"{event.data[:_SHOWN]}..."
        why = redact_text(str(error))  # a parser that validates repeats what it was given
        msg = f"the data of the {which} is not the JSON expected ({why}): {data!r}"
        raise ValueError(msg) from error
