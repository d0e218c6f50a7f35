"""What an error tells: its request, the story of what happened, and what came instead of events."""

from __future__ import annotations

import gzip
import pickle
import time
from typing import TYPE_CHECKING, Any, Final

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_sse import (
    ContentTypeError,
    Dialect,
    EventTooLarge,
    Failure,
    FailureKind,
    GapError,
    GiveUpError,
    ServerSentEvent,
    SSEError,
    StatusError,
    StreamEnded,
    UnsafeRetry,
    aconnect_sse,
    connect_sse,
)
from resilient_sse._values.causes import causes
from resilient_sse._values.presentable import make_presentable, redacted_request, request_of
from resilient_sse._values.redact import MOST_SHOWN, excerpt, explain, quoted, redact_text
from resilient_sse.testing import (
    Connection,
    Ending,
    InstantRetries,
    ScriptedServer,
    comment,
    event,
    raw,
    redirect,
)
from tests.support.consumers import RUNTIMES, consume
from tests.support.failing import (
    GAPS,
    HEADERS,
    WAYS,
    at_once,
    bare,
    fail,
    never,
    of_httpx,
    of_httpx2,
    secretive,
    secrets_in,
)
from tests.support.http_libraries import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """Every test that touches the network runs on all of them."""
    name: str = request.param
    return name


def gave_up(runtime: str, *script: Any, **options: Any) -> GiveUpError:
    """The error of a source that gave up on what a server did."""
    with ScriptedServer(script) as server:
        error = consume(runtime, server.url, **{"policy": never, **options}).error
    assert isinstance(error, GiveUpError), error
    return error


# -- The request -------------------------------------------------------------------------------


@pytest.mark.crossed
@pytest.mark.parametrize("client", [None, of_httpx, of_httpx2], ids=["own", "httpx", "httpx2"])
@pytest.mark.parametrize("way", [way for way in WAYS if way != "a bug"])
def test_every_error_has_its_request_without_its_secrets(
    runtime: str, way: str, client: Callable[[bool], Any] | None
) -> None:
    """`except httpx.RequestError as error: error.request.url`, as httpx documents it."""
    error = fail(runtime, way, client=client).error

    assert isinstance(error, GiveUpError)
    for told in (error, error.failure.error, *(failure.error for failure in error.failures)):
        request: Any = request_of(told)
        if isinstance(told, httpx.InvalidURL | httpx2.InvalidURL):  # which is no RequestError
            continue
        assert request.url.host in {"127.0.0.1", "example.com", "%5bbad"}
        assert request.method == WAYS[way][1].get("method", "GET")
        assert secrets_in(f"{request.url} {request.headers.multi_items()} {vars(request)}") == []
        assert "hush" not in str(told)


@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith("echo")])
def test_no_error_carries_a_secret_to_another_process(way: str) -> None:
    """Neither in its request nor in that of its response, nor in those of its failures.

    But the beginning of a body is what the server sent.
    """
    error = fail("threads", way).error
    sent = pickle.dumps(error)
    came: Any = pickle.loads(sent)  # noqa: S301 - it was made right here

    assert secrets_in(sent.decode("latin-1")) == []
    assert str(came) == str(error)
    assert repr(request_of(came)) == repr(request_of(error))


