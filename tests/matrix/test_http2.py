"""HTTP/2 through a client of httpx or httpx2: nothing is lost, and nothing is left behind."""

from __future__ import annotations

import logging
import socket
import threading
import time
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx
import pytest

from resilient_sse import (
    Dialect,
)
from resilient_sse._http.aside import Aside
from resilient_sse._http.multiplexed import (
    Opening,
    SharedConnections,
    connections_of,
    cut,
)
from resilient_sse._http.slot import StreamSlot
from resilient_sse._values.library import HTTPX
from tests.support.how_much import tries
from tests.support.http2_readers import RUNTIMES, Reader, Stage, later, never
from tests.support.http2_server import Http2Server
from tests.support.runners import eventually

pytestmark = pytest.mark.timing


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> str:
    """Whose client it is."""
    chosen: str = request.param
    return chosen


@pytest.fixture(params=RUNTIMES)
def stage(request: pytest.FixtureRequest, library: str) -> Stage:
    """Every runtime with either library."""
    return Stage(request.param, library)


def test_who_is_alone_leaves_nothing_behind(stage: Stage) -> None:
    """After every drop the stream is gone at the server, and the client is as good as before."""
    with Http2Server(limit=5) as server:
        reader = Reader(f"{server.url}/events", events=60, reconnect_every=3)
        status = stage.run(reader, last=f"{server.url}/other")
        assert reader.exact
        assert reader.failures == []
        assert status == 204
        eventually(lambda: not server.open)
        assert server.most <= 2


def test_on_a_shared_connection_the_limit_is_never_used_up(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """What one leaves behind is counted; then the connection is cut, and the others resume."""
    with Http2Server(limit=8) as server:
        quiet = [Reader(f"{server.url}/events", events=400) for _ in range(3)]
        noisy = Reader(f"{server.url}/events", events=200, reconnect_every=4)
        with caplog.at_level(logging.WARNING, "resilient_sse"):
            stage.run(noisy, *quiet)
        assert [reader.exact for reader in (noisy, *quiet)] == [True] * 4
        assert [len(reader.ids) for reader in (noisy, *quiet)] == [200, 400, 400, 400]
        eventually(lambda: not server.open)
        assert server.most <= server.limit
        assert server.connections > 2
    assert len([record for record in caplog.records if "HTTP/2" in record.getMessage()]) == 1


def test_a_connection_that_died_silently_is_replaced(stage: Stage) -> None:
    """Within the idle timeout, by a new one, of which each source hears once.

    In threads one may meet the old one again, which httpcore has not noticed to be cut.
    """
    with Http2Server() as server:
        url = f"{server.url}/events"
        readers = [Reader(url, events=150, idle_timeout=1) for _ in range(2)]

        def die() -> None:
            eventually(lambda: all(len(reader.ids) > 20 for reader in readers))
            server.freeze()

        stage.run(*readers, then=die)
        assert all(reader.exact for reader in readers)
        assert server.connections == 2
        heard = {1, 2} if stage.runtime == "threads" else {1}
        assert {len(reader.failures) for reader in readers} <= heard


def test_a_dead_connection_is_found_by_a_request(stage: Stage) -> None:
    """It died while nobody read from it, so that the answer never comes."""
    with Http2Server() as server:
        holder = Reader(f"{server.url}/quiet", events=2, policy=later)
        reader = Reader(f"{server.url}/events", events=400, connect_timeout=1)
        reader.begins_after(holder)

        def die() -> None:
            eventually(lambda: len(reader.ids) >= 10)
            server.freeze()
            go_on = reader.source.reconnect
            go_on() if stage.runtime == "threads" else anyio.from_thread.run_sync(go_on)

        stage.run(holder, reader, then=die)
        assert reader.exact
        kinds = [str(failure.kind) for failure in reader.failures]
        # When both find it out at a time, one may be given the connection that is just being cut.
        assert kinds in (["timeout"], ["timeout", "transport"])
        assert server.connections > 1


def test_a_new_connection_without_an_answer_is_given_up(stage: Stage) -> None:
    """The handshake was good, and then nothing came."""
    with Http2Server() as server:
        server.frozen.add(1)
        reader = Reader(f"{server.url}/events", events=5, connect_timeout=1)
        stage.run(reader)
        assert reader.exact
        assert len(reader.failures) == 1
        assert server.connections == 2


def test_a_quiet_stream_among_others_is_only_left(stage: Stage) -> None:
    """Its connection lives, so the others stay on it."""
    with Http2Server() as server:
        busy = Reader(f"{server.url}/events", events=400)
        quiet = Reader(f"{server.url}/quiet", events=2, idle_timeout=1)
        quiet.begins_after(busy)
        stage.run(busy, quiet)
        assert busy.exact
        assert busy.failures == []
        assert quiet.exact
        eventually(lambda: not server.open)


def test_the_servers_limit_is_named(stage: Stage) -> None:
    """When all of its streams are in use, and none of them is left behind."""
    with Http2Server(limit=1) as server:
        first = Reader(f"{server.url}/events", events=400)
        second = Reader(f"{server.url}/events", events=1, connect_timeout=0.4, policy=never)
        second.begins_after(first)
        stage.run(first, second)
        assert first.exact
        assert "the server allows 1 streams on one HTTP/2 connection" in str(second.error)


@pytest.mark.parametrize("path", ["/rst/0", "/rst/2", "/rst/7", "/rst/8", "/goaway"])
def test_what_a_server_ends_is_resumed(stage: Stage, path: str) -> None:
    """A stream that is reset, a connection that is ended: every event once."""
    with Http2Server() as server:
        reader = Reader(f"{server.url}{path}", events=12)
        stage.run(reader)
        assert reader.exact
        eventually(lambda: not server.open)


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(flush=True)], ids=["failure", "flush"])
def test_a_stream_at_its_end_cuts_nothing(stage: Stage, dialect: Dialect) -> None:
    """It is over at the server, too, so the next one goes over the same connection."""
    with Http2Server() as server:
        reader = Reader(f"{server.url}/end", events=11, dialect=dialect)
        stage.run(reader)
        assert reader.exact
        assert server.connections == 1


