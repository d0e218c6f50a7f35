"""Lives lived on asyncio, on trio or in threads, and what the driver told its session meanwhile.

All is in memory and nothing waits, so many lives can be compared.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anyio
import httpx
import stamina

from resilient_sse import (
    LifecycleEvent,
    ReconnectingEventSource,
    RetryScheduled,
    ServerSentEvent,
    SyncReconnectingEventSource,
)
from resilient_sse._session.session import Do
from resilient_sse.testing import ScriptedTransport
from tests.support.lives import LONG_SECONDS, URL, Life

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["TOLD", "Account", "live"]

# Whatever the session and its saving are told, or asked to decide. The rest are questions, which
# change nothing; each driver asks them as often as it likes.
TOLD: Final = frozenset({
    "close", "connected", "lost", "received", "recovered",
    "request_reconnect", "requested", "step", "take", "waited",
    "ack", "begin", "failed", "loaded", "saved",
})  # fmt: skip


class Account(NamedTuple):
    """What happened in a life."""

    told: list[tuple[object, ...]]
    delivered: list[object]
    heard: list[str]
    requests: list[tuple[str, str, str]]
    outcome: str


class Told:
    """Stands before a session or its saving, and takes down what it is told.

    Args:
        target: What is told.
        log: Where it is taken down.
    """

    def __init__(self, target: Any, log: list[tuple[object, ...]]) -> None:
        self._target = target
        self._log = log

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._told(name, value) if name in TOLD else value

    def _told(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def told(*arguments: object, **keywords: object) -> object:
            shown = [_shown(each) for each in arguments if not isinstance(each, float)]
            if name == "begin":  # which has something new to begin, or is another question
                if (cursor := call()) is not None and self._log[-1:] != [(name, cursor)]:
                    self._log.append((name, cursor))
                return cursor
            if name == "step":  # which is asked again and again, until something is due
                step = call(*arguments)
                if step is not None and not isinstance(step, Do):
                    self._log.append((name, type(step).__name__))
                return step
            # What breaks because this side ends it breaks differently in each language.
            if name == "lost" and shown != ["NoneType"] and self._target.interrupted:
                shown = ["interrupted"]
            named = [(keyword, _shown(value)) for keyword, value in keywords.items()]
            self._log.append((name, *shown, *named))
            return call(*arguments, **keywords)

        return told


def _shown(argument: object) -> object:
    """Return what of an argument is the same in every language."""
    match argument:
        case ServerSentEvent() | bytes() | str() | int():
            return argument
        case httpx.Request():
            return str(argument.url)
        case _:
            return type(argument).__name__


class _Living:
    """A life while it is lived."""

    def __init__(self, life: Life, source: Any, transport: ScriptedTransport) -> None:
        self.life = life
        self.source = source
        self.transport = transport
        self.told: list[tuple[object, ...]] = []
        self.delivered: list[object] = []
        self.outcome = "the end"
        self._actions = iter(life.actions)
        source._session = Told(source._session, self.told)
        source._saving = Told(source._saving, self.told)

    def account(self, heard: list[str]) -> Account:
        requests = [
            (each.method, each.path, each.headers.get("last-event-id", ""))
            for each in self.transport.requests
        ]
        return Account(self.told, self.delivered, heard, requests, self.outcome)

    def next_action(self, got: ServerSentEvent | list[ServerSentEvent]) -> str:
        """Take down what came, and return what the consumer does with it."""
        self.delivered.append(got)
        return next(self._actions, "close")

    def newest(self) -> ServerSentEvent:
        """What came last, alone."""
        got: Any = self.delivered[-1]
        event: ServerSentEvent = got[-1] if self.life.batches else got
        return event


class _Hook:
    """Takes down what happens, and tells when somebody waits for long."""

    def __init__(self, waits: Callable[[], object]) -> None:
        self.heard: list[str] = []
        self._waits = waits

    def __call__(self, event: LifecycleEvent) -> None:
        self.heard.append(type(event).__name__)
        if isinstance(event, RetryScheduled) and event.delay == LONG_SECONDS:
            self._waits()


def live(seed: int, runtime: str) -> Account:
    """Live the life of this seed on "asyncio", on "trio" or in "threads"."""
    life = Life(seed)
    with _stamina(life.stamina):
        if runtime == "threads":
            return _in_threads(life)
        return anyio.run(_in_tasks, life, backend=runtime)


@contextmanager
def _stamina(mode: str) -> Generator[None]:
    stamina.set_active(mode != "off")
    try:
        with stamina.set_testing(mode == "testing", attempts=2):
            yield
    finally:
        stamina.set_active(True)


def _in_threads(life: Life) -> Account:
    waits = threading.Semaphore(0)
    hook, transport = _Hook(waits.release), ScriptedTransport(life.script)
    with httpx.Client(transport=transport) as client:
        source = SyncReconnectingEventSource(URL, client=client, hooks=[hook], **life.options)
        living = _Living(life, source, transport)
        over = threading.Event()

        def cut_short() -> None:
            while waits.acquire() and not over.is_set():
                source.close() if life.in_a_wait == "close" else source.reconnect()

        other = threading.Thread(target=cut_short)
        other.start()
        try:
            _consume(living)
        except Exception as error:  # it is compared
            living.outcome = type(error).__name__
        finally:
            over.set()
            waits.release()
            other.join()
    return living.account(hook.heard)


def _consume(living: _Living) -> None:
    with living.source as source:
        for got in source.batches() if living.life.batches else source:
            match living.next_action(got):
                case "ack":
                    with suppress(ValueError):  # at times it is acknowledged already
                        source.ack(living.newest())
                case "reconnect":
                    source.reconnect()
                case "close":
                    source.close()
                case "raise":
                    raise KeyError("the consumer's own")
                case _:
                    pass


async def _in_tasks(life: Life) -> Account:
    send, receive = anyio.create_memory_object_stream[None](100)
    hook = _Hook(lambda: send.send_nowait(None))
    transport = ScriptedTransport(life.script)
    async with httpx.AsyncClient(transport=transport) as client:
        source = ReconnectingEventSource(URL, client=client, hooks=[hook], **life.options)
        living = _Living(life, source, transport)

        async def cut_short() -> None:
            async for _ in receive:
                if life.in_a_wait == "close":
                    await source.aclose()
                else:
                    await source.reconnect()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cut_short)
            try:
                await _aconsume(living)
            except Exception as error:  # it is compared
                living.outcome = type(error).__name__
            tasks.cancel_scope.cancel()
    send.close()
    receive.close()
    return living.account(hook.heard)


async def _aconsume(living: _Living) -> None:
    async with living.source as source:
        async for got in source.batches() if living.life.batches else source:
            match living.next_action(got):
                case "ack":
                    with suppress(ValueError):
                        await source.ack(living.newest())
                case "reconnect":
                    await source.reconnect()
                case "close":
                    await source.aclose()
                case "raise":
                    raise KeyError("the consumer's own")
                case _:
                    pass
