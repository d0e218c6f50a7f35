"""The server of the end-to-end benchmarks that writes event by event, plain or over TLS.

    python -m benchmarks._event_server [tls]

It prints its port and serves until its standard input ends; a connection has a thread of its own.
An event is a chunk, written by a system call (over TLS: in a record) of its own, and nothing
gathers what is written (TCP_NODELAY). The path says when:

- ``/flushed?n=N``: N events, as fast as the socket takes them, as of a server that flushes after
  every event. How many of them a client finds at once is up to both;
- ``/each?n=N``: N events, each as soon as the client has read the one before, so that every read
  has one event, and no clock says when. What the client has yet to read Linux says (`Unread`): the
  bare socket finds 30,000 events in 30,000 reads, on one core with the server and on two.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import threading
from urllib.parse import parse_qs, urlsplit

from benchmarks._server import HEAD, LAST, TOKEN, chunk
from benchmarks._unread import Unread
from tests.support.files import PEM

__all__ = ["EVENT", "each", "flushed", "trusted"]

EVENT = chunk(TOKEN)


def trusted() -> ssl.SSLContext:
    """Return the context of a server that speaks TLS 1.3 and sends session tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(PEM)
    return context


def flushed(sock: socket.socket, count: int) -> None:
    """Write every event by itself, as fast as the socket takes them."""
    for _ in range(count):
        sock.sendall(EVENT)


def each(sock: socket.socket, count: int) -> None:
    """Write every event when the one before was read; return when the last was."""
    with contextlib.closing(Unread(sock)) as unread:
        for _ in range(count):
            _wait_for(unread)
            sock.sendall(EVENT)
        _wait_for(unread)


def _wait_for(unread: Unread) -> None:
    while unread:
        os.sched_yield()  # the client may wait for this core


_WAYS = {"/flushed": flushed, "/each": each}


def _answer(sock: socket.socket) -> None:
    """Answer one request, which has no body, and hang up."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := sock.recv(65536)):
            return
        head += data
    url = urlsplit(head.split(b" ", 2)[1].decode())
    sock.sendall(HEAD)
    _WAYS[url.path](sock, int(parse_qs(url.query)["n"][0]))
    sock.sendall(LAST)


def _serve(sock: socket.socket, tls: ssl.SSLContext | None) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # the client may leave
        if tls is not None:
            sock = tls.wrap_socket(sock, server_side=True)
        with sock:
            _answer(sock)


def _accept(listening: socket.socket, tls: ssl.SSLContext | None) -> None:
    while True:
        sock, _ = listening.accept()
        threading.Thread(target=_serve, args=(sock, tls), daemon=True).start()


def main() -> None:
    """Serve until standard input ends."""
    tls = trusted() if sys.argv[1:] == ["tls"] else None
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=_accept, args=(listening, tls), daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
