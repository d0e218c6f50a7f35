"""What servers answer: statuses, waits, content types, and responses that never come."""

from __future__ import annotations

import socket
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import Closed, ContentTypeError, ExponentialBackoff, ServerRetry, StatusError
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    endless_headers,
    event,
    no_answer,
    pause,
    raw,
)

if TYPE_CHECKING:
    from resilient_sse.testing import RecordedRequest
    from tests.support.runners import World

ONE = event("one", id="1")


def test_retry_after_in_seconds(world: World) -> None:
    """A 503 with ``Retry-After: 7`` is waited out for 7 seconds, in place of the first second."""
    got = world.run(Connection(status=503, headers={"Retry-After": "7"}), Connection(ONE))
    assert got.data == ["one"]
    assert got.delays == [7.0, 1.0]


def test_retry_after_as_a_date(world: World) -> None:
    """A date is compared with the response's own Date, so that clocks need not agree."""
    now = 1_000_000_000.0
    headers = {
        "Date": formatdate(now, usegmt=True),
        "Retry-After": formatdate(now + 20, usegmt=True),
    }
    got = world.run(Connection(status=503, headers=headers), Connection(ONE))
    assert got.data == ["one"]
    assert got.delays == [20.0, 1.0]


def test_retry_after_as_a_date_without_a_date_of_the_server(home: World) -> None:
    """Without a Date header this machine's clock has to do."""
    headers = {"Retry-After": formatdate(time.time() + 60, usegmt=True), "Date": None}
    got = home.run(Connection(status=503, headers=headers), Connection(ONE))
    assert got.data == ["one"]
    assert got.delays[0] == pytest.approx(60, abs=2)


@pytest.mark.timing
def test_status_with_a_slow_body(world: World) -> None:
    """``connect_timeout`` is for the headers: a body that takes longer does not hide the status."""
    slow = Connection(raw("wait"), pause(5), status=503, headers={"Retry-After": "7"})
    got = world.run(slow, Connection(ONE), connect_timeout=0.5)
    assert got.kinds == ["status", "ended"]
    assert got.delays[0] == 7.0
    error = got.policy.failures[0].error
    assert isinstance(error, StatusError)
    assert error.body == b"wait"


@pytest.mark.parametrize("value", ["soon", "-5", "1e3", "Thu, 99 Foo 2026", "\u0663"])
def test_retry_after_that_makes_no_sense(home: World, value: str) -> None:
    """Nonsense in the header is as good as no header."""
    got = home.run(Connection(status=503, headers={"Retry-After": value}), Connection(ONE))
    assert got.delays == [1.0, 1.0]


def test_retry_after_of_a_year(home: World) -> None:
    """A server cannot send its clients away for longer than ``retry_after_max``."""
    got = home.run(Connection(status=429, headers={"Retry-After": "31536000"}), Connection(ONE))
    assert got.delays == [300.0, 1.0]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_statuses_that_are_tried_again(home: World, status: int) -> None:
    """A server that is not well, or asks for patience, is tried again with growing waits."""
    got = home.run(Connection(status=status), Connection(status=status), Connection(ONE))
    assert got.data == ["one"]
    assert got.delays == [1.0, 2.0, 1.0]
    assert [failure.status_code for failure in got.policy.failures] == [status, status, None]


@pytest.mark.parametrize("status", [201, 206, 400, 401, 403, 404, 405, 410, 451])
def test_statuses_that_are_final(world: World, status: int) -> None:
    """Any other status ends the source, and the error carries what the server said."""
    answer = Connection(raw("no such stream"), status=status)
    got, error = world.give_up(answer, Connection(ONE))
    assert got.data == []
    assert len(got.requests) == 1
    assert isinstance(error.__cause__, StatusError)
    assert error.__cause__.status_code == error.failure.status_code == status
    assert error.__cause__.body == b"no such stream"
    assert str(status) in str(error)


