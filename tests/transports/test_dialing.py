"""How the transport on asyncio opens a connection to a host that may have several addresses."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import time
from contextlib import suppress
from typing import Any

import httpx
import pytest

from resilient_sse.transports import AsyncioTransport
from resilient_sse.transports._asyncio.dial import Dial

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests on asyncio, where our transport is."""
    return "asyncio"


def _addresses(*socks: socket.socket) -> list[Any]:
    return [(socket.AF_INET, sock.getsockname()) for sock in socks]


async def race(addresses: list[Any]) -> socket.socket:
    """Connect to one of the addresses."""
    return await Dial(asyncio.get_running_loop(), None).race(addresses)


@pytest.mark.timing
async def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second(
    absent: socket.socket, mute: socket.socket
) -> None:
    """Then the next one is tried beside it, and what is left of the first is closed."""
    began = time.monotonic()
    with await race(_addresses(absent, mute)) as sock:
        assert sock.getpeername() == mute.getsockname()
    assert 0.2 < time.monotonic() - began < 2


@pytest.mark.timing
async def test_an_address_that_refuses_costs_nothing(mute: socket.socket) -> None:
    """The next one is tried at once, whether it is a port, a family or a name that is wrong."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        wrong = [*_addresses(closed), (-7, ("", 1)), (socket.AF_UNIX, "/no/such/path")]
        began = time.monotonic()
        with await race([*wrong, *_addresses(mute)]) as sock:
            assert sock.getpeername() == mute.getsockname()
        assert time.monotonic() - began < 0.2
        with pytest.raises(OSError, match=r"Multiple exceptions: .*, .*, .*/no/such/path"):
            await race(wrong)
        with pytest.raises(ConnectionRefusedError):
            await race(_addresses(closed, closed))


async def test_from_an_address_of_this_machine(mute: socket.socket) -> None:
    """As `AsyncioTransport` is told; an address that it does not have is an error."""
    loop = asyncio.get_running_loop()
    with await Dial(loop, "127.0.0.1").race(_addresses(mute)) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
    with pytest.raises(OSError, match="Cannot assign"):
        await Dial(loop, "192.0.2.1").race(_addresses(mute))


@pytest.mark.parametrize("rounds", range(6))
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_connection_made_while_the_task_is_cancelled_is_closed(
    mute: socket.socket, host: str, rounds: int
) -> None:
    """At once, and not when the garbage collector comes by."""
    gc.collect()
    gc.disable()
    try:
        async with httpx.AsyncClient(transport=AsyncioTransport()) as client:
            asking = asyncio.create_task(client.get(f"http://{host}:{mute.getsockname()[1]}"))
            while not select.select([mute], [], [], 0)[0]:  # noqa: ASYNC110 - every round counts
                await asyncio.sleep(0)
            for _ in range(rounds):
                await asyncio.sleep(0)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
            await asyncio.sleep(0.01)
            accepted, _ = mute.accept()
            with accepted:
                accepted.settimeout(5)
                while accepted.recv(1000):
                    continue
    finally:
        gc.enable()
