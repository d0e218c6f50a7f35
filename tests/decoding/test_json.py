"""`iter_json` and `aiter_json`: parsed objects out of events."""

from __future__ import annotations

import gc
import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import pydantic
import pytest

from resilient_sse import (
    ExponentialBackoff,
    ReconnectingEventSource,
    ServerSentEvent,
    SyncReconnectingEventSource,
    adecode,
    aiter_json,
    iter_json,
)
from resilient_sse.testing import Connection, InstantRetries, ScriptedServer, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator


@dataclass
class Token:
    """What the typed parsers make."""

    text: str


class Events:
    """Events as a generator that remembers whether it was closed, sync and async."""

    def __init__(self, *data: str) -> None:
        self.events = [ServerSentEvent(data=one, id=str(n)) for n, one in enumerate(data, 1)]
        self.closed = False

    def sync(self) -> Generator[ServerSentEvent, None, None]:
        """Make the generator for `iter_json`."""
        try:
            yield from self.events
        finally:
            self.closed = True

    async def asynchronous(self) -> AsyncGenerator[ServerSentEvent, None]:
        """Make the generator for `aiter_json`."""
        try:
            for one in self.events:
                yield one
        finally:
            self.closed = True


TALK = [
    ServerSentEvent(event="count", data="1", id="1"),
    ServerSentEvent(event="token", data='{"text": "a"}', id="2"),
    ServerSentEvent(event="new", data="no JSON", id="3"),
    ServerSentEvent(event="count", data="", id="4"),
    ServerSentEvent(event="count", data="2", id="5"),
    ServerSentEvent(event="new", data="[DONE]", id="6"),
    ServerSentEvent(event="count", data="3", id="7"),
]
PARSERS: dict[str, Callable[[str], Token | int]] = {
    "token": msgspec.json.Decoder(Token).decode,
    "count": int,
}


async def collect(events: Events, **options: Any) -> list[Any]:
    """Gather what `aiter_json` makes of the events."""
    return [parsed async for parsed in aiter_json(events.asynchronous(), **options)]


def test_iter_json_parses_up_to_the_sentinel() -> None:
    """The sentinel ends the iteration and closes the generator of events."""
    events = Events('{"a": 1}', "[2]", "[DONE]", "not json")
    source = events.sync()

    assert list(iter_json(source)) == [{"a": 1}, [2]]
    assert events.closed


@pytest.mark.anyio
async def test_aiter_json_parses_up_to_the_sentinel() -> None:
    """The sentinel ends the iteration and closes the generator of events."""
    events = Events('{"a": 1}', "[2]", "[DONE]", "not json")

    assert await collect(events) == [{"a": 1}, [2]]
    assert events.closed


@pytest.mark.anyio
async def test_empty_data_is_a_heartbeat() -> None:
    """Many gateways send such events; an empty sentinel still ends the stream."""
    heartbeats = ("", "1", "", "", "2", "[DONE]")
    assert list(iter_json(Events(*heartbeats).sync())) == [1, 2]
    assert await collect(Events(*heartbeats)) == [1, 2]
    assert list(iter_json(Events("1", "", "2").sync(), done="")) == [1]


@pytest.mark.anyio
async def test_sentinel_can_be_another_or_none() -> None:
    """None: the stream alone says where it ends."""
    assert list(iter_json(Events("1", '"end"', "2").sync(), done='"end"')) == [1]
    assert list(iter_json(Events("1", "2").sync(), done=None)) == [1, 2]
    assert await collect(Events("1", '"end"', "2"), done='"end"') == [1]
    assert await collect(Events("1", "2"), done=None) == [1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        (json.loads, {"text": "x"}),
        (orjson.loads, {"text": "x"}),
        (msgspec.json.Decoder(Token).decode, Token("x")),
        (pydantic.TypeAdapter(Token).validate_json, Token("x")),
    ],
    ids=["json", "orjson", "msgspec", "pydantic"],
)
async def test_loads_is_any_parser(loads: Callable[[str], Any], expected: object) -> None:
    """The parsers people use, as they are; their errors become one that says which event."""
    good, bad = Events('{"text": "x"}'), Events('{"text": "x"}', '{"text": 1')

    assert list(iter_json(good.sync(), loads=loads)) == [expected]
    assert await collect(good, loads=loads) == [expected]
    with pytest.raises(ValueError, match=r"event 'message' with id '2'"):
        list(iter_json(bad.sync(), loads=loads))
    with pytest.raises(ValueError, match=r"event 'message' with id '2'"):
        await collect(bad, loads=loads)


