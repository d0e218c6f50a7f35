"""Comments reach hooks in their place among the events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import Comment, Disconnected, LifecycleEvent
from resilient_sse.testing import Connection, Ending, event, raw

if TYPE_CHECKING:
    from resilient_sse import ServerSentEvent
    from tests.support.runners import World


def story_of(home: World, body: bytes, **keywords: Any) -> list[str]:
    """Read a body; return what the program heard and got, in order."""
    story: list[str] = []

    def hook(heard: LifecycleEvent) -> None:
        if isinstance(heard, Comment):
            story.append(f"comment {heard.text}")
        elif isinstance(heard, Disconnected):
            story.append("disconnected")

    def got(_source: object, each: Any) -> None:
        story.append(each.data)

    server = home.serve(Connection(raw(body)))
    home.read(server, hooks=[hook], on_event=got, **keywords).wait()
    return story


MIXED = b": a\ndata: 1\n\n: b\n: c\ndata: 2\n\ndata: 3\n: d\n\n: e\n\n"


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=repr)
def test_between_the_events_of_one_read(home: World, newline: bytes) -> None:
    """After the events before them were handed out, before those behind them."""
    story = story_of(home, MIXED.replace(b"\n", newline))
    assert " ".join(story) == (
        "comment a 1 comment b comment c 2 comment d 3 comment e disconnected"
    )


def test_with_batches(home: World) -> None:
    """There they come after the batch in which they came."""
    story = story_of(home, MIXED, batched=True)
    assert " ".join(story) == (
        "comment a 1 2 3 comment b comment c comment d comment e disconnected"
    )


def is_three(each: ServerSentEvent) -> bool:
    """Be a predicate for ``until``."""
    return each.data == "3"


def test_with_rules_for_single_events(home: World) -> None:
    """The same where ``until`` looks at every event."""
    story = story_of(home, MIXED, until=is_three)
    assert " ".join(story) == "comment a 1 comment b comment c 2 comment d 3 disconnected"


def test_a_comment_cut_anywhere(home: World) -> None:
    """Where the bytes are cut makes no difference."""
    stories = set[str]()
    for cut in range(1, len(MIXED)):
        story: list[str] = []

        def hook(heard: LifecycleEvent, story: list[str] = story) -> None:
            if isinstance(heard, Comment):
                story.append(heard.text)

        def got(_source: object, each: Any, story: list[str] = story) -> None:
            story.append(each.data)

        server = home.serve(Connection(raw(MIXED[:cut]), raw(MIXED[cut:])))
        home.read(server, hooks=[hook], on_event=got).wait()
        stories.add(" ".join(story))
    assert stories == {"a 1 b c 2 d 3 e"}


def test_the_cursor_at_a_comment(thread: World) -> None:
    """It names the event before it, not what came behind."""
    cursors: list[str] = []
    sources: list[Any] = []

    def hook(heard: LifecycleEvent) -> None:
        if isinstance(heard, Comment):
            cursors.append(sources[0].last_event_id)

    body = b"id:1\ndata: 1\n\n: a\nid:2\ndata: 2\n\n: b\n\nid:3\n\n"
    source, _, _ = thread.source(thread.serve(Connection(raw(body))), hooks=[hook])
    sources.append(source)
    with source:
        assert [each.data for each in source] == ["1", "2"]
    assert cursors == ["1", "3"]


def test_what_leaving_makes_of_them(home: World) -> None:
    """A comment that no undelivered event keeps back is told of before the end."""
    server = home.serve(
        Connection(raw(b"data: 1\n\n: a\n\ndata: 2\n\n: b\n\n"), ending=Ending.SILENCE)
    )

    def close(source: Any, _each: Any) -> Any:
        return source.aclose() if hasattr(source, "aclose") else source.close()

    reading = home.read(server, on_event=close).wait()
    assert reading.data == ["1"]
    assert [heard.text for heard in reading.recorder.of(Comment)] == ["a"]


def test_comments_of_an_event_that_comes_last(home: World) -> None:
    """An id-only block and comments behind the last event lose nothing."""
    server = home.serve(Connection(raw(b": a\n\n"), event("1", id="1")), Connection(event("2")))
    reading = home.read(server).wait()
    assert reading.data == ["1", "2"]
