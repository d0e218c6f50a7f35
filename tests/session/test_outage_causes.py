"""What a failure is called and what is said of it, where the exception itself says too little."""

from __future__ import annotations

import errno

import anyio
import httpx
import pytest
import structlog

from resilient_sse import Failure, FailureKind, GiveUpError, RetryScheduled
from resilient_sse._session.classify import classify, given_up_by_tcp
from resilient_sse._values.redact import explain
from resilient_sse.instrumentation import StructlogHook


def caused(error: Exception, *causes: BaseException) -> Exception:
    """Chain exceptions, as libraries do."""
    last: BaseException = error
    for cause in causes:
        last.__cause__ = cause
        last = cause
    return error


EXPIRED = caused(
    httpx.ConnectError(""), OSError(), OSError("certificate of https://me:hush@h has expired")
)


def test_an_error_without_a_message_is_explained_by_its_cause() -> None:
    """The first message down the chain, redacted; none if there is none."""
    assert explain(EXPIRED) == "certificate of https://h has expired"
    assert explain(caused(httpx.ConnectError("refused"), OSError("other"))) == "refused"
    assert explain(httpx.ConnectError("")) == ""


def test_the_explanation_is_in_the_story_and_in_the_log() -> None:
    """A consumer on trio learns that the certificate has expired."""
    failure = Failure(error=EXPIRED, kind=FailureKind.CONNECT)
    story = str(GiveUpError(failures=[failure], url="https://h", last_event_id=""))
    with structlog.testing.capture_logs() as logs:
        StructlogHook()(RetryScheduled(url="https://h", source_id=1, failure=failure, delay=1))

    assert "connect (ConnectError: certificate of https://h has expired)" in story
    assert logs[0]["error"] == "ConnectError: certificate of https://h has expired"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (caused(httpx.ReadTimeout(""), TimeoutError(errno.ETIMEDOUT, "timed out")), True),
        (caused(httpx.ReadTimeout(""), TimeoutError("The read operation timed out")), False),
        (httpx.ReadTimeout(""), False),
    ],
)
def test_timeouts_of_tcp_are_told_from_those_of_the_client(
    error: Exception, expected: bool
) -> None:
    """Keepalive that finds the peer gone is no idle timeout."""
    assert given_up_by_tcp(error) is expected


@pytest.mark.parametrize("kind", [anyio.EndOfStream, anyio.BrokenResourceError])
def test_what_anyio_raises_through_a_client_is_a_failure_of_the_transport(
    kind: type[Exception],
) -> None:
    """Over HTTP/2 httpcore lets it through."""
    found = classify(kind())
    assert found is not None
    assert found.kind is FailureKind.TRANSPORT
