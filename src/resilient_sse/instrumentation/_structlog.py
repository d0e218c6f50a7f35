"""Lifecycle events as structured log lines."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import structlog

from resilient_sse import lifecycle
from resilient_sse._drivers.retries import keep_off_stdout
from resilient_sse._values.redact import bounded, explain

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from resilient_sse._values.failure import Failure

__all__ = ["StructlogHook"]


_OF_THE_STANDARD_LIBRARY: Final[tuple[type[Any], ...]] = (logging.Logger, logging.LoggerAdapter)


class StructlogHook:
    """Logs every lifecycle event through structlog, under names and keys that stay the same.

    One failure is one line: what follows from it, a retry or the end, is logged with all there is
    to know about it. The line about the connection that it ended is for debugging.

    | log event | level | keys besides ``url``, ``source_id`` and, if given, ``stream`` |
    |---|---|---|
    | ``sse.connecting`` | debug | ``attempt``, ``last_event_id`` |
    | ``sse.connected`` | info | ``attempt``, ``status_code``, ``seconds``, ``resumed``, (3) |
    | ``sse.comment`` | debug | ``text`` |
    | ``sse.disconnected`` | debug (1) | ``seconds``, ``events``, ``bytes``, ``last_event_id`` |
    | ``sse.retry_scheduled`` | warning | ``delay``, the failure's, (4) |
    | ``sse.gave_up`` | error | ``failures`` (a count), the failure's, (4) |
    | ``sse.gap_detected`` | warning (2) | ``reason``, ``last_event_id`` (and ``status_code``) |
    | ``sse.cursor_store_failed`` | warning (2) | ``operation``, ``key``, ``attempt``, ``error`` |
    | ``sse.closed`` | info | ``reason`` |
    | ``sse.lease_granted`` | info | ``group``, ``lease``, ``token``, ``waited`` (5) |
    | ``sse.lease_ended`` | info (6) | ``group``, ``lease``, ``token``, ``reason`` (5) |
    | ``sse.group_changed`` | info | ``group``, ``streams``, ``replicas`` (5) |

    (1) info if this side ended the connection; else the failure's keys, too.
    (2) error if the source does not go on after the gap, or the store is not tried again.
    (3) after an outage ``failures``, how many there were, and ``outage_seconds``, how long it was.
    (4) if an open connection broke, ``connection_seconds`` and ``connection_events``.
    (5) without ``url`` and ``source_id``.
    (6) warning if it was lost.

    A gap has a ``status_code`` only if the server refused the cursor. The failure of a store also
    has a ``delay`` if the store is tried again.

    The keys of a failure are ``kind``, ``error`` (with the beginning of an error's body),
    ``failed_attempt``, ``outage_seconds``, ``last_event_id`` (from which the next attempt resumes)
    and, if the server answered or said how long to wait, ``status_code`` and ``retry_after``.

    An id or a comment of more than 8,000 characters, which no server means well with, is cut.

    Args:
        logger: The logger to use, structlog's or the standard library's (a ``logging.Logger``); by
            default structlog's, named ``resilient_sse``. One of the standard library's gets the
            name and the keys as its message, and the keys as ``record.sse``, a dict, for whoever
            formats records as JSON. While structlog is not configured its lines go to standard
            error.
        stream: A name for what these sources read; it stands in every line as ``stream``.
    """

    def __init__(self, logger: Any = None, *, stream: str = "") -> None:  # noqa: ANN401 - any bound logger
        if logger is None:
            keep_off_stdout()
            logger = structlog.get_logger("resilient_sse")
        elif isinstance(logger, _OF_THE_STANDARD_LIBRARY):
            logger = structlog.wrap_logger(
                logger,
                processors=[_if_enabled, _as_record],
                wrapper_class=structlog.stdlib.BoundLogger,
                context_class=dict,
            )
        self._logger = logger
        self._always = {"stream": stream} if stream else {}
        self._broken: dict[int, lifecycle.Disconnected] = {}  # by source, until a line tells of it

    def __call__(self, event: lifecycle.LifecycleEvent) -> None:
        """Log one lifecycle event."""
        about = self._of_the_connection(event)
        log = self._logger.bind(**_who(event), **self._always, **about)
        if (write := _WRITERS.get(type(event))) is not None:
            write(log, event)

    def _of_the_connection(self, event: lifecycle.LifecycleEvent) -> dict[str, object]:
        """Keep what is known of a connection that broke for the line that tells of the failure."""
        if isinstance(event, lifecycle.RetryScheduled | lifecycle.GaveUp):
            return _connection(self._broken.pop(event.source_id, None))
        if isinstance(event, lifecycle.Closed):
            self._broken.pop(event.source_id, None)
        elif isinstance(event, lifecycle.Disconnected) and event.failure is not None:
            self._broken[event.source_id] = event
        return {}


def _who(event: lifecycle.LifecycleEvent) -> dict[str, object]:
    if isinstance(event, lifecycle.LeaseEvent):
        return {"group": event.group}
    return {"url": event.url, "source_id": event.source_id}


def _connection(broken: lifecycle.Disconnected | None) -> dict[str, object]:
    """Return what is worth telling of a connection when its failure is told of."""
    if broken is None:
        return {}
    return {"connection_seconds": round(broken.seconds, 3), "connection_events": broken.events}


def _if_enabled(
    logger: logging.Logger | logging.LoggerAdapter[Any], level: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if not logger.isEnabledFor(logging.getLevelNamesMapping()[level.upper()]):
        raise structlog.DropEvent
    return line


def _as_record(
    _logger: object, _level: str, line: MutableMapping[str, Any]
) -> tuple[tuple[str, str], dict[str, Any]]:
    """Render a line for the standard library: a message for people, a dict for programs."""
    event = line.pop("event")
    message = " ".join([event, *(f"{key}={value!r}" for key, value in line.items())])
    return ("%s", message), {"extra": {"sse": {"event": event, **line}}}


def _connecting(log: Any, event: Any) -> None:  # noqa: ANN401 - see _WRITERS, here and below
    log.debug("sse.connecting", attempt=event.attempt, last_event_id=bounded(event.last_event_id))


def _connected(log: Any, event: Any) -> None:  # noqa: ANN401
    outage: dict[str, object] = {}
    if event.failures:
        outage = {"failures": event.failures, "outage_seconds": round(event.outage_seconds, 3)}
    log.info(
        "sse.connected",
        attempt=event.attempt,
        status_code=event.status_code,
        seconds=round(event.seconds, 6),
        resumed=event.resumed,
        **outage,
    )


def _comment(log: Any, event: Any) -> None:  # noqa: ANN401
    log.debug("sse.comment", text=bounded(event.text))


def _disconnected(log: Any, event: Any) -> None:  # noqa: ANN401
    totals = {"seconds": round(event.seconds, 6), "events": event.events, "bytes": event.bytes}
    if event.failure is None:
        log.info("sse.disconnected", **totals, last_event_id=bounded(event.last_event_id))
    else:
        log.debug("sse.disconnected", **totals, **_facts(event.failure))


def _retry_scheduled(log: Any, event: Any) -> None:  # noqa: ANN401
    log.warning("sse.retry_scheduled", delay=round(event.delay, 3), **_facts(event.failure))


def _gave_up(log: Any, event: Any) -> None:  # noqa: ANN401
    log.error("sse.gave_up", failures=event.failure.attempt, **_facts(event.failure))


def _gap_detected(log: Any, event: Any) -> None:  # noqa: ANN401
    facts = {"reason": event.reason, "last_event_id": bounded(event.last_event_id)}
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


def _lease_granted(log: Any, event: Any) -> None:  # noqa: ANN401
    waited = round(event.waited, 3)
    log.info("sse.lease_granted", lease=event.name, token=event.token, waited=waited)


def _lease_ended(log: Any, event: Any) -> None:  # noqa: ANN401
    write = log.warning if event.reason == "lost" else log.info
    write("sse.lease_ended", lease=event.name, token=event.token, reason=event.reason)


def _group_changed(log: Any, event: Any) -> None:  # noqa: ANN401
    log.info("sse.group_changed", streams=event.streams, replicas=event.replicas)


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
    lifecycle.LeaseGranted: _lease_granted,
    lifecycle.LeaseEnded: _lease_ended,
    lifecycle.GroupChanged: _group_changed,
}


def _facts(failure: Failure) -> dict[str, object]:
    """Flatten a failure into keys of a log line."""
    facts: dict[str, object] = {
        "kind": str(failure.kind),
        "error": _named(failure.error),
        "failed_attempt": failure.attempt,
        "outage_seconds": round(failure.outage_seconds, 3),
        "last_event_id": bounded(failure.last_event_id),
    }
    if failure.status_code is not None:
        facts["status_code"] = failure.status_code
    if failure.retry_after is not None:
        facts["retry_after"] = round(failure.retry_after, 3)
    return facts


def _named(error: BaseException) -> str:
    """Say what went wrong in one line, without secrets."""
    name, message = type(error).__name__, explain(error)
    return f"{name}: {message}" if message else name
