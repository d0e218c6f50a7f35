"""Durable resume: cursor stores, acknowledgement, and at-least-once after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anyio.lowlevel import checkpoint

from resilient_sse import Closed, Connected, Connecting, CursorError, GiveUpError
from resilient_sse.testing import Connection, Ending, HistoryServer, event, raw
from tests.support.runners import closing

if TYPE_CHECKING:
    from resilient_sse import Failure
    from resilient_sse.testing import ScriptedServer
    from tests.support.runners import Reading, World

ONE, TWO, THREE = (event(name, id=str(n)) for n, name in enumerate(("one", "two", "three"), 1))


class DictStore:
    """A store in memory that remembers what was saved when; a broken one raises."""

    def __init__(self, broken: str = "", **cursors: str) -> None:
        self.cursors = cursors
        self.saves: list[str] = []
        self._broken = broken

    def load(self, key: str) -> str | None:
        """Return what was saved."""
        if self._broken == "load":
            raise ConnectionError("the disk is gone")
        return self.cursors.get(key)

    def save(self, key: str, last_event_id: str) -> None:
        """Save it, and remember that."""
        if self._broken == "save":
            raise ConnectionError("the disk is full")
        self.cursors[key] = last_event_id
        self.saves.append(last_event_id)


class AsyncStore:
    """The same behind coroutine functions."""

    def __init__(self, broken: str = "", **cursors: str) -> None:
        self._store = DictStore(broken, **cursors)
        self.cursors, self.saves = self._store.cursors, self._store.saves

    async def load(self, key: str) -> str | None:
        """Return what was saved."""
        await checkpoint()
        return self._store.load(key)

    async def save(self, key: str, last_event_id: str) -> None:
        """Save it, and remember that."""
        await checkpoint()
        self._store.save(key, last_event_id)


@pytest.fixture(params=[DictStore, AsyncStore])
def make_store(request: pytest.FixtureRequest, home: World) -> Any:
    """Both kinds of stores, the asynchronous one only where it can be awaited."""
    if request.param is AsyncStore and not home.stack.is_async:
        return DictStore
    return request.param


def _numbers(server: HistoryServer, count: int) -> None:
    for number in range(1, count + 1):
        server.publish(str(number))


def test_first_life(home: World, make_store: Any) -> None:
    """Every event is acknowledged by asking for the next, and the cursor is saved each time."""
    store = make_store()
    server = home.serve(Connection(raw(ONE + TWO)), Connection(THREE))
    reading = home.read(server, cursor=store, cursor_key="mine").wait()
    assert reading.data == ["one", "two", "three"]
    assert store.saves == ["1", "2", "3"]
    assert store.cursors == {"mine": "3"}


def test_second_life(home: World, make_store: Any) -> None:
    """The saved cursor comes before ``last_event_id``, and nothing is saved that did not move."""
    store = make_store(mine="2")
    server = home.serve(Connection(THREE))
    reading = home.read(server, cursor=store, cursor_key="mine", last_event_id="0").wait()
    assert server.requests[0].last_event_id == "2"
    assert reading.data == ["three"]
    assert store.saves == ["3"]


def test_key_is_the_url(home: World) -> None:
    """Without ``cursor_key`` the URL names the cursor."""
    store = DictStore()
    server = home.serve(Connection(ONE))
    home.read(server, cursor=store).wait()
    assert store.cursors == {server.url: "1"}


def test_nothing_saved_yet(home: World) -> None:
    """An empty store leaves ``last_event_id`` in force."""
    server = home.serve()
    home.read(server, cursor=DictStore(), last_event_id="5").wait()
    assert server.requests[0].last_event_id == "5"


def _crashing(home: World, server: ScriptedServer, store: DictStore, after: int) -> Reading:
    """A consumer that crashes while it works on an event."""

    def crash(_source: Any, event: Any) -> None:
        if event.data == str(after):
            raise SystemError("power failure")

    reading = home.read(server, cursor=store, cursor_key="k", on_event=crash)
    with pytest.raises(SystemError):
        reading.wait()
    return reading


def test_crash_between_delivery_and_acknowledgement(home: World) -> None:
    """The event at hand comes again in the next life: at least once, never lost."""
    store, server = DictStore(), HistoryServer()
    home.host(server)
    _numbers(server, 5)
    first = _crashing(home, server, store, after=3)
    assert (first.data, store.cursors) == (["1", "2", "3"], {"k": "2"})
    second = home.read(server, cursor=store, cursor_key="k", until=lambda e: e.data == "5").wait()
    assert second.data == ["3", "4", "5"]
    assert store.cursors == {"k": "5"}


def test_crash_in_a_batch(home: World) -> None:
    """A batch is acknowledged as a whole, by asking for the next."""
    store = DictStore()

    def crash(_source: Any, _event: Any) -> None:
        raise SystemError("power failure")

    server = home.serve(Connection(raw(ONE + TWO)))
    reading = home.read(server, cursor=store, batched=True, on_event=crash)
    with pytest.raises(SystemError):
        reading.wait()
    assert store.saves == []


def test_close_in_the_loop_body(home: World) -> None:
    """The event at hand counts as done when the next one is asked for, of a closed source too."""
    store = DictStore()

    def leave(source: Any, event: Any) -> Any:
        return closing(source) if event.data == "two" else None

    server = home.serve(Connection(ONE, TWO, THREE, ending=Ending.SILENCE))
    reading = home.read(server, cursor=store, cursor_key="k", on_event=leave).wait()
    assert reading.data == ["one", "two"]
    assert store.saves == ["1", "2"]


def test_own_acknowledgement(home: World) -> None:
    """With ``auto_ack=False`` only what is acknowledged is saved, past no gap."""
    store, held = DictStore(), list[Any]()

    def ack_late(source: Any, event: Any) -> None:
        held.append(event)
        if event.data == "three":
            source.ack(held[1])
            source.ack(held[0])

    server = home.serve(Connection(raw(ONE + TWO + THREE)))
    home.read(server, cursor=store, cursor_key="k", auto_ack=False, on_event=ack_late).wait()
    assert store.saves == ["2"]


def test_own_acknowledgement_without_a_store(thread: World) -> None:
    """There is nothing to save then, neither in the block nor after it."""
    with thread.source(thread.serve(Connection(raw(ONE + TWO))), auto_ack=False)[0] as source:
        one, two = next(source), next(source)
        source.ack(one)
    source.ack(two)


def test_own_acknowledgement_out_of_order(home: World) -> None:
    """What is acknowledged behind a gap is not saved before the gap is closed."""
    store = DictStore()

    def ack_second(source: Any, event: Any) -> None:
        if event.data != "one":
            source.ack(event)

    server = home.serve(Connection(raw(ONE + TWO + THREE)))
    home.read(server, cursor=store, auto_ack=False, on_event=ack_second).wait()
    assert store.saves == []


def test_awaited_acknowledgement(loop: World) -> None:
    """On an event loop awaiting ``ack()`` saves at once."""
    store, saved = DictStore(), list[list[str]]()

    async def ack(source: Any, event: Any) -> None:
        await source.ack(event)
        saved.append(list(store.saves))

    server = loop.serve(Connection(raw(ONE + TWO)))
    loop.read(server, cursor=store, auto_ack=False, on_event=ack).wait()
    assert saved == [["1"], ["1", "2"]]


def test_acknowledging_a_stranger(home: World) -> None:
    """An event that was not delivered, or is acknowledged already, is refused."""

    def twice(source: Any, event: Any) -> None:
        source.ack(event)
        with pytest.raises(ValueError, match="acknowledged already"):
            source.ack(event)

    server = home.serve(Connection(ONE))
    reading = home.read(server, cursor=DictStore(), auto_ack=False, on_event=twice).wait()
    assert reading.data == ["one"]


def never(_failure: Failure) -> None:
    """Do not try the store again."""


def test_load_that_fails(home: World) -> None:
    """It is reported before anything is requested, with the key and the cause."""
    server = home.serve(Connection(ONE))
    reading = home.read(server, cursor=DictStore("load"), cursor_key="k", cursor_policy=never)
    with pytest.raises(CursorError, match="could not load 'k'") as caught:
        reading.wait()
    assert caught.value.key == "k"
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert server.requests == []


@pytest.mark.parametrize("batched", [False, True])
def test_save_that_fails(home: World, batched: bool) -> None:
    """It is reported to the consumer, and is no failure of the stream: nothing is retried."""
    server = home.serve(Connection(ONE, ending=Ending.SILENCE))
    store = DictStore("save")
    reading = home.read(server, cursor=store, cursor_policy=never, batched=batched)
    with pytest.raises(CursorError, match="could not save") as caught:
        reading.wait()
    assert not isinstance(caught.value, GiveUpError)
    assert reading.data == ["one"]
    assert reading.delays == []
    stream = ["Connecting", "Connected", "CursorStoreFailed", "Disconnected", "Closed"]
    assert reading.recorder.names == stream
    assert reading.recorder.of(Closed)[-1].reason == "failed"


def test_asynchronous_store_in_a_thread(thread: World) -> None:
    """The blocking source refuses a store that it cannot await."""
    reading = thread.read(thread.serve(), cursor=AsyncStore())
    with pytest.raises(CursorError, match="plain functions"):
        reading.wait()


def test_header_of_the_caller(world: World) -> None:
    """A caller's Last-Event-ID is the first cursor, and then moves like any other."""
    got = world.run(Connection(event("six", id="6")), headers={"last-event-id": "5"})
    assert [request.last_event_id for request in got.requests] == ["5", "6"]


