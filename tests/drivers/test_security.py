"""What a hostile server, a hostile network and a careless caller cannot do.

Each claim of docs/explanation/threat-model.md has its test here, on every runtime. A secret is
planted wherever one can be given, and then looked for in everything that comes out.
"""

from __future__ import annotations

import gzip
import io
import logging
import ssl
import time
import traceback
import tracemalloc
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import pytest
import structlog
from stamina.instrumentation import LoggingOnRetryHook, StructlogOnRetryHook, set_on_retry_hooks

from resilient_sse import (
    Connected,
    ContentTypeError,
    EventTooLarge,
    ExponentialBackoff,
    FailureKind,
    GiveUpError,
    ServerRetry,
    StatusError,
    SyncReconnectingEventSource,
)
from resilient_sse.instrumentation import StructlogHook
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    InstantRetries,
    ScriptedServer,
    comment,
    endless_headers,
    event,
    forever,
    pause,
    raw,
    redirect,
)
from tests.support.consumers import RUNTIMES, Consumer, consume
from tests.support.files import PEM
from tests.support.http_libraries import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse import Failure
    from resilient_sse.testing import RecordedRequest

MIB: Final = 2**20
SECRETS: Final = ("hushuser", "hushword", "hushquery", "hushtoken", "hushcookie", "hushkey")


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """Every test that touches the network runs on all of them."""
    name: str = request.param
    return name


def secretive(server: ScriptedServer) -> str:
    """The server's URL with secrets wherever a URL can have them."""
    return server.url.replace("://", "://hushuser:hushword@") + "?token=hushquery"


HEADERS: Final = {
    "Authorization": "Bearer hushtoken",
    "Cookie": "session=hushcookie",
    "X-Api-Key": "hushkey",
}


def secrets_in(text: str) -> list[str]:
    """The secrets that can be read in a text, base64 of the userinfo included."""
    shown = [secret for secret in SECRETS if secret in text]
    return shown + (["userinfo"] if "aHVzaHVzZXI6aHVzaHdvcmQ=" in text else [])


def sent(request: RecordedRequest) -> str:
    """All that a server was told by a request."""
    return f"{request.path}?{request.query} {dict(request.headers)} {request.body!r}"


def never(_failure: Failure) -> None:
    """A policy that gives up at once."""


def once(consumer: Consumer) -> GiveUpError:
    """The error of a consumer that gave up."""
    assert isinstance(consumer.error, GiveUpError), (consumer.error, consumer.events)
    return consumer.error


# -- Credentials stay with their origin --------------------------------------------------------


def test_credentials_stay_with_their_origin_on_a_redirect(runtime: str) -> None:
    """The other origin gets no header, cookie, userinfo or auth; the same origin gets them all."""
    with (
        ScriptedServer([Connection(event("x"))]) as other,
        ScriptedServer([redirect("/moved"), redirect(other.url)]) as first,
    ):
        got = consume(runtime, secretive(first), headers=HEADERS, policy=InstantRetries(once_more))

        assert got.data == ["x"]
        assert secrets_in(sent(other.requests[0])) == []
        assert {"hushkey", "userinfo"} <= set(secrets_in(sent(first.requests[1])))


def once_more(failure: Any) -> float | None:
    """Retry what ended, so that the servers' 204 ends the consumer."""
    return 0.0 if failure.kind is FailureKind.ENDED else None


def test_credentials_do_not_come_back_by_a_second_redirect(runtime: str) -> None:
    """Another origin cannot make the client act with its credentials at the first one."""
    with ScriptedServer() as other, ScriptedServer() as first:
        other.add(redirect(first.url + "/delete-everything"))
        first.add(redirect(other.url), Connection(event("x")))
        consume(runtime, secretive(first), headers=HEADERS, policy=InstantRetries(once_more))

        assert first.requests[1].path == "/events/delete-everything"
        assert secrets_in(sent(first.requests[1])) == []


