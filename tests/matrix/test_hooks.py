"""Hooks: they see everything, secrets excepted, and break nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_sse import Connected, GiveUpError, LifecycleEvent, SourceEvent
from resilient_sse.testing import Connection, Ending, event

if TYPE_CHECKING:
    import pytest

    from tests.support.runners import World

ONE, TWO = event("one", id="1"), event("two", id="2")


def test_hook_that_raises(home: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once; the stream and the other hooks go on."""
    seen = list[LifecycleEvent]()

    def broken(_event: LifecycleEvent) -> None:
        raise LookupError("oops")

    got = home.run(
        Connection(ONE, ending=Ending.RESET), Connection(TWO), hooks=[broken, seen.append]
    )
    assert got.data == ["one", "two"]
    assert seen == got.recorder.events
    (line,) = caplog.records
    assert (line.name, line.levelname) == ("resilient_sse", "ERROR")
    assert "broken" in line.getMessage()
    assert "oops" in line.getMessage()


def test_secrets(world: World) -> None:
    """Neither hooks nor errors tell userinfo, query values or cookies."""
    server = world.serve(
        Connection(ONE, headers={"Set-Cookie": "session=hush"}), Connection(status=404)
    )
    url = server.url.replace("://", "://me:hush@") + "?token=hush"
    reading = world.read(url)
    reading.join()
    assert server.requests[0].query == "token=hush"
    assert "hush" not in str(reading.error)
    assert "hush" not in repr(reading.source)
    assert isinstance(reading.error, GiveUpError)
    assert "hush" not in reading.error.url
    heard = reading.recorder.of(SourceEvent)
    for told in heard:
        assert "hush" not in told.url
    assert len(heard) == len(reading.recorder.events)
    assert reading.recorder.of(Connected)[0].headers["set-cookie"] == "***"
    assert "***" in heard[0].url


def test_hooks_of_two_sources(home: World) -> None:
    """The ``source_id`` tells sources that share a hook apart."""
    seen = list[LifecycleEvent]()
    server = home.serve()
    for _ in range(2):
        home.read(server, hooks=[seen.append]).wait()
    assert len({told.source_id for told in seen}) == 2
