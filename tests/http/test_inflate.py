"""Compressed bodies: what is asked for, what is read, and in which pieces."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse import FailureKind, GiveUpError
from resilient_sse._http.inflate import Inflater, acceptable
from resilient_sse.testing import Connection, ScriptedServer, event, raw
from tests.support.consumers import RUNTIMES, consume
from tests.support.failing import never

if TYPE_CHECKING:
    from resilient_sse import Failure

STREAM = event("one", id="1") + event("zwei \N{SNOWMAN}", id="2")


def deflated_without_header(data: bytes) -> bytes:
    """What some servers send as deflate."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def until_it_ends(failure: Failure) -> float | None:
    """Retry what ended."""
    return 0.0 if failure.kind is FailureKind.ENDED else None


@pytest.mark.parametrize("chunk_size", [None, 1, 7])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(STREAM, mtime=0)),
        ("X-GZip", gzip.compress(STREAM, mtime=0)),
        (
            "gzip",
            gzip.compress(STREAM[:9], mtime=0)
            + gzip.compress(b"", mtime=0)
            + gzip.compress(STREAM[9:], mtime=0),
        ),
        ("deflate", zlib.compress(STREAM)),
        ("deflate", deflated_without_header(STREAM)),
        ("identity", STREAM),
        (" ", STREAM),
    ],
)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_compressed_streams_are_read(
    runtime: str, encoding: str, body: bytes, chunk_size: int | None
) -> None:
    """However the body is cut, the events are the same."""
    script = Connection(raw(body), headers={"Content-Encoding": encoding}, chunk_size=chunk_size)
    with ScriptedServer([script]) as server:
        got = consume(runtime, server.url, policy=until_it_ends)

    assert got.data == ["one", "zwei \N{SNOWMAN}"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_body_that_is_not_compressed_is_a_failure_that_can_be_retried(runtime: str) -> None:
    """The headers say gzip, the body is plain: a transport failure with its reason."""
    script = Connection(raw(STREAM), headers={"Content-Encoding": "gzip"})
    with ScriptedServer([script]) as server:
        got = consume(runtime, server.url, policy=until_it_ends)

    assert isinstance(got.error, GiveUpError)
    assert got.error.failure.kind is FailureKind.TRANSPORT
    assert got.error.failure.retryable
    assert "the body is not compressed as its headers say" in str(got.error)


def test_pieces_are_small() -> None:
    """Ten megabytes from ten kilobytes come in pieces of 64 KB; the end of the body ends them."""
    packed = gzip.compress(b"x" * 10_000_000) + b"more that is ignored"
    inflater = Inflater("gzip")
    sizes = [len(piece) for piece in inflater.pieces(packed)]

    assert sum(sizes) == 10_000_000
    assert max(sizes) == 65536
    assert list(inflater.pieces(b"after the end")) == []


@pytest.mark.parametrize(
    ("offered", "asked"),
    [
        ("gzip, deflate", "gzip, deflate"),
        ("gzip, deflate, br, zstd", "gzip, deflate"),
        ("br;q=1.0, GZip;q=0.5", "GZip;q=0.5"),
        ("br", "identity"),
        ("", "identity"),
    ],
)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_only_what_can_be_bounded_is_asked_for(runtime: str, offered: str, asked: str) -> None:
    """The client's own Accept-Encoding, without what only the client could decompress."""

    def client(asynchronous: bool) -> Any:
        kind: Any = httpx.AsyncClient if asynchronous else httpx.Client
        return kind(headers={"Accept-Encoding": offered}, trust_env=False)

    assert acceptable(offered) == asked
    with ScriptedServer([Connection(event("x"))]) as server:
        consume(runtime, server.url, client=client, policy=until_it_ends)
        assert server.requests[0].headers["accept-encoding"] == asked


def test_what_the_caller_asks_for_is_asked_for() -> None:
    """A header of the source's own is sent as it is."""
    with ScriptedServer([Connection(event("x"))]) as server:
        headers = {"Accept-Encoding": "identity;q=0.1"}
        consume("threads", server.url, headers=headers, policy=until_it_ends)
        assert server.requests[0].headers["accept-encoding"] == "identity;q=0.1"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_encoding_that_the_caller_asks_for(runtime: str) -> None:
    """It is read, where the client can decompress it; unasked, or if it cannot, it is refused."""
    brotli = pytest.importorskip("brotli", reason="has no wheel for this Python")
    body = Connection(
        raw(brotli.compress(event("x") + event("y"))), headers={"Content-Encoding": "br"}
    )
    with ScriptedServer(then=body) as server:
        asking = {"Accept-Encoding": "gzip, br;q=0.9"}
        got = consume(runtime, server.url, headers=asking, policy=never)
        assert got.data == ["x", "y"]
        got = consume(runtime, server.url, policy=never)
        assert "cannot read a body with content encoding 'br'" in str(got.error)
    compressed = Connection(raw(b"?"), headers={"Content-Encoding": "compress"})
    with ScriptedServer(then=compressed) as server:
        got = consume(runtime, server.url, headers={"Accept-Encoding": "compress"}, policy=never)
        assert "content encoding 'compress'" in str(got.error)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_response_headers_need_not_be_ascii(runtime: str) -> None:
    """Hooks get them as the client read them."""
    headers = {"X-Name": "J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen"}
    with ScriptedServer([Connection(event("x"), headers=headers)]) as server:
        got = consume(runtime, server.url, policy=until_it_ends)

    assert got.data == ["x"]
    assert "J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen" in str(got.recorder.events)
