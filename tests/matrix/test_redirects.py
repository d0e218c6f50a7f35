"""Redirects are followed afresh on every attempt, and credentials stay with their origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import StatusError
from resilient_sse.testing import Connection, Ending, event, redirect
from tests.support.runners import Stack, World, server_tls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse.testing import RecordedRequest

ONE, TWO = event("one", id="1"), event("two", id="2")
SECRETS = {"Authorization": "Bearer x", "Cookie": "session=x", "X-API-Key": "x", "X-Plain": "y"}
NAMES = {"authorization", "cookie", "x-api-key", "x-plain"}


def _sent(request: RecordedRequest) -> set[str]:
    return NAMES & set(request.headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(world: World, status: int) -> None:
    """The stream is read where the redirect leads; the next attempt starts at the URL again."""
    got = world.run(
        redirect("/a", status),
        Connection(ONE, ending=Ending.RESET),
        redirect("/b"),
        Connection(TWO),
    )
    assert got.data == ["one", "two"]
    assert [request.path for request in got.requests[:4]] == ["/events", "/a", "/events", "/b"]
    assert [request.last_event_id for request in got.requests[:4]] == ["", "", "1", "1"]


@pytest.mark.parametrize(
    ("status", "method"), [(303, "GET"), (302, "GET"), (307, "POST"), (308, "POST")]
)
def test_method_of_a_redirect(world: World, status: int, method: str) -> None:
    """What a redirect does to a POST is what RFC 9110 15.4 says."""
    got = world.run(redirect("/a", status), Connection(ONE), method="POST", json={"a": 1})
    assert [request.method for request in got.requests[:2]] == ["POST", method]
    assert got.requests[1].body == (got.requests[0].body if method == "POST" else b"")
    assert got.requests[2].method == "POST"


def test_chain_of_redirects(world: World) -> None:
    """A chain is followed to its end."""
    got = world.run(*[redirect(f"/{number}") for number in range(20)], Connection(ONE))
    assert got.data == ["one"]
    assert got.requests[20].path == "/19"


@pytest.mark.parametrize("location", ["javascript:1", "ftp://elsewhere/", "http:x"])
def test_redirect_to_what_is_no_place(world: World, location: str) -> None:
    """A redirect to what is no place for a stream is final, and tells its story."""
    _, error = world.give_up(redirect(location))
    assert not error.failure.retryable


def test_endless_chain_of_redirects(world: World) -> None:
    """A chain of more than 20 is final: 21 requests, and no more."""
    got, error = world.give_up(*[redirect("/again")] * 30)
    assert len(got.requests) == 21
    assert isinstance(error.__cause__, StatusError)
    assert "20 redirects" in str(error)


def test_redirect_to_nowhere(world: World) -> None:
    """A redirect whose target refuses connections fails the attempt, and it is tried again."""
    gone = world.serve()
    gone.stop()
    got = world.run(redirect(gone.url), Connection(ONE))
    assert got.data == ["one"]
    assert got.kinds == ["connect", "ended"]


def test_redirect_without_a_location(home: World) -> None:
    """A 302 that leads nowhere is a final status."""
    _, error = home.give_up(Connection(status=302))
    assert error.failure.status_code == 302


def test_redirect_to_another_scheme(world: World) -> None:
    """A redirect that leads out of HTTP ends the source with a failure, not with a bug."""
    _, error = world.give_up(redirect("gopher://127.0.0.1/"))
    assert not error.failure.retryable


def test_port_that_cannot_be(world: World) -> None:
    """A redirect to it is a failure of the stream, not a mistake in the program."""
    got, error = world.give_up(redirect("http://127.0.0.1:99999/"))
    assert error.failure.kind == "status"
    assert not error.failure.retryable
    assert "port 99999" in str(error)
    assert got.recorder.names == ["Connecting", "GaveUp", "Closed"]


def test_credentials_on_the_same_origin(world: World) -> None:
    """A redirect within the origin takes everything along."""
    got = world.run(redirect("/a"), Connection(ONE), headers=SECRETS)
    assert _sent(got.requests[1]) == NAMES


def test_credentials_on_another_origin(world: World) -> None:
    """Another origin gets the cursor and plain headers, but no header that is a credential."""
    other = world.serve(Connection(ONE))
    got = world.run(redirect(other.url), headers=SECRETS, last_event_id="0")
    assert got.data == ["one"]
    assert _sent(got.requests[0]) == NAMES
    assert _sent(other.requests[0]) == {"x-plain"}
    assert other.requests[0].last_event_id == "0"


def test_auth_on_another_origin(world: World) -> None:
    """``auth=`` is for the origin it was given for; not for a redirect elsewhere, or back."""
    other = world.serve()
    server = world.serve()
    server.add(redirect(other.url), Connection(ONE), redirect("/here"), Connection(TWO))
    other.add(redirect(server.url))
    reading = world.read(server, auth=("me", "secret")).wait()
    assert reading.data == ["one", "two"]
    assert "authorization" in server.requests[0].headers
    assert "authorization" not in other.requests[0].headers
    assert "authorization" not in server.requests[1].headers
    assert "authorization" in server.requests[3].headers


def test_credentials_after_the_host_was_changed(world: World) -> None:
    """A request that ``prepare_request`` sends elsewhere takes no credentials along."""
    other = world.serve(Connection(ONE))

    def elsewhere(request: Any, _attempt: Any) -> None:
        request.url = type(request.url)(other.url)

    reading = world.read(
        "http://localhost:1/x", headers=SECRETS, auth=("me", "x"), prepare_request=elsewhere
    ).wait()
    assert reading.data == ["one"]
    assert _sent(other.requests[0]) == {"x-plain"}


def test_credentials_made_for_the_other_host(world: World) -> None:
    """What ``prepare_request`` itself adds is meant for where it sends the request."""
    other = world.serve(Connection(ONE))

    def elsewhere(request: Any, _attempt: Any) -> None:
        request.url = type(request.url)(other.url)
        request.headers["Authorization"] = "Bearer other"

    world.read("http://localhost:1/x", headers=SECRETS, prepare_request=elsewhere).wait()
    assert _sent(other.requests[0]) == {"authorization", "x-plain"}
    assert other.requests[0].headers["authorization"] == "Bearer other"


@pytest.fixture(
    params=[
        Stack(runtime, client)
        for runtime in ("asyncio", "trio", "threads")
        for client in ("httpx", "httpx2")
    ],
    ids=str,
)
def trusting(request: pytest.FixtureRequest) -> Iterator[World]:
    """Worlds whose client trusts the test's certificate."""
    with World(request.param) as made:
        yield made