def test_a_response_goes_to_another_process_without_its_secrets() -> None:
    """With all that led to it; what the server sets is a secret, too."""
    first = httpx.Response(
        302,
        headers={"Location": "http://hushuser:x@h/?token=hushquery", "Set-Cookie": "a=hushcookie"},
        request=httpx.Request("GET", "http://hushuser:hushword@h/?t=hushquery", headers=HEADERS),
    )
    first.next_request = first.request
    last = httpx.Response(503, request=first.request, history=[first])
    error = StatusError("no", response=last)
    sent = pickle.dumps(error)
    came: Any = pickle.loads(sent)  # noqa: S301 - it was made right here

    assert secrets_in(sent.decode("latin-1")) == []
    assert came.response.history[0].headers["location"] == "http://h/?token=***"
    assert came.response.history[0].next_request.url == "http://h/?t=***"
    assert error.response is last
    assert last.request.headers["x-api-key"] == "hushkeyring"


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_request_is_copied_for_its_own_library(name: str) -> None:
    """One of httpx2 stays one of httpx2; for httpxr there is one of httpx."""
    url, library = "http://hushuser:hushword@h/e?token=hushquery", LIBRARIES[name]
    made: Any = redacted_request(library.Request("GET", url, headers=HEADERS))

    assert isinstance(made, httpx.Request if name == "httpxr" else library.Request)
    assert str(made.url) == "http://h/e?token=***"
    assert made.headers["x-plain"] == "seen"
    assert made.headers["authorization"] == made.headers["x-api-key"] == "***"


@pytest.mark.parametrize("before", range(MOST_SHOWN - 20, MOST_SHOWN))
def test_a_secret_is_hidden_although_it_is_cut(before: int) -> None:
    """A server repeats it where the excerpt ends."""
    secret = "hushtoken7"
    request = httpx.Request("GET", "http://h/", headers={"Authorization": f"Bearer {secret}"})
    error = StreamEnded(excerpt=b"x" * before + b" " + secret.encode() + b" " + b"y" * 300)

    make_presentable(error, request)

    assert secret[:3] not in str(error)


@pytest.mark.skipif("httpxr" not in LIBRARIES, reason="httpxr has no wheel for this Python")
def test_a_response_of_another_library_stays_as_it_is() -> None:
    """Nobody knows how to copy it."""
    response = LIBRARIES["httpxr"].Response(503)
    error = StatusError("no", response=response)

    assert error.__reduce__()[2]["response"] is response


def test_after_a_redirect_it_is_the_request_that_was_answered(runtime: str) -> None:
    """Not the one that was redirected."""
    error = gave_up(runtime, redirect("/elsewhere"), Connection(event("x")))

    assert error.request.url.path == "/elsewhere"
    known = request_of(error.failure.error)
    assert known is not None
    assert known.url.path == "/elsewhere"


def test_an_error_that_knows_none_says_so() -> None:
    """As in httpx."""
    with pytest.raises(RuntimeError, match=r"request property has not been set"):
        _ = StreamEnded().request
    assert request_of(httpx.Response(200)) is None


TOO_LARGE: Final = Connection(event("x" * 5000))
NO_STREAM: Final = Connection(raw(b"<p>"), headers={"Content-Type": "text/html"})


ANSWERS: Final = [(TOO_LARGE, EventTooLarge), (NO_STREAM, ContentTypeError)]
OF_PYTHON: Final = [httpx, httpx2]


def check_request(error: Any) -> None:
    """It is there, without its secrets."""
    assert error.request.url.path == "/events"
    assert secrets_in(f"{error.request.url} {error.request.headers.multi_items()}") == []


@pytest.mark.parametrize(("answer", "kind"), ANSWERS)
@pytest.mark.parametrize("library", OF_PYTHON, ids=lambda library: library.__name__)
def test_errors_of_one_connection_have_it(
    library: Any, answer: Connection, kind: type[SSEError]
) -> None:
    """Those of `connect_sse`."""
    options: dict[str, Any] = {"headers": HEADERS, "max_event_size": 100}
    with (
        ScriptedServer([answer]) as server,
        library.Client(trust_env=False) as client,
        pytest.raises(kind) as raised,
        connect_sse(client, "GET", secretive(server.url), **options) as source,
    ):
        list(source.iter_sse())

    check_request(raised.value)


