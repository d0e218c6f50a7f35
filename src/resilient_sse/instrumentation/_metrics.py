"""The metrics: their names, units and meanings, the same for OpenTelemetry and Prometheus.

Names and units follow OpenTelemetry's conventions. The Prometheus names are what a converter makes
of them, so that one dashboard serves both.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

__all__ = [
    "ATTEMPTS",
    "BYTES",
    "COMMENTS",
    "CONNECTION_DURATION",
    "CURSOR_STORE_FAILURES",
    "DURATIONS",
    "EVENTS",
    "FAILURES",
    "GAPS",
    "GIVE_UPS",
    "OPEN_CONNECTIONS",
    "OUTAGE_DURATION",
    "RECONNECTS",
    "SCOPE",
    "SOURCES",
    "SUMS",
    "TIME_TO_FIRST_EVENT",
    "Duration",
    "Kind",
    "Sum",
]

SCOPE: Final = "resilient_sse"
"""The instrumentation scope: what OpenTelemetry calls the library that is measured."""


class Kind(Enum):
    """Whether a sum can fall."""

    COUNTER = "counter"
    GAUGE = "gauge"


class Sum(NamedTuple):
    """A figure that is read when somebody asks for it.

    Attributes:
        name: The name, as OpenTelemetry writes it.
        unit: The unit, in UCUM.
        description: What it counts.
        kind: Whether it can fall.
    """

    name: str
    unit: str
    description: str
    kind: Kind = Kind.COUNTER


class Duration(NamedTuple):
    """A histogram of seconds.

    Attributes:
        name: The name, as OpenTelemetry writes it.
        description: What it measures.
        buckets: The upper bounds of its buckets, in seconds.
    """

    name: str
    description: str
    buckets: tuple[float, ...]


SOURCES: Final = Sum("sse.client.sources", "{source}", "Sources that are being read.", Kind.GAUGE)
OPEN_CONNECTIONS: Final = Sum(
    "sse.client.open_connections", "{connection}", "Streams that are open.", Kind.GAUGE
)
ATTEMPTS: Final = Sum("sse.client.attempts", "{attempt}", "Tries at opening a connection.")
FAILURES: Final = Sum(
    "sse.client.failures", "{failure}", "Attempts that failed and connections that broke, by kind."
)
RECONNECTS: Final = Sum(
    "sse.client.reconnects", "{reconnect}", "Connections opened after a source's first one."
)
GIVE_UPS: Final = Sum("sse.client.give_ups", "{give_up}", "Sources whose policy stopped trying.")
EVENTS: Final = Sum("sse.client.events", "{event}", "Events dispatched.")
BYTES: Final = Sum("sse.client.io", "By", "Bytes of body received, after content decoding.")
COMMENTS: Final = Sum("sse.client.comments", "{comment}", "Comments, which are mostly heartbeats.")
GAPS: Final = Sum("sse.client.gaps", "{gap}", "Gaps: events that a server could not replay.")
CURSOR_STORE_FAILURES: Final = Sum(
    "sse.client.cursor_store_failures", "{failure}", "Loads and saves of a cursor that failed."
)
SUMS: Final = (
    SOURCES,
    OPEN_CONNECTIONS,
    ATTEMPTS,
    FAILURES,
    RECONNECTS,
    GIVE_UPS,
    EVENTS,
    BYTES,
    COMMENTS,
    GAPS,
    CURSOR_STORE_FAILURES,
)

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
TIME_TO_FIRST_EVENT: Final = Duration(
    "sse.client.time_to_first_event",
    "From the start of an attempt to the first event of its connection.",
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, _HOUR),
)
CONNECTION_DURATION: Final = Duration(
    "sse.client.connection.duration",
    "How long a connection was open, seen when it is over.",
    (1.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY),
)
OUTAGE_DURATION: Final = Duration(
    "sse.client.outage.duration",
    "From the first failure to the next progress, seen when the stream has recovered.",
    (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR),
)
DURATIONS: Final = (TIME_TO_FIRST_EVENT, CONNECTION_DURATION, OUTAGE_DURATION)
