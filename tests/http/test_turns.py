"""Turns: who sends when, and that nobody waits for longer than it takes to know."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from resilient_sse import SyncReconnectingEventSource
from resilient_sse._http import turns as module
from resilient_sse._http.disorder import in_order
from resilient_sse._http.multiplexed import connections_of
from resilient_sse._http.slot import StreamSlot, slot_of
from resilient_sse._http.turns import Turn, Turns
from resilient_sse._values.library import HTTPX
from tests.support.files import PEM
from tests.support.http2_server import Http2Server

STREAM = b"id: 1\ndata: 1\n\n"


def read(client: httpx.Client, ids: list[str]) -> None:
    """Read the first event of a stream."""
    with SyncReconnectingEventSource("https://h/", client=client, connect_timeout=20) as source:
        ids.append(next(source).id)


def in_threads(*calls: Any) -> None:
    """Make calls in threads at a time."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_transport_that_tells_nothing_is_asked_by_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It answers only when all have asked; they wait for each other for a moment, once."""
    pytest.importorskip("h2")
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    everybody = threading.Barrier(3, timeout=5)

    def answer(_: httpx.Request) -> httpx.Response:
        everybody.wait()
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, content=STREAM)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        ids: list[str] = []
        in_threads(*[lambda: read(client, ids)] * 3)
        assert ids == ["1"] * 3
        slot = StreamSlot(client)
        assert slot.turn(httpx.Request("GET", "https://h/")) is None


def test_who_speaks_no_http2_takes_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source's own client; any, where nothing can speak it; one of an unknown library."""
    monkeypatch.setitem(sys.modules, "h2", SimpleNamespace())
    request = httpx.Request("GET", "https://h/")
    with httpx.Client() as client:
        assert StreamSlot(client).turn(request) is not None
        assert slot_of(client, own=True).turn(request) is None
        assert StreamSlot(object()).turn(request) is None
        monkeypatch.delitem(sys.modules, "h2")
        assert StreamSlot(client).turn(request) is None


def test_turns_end_as_soon_as_they_are_not_needed() -> None:
    """Whoever waits for one goes on without."""
    turns = Turns()
    first = Turn(turns)
    assert turns.take()
    first.hear("connection.connect_tcp.started")
    waiting = threading.Thread(target=Turn(turns).call, args=(list,))
    waiting.start()
    first.hear("http11.send_request_headers.started")
    turns.give_back()
    waiting.join(5)
    assert not waiting.is_alive()
    assert turns.needed is False
    assert turns.take() is False


def test_who_connects_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes."""
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    turns = Turns()
    turns.hear("connection.connect_tcp.started")
    assert turns.take()
    timer = threading.Timer(0.1, turns.give_back)
    timer.start()
    assert turns.take()
    timer.join()
    turns.give_back()


def test_a_turn_for_which_nobody_waits_is_passed_on() -> None:
    """And nothing is sent."""
    turns = Turns()
    turn = Turn(turns)
    turn.end()
    with pytest.raises(TimeoutError):
        turn.call(lambda: pytest.fail("sent"))
    assert turns.take()


@pytest.mark.parametrize("stage", ["connect_tcp", "start_tls"])
def test_a_connection_that_nobody_waits_for_is_closed(stage: str) -> None:
    """As soon as it is made, also if the client, which would close it, is closed by then."""
    sockets: list[socket.socket] = []

    def trace(name: str, info: dict[str, Any]) -> None:
        if name == f"connection.{stage}.complete":
            sockets.append(info["return_value"].get_extra_info("socket"))
            opening.turn.end()
            client.close()
        opening.trace(name, info)

    trusting = ssl.create_default_context(cafile=str(PEM))
    # One that never shakes hands, and one that does.
    deaf = socket.create_server(("127.0.0.1", 0))
    with deaf, Http2Server() as server, httpx.Client(http2=True, verify=trusting) as client:
        port = deaf.getsockname()[1]
        url = server.url if stage == "start_tls" else f"https://127.0.0.1:{port}"
        opening: Any = StreamSlot(client).begin()
        opening.turn = Turn(connections_of(client).turns(httpx.URL(url)))
        request = client.build_request("GET", f"{url}/x", extensions={"trace": trace})
        with pytest.raises(httpx.TransportError):
            client.send(request)

    assert [each.fileno() for each in sockets] == [-1]


def test_disorder_is_told_from_faults_of_a_request() -> None:
    """By what h2 says; what has not come from HTTP/2 is left as it is."""
    h2: Any = pytest.importorskip("h2.exceptions")

    def local(cause: Exception) -> Exception:
        error = httpx.LocalProtocolError("x")
        error.__cause__ = cause
        return error

    fault = local(h2.ProtocolError("Received uppercase header name"))
    assert in_order(fault, HTTPX) is fault
    for cause in (h2.StreamClosedError(1), h2.ProtocolError("Invalid input X in state Y")):
        assert isinstance(in_order(local(cause), HTTPX), httpx.RemoteProtocolError)
    slip = KeyError(3)
    assert in_order(slip, HTTPX) is slip  # never raised


def test_a_slip_within_http2_is_a_broken_connection() -> None:
    """Such as the `KeyError` of httpcore for a stream whose number was given twice."""
    connection: Any = pytest.importorskip("httpcore._sync.http2")
    with pytest.raises(AttributeError) as raised:
        connection.HTTP2Connection.close(None)
    assert isinstance(in_order(raised.value, HTTPX), httpx.RemoteProtocolError)
    with pytest.raises(ValueError, match="x") as ours:
        int("x")
    assert in_order(ours.value, HTTPX) is ours.value
