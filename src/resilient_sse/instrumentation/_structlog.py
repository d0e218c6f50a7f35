"""Lifecycle events as structured log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from resilient_sse import lifecycle
from resilient_sse._redact import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._failure import Failure

__all__ = ["StructlogHook"]


class StructlogHook:
    """Logs every lifecycle event through structlog, under names and keys that stay the same.

    | log event | level | keys besides ``url`` and ``source_id`` |
    |---|---|---|
    | ``sse.connecting`` | debug | ``attempt``, ``last_event_id`` |
    | ``sse.connected`` | info | ``attempt``, ``status_code``, ``seconds``, ``resumed`` |
    | ``sse.comment`` | debug | ``text`` |
    | ``sse.disconnected`` | warning (1) | ``seconds``, ``events``, ``bytes``, the failure's |
    | ``sse.retry_scheduled`` | warning | ``delay``, the failure's |
    | ``sse.gave_up`` | error | ``failures`` (a count), the failure's |
    | ``sse.gap_detected`` | warning (2) | ``reason``, ``last_event_id`` (and ``status_code``) |
    | ``sse.cursor_store_failed`` | warning (2) | ``operation``, ``key``, ``attempt``, ``error`` |
    | ``sse.closed`` | info | ``reason`` |

    (1) info if this side ended the connection.
    (2) error if the source does not go on after the gap, or the store is not tried again.

    A gap has a ``status_code`` only if the server refused the cursor. The failure of a store also
    has a ``delay`` if the store is tried again.

    The keys of a failure are ``kind``, ``error``, ``failed_attempt``, ``outage_seconds`` and, if
    the server answered, ``status_code``.

    Args:
        logger: The logger to use; by default structlog's, named ``resilient_sse``.
    """

    def __init__(self, logger: Any = None) -> None:  # noqa: ANN401 - any bound logger
        self._logger = structlog.get_logger("resilient_sse") if logger is None else logger

    def __call__(self, event: lifecycle.LifecycleEvent) -> None:
        """Log one lifecycle event."""
        log = self._logger.bind(url=event.url, source_id=event.source_id)
        if (write := _WRITERS.get(type(event))) is not None:
            write(log, event)


def _connecting(log: Any, event: Any) -> None:  # noqa: ANN401 - see _WRITERS, here and below
    log.debug("sse.connecting", attempt=event.attempt, last_event_id=event.last_event_id)


def _connected(log: Any, event: Any) -> None:  # noqa: ANN401
    log.info(
        "sse.connected",
        attempt=event.attempt,
        status_code=event.status_code,
        seconds=round(event.seconds, 6),
        resumed=event.resumed,
    )


def _comment(log: Any, event: Any) -> None:  # noqa: ANN401
    log.debug("sse.comment", text=event.text)


def _disconnected(log: Any, event: Any) -> None:  # noqa: ANN401
    totals = {"seconds": round(event.seconds, 6), "events": event.events, "bytes": event.bytes}
    if event.failure is None:
        log.info("sse.disconnected", **totals)
    else:
        log.warning("sse.disconnected", **totals, **_facts(event.failure))


def _retry_scheduled(log: Any, event: Any) -> None:  # noqa: ANN401
    log.warning("sse.retry_scheduled", delay=round(event.delay, 3), **_facts(event.failure))


def _gave_up(log: Any, event: Any) -> None:  # noqa: ANN401
    log.error("sse.gave_up", failures=event.failure.attempt, **_facts(event.failure))


def _gap_detected(log: Any, event: Any) -> None:  # noqa: ANN401
    facts = {"reason": event.reason, "last_event_id": event.last_event_id}
    if event.status_code is not None:
        facts["status_code"] = event.status_code
    (log.warning if event.continues else log.error)("sse.gap_detected", **facts)


def _cursor_store_failed(log: Any, event: Any) -> None:  # noqa: ANN401
    facts = {"operation": event.operation, "key": event.key, "attempt": event.attempt}
    facts["error"] = _named(event.error)
    if event.delay is None:
        log.error("sse.cursor_store_failed", **facts)
    else:
        log.warning("sse.cursor_store_failed", **facts, delay=round(event.delay, 3))


def _closed(log: Any, event: Any) -> None:  # noqa: ANN401
    log.info("sse.closed", reason=event.reason)


_WRITERS: Final[dict[type[lifecycle.LifecycleEvent], Callable[[Any, Any], None]]] = {
    lifecycle.Connecting: _connecting,
    lifecycle.Connected: _connected,
    lifecycle.Comment: _comment,
    lifecycle.Disconnected: _disconnected,
    lifecycle.RetryScheduled: _retry_scheduled,
    lifecycle.GaveUp: _gave_up,
    lifecycle.GapDetected: _gap_detected,
    lifecycle.CursorStoreFailed: _cursor_store_failed,
    lifecycle.Closed: _closed,
}


def _facts(failure: Failure) -> dict[str, object]:
    """Flatten a failure into keys of a log line."""
    facts: dict[str, object] = {
        "kind": str(failure.kind),
        "error": _named(failure.error),
        "failed_attempt": failure.attempt,
        "outage_seconds": round(failure.outage_seconds, 3),
    }
    if failure.status_code is not None:
        facts["status_code"] = failure.status_code
    return facts


def _named(error: BaseException) -> str:
    """Say what went wrong in one line, without secrets."""
    name, message = type(error).__name__, explain(error)
    return f"{name}: {message}" if message else name
