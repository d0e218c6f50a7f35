"""PouchDB's server, which speaks CouchDB's protocol, and PouchDB itself see what a source sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse import EventFailure, GiveUpError, SyncReconnectingEventSource
from resilient_sse.dialects import CouchDBChanges
from resilient_sse.testing import Connection, ScriptedServer, raw
from tests.dialects import node

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ["one", "two", "drei", "vier", "fünf"]
SERVER = """
import PouchDB from "pouchdb";
import memory from "pouchdb-adapter-memory";
import express from "express";
import serve from "express-pouchdb";
const Memory = PouchDB.plugin(memory).defaults({ adapter: "memory" });
const options = { mode: "minimumForPouchDB", inMemoryConfig: true, logPath: "/dev/null" };
const app = express().use("/", serve(Memory, options));
const listening = app.listen(0, "127.0.0.1", () =>
  console.log(`http://127.0.0.1:${listening.address().port}`));
"""
CLIENT = """
import PouchDB from "pouchdb";
const [url, since, count] = process.argv.slice(1);
let left = Number(count);
const changes = new PouchDB(url).changes({ live: true, since: Number(since) });
changes.on("change", (change) => {
  console.log(JSON.stringify(change));
  left -= 1;
  if (left === 0) { changes.cancel(); process.exit(0); }
});
"""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A database with a few documents."""
    with node.serve(SERVER) as server, httpx.Client(trust_env=False) as client:
        url = f"{server}/boats"
        client.put(url).raise_for_status()
        for name in NAMES:
            client.put(f"{url}/{name}", json={"length": 12}).raise_for_status()
        client.put(f"{url}/six", json={}).raise_for_status()
        yield url


def values(changes: list[Any]) -> list[tuple[str, str, str]]:
    """What is the same for both: how they call the rest differs."""
    return [(str(made["seq"]), made["id"], made["changes"][0]["rev"]) for made in changes]


def ours(url: str, since: int, count: int, *, again: bool = False) -> list[Any]:
    """The changes as a source has them; it may connect anew after each."""
    changes = list[Any]()
    plain = {"Accept-Encoding": "identity"}  # PouchDB's server holds back what it compresses
    query = {"feed": "continuous", "since": str(since), "heartbeat": "200"}
    with SyncReconnectingEventSource(
        f"{url}/_changes",
        params=query,
        headers=plain,
        dialect=CouchDBChanges,
        policy=lambda _: 0.0,
    ) as source:
        for event in source:
            changes.append(event.json())
            if len(changes) == count:
                assert source.last_event_id == str(changes[-1]["seq"])
                break
            if again:
                source.reconnect()
    return changes


@node.needs("pouchdb", "pouchdb-adapter-memory", "express", "express-pouchdb")
@pytest.mark.parametrize("since", [0, 3])
@pytest.mark.parametrize("again", [False, True])
def test_changes(database: str, since: int, *, again: bool) -> None:
    """The same, from wherever, also over as many connections as there are changes."""
    count = len(NAMES) + 1 - since
    changes = ours(database, since, count, again=again)
    assert values(changes) == values(node.run(CLIENT, database, str(since), str(count)))
    assert [made["id"] for made in changes] == [*NAMES, "six"][since:]


@node.needs("pouchdb", "pouchdb-adapter-memory", "express", "express-pouchdb")
def test_a_database_that_is_not_there(database: str) -> None:
    """Its words are in the error."""
    url = f"{database.replace('boats', 'cars')}/_changes?feed=continuous"
    with (
        pytest.raises(GiveUpError, match="404 Not Found") as raised,
        SyncReconnectingEventSource(url, dialect=CouchDBChanges) as source,
    ):
        next(source)
    assert "no_db_file" in str(raised.value)


def test_an_error_within_the_feed() -> None:
    """It is a failure, and the feed is asked for again."""
    headers = {"Content-Type": "application/json"}
    error = raw('{"error":"timeout","reason":"The request could not be processed"}\n')
    change = raw('{"seq":"1-g1","id":"a","changes":[{"rev":"1-a"}]}\n')
    script = [Connection(change, error, headers=headers), Connection(status=204)]
    failures = list[Any]()

    def note(failure: Any) -> float:
        failures.append(failure.error)
        return 0.0

    with (
        ScriptedServer(script) as server,
        SyncReconnectingEventSource(server.url, dialect=CouchDBChanges, policy=note) as source,
    ):
        assert [event.json()["id"] for event in source] == ["a"]
    (failure,) = failures
    assert isinstance(failure, EventFailure)
    assert server.requests[1].params["since"] == "1-g1"
