"""The reference server of Durable Streams and its client see what a source sees."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse import ExponentialBackoff, GiveUpError, SyncReconnectingEventSource
from resilient_sse.dialects import DurableStreams
from tests.dialects import node

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = """
import { DurableStreamTestServer } from "@durable-streams/server";
console.log(await new DurableStreamTestServer({ port: 0 }).start());
"""
CLIENT = """
import { stream } from "@durable-streams/client";
const [url, offset] = process.argv.slice(1);
const response = await stream({ url, offset, live: "sse" });
for await (const item of response.jsonStream()) console.log(JSON.stringify(item));
process.exit(0);
"""
APPENDED: list[Any] = [{"n": 1}, [{"n": 2}, {"n": 3, "text": "é"}], {"n": 4}]
ITEMS = [{"n": 1}, {"n": 2}, {"n": 3, "text": "é"}, {"n": 4}]
_numbers = itertools.count()

pytestmark = node.needs("@durable-streams/server", "@durable-streams/client")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The reference server."""
    with node.serve(SERVER) as url:
        yield url


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client that writes."""
    with httpx.Client(trust_env=False) as made:
        yield made


@pytest.fixture
def url(server: str, client: httpx.Client) -> str:
    """A new stream of JSON."""
    made = f"{server}/v1/stream/boats-{next(_numbers)}"
    client.put(made, headers={"Content-Type": "application/json"}).raise_for_status()
    return made


def close(client: httpx.Client, url: str) -> None:
    """Say that there will be no more."""
    client.post(url, headers={"Stream-Closed": "true"}).raise_for_status()


def items(events: list[Any]) -> list[Any]:
    """What is in them; the last one only says that it is over."""
    assert [event.event for event in events[-1:]] == ["control"]
    return [item for event in events[:-1] for item in event.json()]


def source(url: str, offset: str = "-1", **options: Any) -> SyncReconnectingEventSource:
    """A source of the stream."""
    query = {"offset": offset, "live": "sse"}
    options.setdefault("policy", ExponentialBackoff(wait_initial=0))
    return SyncReconnectingEventSource(url, params=query, dialect=DurableStreams, **options)


def test_a_stream_that_is_over(client: httpx.Client, url: str) -> None:
    """The same items as the vendor's client has, and a normal end."""
    for body in APPENDED:
        client.post(url, json=body).raise_for_status()
    close(client, url)
    with source(url) as reading:
        events = list(reading)
    assert items(events) == node.run(CLIENT, url, "-1") == ITEMS


def test_a_stream_that_lives(client: httpx.Client, url: str) -> None:
    """Each item once, although every connection is left after its first."""
    seen = list[Any]()
    with source(url) as reading:
        for body in APPENDED:
            client.post(url, json=body).raise_for_status()
            event = next(reading)
            seen += event.json()
            reading.reconnect()
        close(client, url)
        (last,) = list(reading)
    assert seen == ITEMS
    assert last.json()["streamClosed"] is True
    offset = reading.last_event_id.partition(",")[0]
    assert offset == last.json()["streamNextOffset"]
    assert node.run(CLIENT, url, offset) == []


@pytest.mark.parametrize("before", [1, 2, 3])
def test_the_cursor_is_theirs(client: httpx.Client, url: str, before: int) -> None:
    """From where a source stopped, the vendor's client reads what a source reads."""
    client.post(url, json=APPENDED[0]).raise_for_status()
    with source(url) as reading:
        for body in APPENDED[1 : before + 1]:
            next(reading)
            client.post(url, json=body).raise_for_status()
        cursor = next(reading).id
    for body in APPENDED[before + 1 :]:
        client.post(url, json=body).raise_for_status()
    close(client, url)
    with source(url, last_event_id=cursor) as reading:
        mine = items(list(reading))
    assert mine == node.run(CLIENT, url, cursor.partition(",")[0])


def test_an_offset_that_is_none(url: str) -> None:
    """It is refused, with the server's words."""
    with (
        pytest.raises(GiveUpError, match="Invalid offset format"),
        source(url, "zzz", policy=ExponentialBackoff(wait_initial=0)) as reading,
    ):
        next(reading)