@pytest.mark.parametrize("auth", [None, ("hushuser", "hushword")])
def test_credentials_stay_when_the_caller_changes_the_host(
    runtime: str, auth: tuple[str, str] | None
) -> None:
    """Also those in the URL itself, which `copy_with` copies to the new host."""
    with ScriptedServer([Connection(event("x"))]) as other, ScriptedServer() as first:

        def elsewhere(request: httpx.Request, _attempt: object) -> None:
            request.url = request.url.copy_with(port=other.port, query=None)

        got = consume(
            runtime,
            secretive(first),
            headers=HEADERS,
            auth=auth,
            prepare_request=elsewhere,
            policy=InstantRetries(once_more),
        )

        assert got.data == ["x"]
        assert [secrets_in(sent(request)) for request in other.requests] == [[], []]


def test_credentials_that_the_caller_sets_for_another_host_are_sent(runtime: str) -> None:
    """`prepare_request` knows what it does: what it sets itself goes where it says."""
    with ScriptedServer([Connection(event("x"))]) as other, ScriptedServer() as first:

        def elsewhere(request: httpx.Request, _attempt: object) -> None:
            request.url = httpx.URL(other.url)
            request.headers["Authorization"] = "Bearer for-the-other"

        consume(
            runtime,
            secretive(first),
            headers=HEADERS,
            prepare_request=elsewhere,
            policy=InstantRetries(once_more),
        )

        request = other.requests[0]
        assert request.headers["authorization"] == "Bearer for-the-other"
        assert secrets_in(sent(request)) == []


def trusting(asynchronous: bool) -> Any:
    """A client that trusts the test's certificate."""
    context = ssl.create_default_context(cafile=str(PEM))
    kind: Any = httpx.AsyncClient if asynchronous else httpx.Client
    return kind(verify=context, trust_env=False)


def test_https_never_falls_to_http(runtime: str) -> None:
    """The redirect is refused, with its reason, and the other server hears nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    with ScriptedServer() as plain, ScriptedServer(ssl_context=context) as secure:
        secure.add(redirect(plain.url + "?token=hushquery"))
        url = secure.url.replace("127.0.0.1", "localhost")
        error = once(consume(runtime, url, client=trusting))

        assert "refused to follow the redirect from https to http://" in str(error)
        assert secrets_in(str(error)) == []
        assert plain.requests == []
        assert not error.failure.retryable


# -- Nothing can be injected -------------------------------------------------------------------


def test_no_id_can_inject_a_header(runtime: str) -> None:
    """An id with any control character does not become the header; the last good one stays."""
    controls = [chr(code) for code in (*range(32), 127) if chr(code) not in "\r\n"]
    evil = "".join(f"id: 2{control}X-Evil: yes\ndata: x\n\n" for control in controls)
    script = [Connection(event("good", id="1"), raw(evil)), Connection(event("end"))]
    with ScriptedServer(script) as server:
        got = consume(runtime, server.url, policy=InstantRetries(once_more))

        assert len(got.events) == len(controls) + 2
        assert [request.last_event_id for request in server.requests] == ["", "1", "1"]
        assert all("x-evil" not in request.headers for request in server.requests)


class Evil:
    """A cursor store, or a decoder, that somebody else has written to."""

    last_event_id = "1\r\nX-Evil: yes"
    retry = None

    def load(self, _key: str) -> str:
        return self.last_event_id

    def save(self, _key: str, last_event_id: str) -> None:
        """Nothing is kept."""

    def feed(self, _chunk: bytes) -> list[Any]:
        return []


def evil_decoder(**_keywords: Any) -> Evil:
    """Make one for a connection."""
    return Evil()


@pytest.mark.parametrize(
    "options", [{"cursor": Evil()}, {"decoder": evil_decoder}], ids=["store", "decoder"]
)
def test_no_cursor_can_inject_a_header(runtime: str, options: dict[str, Any]) -> None:
    """Neither a store's nor a decoder's, whatever is in it."""
    with ScriptedServer([Connection(event("x")), Connection(event("y"))]) as server:
        consume(runtime, server.url, policy=InstantRetries(once_more), **options)

        for request in server.requests:
            assert "x-evil" not in request.headers
            assert request.last_event_id == ""


@pytest.mark.parametrize(
    "options",
    [{"last_event_id": "1\r\nX-Evil: yes"}, {"headers": {"Last-Event-ID": "1\nX-Evil: yes"}}],
)
def test_a_callers_own_cursor_is_checked(options: dict[str, Any]) -> None:
    """It is refused when the source is made."""
    with pytest.raises(ValueError, match="cannot be sent in an HTTP header"):
        SyncReconnectingEventSource("https://example.com", **options)


# -- Secrets are told to nobody ----------------------------------------------------------------


class Overheard:
    """Everything that the library and what it reports through has said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def structlog_processor(self, _logger: object, name: str, line: Any) -> Any:
        """Render a log line as people do, with tracebacks that show local variables."""
        self.lines.append(f"{name} {line!r}")
        stream = io.StringIO()
        renderer = structlog.dev.ConsoleRenderer(
            colors=False,
            exception_formatter=structlog.dev.RichTracebackFormatter(show_locals=True, width=200),
        )
        stream.write(renderer(None, name, dict(line)))
        self.lines.append(stream.getvalue())
        raise structlog.DropEvent

    def hook(self, told: object) -> None:
        """Write down a lifecycle event."""
        self.lines += [repr(told), str(told)]

    def add(self, consumer: Consumer) -> None:
        """Write down what the consumer was told."""
        self.lines.append(repr(consumer.source))
        if consumer.error is not None:
            self.lines += [repr(consumer.error), str(consumer.error)]
            self.lines += traceback.format_exception(consumer.error)


