"""What a connection over TLS goes on to hold once much came at once."""

from __future__ import annotations

import ctypes
import gc
import ssl
from contextlib import suppress

import pytest

from resilient_sse.transports._tls import TLS, Sessions
from tests.support.files import PEM

COUNT = 50
MUCH, LITTLE = b"x" * 24 * 1024, b"x"


class MallInfo(ctypes.Structure):
    """What glibc says of the memory it has handed out."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def in_use() -> int:
    """How many bytes are, by all that calls malloc."""
    gc.collect()
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = MallInfo
    told: int = ask().uordblks
    return told


def talked(client_context: ssl.SSLContext, server_context: ssl.SSLContext, data: bytes) -> TLS:
    """A connection that shook hands and was sent this at once."""
    client = TLS(client_context, "localhost", Sessions())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(incoming, outgoing, server_side=True)
    client.shake_hands()
    while not client.established:
        incoming.write(client.to_send())
        with suppress(ssl.SSLWantReadError):
            server.do_handshake()
        assert client.receive(outgoing.read()) == b""
    incoming.write(client.to_send())
    server.do_handshake()
    server.write(data)
    assert client.receive(outgoing.read()) == data
    return client


def held(serving: ssl.SSLContext, data: bytes) -> float:
    """How many bytes each of many connections holds once it was sent this."""
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("there is no glibc that says how much memory is in use")
    trusting = ssl.create_default_context(cafile=str(PEM))
    made = [talked(trusting, serving, MUCH)]  # what is made once is not the connection's
    before = in_use()
    made += [talked(trusting, serving, data) for _ in range(COUNT)]
    return (in_use() - before) / COUNT


def serving(tickets: int) -> ssl.SSLContext:
    """A server's context that sends so many tickets after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    context.num_tickets = tickets
    return context


def test_a_burst_is_not_held_on_to() -> None:
    """OpenSSL's buffer would stay as large as what it is given at once, for ever."""
    assert held(serving(0), MUCH) < held(serving(0), LITTLE) + 8 * 1024


def test_the_buffer_of_a_ticket_is_not_held_on_to() -> None:
    """OpenSSL makes one to answer with, and frees it with the next write: a stream has none."""
    assert held(serving(2), LITTLE) < held(serving(0), LITTLE) + 8 * 1024