@pytest.mark.anyio
@pytest.mark.parametrize(("answer", "kind"), ANSWERS)
@pytest.mark.parametrize("library", OF_PYTHON, ids=lambda library: library.__name__)
async def test_errors_of_one_asynchronous_connection_have_it(
    library: Any, answer: Connection, kind: type[SSEError]
) -> None:
    """Those of its twin."""
    options: dict[str, Any] = {"headers": HEADERS, "max_event_size": 100}
    with ScriptedServer([answer]) as server:
        url = secretive(server.url)
        async with library.AsyncClient(trust_env=False) as client:
            with pytest.raises(kind) as raised:
                async with aconnect_sse(client, "GET", url, **options) as source:
                    _ = [event async for event in source.aiter_sse()]

    check_request(raised.value)


# -- The story ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "options", "kind", "told"),
    [
        (
            Connection(raw(b"the queue is\nfull"), status=500),
            {},
            FailureKind.STATUS,
            "after status (StatusError: the server answered 500 Internal Server Error: "
            "'the queue is full'):",
        ),
        (
            Connection(raw(b"half an ev"), ending=Ending.TRUNCATED),
            {},
            FailureKind.TRANSPORT,
            "after transport (RemoteProtocolError: peer closed connection without",
        ),
        (
            Connection(before_headers=10),
            {"connect_timeout": 0.3},
            FailureKind.TIMEOUT,
            "after timeout (ReadTimeout: no response headers within 0.3 s):",
        ),
        (
            Connection(raw(b'{"error": "no credit"}')),
            {},
            FailureKind.ENDED,
            "after ended (StreamEnded: the server ended the stream without an event; its body "
            'begins \'{"error": "no credit"}\'):',
        ),
    ],
)
def test_a_request_that_is_not_sent_again_tells_what_happened_to_it(
    runtime: str, answer: Connection, options: dict[str, Any], kind: FailureKind, told: str
) -> None:
    """In one line, and as `.failure`."""
    error = gave_up(runtime, answer, method="POST", content="{}", policy=at_once, **options)
    refusal = error.__cause__

    assert isinstance(refusal, UnsafeRetry)
    assert refusal.failure is not None
    assert refusal.failure.kind is kind
    assert refusal.failure.error is refusal.__cause__
    assert told in str(refusal)
    assert told in str(error)
    assert str(error).endswith("pass retry_unsafe=True if repeating it does no harm)")
    assert "\n" not in str(error)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("client", [None, of_httpx], ids=["own", "httpx"])
def test_an_error_body_is_told(
    runtime: str, client: Callable[[bool], Any] | None, compressed: bool
) -> None:
    """Also one that is compressed, and longer than what is read of it."""
    body = b"<h1>no\tsuch\x07 thing</h1>" + bytes(range(256)) * 100
    error = gave_up(runtime, Connection(raw(body), status=404, gzip=compressed), client=client)

    assert "the server answered 404 Not Found: '<h1>no such\\x07 thing</h1>" in str(error)
    assert isinstance(error.failure.error, StatusError)
    assert error.failure.error.body.startswith(b"<h1>no\tsuch")
    assert len(str(error)) < 500


def test_a_body_that_is_not_what_it_says_is_told_as_it_is(runtime: str) -> None:
    """Some servers compress nothing and say that they do."""
    headers = {"Content-Encoding": "gzip"}
    error = gave_up(runtime, Connection(raw(b"plain"), status=500, headers=headers))

    assert "500 Internal Server Error: 'plain'" in str(error)


def test_an_empty_compressed_body_is_nothing(runtime: str) -> None:
    """Not even an excerpt."""
    answer = Connection(raw(gzip.compress(b"")), status=500, headers={"Content-Encoding": "gzip"})

    assert "(StatusError: the server answered 500 Internal Server Error)" in str(
        gave_up(runtime, answer)
    )


# -- A body without an event -------------------------------------------------------------------

BODIES: Final = {
    "HTML": b"<!doctype html>\n<title>Sign in</title>\n" + b"<p>please</p>\n" * 100,
    "JSON": b'{"error": {"message": "You exceeded your current quota"}}',
    "half an event": b"event: add\ndata: x\n",
    "comments": b": hello\n\n" * 200,
    "an id": b"id: 7\n\n",
}


