"""Every way to fail, with a secret wherever one can be given; for tests of what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx
import httpx2

from resilient_sse import Dialect, Verdict
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    ScriptedServer,
    event,
    raw,
    redirect,
    refused,
)
from tests.support.consumers import Consumer, consume

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.testing import RecordedRequest

__all__ = ["GAPS", "SECRETS", "WAYS", "fail", "of_httpx", "of_httpx2", "secretive", "secrets_in"]

SECRETS: Final = ("hushuser", "hushword", "hushquery", "hushtoken", "hushcookie", "hushkey")
# The userinfo of the URL takes the place of this ``Authorization``.
HEADERS: Final = {
    "Authorization": "Bearer hushtoken",
    "Cookie": "session=hushcookie",
    "X-Api-Key": "hushkeyring",
    "X-Plain": "seen",
}


def of_httpx(asynchronous: bool) -> Any:
    """A client over httpx's own transport, whose messages are its own."""
    kind: Any = httpx.AsyncClient if asynchronous else httpx.Client
    return kind(trust_env=False)


def of_httpx2(asynchronous: bool) -> Any:
    """The same of httpx2."""
    kind: Any = httpx2.AsyncClient if asynchronous else httpx2.Client
    return kind(trust_env=False)


def secretive(url: str) -> str:
    """A URL with secrets wherever a URL can have them."""
    return url.replace("://", "://hushuser:hushword@") + "?token=hushquery"


def secrets_in(text: str) -> list[str]:
    """The secrets that can be read in a text, base64 of the userinfo included."""
    shown = [secret for secret in SECRETS if secret in text]
    return shown + (["userinfo"] if "aHVzaHVzZXI6aHVzaHdvcmQ" in text else [])


def echo(request: RecordedRequest) -> Connection:
    """A server that repeats the request in its error page, as debugging pages do."""
    page = f"cannot serve {request.path}?{request.query} {dict(request.headers)}"
    return Connection(raw(page), status=500)


def echo_as_stream(request: RecordedRequest) -> Connection:
    """The same, called an event stream."""
    return Connection(raw(f'{{"request": "{request.query} {dict(request.headers)}"}}'))


def bare(head: bytes) -> Connection:
    """Bytes instead of HTTP."""
    return Connection(raw(head), framing=Framing.BARE, ending=Ending.CLOSE)


GAPS: Final = Dialect(judge=lambda _: Verdict.GAP)
"""To which every event is a gap."""


def broken(_request: Any, _attempt: Any) -> None:
    """A `prepare_request` whose own request fails."""
    with httpx.Client(trust_env=False) as client:
        client.get("http://hushuser:hushword@127.0.0.1:1/?token=hushquery")


def mistaken(_request: Any, _attempt: Any) -> None:
    """A `prepare_request` with a bug."""
    raise LookupError("a mistake of the caller's")


LOOP: Final = redirect("/events?token=hushquery")

WAYS: Final[dict[str, tuple[list[Any], dict[str, Any]]]] = {
    "status": ([Connection(raw(b"down"), status=500)], {}),
    "echo": ([echo], {}),
    "echo as a stream": ([echo_as_stream], {}),
    "content type": ([Connection(raw(b"<p>"), headers={"Content-Type": "text/html"})], {}),
    "encoding": ([Connection(raw(b"x"), headers={"Content-Encoding": "br"})], {}),
    "ended": ([Connection(event("x"))], {}),
    "reset": ([Connection(event("x"), ending=Ending.RESET)], {}),
    "truncated": ([Connection(event("x"), ending=Ending.TRUNCATED)], {}),
    "garbage": ([Connection(event("x"), ending=Ending.GARBAGE)], {}),
    "no answer": ([bare(b"")], {}),
    "no HTTP": ([bare(b"HTTP/1.1 200 OK\r\n\x01hushquery\r\n\r\n")], {}),
    "silence": ([Connection(event("x"), ending=Ending.SILENCE)], {"idle_timeout": 0.2}),
    "no headers": ([Connection(before_headers=20)], {"connect_timeout": 0.3}),
    "refused": ([refused()], {}),
    "too large": ([Connection(event("x" * 100))], {"max_event_size": 10}),
    "gap": ([Connection(event("x"))], {"dialect": GAPS}),
    "unsafe": ([Connection(raw(b"down"), status=500)], {"method": "POST", "content": "{}"}),
    "redirects in a loop": ([LOOP] * 30, {}),
    "redirect to nowhere": ([redirect("http://hushuser:x@[bad?token=hushquery")], {}),
    "redirect to FTP": ([redirect("ftp://hushuser:x@example.com/?token=hushquery")], {}),
    "a header that cannot be": ([], {"headers": {"X-Api-Key": "hushkeyring\n"}}),
    "prepare_request": ([], {"prepare_request": broken}),
    "a bug": ([], {"prepare_request": mistaken}),
}
"""A script and a source's keywords for each; none of them is tried again."""


def never(_failure: object) -> float | None:
    """A policy that gives up at once."""
    return None


def at_once(_failure: object) -> float | None:
    """A policy that never gives up."""
    return 0.0


def fail(runtime: str, way: str, *, client: Callable[[bool], Any] | None = None) -> Consumer:
    """Fail in one of the ways, and return who did."""
    script, options = WAYS[way]
    policy = at_once if way == "unsafe" else never
    keywords: dict[str, Any] = {"headers": HEADERS, "policy": policy, **options}
    with ScriptedServer(script) as server:
        consumer = consume(runtime, secretive(server.url), client=client, **keywords)
    assert consumer.error is not None
    return consumer