def test_downgrade(trusting: World) -> None:
    """A redirect from https to http is refused: final, and nothing is sent there."""
    plain = trusting.serve(Connection(ONE))
    server = trusting.serve(redirect(plain.url), ssl_context=server_tls())
    reading = trusting.read(server)
    reading.join()
    assert "https to http" in str(reading.error)
    assert plain.requests == []


def test_upgrade(trusting: World) -> None:
    """A redirect from http to https is followed, and the stream is read over TLS."""
    secure = trusting.serve(
        Connection(ONE, ending=Ending.RESET), Connection(TWO), ssl_context=server_tls()
    )
    server = trusting.serve(then=redirect(secure.url))
    assert trusting.read(server).wait().data == ["one", "two"]


def test_certificate_that_is_not_trusted(home: World) -> None:
    """A server that cannot prove who it is, is a failure to connect, and the error says so."""
    if home.stack.client == "own2":
        pytest.skip("its transport trusts the tests' own authority")
    server = home.serve(ssl_context=server_tls())
    reading = home.read(server, policy=lambda _failure: None)
    reading.join()
    assert reading.given_up.failure.kind == "connect"
    assert "CERTIFICATE_VERIFY_FAILED" in str(reading.error)


@pytest.mark.timing
@pytest.mark.parametrize(
    "ending", [Ending.RESET, Ending.TRUNCATED, Ending.CLEAN, Ending.SILENCE], ids=str
)
def test_endings_over_tls(trusting: World, ending: Ending) -> None:
    """TLS changes nothing for the consumer, however the connection ends."""
    server = trusting.serve(
        Connection(ONE, ending=ending), Connection(TWO), ssl_context=server_tls()
    )
    assert trusting.read(server, idle_timeout=0.1).wait().data == ["one", "two"]


def test_a_host_that_cannot_be(home: World) -> None:
    """A redirect to a host that no name can have is a failure, and the next attempt goes on."""
    nowhere = Connection(status=302, headers={"Location": "http://xn--a/"})
    got = home.run(nowhere, Connection(ONE))
    assert got.data == ["one"]
    assert got.kinds[0] in {"transport", "connect"}  # the libraries differ in who finds it
