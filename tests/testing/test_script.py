"""The test kit's words: what steps write, which connections make sense, what is recorded."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import testing
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    Gate,
    HistoryServer,
    RecordedRequest,
    ScriptedServer,
    ScriptedTransport,
    comment,
    event,
    forever,
    pause,
    raw,
    redirect,
    retry,
)
from resilient_sse.testing._actions import head
from resilient_sse.testing._request import RequestReader

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("step", "written"),
    [
        (event("one"), b"data: one\n\n"),
        (event(), b"data: \n\n"),
        (
            event("a\nb\r\nc\rd", event="kind", id="7", retry=5),
            b"event: kind\nid: 7\nretry: 5\ndata: a\ndata: b\ndata: c\ndata: d\n\n",
        ),
        (event("x", id=""), b"id: \ndata: x\n\n"),
        (event("\u2028é"), "data: \u2028é\n\n".encode()),
        (comment("ping"), b": ping\n\n"),
        (comment("a\nb"), b": a\n: b\n\n"),
        (retry(1500), b"retry: 1500\n\n"),
        (raw(b"\xff"), b"\xff"),
        (raw("é"), b"\xc3\xa9"),
    ],
)
def test_steps_write_what_a_server_writes(step: bytes, written: bytes) -> None:
    """Every helper yields exactly the bytes that go on the wire."""
    assert step == written


@pytest.mark.parametrize(
    "make",
    [
        lambda: Connection(ending=Ending.CLOSE, framing=Framing.CHUNKED),
        lambda: Connection(ending=Ending.GARBAGE, framing=Framing.LENGTH),
        lambda: Connection(ending=Ending.TRUNCATED, http_version="1.0"),
        lambda: Connection(ending=Ending.CLEAN, framing=Framing.BARE),
        lambda: Connection(ending=Ending.REFUSED),
        lambda: Connection(forever(pause(1)), framing=Framing.LENGTH),
        lambda: Connection(Gate(), framing=Framing.LENGTH),
        lambda: Connection(event("x"), status=204),
        lambda: Connection(status=204, ending=Ending.RESET),
        lambda: Connection(chunk_size=0),
        forever,
    ],
)
def test_what_cannot_be_seen_on_the_wire_is_refused(make: Callable[[], object]) -> None:
    """A script that could not mean what it says fails when it is written."""
    with pytest.raises(ValueError, match=r"cannot|no length|needs|no body|at least"):
        make()


def _with_ending(ending: Any) -> Connection:
    return Connection(ending=ending)


def _with_framing(framing: Any) -> Connection:
    return Connection(framing=framing)


def _in_a_script(entry: Any) -> ScriptedServer:
    return ScriptedServer([entry])


def _after_a_script(entry: Any) -> ScriptedServer:
    return ScriptedServer(then=entry)


@pytest.mark.parametrize(
    ("make", "wrong", "complaint"),
    [
        (Connection, "data: x\n\n", r"a step is made by event\(\).*'data: x"),
        (forever, 1.0, r"1\.0 is none"),
        (_with_ending, "reset", "a member of Ending, not 'reset'"),
        (_with_framing, "close", "a member of Framing, not 'close'"),
        (_in_a_script, event("x"), r"a script is made of Connection\(\.\.\.\)"),
        (_after_a_script, event("x"), r"a script is made of Connection\(\.\.\.\)"),
        (HistoryServer().fail_next, event("x"), r"a script is made of Connection\(\.\.\.\)"),
        (ScriptedTransport, Connection(), "not iterable"),
    ],
)
def test_what_is_no_script_is_refused_where_it_is_written(
    make: Callable[[Any], object], wrong: object, complaint: str
) -> None:
    """Not in a thread of the server, where it would look like a fault of the network."""
    with pytest.raises(TypeError, match=complaint):
        make(wrong)


def test_a_connection_shows_its_story() -> None:
    """The repr names steps, status and ending."""
    connection = Connection(event("x"), pause(1), ending=Ending.RESET)
    assert repr(connection) == (
        "Connection(b'data: x\\n\\n', Pause(seconds=1), status=200, ending=Ending.RESET)"
    )


@pytest.mark.parametrize(
    ("connection", "written"),
    [
        (
            Connection(),
            (
                "HTTP/1.1 200 OK|Content-Type: text/event-stream|Connection: close|"
                "Transfer-Encoding: chunked||"
            ),
        ),
        (
            Connection(headers={"content-type": "text/plain", "X": "1"}, keep_alive=True),
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked|content-type: text/plain|X: 1||",
        ),
        (
            Connection(event("x"), headers={"Content-Type": None}, http_version="1.0"),
            "HTTP/1.0 200 OK|Connection: close||",
        ),
        (
            Connection(event("x"), framing=Framing.LENGTH, gzip=False),
            "HTTP/1.1 200 OK|Content-Type: text/event-stream|Connection: close|Content-Length: 9||",
        ),
        (
            Connection(event("x"), framing=Framing.LENGTH, ending=Ending.TRUNCATED),
            (
                "HTTP/1.1 200 OK|Content-Type: text/event-stream|Connection: close|"
                "Content-Length: 25||"
            ),
        ),
        (Connection(status=204), "HTTP/1.1 204 No Content|Connection: close||"),
        (
            Connection(status=599),
            "HTTP/1.1 599 Unknown|Connection: close|Content-Length: 0||",
        ),
        (
            redirect("/there", 301),
            "HTTP/1.1 301 Moved Permanently|Connection: close|Content-Length: 0|Location: /there||",
        ),
        (
            Connection(gzip=True, ending=Ending.CLOSE),
            (
                "HTTP/1.1 200 OK|Content-Type: text/event-stream|Content-Encoding: gzip|"
                "Connection: close||"
            ),
        ),
    ],
)
def test_heads_are_written_as_the_connection_says(connection: Connection, written: str) -> None:
    """Status line, usual headers and the connection's own, in this order."""
    assert head(connection) == written.replace("|", "\r\n").encode()


def _read(*chunks: bytes) -> RecordedRequest:
    """Read one request that arrives in these chunks."""
    return RequestReader(iter(chunks).__next__, 1).read()


def test_requests_are_recorded_whole() -> None:
    """Path, query, headers and body are told apart, however the bytes arrive."""
    wire = (
        b"POST /a/b?x=1&y=%20 HTTP/1.1\r\nHost: h\r\nLast-Event-ID: \xc3\xa9\r\n"
        b'Content-Length: 7\r\n\r\n{"a":1}'
    )
    request = _read(*(bytes([byte]) for byte in wire))
    assert (request.method, request.path, request.query) == ("POST", "/a/b", "x=1&y=%20")
    assert request.params["y"] == " "
    assert request.headers["HOST"] == "h"
    assert request.last_event_id == "é"
    assert request.json() == {"a": 1}
    assert request.time > 0
    assert request.connection == 1


def test_chunked_requests_are_recorded() -> None:
    """Clients send a generator's body in chunks."""
    request = _read(
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n",
        b"0\r\n\r\n",
    )
    assert request.body == b"abc0123456789"
    assert request.last_event_id == ""


@pytest.mark.parametrize(
    "wire",
    [b"\x16\x03\x01 hello\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nnonsense\r\n\r\n"],
)
def test_what_is_not_http_is_a_value_error(wire: bytes) -> None:
    """The server hangs up on such clients."""
    with pytest.raises(ValueError, match=r".+"):
        _read(wire)


def test_every_public_name_can_be_imported() -> None:
    """The lazy front door leads to every name it lists, and to no other."""
    assert sorted(testing.__all__) == testing.__all__
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        attrgetter("nonsense")(testing)
