"""`Recorder` and `InstantRetries`."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from resilient_sse._values.failure import Failure, FailureKind
from resilient_sse.lifecycle import Closed, Comment, Connecting, LifecycleEvent
from resilient_sse.testing import InstantRetries, Recorder

CONNECTING = Connecting(url="http://h/", source_id=1, attempt=1, last_event_id="")
CLOSED = Closed(url="http://h/", source_id=1, reason="closed")


def _comment(text: str) -> Comment:
    return Comment(url="http://h/", source_id=1, text=text)


def _happen(recorder: Recorder, *happened: LifecycleEvent) -> None:
    for event in happened:
        recorder(event)


def test_a_recorder_collects_what_happens() -> None:
    """All events, their names, those of one class; and it can forget."""
    recorder = Recorder()
    for happened in (CONNECTING, _comment("a"), _comment("b"), CLOSED):
        recorder(happened)
    assert recorder.events == [CONNECTING, _comment("a"), _comment("b"), CLOSED]
    assert recorder.names == ["Connecting", "Comment", "Comment", "Closed"]
    assert [comment.text for comment in recorder.of(Comment)] == ["a", "b"]
    recorder.clear()
    assert recorder.events == []


def test_a_recorder_can_be_waited_for() -> None:
    """What has happened is returned at once, what is to come when it comes."""
    recorder = Recorder()
    recorder(_comment("a"))
    assert recorder.wait_for(Comment).text == "a"
    thread = threading.Timer(0.01, _happen, (recorder, CONNECTING, _comment("b")))
    thread.start()
    assert recorder.wait_for(Comment, count=2).text == "b"
    thread.join()


def test_waiting_for_what_does_not_happen_ends() -> None:
    """The error says what did happen instead."""
    recorder = Recorder()
    recorder(CONNECTING)
    with pytest.raises(TimeoutError, match=r"1 x Closed within 0.01 s.*Connecting"):
        recorder.wait_for(Closed, timeout=0.01)


def test_a_policy_decides_without_waiting() -> None:
    """Delays become zero, but count as passed; giving up stays giving up; all is recorded."""
    failure = Failure(error=OSError(), kind=FailureKind.CONNECT)
    last = Failure(error=OSError(), kind=FailureKind.CONNECT, attempt=2)
    policy = InstantRetries(lambda failure: 1.5 if failure.attempt == 1 else None)
    assert policy(failure) == 0.0
    assert policy(last) is None
    assert policy.delays == [1.5, None]
    assert policy.failures == [failure, replace(last, outage_seconds=1.5)]
    policy(failure)
    assert policy.failures[-1] == failure  # another outage