@pytest.fixture
def overheard(caplog: pytest.LogCaptureFixture) -> Iterator[Overheard]:
    """Listen to structlog, to logging and to what stamina says in both."""
    ears = Overheard()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, ears.structlog_processor],
        cache_logger_on_first_use=False,
    )
    set_on_retry_hooks([StructlogOnRetryHook, LoggingOnRetryHook])
    # httpx's own loggers are not this library's: see the threat model.
    with caplog.at_level(logging.INFO, logger="stamina"):
        yield ears
    ears.lines += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    set_on_retry_hooks(None)
    structlog.reset_defaults()
    assert any("sse.connecting" in line for line in ears.lines)
    assert {secret for line in ears.lines for secret in secrets_in(line)} == set()


def raising(_told: object) -> None:
    """A hook that fails, while a failure of the stream may be being handled."""
    raise LookupError("a hook of the caller's")


class Failing:
    """A cursor store that fails and says too much."""

    def load(self, key: str) -> str:
        raise OSError(f"cannot reach https://hushuser:hushword@store.example/{key!r}")

    def save(self, key: str, last_event_id: str) -> None:
        """Never reached."""


def checked(asynchronous: bool) -> Any:
    """A client whose own hook raises for every bad status."""

    def check(response: httpx.Response) -> None:
        response.raise_for_status()

    async def acheck(response: httpx.Response) -> None:
        response.raise_for_status()

    if asynchronous:
        return httpx.AsyncClient(event_hooks={"response": [acheck]}, trust_env=False)
    return httpx.Client(event_hooks={"response": [check]}, trust_env=False)


CONVERSATIONS: Final[dict[str, tuple[list[Connection], dict[str, Any]]]] = {
    "reset and end": ([Connection(event("x"), ending=Ending.RESET), Connection(event("y"))], {}),
    "silence": ([Connection(ending=Ending.SILENCE), Connection(event("y"))], {"idle_timeout": 0.1}),
    "garbage": ([Connection(ending=Ending.GARBAGE), Connection(raw("\0"), status=500)], {}),
    "unauthorized": ([Connection(raw("who?"), status=401)], {}),
    "the client raises": ([Connection(status=404)], {"client": checked}),
    "not a stream": ([Connection(headers={"Content-Type": "text/html"})], {}),
    "redirect to nowhere": ([redirect("ftp://example.com/?token=hushquery")], {}),
    "bad redirect": ([redirect("http://[::1?token=hushquery")], {}),
    "too large": ([Connection(event("x" * 100))], {"max_event_size": 10}),
    "a header with a line end": ([], {"headers": HEADERS | {"Authorization": "Basic hushtoken\n"}}),
    "unsafe": ([Connection()], {"method": "POST", "content": "hushtoken"}),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_secrets_stay_out_of_everything_that_is_said(
    runtime: str, name: str, overheard: Overheard
) -> None:
    """Logs, stamina's logs, lifecycle events, reprs, error messages and tracebacks."""
    script, options = CONVERSATIONS[name]

    def policy(failure: Any) -> float | None:
        return 0.0 if failure.attempt < 3 else None

    with ScriptedServer(script) as server:
        hooks = (overheard.hook, StructlogHook(), raising)
        keywords = {"headers": HEADERS, "policy": policy, "hooks": hooks} | options
        overheard.add(consume(runtime, secretive(server), **keywords))


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "no-such-host.invalid"])
def test_secrets_stay_out_when_nobody_answers(
    runtime: str, host: str, overheard: Overheard
) -> None:
    """No connection, no name: the error says so and not where the password is."""
    with ScriptedServer() as server:
        server.stop()
        url = f"http://hushuser:hushword@{host.format(port=server.port)}/?token=hushquery"
        hooks = (overheard.hook, StructlogHook())
        consumer = consume(
            runtime, url, hooks=hooks, policy=InstantRetries(ExponentialBackoff(attempts=2))
        )

    assert once(consumer).failure.kind is FailureKind.CONNECT
    overheard.add(consumer)


