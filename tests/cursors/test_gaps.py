"""Gaps: the server refuses to resume, or says that it cannot replay everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from resilient_sse import (
    Dialect,
    ExponentialBackoff,
    FailureKind,
    GapDetected,
    GapError,
    GiveUpError,
    ReconnectingEventSource,
    SyncReconnectingEventSource,
    Verdict,
)
from resilient_sse.testing import Connection, Recorder, event
from tests.support.lifecycle_order import assert_order

if TYPE_CHECKING:
    from resilient_sse import ServerSentEvent
    from resilient_sse.testing.pytest_plugin import ServerFactory

AT_ONCE = ExponentialBackoff(wait_initial=0)


def judge(made: ServerSentEvent) -> Verdict:
    """Take an event of one type for a gap."""
    return Verdict.GAP if made.event == "reset" else Verdict.DELIVER


RESETS = Dialect(judge=judge)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 404, 410, 412, 416])
async def test_a_refused_resume_can_be_gone_on_from(sse_server: ServerFactory, status: int) -> None:
    """The next request carries no cursor, comes at once, and the gap is told."""
    recorder = Recorder()
    script = [
        Connection(event("one", id="1")),
        Connection(status=status),
        Connection(event("nine", id="9")),
    ]
    server = sse_server(script)
    async with ReconnectingEventSource(
        server.url, policy=AT_ONCE, on_gap="continue", hooks=[recorder]
    ) as source:
        assert [made.id async for made in source] == ["1", "9"]
    assert [request.last_event_id for request in server.requests] == ["", "1", "", "9"]
    (gap,) = recorder.of(GapDetected)
    assert (gap.reason, gap.last_event_id, gap.status_code) == ("refused", "1", status)
    assert gap.continues
    assert_order(recorder.events)


@pytest.mark.anyio
async def test_a_refused_resume_gives_up_by_default(sse_server: ServerFactory) -> None:
    """The error is the status; the gap is told before."""
    recorder = Recorder()
    server = sse_server([Connection(event("one", id="1")), Connection(status=410)])
    async with ReconnectingEventSource(server.url, policy=AT_ONCE, hooks=[recorder]) as source:
        with pytest.raises(GiveUpError, match="410") as caught:
            async for _ in source:
                pass
    assert caught.value.last_event_id == "1"
    assert recorder.names[-3:] == ["GapDetected", "GaveUp", "Closed"]
    assert not recorder.of(GapDetected)[0].continues
    assert_order(recorder.events)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_refusal_for_credentials_is_no_gap(sse_server: ServerFactory, status: int) -> None:
    """It is about who asks; the policy decides."""
    recorder = Recorder()
    server = sse_server([Connection(event("one", id="1")), Connection(status=status)])
    with (
        SyncReconnectingEventSource(
            server.url, policy=AT_ONCE, on_gap="continue", hooks=[recorder]
        ) as source,
        pytest.raises(GiveUpError),
    ):
        list(source)
    assert not recorder.of(GapDetected)


def test_a_refusal_without_a_cursor_is_no_gap(sse_server: ServerFactory) -> None:
    """There was nothing to resume."""
    recorder = Recorder()
    server = sse_server([Connection(status=404)])
    with SyncReconnectingEventSource(server.url, on_gap="continue", hooks=[recorder]) as source:  # noqa: SIM117 - two things, one after the other
        with pytest.raises(GiveUpError):
            list(source)
    assert not recorder.of(GapDetected)


def test_a_status_that_the_policy_retries_is_no_gap(sse_server: ServerFactory) -> None:
    """A stream may be missing for a moment, while it is deployed."""
    recorder = Recorder()
    policy = ExponentialBackoff(wait_initial=0, retry_statuses={404})
    script = [
        Connection(event("1", id="1")),
        Connection(status=404),
        Connection(event("2", id="2")),
    ]
    server = sse_server(script)
    with SyncReconnectingEventSource(server.url, policy=policy, hooks=[recorder]) as source:
        assert [made.id for made in source] == ["1", "2"]
    assert not recorder.of(GapDetected)


@pytest.mark.anyio
@pytest.mark.parametrize("batches", [False, True])
async def test_an_event_that_says_so_is_told_but_not_delivered(
    sse_server: ServerFactory, *, batches: bool
) -> None:
    """With on_gap="continue"; the events before it come first."""
    recorder = Recorder()
    steps = [event("a", id="1"), event("lost", event="reset", id="7"), event("b", id="8")]
    server = sse_server([Connection(b"".join(steps))])  # in one batch
    async with ReconnectingEventSource(
        server.url, policy=AT_ONCE, dialect=RESETS, on_gap="continue", hooks=[recorder]
    ) as source:
        if batches:
            ids = [made.id async for batch in source.batches() for made in batch]
        else:
            ids = [made.id async for made in source]
    assert ids == ["1", "8"]
    (gap,) = recorder.of(GapDetected)
    assert gap.reason == "event"
    assert gap.last_event_id == "1"
    assert gap.event is not None
    assert gap.event.data == "lost"
    assert_order(recorder.events)


@pytest.mark.anyio
async def test_an_event_that_says_so_gives_up_by_default(sse_server: ServerFactory) -> None:
    """What came before it is delivered; the cursor stays before it."""
    recorder = Recorder()
    steps = [event("a", id="1"), event("lost", event="reset", id="7"), event("b", id="8")]
    server = sse_server([Connection(*steps)])
    async with ReconnectingEventSource(server.url, dialect=RESETS, hooks=[recorder]) as source:
        assert (await anext(source)).id == "1"
        with pytest.raises(GiveUpError, match="events are missing") as caught:
            await anext(source)
        with pytest.raises(StopAsyncIteration):
            await anext(source)
    assert caught.value.last_event_id == "1"
    assert caught.value.failure.kind is FailureKind.GAP
    assert not caught.value.failure.retryable
    assert isinstance(caught.value.__cause__, GapError)
    assert caught.value.__cause__.event.id == "7"
    assert recorder.names[-4:] == ["GapDetected", "Disconnected", "GaveUp", "Closed"]
    assert_order(recorder.events)


@pytest.mark.anyio
async def test_a_function_that_is_cancelled_is_called_again(sse_server: ServerFactory) -> None:
    """Whoever pulls with a time limit loses nothing: the gap stays open until it is put right."""
    calls: list[str] = []

    async def on_gap(gap: GapDetected) -> str:
        calls.append(gap.last_event_id)
        if len(calls) == 1:
            await anyio.sleep_forever()
        return "7"

    lost = event("lost", event="reset")
    server = sse_server([Connection(event("a", id="1") + lost), Connection(event("b", id="8"))])
    async with ReconnectingEventSource(server.url, dialect=RESETS, on_gap=on_gap) as source:
        assert (await anext(source)).id == "1"
        with anyio.move_on_after(0.1):
            await anext(source)
        assert (await anext(source)).id == "8"
    assert calls == ["1", "1"]
    assert [request.last_event_id for request in server.requests] == ["", "7"]
