"""Millions of random inputs: the decoder against the standard, the client against noise.

Run it with ``make fuzz`` or ``python -m tests.fuzz --minutes 10``. Every input follows from the
seed and its number, which are printed with a failure.
"""

from __future__ import annotations

import argparse
import random
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import stamina.instrumentation

from resilient_sse import EventTooLarge, GiveUpError, ServerSentEvent, SSEDecoder
from tests.support import reference_decoder
from tests.support.consumers import RUNTIMES, consume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse import Failure

_WORDS: Final = [
    b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b":", b": ", b" ", b"\0", b"data", b"data:",
    b"data: ", b"data: x\n\n", b"data: {}\n", b"event: e\n", b"event", b"id: 7\n", b"id\n",
    b"id: \0\n", b"id: 8\n\n", b"retry: 5\n", b"retry: 99999999999999999999\n", b"retry: -1\n",
    b"retry: \xd9\xa5\n", b": ping\n\n", b"\xef\xbb\xbf", b"\xef\xbb", b"\xf0\x9f\x98\x80",
    b"\xf0\x9f", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\xff", b"unknown: x\n",
]  # fmt: skip
_HEADS: Final = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 307 X\r\n", b"HTTP/1.1 503 X\r\n", b"HTTP/1.1 103 X\r\n\r\n", b"HTTP/9.9 000\r\n",
    b"HTTP/1.1 999999 OK\r\n", b"HTTP", b"ICY 200 OK\r\n", b"\x16\x03\x01\x02\x00", b"",
    b"HTTP/1.1 101 Switching Protocols\r\n", b"HTTP/2 200\r\n", b"HTTP/1.1 304 X\r\n",
]  # fmt: skip
_HEADERS: Final = [
    b"Content-Type: text/event-stream\r\n", b"Content-Type: text/event-stream\r\n",
    b"Content-Type: TEXT/Event-Stream ; charset=\xff\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: deflate\r\n", b"Content-Encoding: br\r\n", b"Content-Encoding: \xff\r\n",
    b"Location: /again\r\n", b"Location: http://[::1\r\n", b"Location: \xff\xfe\r\n",
    b"Location: //:99999/\r\n", b"Location: file:///etc/passwd\r\n", b"Location: \r\n",
    b"Retry-After: 1e9\r\n", b"Retry-After: \xd9\xa5\r\n", b"Retry-After: Fri, 31 Dec 0000\r\n",
    b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", b"Date: nonsense\r\n",
    b"Set-Cookie: a=\xff; Path=\0\r\n", b"Connection: upgrade\r\n", b" folded\r\n", b": x\r\n",
    b"No-Colon\r\n", b"X: \0\r\n", b"WWW-Authenticate: Digest realm\r\n", b"\r\n", b"\n",
]  # fmt: skip
_BODIES: Final = [
    *_WORDS, b"\r\n", b"5\r\n", b"5\r\nx\ny\n\n\r\n", b"0\r\n\r\n", b"-1\r\n",
    b"ffffffffffffffff\r\n",
    b"\x1f\x8b\x08\0\0\0\0\0\0\3", b"\x78\x9c", b"id: 1\ndata: y\n\n",
]  # fmt: skip


def stream(dice: random.Random) -> bytes:
    """Words of the grammar and random bytes."""
    parts = [
        dice.choice(_WORDS) if dice.random() < 0.8 else dice.randbytes(dice.randrange(6))
        for _ in range(dice.randrange(30))
    ]
    return b"".join(parts)


def cut(data: bytes, dice: random.Random) -> Iterator[bytes]:
    """The same bytes in pieces of any size."""
    most = dice.choice([1, 3, 20, 1000])
    start = 0
    while start < len(data):
        size = dice.randint(0 if most > 1 else 1, most)
        yield data[start : start + size]
        start += size


def check_decoder(seed: str, number: int) -> None:
    """Decode one stream in two ways and compare all that can be seen."""
    dice = random.Random(f"{seed}/{number}")
    data = stream(dice)
    limit = dice.choice([None, None, 1, 8, 40])
    comments: list[str] = []
    decoder = SSEDecoder(last_event_id="0", max_event_size=limit, on_comment=comments.append)
    events, too_large = list[ServerSentEvent](), False
    try:
        for chunk in (*cut(data, dice), b""):
            events += decoder.feed(chunk)
    except EventTooLarge:
        too_large = True
    expected = reference_decoder.decode(data, last_event_id="0", limit=limit)
    got = (events, decoder.last_event_id, too_large)
    wanted = (expected.events, expected.last_event_id, expected.too_large)
    assert got == wanted, f"seed {seed!r}, number {number}, {data!r}: {got} is not {wanted}"
    assert comments == expected.comments or too_large, f"seed {seed!r}, number {number}"


def answer(dice: random.Random) -> bytes:
    """Something in place of HTTP, from nearly right to noise."""
    if dice.random() < 0.1:
        return dice.randbytes(dice.randrange(300))
    head = dice.choice(_HEADS[:1] * 10 + _HEADS)
    headers = dice.sample(_HEADERS, dice.randrange(5))
    if dice.random() < 0.7:
        headers = [*_HEADERS[:1], *headers, b"\r\n"]
    body = dice.choices(_BODIES, k=dice.randrange(20))
    data = bytearray(b"".join([head, *headers, *body]))
    for _ in range(dice.choice([0, 0, 0, 1, 3])):
        if data:
            data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


class Noise:
    """A server that answers every request with something else, all from one seed."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with sock, suppress(OSError):
                    sock.settimeout(1)
                    sock.recv(65536)
                    for piece in cut(answer(self._dice), self._dice):
                        sock.sendall(piece)


class SomeFailures:
    """A policy that goes on for so many failures, whatever they are, and does not wait.

    Args:
        most: After so many it gives up.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def __call__(self, failure: Failure) -> float | None:
        self._left -= 1
        return None if self._left < 0 or failure.permanent else 0.0


def check_client(seed: str, number: int, runtime: str) -> None:
    """Let a consumer meet noise: it ends, or gives up, and in time."""
    with Noise(random.Random(f"{seed}/{number}")) as server:
        got = consume(
            runtime, server.url, policy=SomeFailures(8), connect_timeout=2.0, idle_timeout=2.0
        )
    told = f"seed {seed!r}, number {number}, {runtime}: {got.error!r}"
    assert got.error is None or isinstance(got.error, GiveUpError), told
    assert got.recorder.names[-1] == "Closed", told


def main() -> None:
    """Fuzz for so many minutes, half of them the decoder."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", default=str(int(time.time())))
    options = parser.parse_args()
    stamina.instrumentation.set_on_retry_hooks([])
    print(f"seed {options.seed}", flush=True)
    streams = answers = 0
    half = time.monotonic() + options.minutes * 30
    while time.monotonic() < half:
        streams += 1
        check_decoder(options.seed, streams)
    print(f"{streams:,} streams decoded as the standard says", flush=True)
    while time.monotonic() < half + options.minutes * 30:
        answers += 1
        check_client(options.seed, answers, RUNTIMES[answers % len(RUNTIMES)])
    print(f"{answers:,} consumers met noise and ended as documented", flush=True)


if __name__ == "__main__":
    main()