@pytest.mark.parametrize("value", ["ключ", "ключ".encode()], ids=["text", "bytes"])
def test_header_beyond_ascii(world: World, value: str | bytes) -> None:
    """As the first cursor it goes out as UTF-8, which httpx would refuse to do."""
    got = world.run(Connection(event("six", id="6")), headers={"LAST-EVENT-ID": value})
    assert [request.last_event_id for request in got.requests] == ["ключ", "6"]


def test_header_of_the_callers_client(home: World) -> None:
    """It is the first cursor as well, and not sent again when the server takes the id back."""
    client = home.call(lambda: home.make_client(headers={"Last-Event-ID": "5"}))
    home._client = client
    got = home.run(
        Connection(event("six", id="6")), Connection(event("none", id="")), client=client
    )
    assert [request.last_event_id for request in got.requests] == ["5", "6", ""]
    assert [seen.last_event_id for seen in got.recorder.of(Connecting)] == ["5", "6", ""]


def test_first_cursor(world: World) -> None:
    """``last_event_id`` is sent on the first request, and `Connected` says that it was."""
    got = world.run(Connection(event("six", id="6")), last_event_id="5")
    assert [request.last_event_id for request in got.requests] == ["5", "6"]
    assert got.recorder.of(Connected)[0].resumed


@pytest.mark.parametrize("ending", [Ending.RESET, Ending.TRUNCATED, Ending.CLEAN], ids=str)
def test_many_lives(home: World, ending: Ending) -> None:
    """Five crashing consumers over a server that breaks: every event at least once, in order."""
    store = DictStore()
    server = HistoryServer(max_events_per_connection=3, ending=ending)
    home.host(server)
    _numbers(server, 30)
    seen = list[str]()
    for stop in ("4", "5", "11", "18", "27"):
        seen += _crashing(home, server, store, after=int(stop)).data
    seen += (
        home.read(server, cursor=store, cursor_key="k", until=lambda e: e.data == "30").wait().data
    )
    assert list(dict.fromkeys(seen)) == [str(number) for number in range(1, 31)]
    assert len(seen) == 30 + 5
