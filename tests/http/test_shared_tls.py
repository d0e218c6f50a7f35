"""A TLS connection that threads share: OpenSSL has one call at a time, and limits hold."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse._http.shared_tls import SharedTLSSocket, share_tls
from tests.support.files import PEM
from tests.support.http2_readers import Reader, Stage
from tests.support.http2_server import Http2Server
from tests.support.runners import eventually

if TYPE_CHECKING:
    from collections.abc import Generator


def context(purpose: int, protocol: str) -> ssl.SSLContext:
    """Make a context of either side."""
    made = ssl.SSLContext(purpose)
    if purpose == ssl.PROTOCOL_TLS_SERVER:
        made.load_cert_chain(PEM)
    else:
        made.load_verify_locations(PEM)
    made.set_alpn_protocols([protocol])
    return made


@contextmanager
def connection(protocol: str = "h2") -> Generator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """A connection's two ends, of which the first may be shared."""
    near, far = socket.socketpair()
    serving = context(ssl.PROTOCOL_TLS_SERVER, protocol)
    ends: list[ssl.SSLSocket] = []
    thread = threading.Thread(
        target=lambda: ends.append(serving.wrap_socket(far, server_side=True))
    )
    thread.start()
    asking = context(ssl.PROTOCOL_TLS_CLIENT, protocol)
    client = asking.wrap_socket(near, server_hostname="localhost")
    thread.join()
    with client, ends[0] as server:
        share_tls(stream(client))
        share_tls(stream(client))  # by each who has an answer
        yield client, server


class Calls:
    """How many calls one connection has at a time.

    Attributes:
        number: How many there were.
        most: How many there were at a time.
    """

    def __init__(self) -> None:
        self.number = self.most = 0
        self._now: Counter[int] = Counter()

    def watched(self, call: Any) -> Any:
        """Watch one of a socket's methods, whose calls take a little longer for that."""

        def watch(sock: Any, *args: Any) -> Any:
            self.number += 1
            self._now[id(sock)] += 1
            self.most = max(self.most, self._now[id(sock)])
            try:
                time.sleep(0.0005)
                return call(sock, *args)
            finally:
                self._now[id(sock)] -= 1

        return watch


def stream(sock: socket.socket) -> Any:
    """What httpcore makes of a socket."""
    return SimpleNamespace(get_extra_info={"socket": sock}.get)


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_only_a_connection_of_http2_is_shared(protocol: str) -> None:
    """Over HTTP/1.1 one thread at a time has it."""
    with connection(protocol) as (client, server):
        assert isinstance(client, SharedTLSSocket) == (protocol == "h2")
        client.send(b"question")
        assert server.recv() == b"question"
        server.send(b"answer")
        assert client.recv(3) + client.recv() == b"answer"


def test_a_plain_connection_stays_as_it_is() -> None:
    """There is nothing of OpenSSL's in it."""
    with socket.socket() as plain:
        share_tls(stream(plain))
        assert type(plain) is socket.socket


def test_each_thread_has_a_limit_of_its_own() -> None:
    """What one sets does not change for how long another waits."""
    with connection() as (client, server):
        client.settimeout(20)
        late: list[BaseException] = []

        def read() -> None:
            client.settimeout(0.05)
            try:
                client.recv()
            except TimeoutError as error:
                late.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join(10)
        assert [str(error) for error in late] == ["no bytes came or went in time"]
        threading.Timer(0.1, server.send, [b"late"]).start()
        assert client.recv() == b"late"


def test_a_write_has_a_limit() -> None:
    """Nobody reads at the other end, so after a while nothing goes out any more."""
    with connection() as (client, _):
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sum(client.send(b"." * 65536) for _ in range(1000))


def test_without_a_limit_a_read_waits_for_bytes() -> None:
    """As httpcore asks for it with a timeout of None."""
    with connection() as (client, server):
        client.settimeout(None)
        threading.Timer(0.1, server.send, [b"late"]).start()
        assert client.recv() == b"late"


def test_what_was_closed_before_it_waits_is_told_as_the_system_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A library takes an `OSError` for the connection's end."""

    def close(sock: socket.socket, *_: int) -> bytes:
        sock.close()
        raise ssl.SSLWantReadError

    monkeypatch.setattr(ssl.SSLSocket, "recv", close)
    with connection() as (client, _), pytest.raises(OSError, match="closed meanwhile"):
        client.recv()


def test_a_connection_that_is_forgotten_is_closed() -> None:
    """And nobody is warned of what httpcore forgets."""
    near, far = socket.socketpair()
    asking = context(ssl.PROTOCOL_TLS_CLIENT, "h2")
    sock = asking.wrap_socket(near, server_hostname="localhost", do_handshake_on_connect=False)
    SharedTLSSocket.take_over(sock)
    number = sock.fileno()
    del sock
    with far, pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_no_two_calls_are_made_at_once(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources come and go on a connection while others read from it."""
    made = Calls()
    for name in ("recv", "send"):
        monkeypatch.setattr(ssl.SSLSocket, name, made.watched(getattr(ssl.SSLSocket, name)))
    with Http2Server() as server:
        busy = Reader(f"{server.url}/events", events=100)
        others = [Reader(f"{server.url}/end", events=6) for _ in range(3)]
        for other in others:
            other.begins_after(busy)
        Stage("threads", library).run(busy, *others)
        assert [reader.exact for reader in (busy, *others)] == [True] * 4
        assert busy.failures == []
        eventually(lambda: not server.open)
    assert made.number > 100
    assert made.most == 1
