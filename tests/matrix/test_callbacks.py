"""Whatever a function of the program's raises: what the consumer sees, on every runtime.

The table has a row for each keyword that takes a function. A new keyword fails until it is listed.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from resilient_sse import (
    Closed,
    CursorError,
    Dialect,
    ReconnectingEventSource,
    SSEDecoder,
    Verdict,
)
from resilient_sse.testing import Connection, Ending, event

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse import DecoderFactory, Failure, ServerSentEvent
    from tests.support.runners import World

ONE, TWO = event("one", id="1"), event("two", id="2")


def decoder_that_raises(raises: Callable[..., Any]) -> DecoderFactory:
    """Make a decoder whose `feed` raises once it gets bytes."""

    class Broken(SSEDecoder):
        def feed(self, chunk: bytes | bytearray | memoryview) -> Any:
            return raises() if chunk else []

    return Broken


def store_that_raises(raises: Callable[..., Any]) -> Any:
    """Make a store whose `save` raises."""

    class Store:
        def load(self, _key: str) -> None:
            return None

        def save(self, _key: str, _last_event_id: str) -> None:
            raises()

    return Store()


def is_gap(_event: ServerSentEvent) -> Verdict:
    """Judge whatever comes."""
    return Verdict.GAP


def broken_store() -> Any:
    """Make a store that cannot be reached."""

    def raises() -> None:
        msg = "no store"
        raise OSError(msg)

    return store_that_raises(raises)


DECIDING: Final[dict[str, Callable[[Callable[..., Any]], dict[str, Any]]]] = {
    "policy": lambda raises: {"policy": raises},
    "prepare_request": lambda raises: {"prepare_request": raises},
    "until": lambda raises: {"until": raises},
    "judge": lambda raises: {"dialect": Dialect(judge=raises)},
    "position": lambda raises: {"dialect": Dialect(position=raises)},
    "resume": lambda raises: {"dialect": Dialect(resume=raises), "last_event_id": "0"},
    "dialect": lambda raises: {"dialect": Dialect(decoder=decoder_that_raises(raises))},
    "on_gap": lambda raises: {"dialect": Dialect(judge=is_gap), "on_gap": raises},
    "decoder": lambda raises: {"decoder": decoder_that_raises(raises)},
    "auth": lambda raises: {"auth": raises},
}
"""Functions that decide about the stream, and how each is made to raise."""

ASKED_BEFORE_A_REQUEST: Final = {"auth", "on_gap", "prepare_request", "resume"}
OF_A_DIALECT: Final = {"judge", "position", "resume"}

OTHERS: Final = {
    "hooks": "told, not asked: see test_hooks",
    "cursor": "a store's failures are a CursorError: see test_cursors",
    "cursor_policy": "decides about the store: below",
    "client": "raises failures of the stream: see test_exceptions",
}
"""The other keywords that take what can raise, and where it is tested."""

PLAIN: Final = {
    *("url", "method", "headers", "params", "content", "json", "data", "connect_timeout"),
    *("idle_timeout", "last_event_id", "cursor_key", "auto_ack", "max_unacked", "dedupe"),
    *("reset_after", "retry_unsafe", "max_event_size"),
}
"""The keywords that take no function."""


def never(_failure: Failure) -> None:
    """Be a policy that gives up at once."""


def raising(error: BaseException) -> Callable[..., Any]:
    """Make a function of any arguments that raises."""

    def raises(*_args: object, **_keywords: object) -> Any:
        raise error

    return raises


def test_every_keyword_is_listed() -> None:
    """A new one has to say what happens when it raises."""
    keywords = set(inspect.signature(ReconnectingEventSource).parameters)
    assert keywords == {*DECIDING, *OTHERS, *PLAIN} - OF_A_DIALECT


@pytest.mark.parametrize("name", DECIDING)
@pytest.mark.parametrize(
    "error", [LookupError("oops"), OSError("oops"), httpx.InvalidURL("oops")], ids=repr
)
def test_an_exception(home: World, name: str, error: Exception) -> None:
    """It reaches the consumer as it is, and hooks hear that the source failed.

    Even one that would be a failure of the stream if the client had raised it; those of the HTTP
    library count as one if `prepare_request` (or `auth`, which the client calls) raises them.
    """
    if name in {"auth", "on_gap", "prepare_request", "resume"} and not isinstance(
        error, LookupError
    ):
        pytest.skip("may be a failure of the attempt: see test_prepare_request")
    server = home.serve(Connection(ONE, ending=Ending.RESET), Connection(TWO))
    reading = home.read(server, **DECIDING[name](raising(error)))
    with pytest.raises(type(error)) as caught:
        reading.wait()
    assert caught.value is error
    assert reading.recorder.of(Closed)[-1].reason == "failed"
    assert reading.source.state == "closed"


@pytest.mark.parametrize("name", DECIDING)
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
def test_what_would_end_an_iteration(home: World, name: str, error: type[Exception]) -> None:
    """It never looks like the end of a stream that is complete (PEP 479)."""
    server = home.serve(Connection(ONE, ending=Ending.RESET), Connection(TWO))
    reading = home.read(server, **DECIDING[name](raising(error())))
    with pytest.raises(RuntimeError, match=error.__name__) as caught:
        reading.wait()
    assert isinstance(caught.value.__cause__, error)
    assert reading.recorder.of(Closed)[-1].reason == "failed"


def test_an_error_is_raised_once(thread: World) -> None:
    """After it the source is over: another pull ends normally."""
    server = thread.serve(Connection(ONE))
    source, _, _ = thread.source(server, until=raising(LookupError("oops")))
    with source:
        with pytest.raises(LookupError):
            next(source)
        assert list(source) == []


def test_what_is_no_exception(thread: World) -> None:
    """SystemExit and the like pass as they are, and end nothing by themselves."""
    server = thread.serve(Connection(ONE))
    errors = iter([SystemExit(3)])

    def until(_event: object) -> bool:
        for error in errors:
            raise error
        return True

    source, recorder, _ = thread.source(server, until=until)
    with source:
        with pytest.raises(SystemExit):
            next(source)
        assert [each.data for each in source] == ["one"]
    assert recorder.of(Closed)[-1].reason == "until"


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, LookupError])
def test_cursor_policy(home: World, error: type[Exception]) -> None:
    """What it raises reaches the consumer, too."""
    server = home.serve(Connection(ONE, ending=Ending.SILENCE))
    reading = home.read(server, cursor=broken_store(), cursor_policy=raising(error()))
    with pytest.raises(RuntimeError if error is not LookupError else LookupError):
        reading.wait()
    assert reading.data == ["one"]
    assert reading.recorder.of(Closed)[-1].reason == "failed"


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, LookupError])
def test_store(home: World, error: type[Exception]) -> None:
    """Whatever a store raises is a `CursorError`, never the end of the stream."""
    server = home.serve(Connection(ONE, ending=Ending.SILENCE))
    store = store_that_raises(raising(error()))
    reading = home.read(server, cursor=store, cursor_policy=never)
    with pytest.raises(CursorError, match=error.__name__):
        reading.wait()
    assert reading.data == ["one"]
    assert reading.recorder.of(Closed)[-1].reason == "failed"