def test_bad_json_loses_nothing_before_it() -> None:
    """The objects before it are delivered; the error names the event and shows its data."""
    events = Events("1", "{" + "x" * 200)
    parsed = iter_json(events.sync())

    assert next(parsed) == 1
    with pytest.raises(ValueError, match=r"id '2'.*'\{x{79}\.\.\.'$") as caught:
        next(parsed)
    assert isinstance(caught.value.__cause__, json.JSONDecodeError)
    assert events.closed


@pytest.mark.anyio
async def test_what_a_server_says_is_cut_in_the_message() -> None:
    """However long type, id and data are, and whatever a parser repeats of them, it is one line."""
    long = "\x1b[2J\n" + "x" * 100_000
    bad = ServerSentEvent(event=long, id=long, data=json.dumps({"text": long}))

    def refuse(data: str) -> None:
        msg = f"I do not like\n{data}"
        raise ValueError(msg)

    async def events() -> AsyncGenerator[ServerSentEvent, None]:
        yield bad

    with pytest.raises(ValueError, match="the JSON expected") as caught:
        list(iter_json([bad], loads=refuse))
    with pytest.raises(ValueError, match="the JSON expected") as caught_async:
        await anext(aiter_json(events(), loads=refuse))
    for message in (str(caught.value), str(caught_async.value)):
        assert len(message) < 1000
        assert message.isprintable()


@pytest.mark.anyio
async def test_bad_json_loses_nothing_before_it_async() -> None:
    """An event without an id is named by its type."""

    async def events() -> AsyncGenerator[ServerSentEvent, None]:
        yield ServerSentEvent(data="1")
        yield ServerSentEvent(event="tick", data="nope")

    parsed = aiter_json(events())

    assert await anext(parsed) == 1
    with pytest.raises(ValueError, match=r"the event 'tick' is not .*: 'nope'$"):
        await anext(parsed)


def test_leaving_early_closes_a_generator() -> None:
    """The generator of events does not outlive the iteration."""
    events = Events("1", "2")
    for _ in iter_json(events.sync()):
        break
    gc.collect()

    assert events.closed


@pytest.mark.anyio
async def test_aclosing_reaches_the_bytes() -> None:
    """Parser, decoder and generator of bytes close one another."""
    closed: list[str] = []

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: 1\n\ndata: 2\n\n"
        finally:
            closed.append("generator")

    async with aclosing(aiter_json(adecode(chunks()))) as parsed:
        assert await anext(parsed) == 1

    assert closed == ["generator"]


SCRIPT = [
    Connection(event('{"n": 1}', id="1")),
    Connection(event('{"n": 2}', id="2"), event("[DONE]"), event('{"n": 3}', id="3")),
]


def test_a_reconnecting_source_stays_open_behind_the_sentinel() -> None:
    """It is no generator: its owner may read on."""
    with (
        ScriptedServer(SCRIPT) as server,
        SyncReconnectingEventSource(
            server.url, policy=InstantRetries(ExponentialBackoff())
        ) as source,
    ):
        assert list(iter_json(source)) == [{"n": 1}, {"n": 2}]
        assert next(source).data == '{"n": 3}'


@pytest.mark.anyio
async def test_a_reconnecting_source_stays_open_behind_the_sentinel_async() -> None:
    """It is no generator: its owner may read on."""
    async with (
        ScriptedServer(SCRIPT) as server,
        ReconnectingEventSource(server.url, policy=InstantRetries(ExponentialBackoff())) as source,
    ):
        assert [parsed async for parsed in aiter_json(source)] == [{"n": 1}, {"n": 2}]
        assert (await anext(source)).data == '{"n": 3}'


@pytest.mark.anyio
async def test_a_parser_for_each_type_of_event() -> None:
    """What has none is skipped, whatever it holds; the sentinel ends it under any name."""
    events = Events()
    events.events = TALK
    found = list(iter_json(events.sync(), loads=PARSERS))
    assert found == [1, Token("a"), 2] == await collect(events, loads=PARSERS)
    assert not list(iter_json(TALK, loads={"other": int}))


def test_a_parser_by_name_that_refuses() -> None:
    """The error says which event, as with one parser for all."""
    with pytest.raises(ValueError, match="event 'token' with id '2'"):
        list(iter_json(TALK, loads={"token": int}))