def test_what_breaks_the_connection_under_a_request_is_no_fault_of_the_request(
    stage: Stage,
) -> None:
    """The server breaks the protocol while another source waits for its headers."""
    with Http2Server() as server:
        breaking = Reader(f"{server.url}/fault", events=12)
        asking = Reader(f"{server.url}/late", events=3)
        asking.begins_after(breaking)
        stage.run(breaking, asking)
        assert [breaking.exact, asking.exact] == [True, True]
        eventually(lambda: not server.open)


def test_who_leaves_before_an_answer_leaves_nothing_behind(stage: Stage) -> None:
    """Alone on a connection that was made for that, whose client goes on."""
    with Http2Server() as server:
        reader = Reader(f"{server.url}/mute", events=1)

        def leave() -> None:
            eventually(lambda: server.open)
            if stage.runtime == "threads":
                reader.source.close()
            else:
                anyio.from_thread.run(reader.source.aclose)
            eventually(lambda: not server.open)

        stage.run(reader, then=leave)


def test_threads_open_their_streams_at_the_same_moment(library: str) -> None:
    """On one connection: every event of each once.

    An answer may wait for the next bytes on the connection, and is asked for again if it is late.
    """
    with Http2Server() as server:
        for _ in range(tries(15) // 5):
            readers = [Reader(f"{server.url}/events", events=3) for _ in range(tries(50))]
            Stage("threads", library).run(*readers)
            assert all(reader.exact for reader in readers)
            late = [failure for reader in readers for failure in reader.failures]
            assert all("no response headers within" in str(failure.error) for failure in late)


def test_a_server_that_does_not_answer_holds_up_no_thread(library: str) -> None:
    """Those that wait for their turn give up in time, too, and go on over a new connection."""
    with Http2Server() as server:
        server.frozen.add(1)
        readers = [Reader(f"{server.url}/events", events=3, connect_timeout=1) for _ in range(4)]
        began = time.monotonic()
        Stage("threads", library).run(*readers)
        assert time.monotonic() - began < 4
        assert all(reader.exact for reader in readers)
        # One may meet the connection that was cut before httpcore has noticed, or begin behind it.
        failures = [len(reader.failures) for reader in readers]
        assert max(failures) in {1, 2, 3}


def test_an_error_page_without_an_end_holds_up_nobody(stage: Stage) -> None:
    """Others stay on the connection meanwhile."""
    with Http2Server() as server:
        other = Reader(f"{server.url}/events", events=300)
        refused = Reader(f"{server.url}/refused", events=1, policy=never)
        refused.begins_after(other)
        stage.run(other, refused)
        assert "503" in str(refused.error)
        assert other.exact
        assert other.failures == []


def test_closing_ends_the_wait_for_a_turn(library: str) -> None:
    """As it ends any other."""
    with Http2Server() as server:
        server.frozen.add(1)
        url = f"{server.url}/events"
        readers = [Reader(url, events=3, connect_timeout=60) for _ in range(4)]

        def close() -> None:
            eventually(lambda: server.connections and all(reader.source for reader in readers))
            time.sleep(0.2)
            for reader in readers:
                reader.source.close()

        began = time.monotonic()
        Stage("threads", library).run(*readers, then=close)
        assert time.monotonic() - began < 4
        assert [reader.ids for reader in readers] == [[]] * 4


class Breaking(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport over which the first request fails, and the others are answered by a stream."""

    def __init__(self) -> None:
        self.requests = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer in threads."""
        self.requests += 1
        if self.requests == 1:
            raise httpx.WriteError("broken", request=request)
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, content=b"id: 1\ndata: 1\n\n")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer on asyncio and trio."""
        return self.handle_request(request)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_request_over_a_connection_that_was_cut_is_repeated(runtime: str) -> None:
    """At once, and nobody hears of it."""
    transport = Breaking()
    reader = Reader("https://h/", events=1, policy=never)
    if runtime == "threads":
        with httpx.Client(transport=transport) as client:
            connections_of(client).cuts = 1
            reader.read(client)
    else:

        async def main() -> None:
            async with httpx.AsyncClient(transport=transport) as client:
                connections_of(client).cuts = 1
                await reader.aread(client)

        anyio.run(main, backend=runtime)
    assert reader.exact
    assert reader.error is None
    assert transport.requests == 2


def test_closing_one_source_cuts_no_other(library: str) -> None:
    """In threads, where a socket can only be shut down as a whole."""
    with Http2Server() as server:
        staying = Reader(f"{server.url}/events", events=200)
        closed = Reader(f"{server.url}/quiet", events=9)
        asking = Reader(f"{server.url}/mute", events=9)

        closed.begins_after(staying)
        asking.begins_after(closed)

        def close() -> None:
            eventually(lambda: len(staying.ids) > 10 and closed.ids and len(server.open) == 3)
            began = time.monotonic()
            closed.source.close()
            asking.source.close()
            assert time.monotonic() - began < 5  # of the hour that the server is silent

        Stage("threads", library).run(staying, closed, asking, then=close)
        assert staying.exact
        assert staying.failures == []
        assert closed.ids == [1]
        eventually(lambda: not server.open)


def test_cancelled_requests_are_counted(library: str) -> None:
    """A source that is closed while the server thinks has left a stream behind, too."""
    with Http2Server(limit=4) as server:
        staying = Reader(f"{server.url}/events", events=300)
        asking = [Reader(f"{server.url}/mute", events=1) for _ in range(6)]

        async def main() -> None:
            async with (
                Stage("asyncio", library).client() as client,
                anyio.create_task_group() as tg,
            ):
                tg.start_soon(staying.aread, client)
                await anyio.to_thread.run_sync(eventually, lambda: staying.ids)
                for number, reader in enumerate(asking, start=1):
                    # Once it is there: httpcore does not close a handshake that is cancelled.
                    async with anyio.create_task_group() as one:
                        one.start_soon(reader.aread, client)
                        await anyio.to_thread.run_sync(
                            eventually, lambda number=number: server.asked.count("/mute") >= number
                        )
                        one.cancel_scope.cancel()

        anyio.run(main)
        assert staying.exact
        assert server.most <= server.limit


# -- The parts ---------------------------------------------------------------------------------


def test_what_is_sent_again() -> None:
    """A request that may be repeated, if it failed of a connection that was cut."""
    with httpx.Client() as client:
        slot = StreamSlot(client)
        get, post = httpx.Request("GET", "https://h/"), httpx.Request("POST", "https://h/")
        broken, late = httpx.WriteError("x"), httpx.ReadTimeout("x")
        assert not slot.may_repeat(get, broken)
        connections_of(client).cuts = 1
        assert not slot.may_repeat(post, broken)
        assert not slot.may_repeat(get, late)
        assert slot.may_repeat(get, broken)
        assert not slot.may_repeat(get, broken)
        no_room = httpx.LocalProtocolError("Max outbound streams is 1, 1 open")
        assert not slot.may_repeat(get, no_room)
        with socket.create_server(("127.0.0.1", 0)) as sock:
            response = _response(sock)
            assert slot.answered(response) is not None
            assert slot.may_repeat(get, no_room)
        assert slot.left(None, None) is True  # it was cut with the others


def _only(sock: socket.socket, _name: str) -> socket.socket:
    return sock


def _response(sock: socket.socket) -> Any:
    stream = SimpleNamespace(get_extra_info=partial(_only, sock))

    class Stream:
        get_extra_info = staticmethod(stream.get_extra_info)

    extensions = {"http_version": b"HTTP/2", "network_stream": Stream()}
    return httpx.Response(200, request=httpx.Request("GET", "https://h/"), extensions=extensions)


def test_a_stream_that_was_left_behind_tells_of_a_cut() -> None:
    """Once, and only if its own connection was cut."""
    with httpx.Client() as client, socket.create_server(("127.0.0.1", 0)) as sock:
        response = _response(sock)
        staying, leaving = StreamSlot(client), StreamSlot(client)
        for slot in (staying, leaving):
            slot.begin()
            assert slot.answered(response) is not None
        assert leaving.left(None, None) is False
        request = httpx.Request("GET", "https://h/")
        assert leaving.sending(request) is None
        assert staying.connection is not None
        staying.connection.cut()
        for told in (response, None):
            assert leaving.sending(request) is told


def test_who_has_no_slot_changes_nothing() -> None:
    """Over HTTP/1.1, before a request, with a client of a library that nobody knows."""
    slot = StreamSlot(object())
    slot.begin()
    assert slot.unanswered(late=True) == ""
    assert slot.left(None, None) is False
    response: Any = SimpleNamespace(extensions={})
    assert SharedConnections().join(response, None) is None


def test_the_limit_is_what_the_server_said_last() -> None:
    """Settings that say nothing of it change nothing."""
    opening = Opening()
    for changed in ({}, {3: SimpleNamespace(new_value=7)}, {}):
        info = {"return_value": SimpleNamespace(changed_settings=changed)}
        opening.trace("http2.receive_remote_settings.complete", info)
    opening.trace("http2.send_request_headers.started", {})
    assert opening.limit == 7


def test_a_socket_that_is_closed_can_be_cut() -> None:
    """Whoever was quicker."""
    with socket.socket() as sock:
        pass
    cut(sock)


def test_a_response_that_nobody_waits_for_is_closed() -> None:
    """Whoever asked for it has left, or was told to before it asked."""
    closed, go = threading.Event(), threading.Event()

    def answer() -> Any:
        go.wait(5)
        return SimpleNamespace(close=closed.set)

    def fail() -> None:
        go.wait(5)
        raise ValueError

    for call in (answer, fail):
        aside = Aside(HTTPX)
        with pytest.raises(httpx.ReadTimeout):
            aside.do(call, 0.01)
        aside.leave()
    aside = Aside(HTTPX)
    aside.abort()
    with pytest.raises(httpx.ReadError):
        aside.do(answer)
    aside.leave()
    go.set()
    assert closed.wait(5)