def test_not_modified(world: World) -> None:
    """A 304, which has no body, is as final as any."""
    _, error = world.give_up(Connection(status=304), Connection(ONE))
    assert error.failure.status_code == 304


def test_status_that_the_caller_wants_retried(home: World) -> None:
    """``retry_statuses`` names a final status that is not final here."""
    policy = ExponentialBackoff(retry_statuses={404}, wait_jitter=0)
    got = home.run(Connection(status=404), Connection(ONE), policy=policy)
    assert got.data == ["one"]


def test_browsers_rule(home: World) -> None:
    """`ServerRetry` takes any HTTP error for final and waits exactly what the server asked for."""
    script = [
        Connection(raw("retry: 1500\n\n"), ONE),
        Connection(event("two")),
        Connection(status=503),
    ]
    got, error = home.give_up(*script, policy=ServerRetry())
    assert got.data == ["one", "two"]
    assert got.delays == [1.5, 1.5, None]
    assert error.failure.status_code == 503


def test_no_content(world: World) -> None:
    """A 204 ends the iteration normally, and nothing is retried."""
    got = world.run(Connection(status=204), Connection(ONE))
    assert (got.data, len(got.requests), got.delays) == ([], 1, [])
    assert got.recorder.of(Closed)[0].reason == "no content"


def test_web_page(world: World) -> None:
    """A 200 with HTML is a wrong address: final, with the beginning of the page."""
    page = Connection(raw("<h1>Hi</h1>"), headers={"Content-Type": "text/html"})
    got, error = world.give_up(page, Connection(ONE))
    assert len(got.requests) == 1
    assert isinstance(error.__cause__, ContentTypeError)
    assert error.__cause__.body == b"<h1>Hi</h1>"
    assert "text/html" in str(error)


def test_endless_web_page(world: World) -> None:
    """Only the beginning of a wrong body is read."""
    flood = Connection(*[raw("x" * 1000)] * 100, ending=Ending.SILENCE, status=404)
    _, error = world.give_up(flood)
    assert isinstance(error.__cause__, StatusError)
    assert len(error.__cause__.body) == 4096


@pytest.mark.parametrize(
    "content_type",
    ["Text/Event-Stream", "text/event-stream;charset=utf-8", "text/event-stream ; x"],
)
def test_content_type_in_other_words(home: World, content_type: str) -> None:
    """Case and parameters of the content type do not matter."""
    got = home.run(Connection(ONE, headers={"Content-Type": content_type}))
    assert got.data == ["one"]


@pytest.mark.parametrize("content_type", ["text/event-streams", "application/json", None, ""])
def test_content_type_that_only_looks_like_it(home: World, content_type: str | None) -> None:
    """The type is compared as a whole, and a missing one is wrong."""
    _, error = home.give_up(Connection(ONE, headers={"Content-Type": content_type}))
    assert isinstance(error.__cause__, ContentTypeError)


def test_charset_that_is_ignored(world: World) -> None:
    """The body is UTF-8 whatever the content type says."""
    headers = {"Content-Type": "TEXT/event-stream; charset=iso-8859-1"}
    got = world.run(Connection(event("naïve ✓"), headers=headers))
    assert got.data == ["naïve ✓"]


@pytest.mark.timing
def test_headers_that_never_end(world: World) -> None:
    """Headers that trickle in are waited for no longer than ``connect_timeout`` in all."""
    started = time.monotonic()
    got = world.run(endless_headers(), Connection(ONE), connect_timeout=0.2)
    assert got.data == ["one"]
    assert got.kinds == ["timeout", "ended"]
    assert time.monotonic() - started < 2


def test_headers_that_flood(home: World) -> None:
    """Headers without end that come fast are refused before they fill the memory."""
    got = home.run(endless_headers(0), Connection(ONE), connect_timeout=5)
    assert got.data == ["one"]
    assert got.kinds == ["transport", "ended"]


