"""Google's own client and a source read the same bytes, and see the same."""

from __future__ import annotations

import importlib
import json
import queue
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import (
    EventFailure,
    ExponentialBackoff,
    GiveUpError,
    StatusError,
    SyncReconnectingEventSource,
)
from resilient_sse.dialects import Firebase
from resilient_sse.testing import Connection, Ending, ScriptedServer, event, raw
from tests.dialects.streams import FIREBASE, bytes_of, data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

admin = pytest.importorskip("firebase_admin", reason="firebase-admin is not installed")

ALL = [json.loads(data) for data in data_of(FIREBASE)]
Seen = list[tuple[str, Any]]
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8"}  # else theirs reads Latin 1


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A database without a script yet."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def reference(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A place of the database, for the vendor's client."""
    db: Any = importlib.import_module("firebase_admin.db")
    host = server.url.replace("http://", "").replace("/events", "")
    monkeypatch.setenv("FIREBASE_DATABASE_EMULATOR_HOST", host)
    url = f"http://{host}?ns=boats"
    app = admin.initialize_app(options={"databaseURL": url, "projectId": "boats"})
    yield db.reference("/boats", app)
    admin.delete_app(app)


def theirs(reference: Any, count: int) -> Seen:
    """The first events as the vendor's client has them."""
    came: queue.Queue[Any] = queue.Queue()
    listening = reference.listen(came.put)
    listening._sse.retry = 20  # the milliseconds that it waits before it comes back
    try:
        events = [came.get(timeout=9) for _ in range(count)]
    finally:
        listening._sse.should_connect = False
        listening._thread.join(9)
    return [(made.event_type, {"path": made.path, "data": made.data}) for made in events]


def ours(server: ScriptedServer, **options: Any) -> Seen:
    """What a source hands out, until there is no more."""
    url = server.url.replace("/events", "/boats.json?ns=boats")
    options.setdefault("policy", ExponentialBackoff(wait_initial=0))
    with SyncReconnectingEventSource(url, dialect=Firebase, **options) as source:
        return [(made.event, made.json()) for made in source]


@pytest.mark.parametrize("got", [1, 2, 3, 5])
def test_a_connection_that_is_lost(server: ScriptedServer, reference: Any, got: int) -> None:
    """Both come back, and begin with everything."""
    cut = Connection(raw(bytes_of(FIREBASE[:got])), headers=HEADERS, ending=Ending.TRUNCATED)
    whole = Connection(raw(bytes_of(FIREBASE)), headers=HEADERS)
    expected = [json.loads(data) for data in data_of(FIREBASE[:got])] + ALL

    server.add(cut, whole, Connection(status=204))
    mine = ours(server)
    assert [data for _, data in mine] == expected
    server.add(cut, whole)
    assert theirs(reference, len(expected)) == mine
    asked = [(request.method, request.path, dict(request.params)) for request in server.requests]
    assert asked[:2] == asked[3:5] == [("GET", "/boats.json", {"ns": "boats"})] * 2


def test_a_connection_that_only_greets(server: ScriptedServer) -> None:
    """To begin with everything is no progress: the policy counts on."""
    for _ in range(3):
        server.add(Connection(raw(bytes_of(FIREBASE[:1])), ending=Ending.TRUNCATED))
    with pytest.raises(GiveUpError) as raised:
        ours(server, policy=ExponentialBackoff(attempts=3, wait_initial=0))
    assert len(raised.value.failures) == 3


def test_a_token_that_expires(server: ScriptedServer, reference: Any) -> None:
    """Both come back, a source with a fresh one, which ``prepare_request`` brings."""
    revoked = event("credential is no longer valid", event="auth_revoked")
    first = Connection(raw(bytes_of(FIREBASE[:1]) + revoked), headers=HEADERS)
    whole = Connection(raw(bytes_of(FIREBASE)), headers=HEADERS)
    tokens = iter(["old", "new", "new"])

    def fresh(request: Any, _attempt: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {next(tokens)}"
        return request

    server.add(first, whole, Connection(status=204))
    mine = ours(server, prepare_request=fresh)
    assert [data for _, data in mine] == [ALL[0], *ALL]
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer old", "Bearer new", "Bearer new"]
    server.add(first, whole)
    assert theirs(reference, len(mine)) == mine


def test_a_rule_that_forbids(server: ScriptedServer) -> None:
    """Theirs passes over it, and waits for ever. A source asks again, and is told why."""
    cancelled = raw(bytes_of(FIREBASE[:2]) + event("null", event="cancel"))
    denied = Connection(raw('{"error": "Permission denied"}'), status=401)
    server.add(Connection(cancelled), denied)
    policy = ExponentialBackoff(wait_initial=0)
    with pytest.raises(GiveUpError, match="Permission denied") as raised:
        ours(server, policy=policy)
    first, last = raised.value.failures
    assert isinstance(first.error, EventFailure)
    assert isinstance(last.error, StatusError)
