"""What type checkers make of `iter_json` and `aiter_json`; mypy and pyright read it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_type

import msgspec
import orjson
from pydantic import TypeAdapter

from resilient_sse import (
    ReconnectingEventSource,
    ServerSentEvent,
    SyncReconnectingEventSource,
    adecode,
    aiter_json,
    connect_sse,
    decode,
    decode_lines,
    iter_json,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping

    import httpx


@dataclass
class Token:
    """One object of the stream."""

    text: str


@dataclass
class Usage:
    """Another."""

    tokens: int


def count(data: str) -> int:
    """Parse, in one's own way."""
    return len(data)


def parsers(events: Iterable[ServerSentEvent]) -> None:
    """Every way to name a parser."""
    for anything in iter_json(events):
        assert_type(anything, Any)
    for anything in iter_json(events, loads=json.loads, done=None):
        assert_type(anything, Any)
    for anything in iter_json(events, loads=orjson.loads):
        assert_type(anything, Any)
    for token in iter_json(events, loads=msgspec.json.Decoder(Token).decode):
        assert_type(token, Token)
    for token in iter_json(events, loads=TypeAdapter(Token).validate_json):
        assert_type(token, Token)
    for tokens in iter_json(events, loads=TypeAdapter(list[Token]).validate_json):
        assert_type(tokens, list[Token])
    for length in iter_json(events, loads=count):
        assert_type(length, int)


def by_name(events: Iterable[ServerSentEvent]) -> None:
    """A parser for each type of event: the union of what they make."""
    for token in iter_json(events, loads={"token": msgspec.json.Decoder(Token).decode}):
        assert_type(token, Token)
    parsers: Mapping[str, Callable[[str], Token | Usage]] = {
        "token": TypeAdapter(Token).validate_json,
        "usage": TypeAdapter(Usage).validate_json,
    }
    for either in iter_json(events, loads=parsers):
        assert_type(either, Token | Usage)
    listed: list[Token | Usage] = list(
        iter_json(
            events,
            loads={
                "token": TypeAdapter(Token).validate_json,
                "usage": TypeAdapter(Usage).validate_json,
            },
        )
    )
    assert_type(listed, list[Token | Usage])


def sources(client: httpx.Client) -> None:
    """Every kind of source."""
    for length in iter_json(SyncReconnectingEventSource("https://example.com"), loads=count):
        assert_type(length, int)
    for length in iter_json(decode([b""]), loads=count):
        assert_type(length, int)
    for event in decode_lines(["data: x", ""]):
        assert_type(event, ServerSentEvent)
    with connect_sse(client, "GET", "https://example.com") as source:
        for length in iter_json(source.iter_sse(), loads=count):
            assert_type(length, int)


async def asynchronous(
    events: AsyncIterable[ServerSentEvent], chunks: AsyncIterable[bytes]
) -> None:
    """The same for asyncio and trio."""
    async for anything in aiter_json(events):
        assert_type(anything, Any)
    async for anything in aiter_json(events, loads=orjson.loads):
        assert_type(anything, Any)
    async for token in aiter_json(events, loads=msgspec.json.Decoder(Token).decode, done=None):
        assert_type(token, Token)
    async for token in aiter_json(events, loads=TypeAdapter(Token).validate_json):
        assert_type(token, Token)
    async for length in aiter_json(ReconnectingEventSource("https://example.com"), loads=count):
        assert_type(length, int)
    async for event in adecode(chunks):
        assert_type(event, ServerSentEvent)
    async for length in aiter_json(adecode(chunks), loads=count):
        assert_type(length, int)


async def asynchronous_by_name(
    events: AsyncIterable[ServerSentEvent],
    parsers: Mapping[str, Callable[[str], Token | Usage]],
) -> None:
    """A parser for each type of event, for asyncio and trio."""
    async for either in aiter_json(events, loads=parsers):
        assert_type(either, Token | Usage)
