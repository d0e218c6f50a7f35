"""Docker's own client and a source read the same bytes, and see the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import SyncReconnectingEventSource
from resilient_sse.dialects import DockerEvents
from resilient_sse.testing import Connection, Ending, ScriptedServer, raw
from tests.dialects.streams import DOCKER, DOCKER_START, bytes_of, data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

docker = pytest.importorskip("docker", reason="docker is not installed")

HEADERS = {"Content-Type": "application/json"}
ALL = [json.loads(data) for data in data_of(DOCKER)]
Finite = replace(DockerEvents, end="finished")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A daemon without a script yet."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def api(server: ScriptedServer) -> Iterator[Any]:
    """The vendor's client."""
    address = server.url.replace("http://", "tcp://").replace("/events", "")
    client = docker.APIClient(base_url=address, version="1.47")
    yield client
    client.close()


def ours(server: ScriptedServer, dialect: Any = DockerEvents, **options: Any) -> list[Any]:
    """What a source hands out, until the daemon has no more."""
    url = server.url.replace("/events", "/v1.47/events")
    with SyncReconnectingEventSource(
        url, dialect=dialect, policy=lambda _: 0.0, **options
    ) as source:
        return [made.json() for made in source]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_events(server: ScriptedServer, api: Any, steps: int) -> None:
    """The same events, however the bytes come; with an ``until`` the end is the end."""
    body = bytes_of(DOCKER)
    size = -(-len(body) // steps)
    pieces = [raw(body[start : start + size]) for start in range(0, len(body), size)]
    server.add(*[Connection(*pieces, headers=HEADERS)] * 2)
    query = {"since": "0", "until": "9"}
    theirs = list(api.events(decode=True, **query))
    assert theirs == ours(server, Finite, params=query) == ALL
    asked = [(request.method, request.path, dict(request.params)) for request in server.requests]
    assert asked[0] == asked[1]


def test_a_name_beyond_ascii(server: ScriptedServer, api: Any) -> None:
    """Where a chunk ends within a character, theirs loses it; a source does not."""
    body = bytes_of(DOCKER)
    within = body.index("é".encode()) + 1
    pieces = raw(body[:within]), raw(body[within:])
    server.add(*[Connection(*pieces, headers=HEADERS)] * 2)
    assert "\N{REPLACEMENT CHARACTER}" in str(list(api.events(decode=True)))
    assert ours(server, Finite) == ALL


@pytest.mark.parametrize("got", [1, 2])
def test_events_go_on(server: ScriptedServer, api: Any, got: int) -> None:
    """Theirs takes a cut for the end. What a source asks for then is what theirs would send."""
    cut = Connection(raw(bytes_of(DOCKER[:got])), headers=HEADERS, ending=Ending.TRUNCATED)
    rest = Connection(raw(bytes_of(DOCKER[got:])), headers=HEADERS)
    server.add(cut, rest, Connection(status=204), cut, rest)
    assert ours(server) == ALL

    theirs = list(api.events(decode=True))
    assert theirs == ALL[:got]
    since = DOCKER_START + (theirs[-1]["timeNano"] - DOCKER_START * 1_000_000_000 + 1) / 1e9
    theirs += list(api.events(decode=True, since=f"{since:.9f}"))
    assert theirs == ALL
    mine = server.requests[1].params["since"]
    assert mine == f"{DOCKER_START}.{int(DOCKER[got - 1].cursor) % 1_000_000_000 + 1:09d}"


def test_a_daemon_that_stops(server: ScriptedServer) -> None:
    """It ends the stream cleanly, and a source comes back."""
    server.add(Connection(raw(bytes_of(DOCKER[:2])), headers=HEADERS))
    server.add(Connection(raw(bytes_of(DOCKER[2:])), headers={"Content-Type": "application/jsonl"}))
    assert ours(server) == ALL