@pytest.mark.timing
def test_no_headers(world: World) -> None:
    """A server that takes the request and says nothing is a timeout."""
    got = world.run(no_answer(Ending.SILENCE), Connection(ONE), connect_timeout=0.15)
    assert got.data == ["one"]
    assert got.kinds == ["timeout", "ended"]


@pytest.mark.timing
def test_slow_name_lookup_of_a_thread(thread: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread cannot leave a lookup of a name, but what it finds is not connected to any more."""
    lookups: list[object] = []

    def slow_at_first(*address: Any, **options: Any) -> Any:
        lookups.append(address)
        if len(lookups) == 1:
            time.sleep(0.3)
        return getaddrinfo(*address, **options)

    getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", slow_at_first)
    got = thread.run(Connection(ONE), connect_timeout=0.1)
    assert got.data == ["one"]
    assert got.kinds == ["timeout", "ended"]


def test_close_during_a_name_lookup_of_a_thread(
    thread: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing while a connection is made ends it as soon as it is there, not at its timeout."""
    looking, go_on = threading.Event(), threading.Event()

    def held(*address: Any, **options: Any) -> Any:
        looking.set()
        go_on.wait(5)
        return getaddrinfo(*address, **options)

    getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", held)
    reading = thread.read(thread.serve(no_answer(Ending.SILENCE)), connect_timeout=60)
    assert looking.wait(5)
    reading.close()
    go_on.set()
    reading.wait()


@pytest.mark.timing
def test_slow_headers(home: World) -> None:
    """Headers that come late but in time are no failure, and no head start for the idle timer."""
    got = home.run(Connection(ONE, before_headers=0.15, after_headers=0.05), idle_timeout=0.13)
    assert got.data == ["one"]
    assert got.kinds == ["ended"]


def test_what_is_sent(world: World) -> None:
    """The request says what browsers say, and no cursor before there is one."""
    request = world.run(Connection(ONE)).requests[0]
    assert request.method == "GET"
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["cache-control"] == "no-cache"
    assert "last-event-id" not in request.headers


def test_what_the_caller_says_instead(world: World) -> None:
    """The caller's own Accept and Cache-Control win, and the caller's headers stay as they were."""
    mine = {"accept": "text/event-stream, */*;q=0", "Cache-Control": "max-age=0", "X-Mine": "yes"}
    kept = dict(mine)
    request = world.run(Connection(ONE), headers=mine, params={"a": "b c"}).requests[0]
    assert request.headers["accept"] == kept["accept"]
    assert request.headers["cache-control"] == "max-age=0"
    assert request.headers["x-mine"] == "yes"
    assert request.params["a"] == "b c"
    assert mine == kept


def test_broken_http_version(home: World) -> None:
    """Something that is not HTTP is a broken connection."""
    other = Connection(
        raw("SSH-2.0-OpenSSH_9.6\r\n\r\n"), framing=Framing.BARE, ending=Ending.CLOSE
    )
    got = home.run(other, Connection(ONE))
    assert got.data == ["one"]
    assert got.kinds == ["transport", "ended"]


def test_answer_that_depends_on_the_request(home: World) -> None:
    """The server can tell a first request from a resumed one by the header alone."""

    def answer(request: RecordedRequest) -> Connection:
        number = int(request.last_event_id or "0") + 1
        if number > 5:
            return Connection(status=204)
        return Connection(event(str(number), id=str(number)))

    server = home.serve(then=answer)
    assert home.read(server).wait().data == ["1", "2", "3", "4", "5"]


def test_a_cookie_comes_back(world: World) -> None:
    """What a server sets, for a load balancer perhaps, is sent with the next request."""
    got = world.run(Connection(ONE, headers={"Set-Cookie": "node=7"}), Connection(event("two")))
    assert got.data == ["one", "two"]
    assert [request.headers.get("cookie") for request in got.requests[:2]] == [None, "node=7"]
