"""httpx2 is httpx's equal: found by the client, never imported, and the only one its user sees."""

from __future__ import annotations

import ast
import copy
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import httpx
import httpx2
import pytest

from resilient_sse import (
    Connected,
    ContentTypeError,
    CursorError,
    Dialect,
    EventFailure,
    EventTooLarge,
    FailureKind,
    GapError,
    GiveUpError,
    IdleTimeout,
    SSEError,
    StatusError,
    StreamEnded,
    UnsafeRetry,
    Verdict,
    connect_sse,
)
from resilient_sse._values.library import (
    HTTPX,
    Library,
    installed,
    library_of,
    name_of,
    own_library_of,
)
from resilient_sse.errors import of_library
from resilient_sse.testing import Connection, Ending, ScriptedServer, event, raw
from resilient_sse.transports import AsyncioTransport, SyncTransport
from tests.support.consumers import RUNTIMES, consume
from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from resilient_sse import Failure, ServerSentEvent

SRC: Final = ROOT / "src"
HTTPX2: Final[Any] = httpx2


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.skipif(not SRC.exists(), reason="there is no source to read")
def test_one_module_names_the_libraries() -> None:
    """Whatever else is made of them goes through it."""
    named = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        for name in imported(path)
        if name.partition(".")[0] in {"httpx", "httpx2"}
    }
    assert named == {"resilient_sse/_values/library.py"}


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_either_has_what_is_used_of_it(module: Any) -> None:
    """A new release of one of them may lack a name."""
    names = {name for name in Library.__annotations__ if not name.startswith("_")}
    assert len(names) > 10
    assert {name for name in names | {"create_ssl_context"} if not hasattr(module, name)} == set()


def test_httpx2_is_imported_by_nobody_but_its_user() -> None:
    """Not even by whoever uses every transport and test tool of ours."""
    script = """
import asyncio, sys
from resilient_sse import *
from resilient_sse.testing import *
from resilient_sse.transports import *
with ScriptedServer([Connection(event("x")), Connection(status=503)]) as server:
    try:
        with SyncReconnectingEventSource(server.url) as source: list(source)
    except GiveUpError: pass
print([name for name in sys.modules if name.startswith(("httpx2", "httpcore2"))])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_library_is_that_of_the_class() -> None:
    """A client's own, or that of what a user has derived from it; httpx for what is of neither."""

    class Mine(httpx2.Client):
        pass

    with Mine() as mine, httpx.Client() as other:
        assert library_of(mine) is HTTPX2
        assert library_of(other) is HTTPX
        assert library_of(httpx2.ReadError("")) is HTTPX2
    assert library_of(object()) is HTTPX
    assert own_library_of(object()) is None
    assert installed("httpx2") is HTTPX2
    assert name_of(HTTPX2) == "httpx2"


# -- What the user of httpx2 sees --------------------------------------------------------------


def clients(runtime: str, *, ours: bool) -> Callable[[bool], Any]:
    """What makes a client of httpx2 over its own transport or over ours."""

    def client(asynchronous: bool) -> Any:
        if not asynchronous:
            return httpx2.Client(transport=SyncTransport() if ours else None, trust_env=False)
        transport = AsyncioTransport() if ours and runtime == "asyncio" else None
        return httpx2.AsyncClient(transport=transport, trust_env=False)

    return client


def while_retryable(failure: Failure) -> float | None:
    """A policy that goes on at once as long as that may help."""
    return 0 if failure.retryable else None


def never_again(_failure: Failure) -> None:
    """A policy that gives up."""


def at_once(_failure: Failure) -> float:
    """A policy that never gives up."""
    return 0