@pytest.mark.crossed
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("chunk_size", [None, 1, 7])
def test_a_body_without_an_event_is_shown(runtime: str, name: str, chunk_size: int | None) -> None:
    """Under the right content type, however it is chunked; at most 500 bytes of it."""
    error = gave_up(runtime, Connection(raw(BODIES[name]), chunk_size=chunk_size))
    ended = error.failure.error

    assert isinstance(ended, StreamEnded)
    assert ended.excerpt == BODIES[name][:500]
    assert f"without an event; its body begins {excerpt(BODIES[name])}" in str(error)


def test_a_body_with_an_event_is_not(runtime: str) -> None:
    """What it was is known from the event, even if that had been delivered before."""
    for answer in (Connection(comment("hi"), event("x", id="7")), Connection()):
        error = gave_up(runtime, answer, last_event_id="7", dedupe=5)
        ended = error.failure.error

        assert isinstance(ended, StreamEnded)
        assert ended.excerpt == b""
        assert str(ended) == "the server ended the stream"


def test_each_connection_has_its_own_beginning(runtime: str) -> None:
    """The first had events, the second had none."""
    script = [Connection(event("x")), Connection(raw(b"sorry"))]
    policy = InstantRetries(lambda failure: None if failure.attempt > 1 else 0.0)
    error = gave_up(runtime, *script, policy=policy)

    assert [getattr(failure.error, "excerpt", None) for failure in error.failures] == [
        b"",
        b"sorry",
    ]


# -- Text from outside -------------------------------------------------------------------------

LONG: Final = 90_000
HOSTILE: Final[dict[str, Any]] = {
    "a status line": bare(b"\x01" * LONG + b"\r\n\r\n"),
    "a header": bare(b"HTTP/1.1 200 OK\r\n" + b"\x01" * LONG + b"\r\n\r\n"),
    "a reason": bare(b"HTTP/1.1 500 " + b"r" * LONG + b"\r\nContent-Length: 0\r\n\r\n"),
    "a coloured reason": bare(b"HTTP/1.1 500 \x1b[31mred\r\nContent-Length: 0\r\n\r\n"),
    "a type": Connection(headers={"Content-Type": "r" * LONG}),
    "a coloured type": bare(b"HTTP/1.1 200 OK\r\nContent-Type: a\x1b[2Jb\r\n\r\n"),
    "an encoding": Connection(headers={"Content-Encoding": ", ".join(["gzip"] * 9000)}),
    "a location": redirect("http://h:99999/" + "r" * LONG),
    "a location of FTP": redirect("ftp://h/" + "r" * LONG),
    "a body": Connection(raw(b"\x1b[2J" + b"r" * LONG), status=500),
    "a stream": Connection(raw(b"\x1b[2J\xff\xe2\x80\xae" + b"r" * LONG)),
    "a chunk": Connection(event("x"), ending=Ending.GARBAGE),
    "an event": Connection(event("\x1b[2J" + "r" * LONG, id="\x1b" + "7" * 7000)),
}


@pytest.mark.crossed
@pytest.mark.parametrize("client", [None, of_httpx, of_httpx2], ids=["own", "httpx", "httpx2"])
@pytest.mark.parametrize("name", HOSTILE)
def test_text_from_outside_is_bounded_and_escaped(
    runtime: str, name: str, client: Callable[[bool], Any] | None
) -> None:
    """Wherever it enters a message of ours, or one of the HTTP library's that we hand on."""
    began = time.monotonic()
    error = gave_up(
        runtime, HOSTILE[name], client=client, dialect=GAPS if name == "an event" else Dialect()
    )

    for cause in causes(error):
        assert str(cause).isprintable(), ascii(str(cause))
        assert len(str(cause)) < 800
    assert time.monotonic() - began < 10