def test_secrets_stay_out_of_what_a_cursor_store_says(runtime: str) -> None:
    """By default its key is the URL, and its own error may quote it."""
    consumer = consume(
        runtime, "http://hushuser:hushword@127.0.0.1:9/?token=hushquery", cursor=Failing()
    )

    assert "the cursor store could not load" in str(consumer.error)
    assert "store.example" in str(consumer.error)
    assert secrets_in(str(consumer.error)) == []


@pytest.mark.parametrize(
    "url", ["htps://hushuser:hushword@h/?token=hushquery", "hushuser:hushword@h/?token=hushquery"]
)
def test_secrets_stay_out_of_the_complaint_about_a_url(url: str) -> None:
    """A URL that is refused is not repeated as it is."""
    with pytest.raises(ValueError, match=r"url must begin with http:// or https://") as caught:
        SyncReconnectingEventSource(url)

    assert "hushword" not in str(caught.value)
    assert "hushquery" not in str(caught.value)


def test_a_source_shows_no_keywords() -> None:
    """Tracebacks that show local variables show the source's settings too."""
    source = SyncReconnectingEventSource("https://h/?a=hushquery", headers=HEADERS)

    assert secrets_in(repr(source) + repr(source._settings)) == []


def test_cookies_are_not_told_to_hooks(runtime: str) -> None:
    """What a server sets is as good as a password."""
    cookie = {"Set-Cookie": "session=hushcookie"}
    with ScriptedServer([Connection(event("x"), headers=cookie)]) as server:
        got = consume(runtime, server.url, policy=InstantRetries(once_more))

    assert got.recorder.of(Connected)[0].headers["set-cookie"] == "***"


def with_a_cookie(library: Any, asynchronous: bool) -> Any:
    """A client of the caller's, with a cookie jar of the library's own."""
    kind = library.AsyncClient if asynchronous else library.Client
    return kind(cookies={"session": "hushcookie"})


def permanent_or_at_once(failure: Failure) -> float | None:
    """A policy for what may pass."""
    return None if failure.permanent else 0.0


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_what_a_client_cannot_send_back_ends_in_words(runtime: str, library: str) -> None:
    """A cookie beyond ASCII breaks httpx's jar for good; Python's error shows all cookies."""
    odd = {"Set-Cookie": "a=\xff"}
    client = partial(with_a_cookie, LIBRARIES[library])
    with ScriptedServer([Connection(event("x"), headers=odd)]) as server:
        got = consume(runtime, server.url, client=client, policy=permanent_or_at_once)

    error: BaseException | None = once(got)
    assert "a header of the request has a value that HTTP does not allow" in str(error)
    assert got.data == ["x"]
    while error is not None:
        assert secrets_in(f"{error!r} {error.args} {getattr(error, 'object', '')}") == []
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_challenge_that_no_header_can_answer_ends_in_words(runtime: str, library: str) -> None:
    """Digest authentication repeats the server's realm."""
    challenge = {"WWW-Authenticate": 'Digest realm="\xff", nonce="n", qop="auth"'}
    auth = LIBRARIES[library].DigestAuth("hushuser", "hushword")
    client = partial(with_a_cookie, LIBRARIES[library])
    with ScriptedServer([Connection(status=401, headers=challenge)]) as server:
        got = consume(runtime, server.url, client=client, auth=auth, policy=never)

    error = once(got)
    assert "a header of the request has a value that HTTP does not allow" in str(error)
    assert secrets_in(repr(error.__cause__)) == []


