"""The server of the soak test: plain sockets, a history, and a seeded way to break for every day.

Run as ``python -m benchmarks._soak_server EVENTS SEED``; it prints its port, and on SIGTERM what it
did. Connection number ``n`` of a seed always breaks in the same way, so that a failure can be
replayed.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import signal
import socket
import struct
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KINDS", "payload"]

EVENTS_PER_CONNECTION: Final = 100
_STREAM: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_CHUNKED: Final = _STREAM + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def payload(number: int) -> str:
    """The data of an event: different in every one, and not only ASCII."""
    return f"{number * 2654435761 % 2**32:08x} \N{CHECK MARK} \N{GRINNING FACE}"


def blocks(first: int, last: int, end: str = "\n") -> bytes:
    """The events from one number to another."""
    numbers = range(first, last + 1)
    return "".join(f"id: {n}{end}data: {payload(n)}{end}{end}" for n in numbers).encode()


class Talk:
    """One connection: what is to be sent, the means to send it, and the dice."""

    def __init__(self, sock: socket.socket, dice: random.Random, start: int, total: int) -> None:
        self.sock = sock
        self.dice = dice
        self.first = start + 1
        count = 1 + int(dice.expovariate(1 / EVENTS_PER_CONNECTION))
        self.last = min(start + count, total)

    def body(self) -> bytes:
        return blocks(self.first, self.last)

    def chunk(self, data: bytes) -> None:
        """Send it as chunks, cut anywhere."""
        cuts = sorted(self.dice.randrange(len(data) + 1) for _ in range(self.dice.randrange(4)))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            if end > start:
                self.sock.sendall(b"%x\r\n%b\r\n" % (end - start, data[start:end]))

    def stream(self, data: bytes) -> None:
        self.sock.sendall(_CHUNKED)
        self.chunk(data)

    def answer(self, status: str, headers: str = "", body: str = "") -> None:
        self.sock.sendall(
            f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}".encode()
        )

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def until_left(self) -> None:
        """Say nothing until the client leaves."""
        while self.sock.recv(4096):
            pass


def clean_end(talk: Talk) -> None:
    talk.stream(talk.body())
    talk.sock.sendall(b"0\r\n\r\n")


def truncated(talk: Talk) -> None:
    talk.stream(talk.body())


def cut_in_a_chunk(talk: Talk) -> None:
    body = talk.body()
    talk.sock.sendall(_CHUNKED + b"%x\r\n" % (len(body) + 16) + body)


def reset(talk: Talk) -> None:
    talk.stream(talk.body())
    talk.reset()


def garbage_in_the_framing(talk: Talk) -> None:
    talk.stream(talk.body())
    talk.sock.sendall(b"\xff\xfe no chunk\r\n")


def silence(talk: Talk) -> None:
    talk.stream(talk.body())
    talk.until_left()


def end_by_close(talk: Talk) -> None:
    talk.sock.sendall(_STREAM + b"Connection: close\r\n\r\n" + talk.body())


def too_few_bytes(talk: Talk) -> None:
    body = talk.body()
    talk.sock.sendall(_STREAM + b"Content-Length: %d\r\n\r\n" % (len(body) + 9) + body)


def half_an_event(talk: Talk) -> None:
    talk.stream(talk.body() + b"id: 987654321\ndata: never whole")
    talk.sock.sendall(b"0\r\n\r\n")


def an_id_without_a_block(talk: Talk) -> None:
    talk.stream(talk.body() + b"id: 987654321\n")


def unavailable(talk: Talk) -> None:
    talk.answer("503 Service Unavailable", "Retry-After: 0\r\n", "down for a moment")


def too_many_requests(talk: Talk) -> None:
    talk.answer("429 Too Many Requests")


def bad_gateway(talk: Talk) -> None:
    talk.answer("502 Bad Gateway", "Content-Type: text/html\r\n", "<h1>Bad Gateway</h1>")


def no_answer(talk: Talk) -> None:
    """Close without a word."""


def reset_at_once(talk: Talk) -> None:
    talk.reset()


def half_a_status_line(talk: Talk) -> None:
    talk.sock.sendall(b"HTTP/1.1 2")


def no_http(talk: Talk) -> None:
    talk.sock.sendall(talk.dice.randbytes(64) + b"\r\n\r\n")


def too_many_headers(talk: Talk) -> None:
    talk.sock.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-Padding: xxxxxxxxxxxxxxxxxxx\r\n" * 5000)


def slow_headers(talk: Talk) -> None:
    talk.sock.sendall(b"HTTP/1.1 200 OK\r\n")
    talk.until_left()


def compressed_and_cut(talk: Talk) -> None:
    packed = gzip.compress(talk.body())
    talk.sock.sendall(_STREAM + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    talk.chunk(packed[: talk.dice.randrange(len(packed))])


def redirected(talk: Talk) -> None:
    talk.answer("307 Temporary Redirect", f"Location: /{talk.dice.randrange(9)}\r\n")


def told_again(talk: Talk) -> None:
    """Begin some events before those that are due."""
    talk.stream(blocks(max(1, talk.first - 5), talk.last))


def retry_zero(talk: Talk) -> None:
    talk.stream(b"retry: 0\n\n" + talk.body())


def other_line_ends(talk: Talk) -> None:
    end = talk.dice.choice(["\r", "\r\n"])
    talk.stream(b"\xef\xbb\xbf" + blocks(talk.first, talk.last, end))


def comments_and_reset(talk: Talk) -> None:
    talk.stream(b": wait\n\n" * 500 + talk.body() + b": bye" * 50)
    talk.reset()


def byte_by_byte(talk: Talk) -> None:
    talk.sock.sendall(_CHUNKED)
    for byte in blocks(talk.first, min(talk.first + 3, talk.last)):
        talk.sock.sendall(b"1\r\n%c\r\n" % byte)


def stale_connection(talk: Talk) -> None:
    """Promise to keep the connection, and do not."""
    talk.sock.sendall(_STREAM + b"Transfer-Encoding: chunked\r\n\r\n")
    talk.chunk(talk.body())
    talk.sock.sendall(b"0\r\n\r\n")


# The last two cost the client a timeout, and are rarer.
KINDS: Final[tuple[Callable[[Talk], None], ...]] = (
    clean_end,
    truncated,
    cut_in_a_chunk,
    reset,
    garbage_in_the_framing,
    end_by_close,
    too_few_bytes,
    half_an_event,
    an_id_without_a_block,
    unavailable,
    too_many_requests,
    bad_gateway,
    no_answer,
    reset_at_once,
    half_a_status_line,
    no_http,
    too_many_headers,
    compressed_and_cut,
    redirected,
    told_again,
    retry_zero,
    other_line_ends,
    comments_and_reset,
    byte_by_byte,
    stale_connection,
    silence,
    slow_headers,
)
WEIGHTS: Final = [1.0] * (len(KINDS) - 2) + [0.1, 0.1]


class Server:
    """Serves one client after the other, each in a thread."""

    def __init__(self, total: int, seed: str) -> None:
        self.total = total
        self.seed = seed
        self.done: Counter[str] = Counter()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def run(self) -> None:
        """Accept until the process is ended."""
        number = 0
        while True:
            sock, _ = self.listener.accept()
            number += 1
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        dice = random.Random(f"{self.seed}/{number}")
        with sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            start = _last_event_id(sock)
            if start >= self.total:
                sock.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                return
            (kind,) = dice.choices(KINDS, WEIGHTS)
            self.done[kind.__name__] += 1
            kind(Talk(sock, dice, start, self.total))


def _last_event_id(sock: socket.socket) -> int:
    request = b""
    while b"\r\n\r\n" not in request:
        request += sock.recv(65536)
    _, found, rest = request.lower().partition(b"last-event-id: ")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def main() -> None:
    """Serve until SIGTERM, then say what was done."""
    server = Server(int(sys.argv[1]), sys.argv[2])

    def stop(*_: object) -> None:
        print(json.dumps(server.done), flush=True)
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)
    print(server.listener.getsockname()[1], flush=True)
    server.run()


if __name__ == "__main__":
    main()
