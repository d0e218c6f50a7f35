"""`HistoryServer`: replay from Last-Event-ID, live events, heartbeats, injected faults."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import httpx
import pytest

from resilient_sse.testing import Connection, Ending, HistoryServer, event

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@contextmanager
def _stream(server: HistoryServer, last_event_id: str = "") -> Generator[Iterator[str]]:
    """The lines of one connection, blank ones left out."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with (
        httpx.Client(trust_env=False) as client,
        client.stream("GET", server.url, headers=headers) as response,
    ):
        yield (line for line in response.iter_lines() if line)


def _take(lines: Iterator[str], count: int) -> list[str]:
    return [next(lines) for _ in range(count)]


def test_everything_is_replayed_and_followed_by_what_is_new() -> None:
    """First the history, then events as they are published."""
    with HistoryServer(retry=100) as server:
        assert server.publish("one") == "1"
        assert server.publish("two", event="kind", id="b") == "b"
        with _stream(server) as lines:
            assert _take(lines, 6) == [
                "retry: 100",
                "id: 1",
                "data: one",
                "event: kind",
                "id: b",
                "data: two",
            ]
            assert server.publish("three") == "3"
            assert _take(lines, 2) == ["id: 3", "data: three"]
        server.wait_for_connections(0)
        assert [(known.id, known.event, known.data) for known in server.history] == [
            ("1", "message", "one"),
            ("b", "kind", "two"),
            ("3", "message", "three"),
        ]


@pytest.mark.parametrize(
    ("unknown", "cursor", "first"),
    [
        ("start", "", "id: 1"),
        ("start", "nonsense", "id: 1"),
        ("start", "2", "id: 3"),
        ("now", "", "id: 4"),
        ("now", "nonsense", "id: 4"),
        ("now", "1", "id: 2"),
        ("now", "3", "id: 4"),
    ],
)
def test_clients_resume_where_they_left_off(unknown: str, cursor: str, first: str) -> None:
    """What is not known is replayed from the start or from now on, as the test wishes."""
    with HistoryServer(unknown="now" if unknown == "now" else "start") as server:
        for data in ("one", "two", "three"):
            server.publish(data)
        with _stream(server, cursor) as lines:
            server.publish("four")
            assert next(lines) == first
        assert server.requests[0].last_event_id == cursor


def test_the_last_event_with_an_id_counts() -> None:
    """An id that was used twice resumes after its last use."""
    with HistoryServer() as server:
        for data in ("one", "two", "three"):
            server.publish(data, id="same" if data != "three" else None)
        with _stream(server, "same") as lines:
            assert _take(lines, 2) == ["id: 3", "data: three"]


def test_quiet_streams_have_heartbeats() -> None:
    """A comment comes after every quiet interval, also after an event."""
    with HistoryServer(heartbeat=0.01) as server, _stream(server) as lines:
        assert _take(lines, 2) == [": heartbeat", ": heartbeat"]
        server.publish("one")
        assert next(line for line in lines if line != ": heartbeat") == "id: 1"
        assert _take(lines, 2) == ["data: one", ": heartbeat"]


def test_connections_can_be_short() -> None:
    """After so many events, replayed or new, the connection ends as it is told to."""
    with HistoryServer(max_events_per_connection=2, ending=Ending.TRUNCATED) as server:
        server.publish("one")
        with _stream(server) as lines:
            assert _take(lines, 2) == ["id: 1", "data: one"]
            server.publish("two")
            server.publish("three")
            assert _take(lines, 2) == ["id: 2", "data: two"]
            with pytest.raises(httpx.RemoteProtocolError):
                next(lines)


def test_every_response_has_the_headers() -> None:
    """Own ones are added, usual ones replaced or, with None, left out."""
    headers = {"Cache-Control": "no-cache", "Content-Type": None}
    with HistoryServer(max_events_per_connection=1, headers=headers) as server:
        server.publish("one")
        answers = [httpx.get(server.url, trust_env=False) for _ in range(2)]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-cache"}
    assert not any("content-type" in answer.headers for answer in answers)


def test_the_port_can_be_chosen() -> None:
    """A new server takes the place of one that is gone for good."""
    with HistoryServer() as server:
        port = server.port
    with HistoryServer(port=port) as server:
        server.publish("one")
        with _stream(server) as lines:
            assert next(lines) == "id: 1"
        assert server.port == port


def test_faults_come_first() -> None:
    """Injected connections answer the next requests, then the server is itself again."""
    with HistoryServer(max_events_per_connection=1) as server:
        server.publish("one")
        server.fail_next(Connection(status=503), Connection(event("odd"), ending=Ending.CLOSE))
        answers = [httpx.get(server.url, trust_env=False) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 200, 200]
    assert [answer.text for answer in answers] == [
        "",
        event("odd").decode(),
        "id: 1\ndata: one\n\n",
    ]


def test_a_history_outlives_its_connections() -> None:
    """Dropped or restarted, the server still knows everything."""
    with HistoryServer() as server:
        with _stream(server) as lines:
            server.publish("one")
            assert next(lines) == "id: 1"
            server.drop_all()
            with pytest.raises(httpx.ReadError):
                list(lines)
        server.stop()
        server.publish("two")
        server.start()
        with _stream(server, "1") as lines:
            assert _take(lines, 2) == ["id: 2", "data: two"]


def test_events_published_by_many_threads_are_all_sent_in_order() -> None:
    """Every client sees the history's own order."""
    with HistoryServer() as server, _stream(server) as lines:
        threads = [Thread(target=_publish_many, args=(server,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        received = _take((line for line in lines if line.startswith("id")), 400)
        for thread in threads:
            thread.join()
    assert received == [f"id: {number}" for number in range(1, 401)]


def _publish_many(server: HistoryServer) -> None:
    for _ in range(100):
        server.publish("x")