def test_text_of_the_callers_that_cannot_be_sent_is_its_own(runtime: str) -> None:
    """It has nothing to do with the server."""
    with ScriptedServer([Connection(event("x"))]) as server:
        got = consume(runtime, server.url, content="\ud800", policy=never)

    assert isinstance(got.error, UnicodeEncodeError)


# -- Memory and time are bounded ---------------------------------------------------------------


class Peak:
    """The memory that Python objects took at most inside the block, in bytes, above the start."""

    def __enter__(self) -> Self:
        tracemalloc.start()
        self._start = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        return self

    def __exit__(self, *exc: object) -> None:
        self.bytes = tracemalloc.get_traced_memory()[1] - self._start
        tracemalloc.stop()


def gzipped(pattern: bytes, size: int) -> bytes:
    """So many bytes of a repeated pattern, compressed, made without holding them."""
    packer = zlib.compressobj(1, wbits=31)
    piece = pattern * (min(size, MIB) // len(pattern))
    parts = [packer.compress(piece) for _ in range(size // len(piece))]
    return b"".join([*parts, packer.flush()])


GZIP: Final = {"Content-Encoding": "gzip"}
ENDLESS: Final[dict[str, tuple[Connection, type[Exception]]]] = {
    "line": (Connection(forever(raw(b"x" * 65536))), EventTooLarge),
    "data lines": (Connection(forever(raw(b"data: x\n" * 8192))), EventTooLarge),
    "comments of one block": (Connection(forever(raw(b": x\n" * 8192))), EventTooLarge),
    "id": (Connection(raw(b"id: "), forever(raw(b"x" * 65536))), EventTooLarge),
    "field name": (Connection(forever(raw(b"retry" * 8192))), EventTooLarge),
    "digits of retry": (Connection(raw(b"retry: "), forever(raw(b"9" * 65536))), EventTooLarge),
    "headers": (endless_headers(every=0), httpx.RemoteProtocolError),
    "status line": (
        Connection(
            raw(b"HTTP/1.1 200 "),
            forever(raw(b"x" * 65536)),
            framing=Framing.BARE,
            ending=Ending.CLOSE,
        ),
        httpx.RemoteProtocolError,
    ),
    "chunk header": (
        Connection(
            raw(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n1;"
            ),
            forever(raw(b"x" * 65536)),
            framing=Framing.BARE,
            ending=Ending.CLOSE,
        ),
        httpx.RemoteProtocolError,
    ),
    "bomb": (Connection(raw(gzipped(b"x", 64 * MIB)), headers=GZIP), EventTooLarge),
    "bomb in a bomb": (
        Connection(
            raw(gzip.compress(gzipped(b"x", 64 * MIB))),
            headers={"Content-Encoding": "gzip, gzip"},
        ),
        ContentTypeError,
    ),
    "bomb of Brotli": (
        Connection(raw(b"\x5b\xff"), headers={"Content-Encoding": "br"}),
        ContentTypeError,
    ),
    "page behind an error": (Connection(forever(raw(b"x" * 65536)), status=404), StatusError),
}


@pytest.mark.crossed
@pytest.mark.parametrize("name", ENDLESS)
def test_memory_is_bounded(runtime: str, name: str) -> None:
    """Whatever is endless ends in an error, within a few megabytes."""
    script, kind = ENDLESS[name]
    with ScriptedServer([script]) as server, Peak() as peak:
        consumer = consume(runtime, server.url, keep=False, max_event_size=MIB, policy=never)

    assert isinstance(once(consumer).failure.error, kind)
    assert peak.bytes < 8 * MIB


@pytest.mark.crossed
@pytest.mark.timing
@pytest.mark.timeout(120)  # every event is counted by tracemalloc
@pytest.mark.parametrize("pattern", [b"data: x\n\n", b": x\n\n"], ids=["events", "comments"])
def test_memory_is_bounded_when_a_bomb_is_a_stream(runtime: str, pattern: bytes) -> None:
    """Thousands of legal blocks out of a few kilobytes are handed out bit by bit."""
    size = MIB // 4 if b"data" in pattern else MIB
    bomb = gzipped(pattern, size)
    seen = {"x": 0}

    def until(event: Any) -> bool:
        seen[event.data] = seen.get(event.data, 0) + 1
        return False

    with ScriptedServer([Connection(raw(bomb), headers=GZIP)]) as server, Peak() as peak:
        once(consume(runtime, server.url, keep=False, until=until, policy=never))

    assert seen["x"] == pattern.count(b"data") * (size // len(pattern))
    assert len(bomb) < size // 64
    assert peak.bytes < 4 * MIB


def test_memory_is_bounded_when_comments_never_end(runtime: str) -> None:
    """Seven megabytes of heartbeats are not kept."""
    block = raw(comment("heartbeat") * 4096)
    script = [Connection(*[block] * 130, event("x"))]
    with ScriptedServer(script) as server, Peak() as peak:
        error = once(consume(runtime, server.url, keep=False, policy=never))

    assert error.failure.progress
    assert peak.bytes < 4 * MIB


def test_redirects_without_end_end(runtime: str) -> None:
    """After twenty, as in browsers; it is not tried again."""
    with ScriptedServer(then=redirect("/again?token=hushquery")) as server:
        error = once(consume(runtime, server.url))

        assert len(server.requests) == 21
        assert "more than 20 redirects in a row" in str(error)


@pytest.mark.timing
@pytest.mark.parametrize(
    "script",
    [
        endless_headers(every=0.02),
        Connection(
            forever(raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"), pause(0.01)),
            framing=Framing.BARE,
            ending=Ending.CLOSE,
        ),
        Connection(before_headers=60),
        Connection(status=307, headers={"Location": "/events"}, before_headers=0.1),
    ],
    ids=["headers", "informational responses", "nothing", "redirects"],
)
def test_an_attempt_ends_in_time(runtime: str, script: Connection) -> None:
    """`connect_timeout` is for all that happens before the stream, however slowly it comes."""
    began = time.monotonic()
    with ScriptedServer(then=script) as server:
        error = once(consume(runtime, server.url, connect_timeout=0.4, policy=never))

    assert error.failure.kind is FailureKind.TIMEOUT
    assert time.monotonic() - began < 5


@pytest.mark.timing
@pytest.mark.parametrize("status", [404, 503])
def test_a_slow_page_behind_an_error_is_not_waited_for(runtime: str, status: int) -> None:
    """The excerpt of its body takes a second at most."""
    began = time.monotonic()
    body = forever(raw(b"x"), pause(0.05))
    with ScriptedServer([Connection(body, status=status)]) as server:
        error = once(consume(runtime, server.url, policy=never))

    assert isinstance(error.failure.error, StatusError)
    assert 0 < len(error.failure.error.body) < 100
    assert time.monotonic() - began < 5


# -- Nobody is parked --------------------------------------------------------------------------

PARKING: Final[dict[str, Connection]] = {
    "retry": Connection(raw(b"retry: 99999999999999999999\n\n")),
    "Retry-After, not a number": Connection(status=503, headers={"Retry-After": "1e9"}),
    "Retry-After": Connection(status=503, headers={"Retry-After": "1000000000"}),
    "Retry-After, digits": Connection(status=503, headers={"Retry-After": "9" * 5000}),
    "Retry-After, a date": Connection(
        status=429, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}
    ),
    "Retry-After, no date": Connection(
        status=429, headers={"Retry-After": "Fri, 31 Dec 99999 23:59:59 GMT"}
    ),
}


@pytest.mark.crossed
@pytest.mark.parametrize("name", PARKING)
def test_no_server_can_park_a_client(runtime: str, name: str) -> None:
    """No wait is longer than ten minutes: 300 s and as much jitter."""
    policy = InstantRetries(ExponentialBackoff())
    with ScriptedServer([PARKING[name]]) as server:
        got = consume(runtime, server.url, policy=policy)

    assert got.error is None
    assert len(policy.delays) == 1
    assert 1.0 <= (policy.delays[0] or 0) <= 600.0


def test_no_server_can_park_a_client_that_follows_it(runtime: str) -> None:
    """Nor with the browser's rule."""
    policy = InstantRetries(ServerRetry())
    with ScriptedServer([PARKING["retry"]]) as server:
        consume(runtime, server.url, policy=policy)

    assert policy.delays == [300.0]