def judge(event: ServerSentEvent) -> Verdict:
    """The dialect of a server that says of itself what is wrong."""
    return {"gap": Verdict.GAP, "failure": Verdict.FAILURE}.get(event.event, Verdict.DELIVER)


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "theirs"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_program_on_httpx2_sees_httpx2_only(runtime: str, ours: bool) -> None:
    """Requests, responses, headers, errors and what caused them."""
    seen: list[Any] = []

    def prepare(request: Any, _attempt: Any) -> None:
        seen.extend([request, request.headers, request.url])

    def hook(told: Any) -> None:
        if isinstance(told, Connected):
            seen.append(told.headers)

    script = [Connection(event("x", id="1"), ending=Ending.RESET), Connection(status=403)]
    with ScriptedServer(script) as server:
        error: Any = consume(
            runtime,
            server.url,
            client=clients(runtime, ours=ours),
            prepare_request=prepare,
            hooks=(hook,),
            policy=while_retryable,
        ).error
    cause = error.failures[0].error
    seen.extend([cause, error.request, error.__cause__.response, error.failure.error.request])
    assert len(seen) == 2 * 3 + 1 + 4
    assert {type(value).__module__.partition(".")[0] for value in seen} == {"httpx2"}
    assert isinstance(error, GiveUpError)
    assert isinstance(error, httpx2.TransportError)
    assert isinstance(error.__cause__, StatusError)
    assert isinstance(error.__cause__, httpx2.TransportError)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_time_limit_is_httpx2s(runtime: str) -> None:
    """Also where it is we who keep the time."""
    late = Connection(event("x"), before_headers=5)
    kept: list[Any] = []

    def policy(failure: Failure) -> float | None:
        kept.append(failure.error)
        return 0 if failure.kind is FailureKind.TIMEOUT else None

    with ScriptedServer([late, Connection(event("x"), ending=Ending.SILENCE)]) as server:
        consume(
            runtime,
            server.url,
            client=clients(runtime, ours=False),
            connect_timeout=0.3,
            idle_timeout=0.3,
            policy=policy,
        )
    first, last = kept
    assert type(first) is httpx2.ReadTimeout
    assert isinstance(last, IdleTimeout)
    assert type(last.__cause__) is httpx2.ReadTimeout


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_httpx2_raises_in_prepare_request_is_a_failure(runtime: str) -> None:
    """Say of a token's server."""
    asked: list[int] = []

    def prepare(_request: Any, attempt: Any) -> None:
        asked.append(attempt.number)
        if len(asked) == 1:
            raise httpx2.ConnectError("no token")

    with ScriptedServer([Connection(event("x"))]) as server:
        seen = consume(
            runtime,
            server.url,
            client=clients(runtime, ours=False),
            prepare_request=prepare,
            policy=at_once,
        )
    assert (seen.error, asked) == (None, [1, 2, 2])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Connection(event("x" * 5000)), EventTooLarge),
        (Connection(raw("<p>"), headers={"Content-Type": "text/html"}), ContentTypeError),
    ],
)
def test_errors_of_one_connection_are_httpx2s(answer: Connection, kind: type[SSEError]) -> None:
    """`except httpx2.TransportError` around `connect_sse`."""
    with (
        ScriptedServer([answer]) as server,
        httpx2.Client() as client,
        connect_sse(client, "GET", server.url, max_event_size=1000) as source,
        pytest.raises(httpx2.TransportError) as raised,
    ):
        list(source.iter_sse())
    assert isinstance(raised.value, kind)
    assert raised.value.request.url == server.url


