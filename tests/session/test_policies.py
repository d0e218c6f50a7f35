"""The retry policies: how long they wait, and when they give up."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_sse import ExponentialBackoff, Failure, FailureKind, ServerRetry

EXACT = ExponentialBackoff(wait_jitter=0.0)


def failure(kind: FailureKind = FailureKind.TRANSPORT, **facts: Any) -> Failure:
    """Make a failure in one line."""
    return Failure(error=httpx.ReadError("broken"), kind=kind, **facts)


def status(code: int, **facts: Any) -> Failure:
    """Make the failure of an HTTP status."""
    return failure(FailureKind.STATUS, status_code=code, **facts)


def test_waits_grow_up_to_the_cap() -> None:
    """Each failure doubles the wait, from one second to thirty."""
    assert [EXACT(failure(attempt=n)) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_thousands_of_failures_still_have_a_wait() -> None:
    """The growth overflows a float after a thousand failures; the cap holds all the same."""
    assert EXACT(failure(attempt=100_000)) == 30


@given(attempt=st.integers(1, 2000))
def test_jitter_goes_upward_only_and_stays_at_the_cap(attempt: int) -> None:
    """The wait lies between the computed one and twice that, at the cap too."""
    base = EXACT(failure(attempt=attempt))
    wait = ExponentialBackoff()(failure(attempt=attempt))

    assert base is not None
    assert wait is not None
    assert base <= wait <= 2 * base


def test_jitter_spreads_at_the_cap() -> None:
    """Clients that have all reached the cap do not wait the same time."""
    policy = ExponentialBackoff()

    assert len({policy(failure(attempt=50)) for _ in range(100)}) > 90


@pytest.mark.parametrize(
    ("facts", "wait"),
    [
        ({"server_retry": 5.0}, 5),
        ({"server_retry": 5.0, "attempt": 3}, 20),
        ({"server_retry": 45.0}, 45),
        ({"server_retry": 45.0, "attempt": 9}, 45),
        ({"server_retry": 0.0}, 1),
        ({"server_retry": 1e9}, 300),
        ({"retry_after": 7.0}, 7),
        ({"retry_after": 0.0}, 1),
        ({"retry_after": 1e9}, 300),
        ({"retry_after": 7.0, "server_retry": 9.0}, 9),
        ({"retry_after": 60.0, "server_retry": 9.0}, 60),
    ],
)
def test_never_before_the_server_wishes(facts: dict[str, Any], wait: float) -> None:
    """The server's retry field and Retry-After are lower bounds, each clamped."""
    assert EXACT(failure(**facts)) == wait


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599])
def test_transient_statuses_are_retried(code: int) -> None:
    """Statuses that ask for another try, or blame the server, get one."""
    assert EXACT(status(code)) == 1


@pytest.mark.parametrize("code", [201, 206, 302, 400, 401, 403, 404, 410, 418, 451, 600])
def test_other_statuses_are_final(code: int) -> None:
    """A status that will not change by itself ends the outage at once."""
    assert EXACT(status(code)) is None


@pytest.mark.parametrize("kind", FailureKind)
def test_kinds_that_can_help_themselves(kind: FailureKind) -> None:
    """What may pass by itself can; nothing else without a status."""
    transient = {"connect", "timeout", "transport", "ended", "idle", "event", "cursor"}

    assert (EXACT(failure(kind)) is not None) == (kind.value in transient)


def test_permanent_faults_are_final() -> None:
    """A request that cannot be sent at all is not tried again."""
    assert EXACT(failure(permanent=True)) is None


def test_retry_statuses_extend_what_is_retried() -> None:
    """A status that the user names is retried, and the others still are not."""
    policy = ExponentialBackoff(wait_jitter=0, retry_statuses={404})

    assert policy(status(404)) == 1
    assert policy(status(403)) is None


def test_attempts_limit_the_failures_of_one_outage() -> None:
    """The third failure is the last with attempts=3."""
    policy = ExponentialBackoff(attempts=3)

    assert [policy(failure(attempt=n)) is None for n in (1, 2, 3, 4)] == [False, False, True, True]


def test_timeout_limits_the_end_of_the_next_wait() -> None:
    """A wait that would end after the timeout is not begun."""
    policy = ExponentialBackoff(timeout=10, wait_jitter=0)

    assert policy(failure(outage_seconds=9.0)) == 1
    assert policy(failure(outage_seconds=9.1)) is None


@pytest.mark.parametrize(
    "keywords",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"attempts": 1.5},
        {"retry_statuses": 5},
        {"timeout": -1.0},
        {"wait_initial": float("nan")},
        {"wait_max": float("inf")},
        {"wait_exp_base": 0.5},
        {"wait_jitter": -0.1},
        {"retry_after_max": -1.0},
        {"server_retry_max": float("nan")},
    ],
)
def test_backoff_refuses_nonsense(keywords: dict[str, Any]) -> None:
    """A keyword that makes no sense is named in the error."""
    with pytest.raises((ValueError, TypeError), match=next(iter(keywords))):
        ExponentialBackoff(**keywords)


def test_policies_are_values() -> None:
    """Two policies of the same numbers are equal, and their repr can be read."""
    assert ExponentialBackoff(attempts=3) == ExponentialBackoff(attempts=3)
    assert "attempts=3" in repr(ExponentialBackoff(attempts=3))
    assert repr(ServerRetry()) == "ServerRetry(default=3.0, server_retry_max=300.0)"


def test_no_wait_at_all_can_be_asked_for() -> None:
    """wait_initial=0 is the user's own decision."""
    assert ExponentialBackoff(wait_initial=0, wait_jitter=0)(failure(attempt=9)) == 0


@pytest.mark.parametrize(
    ("facts", "wait"),
    [
        ({}, 3),
        ({"server_retry": 0.5}, 0.5),
        ({"server_retry": 10.0, "attempt": 9}, 10),
        ({"server_retry": 0.0}, 3),
        ({"server_retry": 0.001, "attempt": 9}, 0.001),
        ({"server_retry": 0.001, "attempt": 10}, 0.1),
        ({"server_retry": 1e12}, 300),
    ],
)
def test_server_retry_is_the_browsers_rule(facts: dict[str, Any], wait: float) -> None:
    """The server's retry time exactly, without growth, but never a busy loop or for ever."""
    assert ServerRetry()(failure(**facts)) == wait


@pytest.mark.parametrize("code", [429, 500, 503, 404])
def test_server_retry_takes_any_http_error_for_final(code: int) -> None:
    """As in a browser, a status other than 200 ends the stream."""
    assert ServerRetry()(status(code)) is None


@pytest.mark.parametrize(
    "kind", [FailureKind.CONTENT_TYPE, FailureKind.TOO_LARGE, FailureKind.UNSAFE]
)
def test_server_retry_gives_up_on_what_cannot_change(kind: FailureKind) -> None:
    """Only transport failures are retried."""
    assert ServerRetry()(failure(kind)) is None


@pytest.mark.parametrize("keywords", [{"default": 0}, {"server_retry_max": float("inf")}])
def test_server_retry_refuses_nonsense(keywords: dict[str, Any]) -> None:
    """A keyword that makes no sense is named in the error."""
    with pytest.raises(ValueError, match=next(iter(keywords))):
        ServerRetry(**keywords)