def test_the_cursor_in_the_story_is_bounded_too() -> None:
    """An id is from outside."""
    failures = [Failure(error=StreamEnded(), kind=FailureKind.ENDED)]
    error = GiveUpError(failures=failures, url="http://h", last_event_id="\x1b" + "7" * 7000)

    assert str(error).isprintable()
    assert len(str(error)) < 400
    assert len(error.last_event_id) == 7001


def test_an_event_in_a_message_is_bounded() -> None:
    """The event itself is there in full."""
    gap = ServerSentEvent(data="\x1b" + "r" * LONG)

    assert len(str(GapError(gap))) < 400
    assert GapError(gap).event is gap


@given(st.text())
def test_any_text_becomes_one_line_that_can_be_printed(text: str) -> None:
    """Bounded, and the same when it is done again."""
    shown = redact_text(text)

    assert shown.isprintable()
    assert len(shown) <= MOST_SHOWN
    assert redact_text(shown) == shown
    assert len(quoted(text)) <= MOST_SHOWN + 2


@given(st.binary())
def test_any_body_becomes_one_line_that_can_be_printed(body: bytes) -> None:
    """Whatever its encoding."""
    assert excerpt(body).isprintable()


@pytest.mark.parametrize(
    "text", ["r" * 10**6, "?" * 10**6, "://" * 10**5, "a?b=" * 10**5, "\x01" * 10**6]
)
def test_no_text_takes_long(text: str) -> None:
    """A server could stop an event loop by it otherwise: the time is linear."""
    began = time.process_time()
    redact_text(text)

    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at 1http://u:p@h/?a=b now", "at 1http://h/?a=*** now"),
        ("(x+http://u:p@h)", "(x+http://h)"),
        ('<a href="/e?token=abc&n=1">', '<a href="/e?token=***&n=***">'),
        ("caf\u00e9 \u65e5\u672c", "caf\u00e9 \u65e5\u672c"),
        ("a\u202eb\x9bc\ud800d", r"a\u202eb\x9bc\ud800d"),
    ],
)
def test_what_text_becomes(text: str, shown: str) -> None:
    """Addresses without secrets, whatever stands before them; letters of any script as they are."""
    assert redact_text(text) == shown


# -- Making an error presentable ---------------------------------------------------------------


def test_a_request_s_own_secrets_are_hidden_wherever_they_come_back() -> None:
    """In plain words, and as they stand in the URL; short words are left alone."""
    request = httpx.Request(
        "GET", "http://me:hush%2Bword@h/?n=1&token=hush%2Fquery", headers={"X-Key": "hushkeyring"}
    )
    error = StatusError(
        "1 of me: hush+word hush%2Bword hush/query hushkeyring", response=httpx.Response(500)
    )
    make_presentable(error, request)

    assert str(error) == "1 of me: *** *** *** ***"
    assert str(error.request.url) == "http://h/?n=***&token=***"


def test_the_caller_s_own_exceptions_are_left_alone() -> None:
    """Also if they are what an exception of the HTTP library came from."""
    own = LookupError("r" * 1000, 5)
    error = httpx.ConnectError("r" * 1000)
    error.__cause__ = own
    make_presentable(error)

    assert own.args == ("r" * 1000, 5)
    assert len(str(error)) == MOST_SHOWN
    assert request_of(error) is None
    make_presentable(LookupError())


def test_what_is_not_text_in_an_exception_stays() -> None:
    """Some have numbers."""
    error = httpx.ReadError("late")
    error.args = ("late", 5)
    make_presentable(error, httpx.Request("GET", "http://h/"))

    assert error.args == ("late", 5)


def test_our_own_sentences_are_told_in_full() -> None:
    """Only what they have from outside is cut."""
    failure = Failure(error=httpx.ReadError("r" * 1000), kind=FailureKind.TRANSPORT)
    told = explain(UnsafeRetry("POST", failure))

    assert told.endswith("does no harm")
    assert len(told) > MOST_SHOWN
    assert len(explain(StreamEnded("r" * 5000))) == 1000