# -- The classes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        StreamEnded(),
        IdleTimeout(),
        EventTooLarge(5),
        UnsafeRetry("POST"),
        CursorError("no", key="k"),
        StatusError("no", response=httpx2.Response(403)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_becomes_one_of_httpx2_too(error: SSEError) -> None:
    """It is the same object with the same name and words."""
    before, kind = repr(error), type(error)

    assert of_library(error, HTTPX) is error
    assert type(error) is kind
    assert of_library(error, HTTPX2) is error

    assert isinstance(error, httpx2.TransportError)
    assert isinstance(error, kind)
    assert repr(error) == before
    assert (type(error).__name__, type(error).__qualname__) == (kind.__name__, kind.__qualname__)
    assert type(error).__module__ == kind.__module__
    assert type(error).__doc__ == kind.__doc__


def test_no_other_exception_changes() -> None:
    """What a callback raised, for example."""
    error = ValueError("x")
    assert type(of_library(error, HTTPX2)) is ValueError


def told() -> GiveUpError:
    """An error about a client of httpx2, with all that one can carry."""
    script = [Connection(event("x"), ending=Ending.RESET), Connection(status=403)]
    with ScriptedServer(script) as server:
        error = consume(
            "threads",
            server.url + "?token=hush",
            client=clients("threads", ours=True),
            policy=while_retryable,
        ).error
    assert isinstance(error, GiveUpError)
    return error


def test_a_pickled_error_is_httpx2s_again() -> None:
    """With its request, its response and its failures."""
    error = told()
    came: Any = pickle.loads(pickle.dumps(error))  # noqa: S301 - it was made right here

    assert isinstance(came, GiveUpError)
    assert isinstance(came, httpx2.TransportError)
    assert str(came) == str(error)
    assert repr(came.request) == repr(error.request)
    assert type(came.request) is httpx2.Request
    first: Any = came.failures[0].error
    last: Any = came.failure.error
    assert type(first) is httpx2.ReadError
    assert repr(first) == repr(error.failures[0].error)
    kinds: tuple[type, ...] = (StatusError, httpx2.TransportError)
    assert [isinstance(last, kind) for kind in kinds] == [True, True]
    assert (last.response.status_code, type(last.response)) == (403, httpx2.Response)
    assert repr(last.response.request) == repr(error.request)


def test_without_httpx2_the_plain_class_comes_out() -> None:
    """Its request, response and failures are httpx's then."""
    reader = """
import pickle, sys
sys.modules["httpx2"] = None  # as if it were not installed
import httpx, resilient_sse
error = pickle.load(sys.stdin.buffer)
assert type(error) is resilient_sse.GiveUpError, type(error)
first, last = (failure.error for failure in error.failures)
assert type(first) is httpx.ReadError, first
assert type(last) is resilient_sse.StatusError
assert type(last.response) is httpx.Response
assert type(error.request) is type(first.request) is httpx.Request
print(error, last.response.status_code, last.response.request.url)
"""
    error = told()
    done = subprocess.run(
        [sys.executable, "-c", reader], input=pickle.dumps(error), capture_output=True, check=False
    )
    assert done.stderr.decode() == ""
    assert done.stdout.decode() == f"{error} 403 {error.request.url}\n"


def test_a_response_is_sent_with_all_that_led_to_it() -> None:
    """History and the request that it redirects to; headers; and a class of the user's own."""

    class Mine(httpx2.ReadError):
        """Which another process may not have."""

    request = httpx2.Request("GET", "http://h/", headers={"A": "b"})
    first = httpx2.Response(302, headers={"Location": "/x"}, request=request)
    first.next_request = request
    error = StatusError("no", response=httpx2.Response(503, request=request, history=[first]))
    of_library(error, HTTPX2).__dict__["more"] = [Mine("x"), request.headers]
    came: Any = pickle.loads(pickle.dumps(error))  # noqa: S301 - it was made right here

    assert came.response.history[0].headers["location"] == "/x"
    assert came.response.history[0].next_request.headers["a"] == "b"
    assert type(came.more[0]) is httpx2.ReadError
    assert came.more[1] == request.headers


def test_a_copy_shares_what_the_error_has() -> None:
    """As that of any exception does; a deep one is a pickle read again."""
    error = told()
    twin = copy.copy(error)

    assert isinstance(twin, httpx2.TransportError)
    assert twin.failures is error.failures
    assert str(copy.deepcopy(error)) == str(error)


@pytest.mark.parametrize("kind", [GapError, EventFailure])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_an_event_says_is_httpx2s(runtime: str, kind: type[SSEError]) -> None:
    """No connection fails of it, so nothing that the client raised tells its library."""
    name = "gap" if kind is GapError else "failure"
    with ScriptedServer([Connection(event("x", event=name))]) as server:
        error: Any = consume(
            runtime,
            server.url,
            client=clients(runtime, ours=True),
            dialect=Dialect(judge=judge),
            policy=never_again,
        ).error
    cause: Any = error.__cause__
    assert isinstance(cause, kind)
    assert isinstance(cause, httpx2.TransportError)
    assert isinstance(cause.request, httpx2.Request)
