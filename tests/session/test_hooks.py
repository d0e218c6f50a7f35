"""Calling hooks: in order, at once, and never at the cost of the stream."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from resilient_sse import Closed, Comment, LifecycleEvent, ReconnectingEventSource
from resilient_sse._session.hooks import Hooks
from resilient_sse.testing import Recorder


def hooks(*given: Any) -> Hooks:
    """Make the hooks of a source."""
    return Hooks(given, url="http://h/e", source_id=7, lock=threading.RLock())


def test_every_hook_hears_of_everything_in_order() -> None:
    """Hooks are called in the order they were given, with who speaks."""
    heard: list[tuple[str, LifecycleEvent]] = []

    def listen(name: str, event: LifecycleEvent) -> None:
        heard.append((name, event))

    both = hooks(partial(listen, "a"), partial(listen, "b"))

    both.emit(Closed, reason="closed")

    event = Closed(url="http://h/e", source_id=7, reason="closed")
    assert heard == [("a", event), ("b", event)]


def test_what_a_hook_brings_about_is_told_after_what_it_heard() -> None:
    """A hook that closes the source does not have the hooks behind it hear of the end first."""

    def close(event: LifecycleEvent) -> None:
        if isinstance(event, Comment):
            both.emit(Closed, reason="closed")

    recorder = Recorder()
    both = hooks(close, recorder)

    both.emit(Comment, text="enough")

    assert recorder.names == ["Comment", "Closed"]


def test_nothing_comes_after_the_end() -> None:
    """A comment that stood behind the one at which a hook closed the source, for example."""
    recorder = Recorder()
    both = hooks(recorder)
    both.emit(Closed, reason="closed")
    both.comment("too late")
    both.emit(Closed, reason="closed")
    assert recorder.names == ["Closed"]


def test_a_hook_that_raises_is_logged_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The second hook hears of everything although the first always raises."""

    def broken(_event: LifecycleEvent) -> None:
        msg = "oh no"
        raise RuntimeError(msg)

    recorder = Recorder()
    both = hooks(broken, recorder)

    both.emit(Comment, text="one")
    both.emit(Comment, text="two")

    assert recorder.names == ["Comment", "Comment"]
    (line,) = caplog.records
    assert (line.name, line.levelname) == ("resilient_sse", "ERROR")
    assert "broken" in line.getMessage()
    assert "RuntimeError: oh no" in line.getMessage()


def test_without_hooks_nothing_is_made() -> None:
    """No hooks, no lifecycle events: not even the facts are looked at."""
    none = hooks()

    none.emit(Closed, no_such_fact=1)

    assert not none


class AsyncCallable:
    """An object whose call is a coroutine function."""

    async def __call__(self, event: LifecycleEvent) -> None:
        """Never called."""


async def coroutine_hook(event: LifecycleEvent) -> None:
    """Never called."""


@pytest.mark.parametrize(
    "hook",
    [coroutine_hook, AsyncCallable(), partial(coroutine_hook)],
    ids=["def", "call", "partial"],
)
def test_a_coroutine_function_is_refused(hook: Any) -> None:
    """It would never be awaited; the error says what to do instead."""
    with pytest.raises(TypeError, match="coroutine function; have it put the event into a queue"):
        ReconnectingEventSource("http://h/e", hooks=[hook])


def test_what_cannot_be_called_is_refused() -> None:
    """A hook is a callable."""
    with pytest.raises(TypeError, match="a hook must be a callable"):
        ReconnectingEventSource("http://h/e", hooks=["print"])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
