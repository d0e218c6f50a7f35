"""The OpenTelemetry spans: one for each source, and one, linked to it, for each attempt."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from resilient_sse._redact import explain
from resilient_sse.instrumentation import _metrics
from resilient_sse.instrumentation._attributes import attributes_of
from resilient_sse.instrumentation._labels import labels_of
from resilient_sse.lifecycle import (
    Closed,
    Connected,
    Connecting,
    Disconnected,
    GaveUp,
    RetryScheduled,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from resilient_sse._failure import Failure
    from resilient_sse.lifecycle import LifecycleEvent

__all__ = ["Spans"]


class _Source:
    """The spans of one source."""

    def __init__(self, span: Span, attributes: dict[str, str | int]) -> None:
        self.span = span
        self.attributes = attributes
        self.connection: Span | None = None
        self.disconnected_at: int | None = None  # nanoseconds since the epoch

    def begin(self, tracer: Tracer, event: Connecting) -> None:
        """Begin the span of an attempt."""
        self.disconnected_at = None
        self.connection = tracer.start_span(
            "sse.connection",
            context=Context(),  # a trace of its own
            kind=SpanKind.CLIENT,
            links=[Link(self.span.get_span_context())],
            attributes={
                **self.attributes,
                "sse.attempt": event.attempt,
                "sse.resumed": bool(event.last_event_id),
            },
        )

    def end(self) -> None:
        """End the span of the attempt at the time its connection was over."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.end(self.disconnected_at)


class Spans:
    """Makes spans of lifecycle events.

    Args:
        stream: The name of what the sources read.
        provider: Where spans go; None for the global one.
    """

    def __init__(self, stream: str, provider: TracerProvider | None) -> None:
        self._tracer = trace.get_tracer(_metrics.SCOPE, tracer_provider=provider)
        self._stream = stream
        self._sources: dict[int, _Source] = {}

    def see(self, event: LifecycleEvent) -> None:
        """Put a lifecycle event into its span."""
        if isinstance(event, Connecting):
            self._connecting(event)
        elif (source := self._sources.get(event.source_id)) is not None:
            self._put(event, source)

    def _connecting(self, event: Connecting) -> None:
        source = self._sources.get(event.source_id)
        if source is None:
            attributes = {
                **attributes_of(labels_of(event.url, self._stream)),
                "url.full": event.url,
            }
            span = self._tracer.start_span("sse.source", attributes=attributes)
            source = self._sources[event.source_id] = _Source(span, attributes)
        source.end()
        source.begin(self._tracer, event)

    def _put(self, event: LifecycleEvent, source: _Source) -> None:
        span = source.connection or trace.INVALID_SPAN
        match event:
            case Connected():
                span.set_attribute("http.response.status_code", event.status_code)
                span.add_event("sse.connected")
            case Disconnected():
                _disconnected(event, source, span)
            case RetryScheduled():
                _retry(event, source, span)
            case GaveUp():
                _gave_up(event, source, span)
            case Closed():
                source.end()
                source.span.set_attribute("sse.closed.reason", event.reason)
                source.span.end()
                del self._sources[event.source_id]
            case _:  # comments are counted, not traced
                return


def _disconnected(event: Disconnected, source: _Source, span: Span) -> None:
    source.disconnected_at = time_ns()
    span.set_attributes({"sse.events": event.events, "sse.bytes": event.bytes})
    if event.failure is not None:
        _fail(span, event.failure)


def _retry(event: RetryScheduled, source: _Source, span: Span) -> None:
    _fail(span, event.failure)
    span.set_attribute("sse.retry.delay", event.delay)
    source.end()
    source.span.add_event(
        "sse.retry_scheduled",
        {"error.type": str(event.failure.kind), "sse.retry.delay": event.delay},
    )


def _gave_up(event: GaveUp, source: _Source, span: Span) -> None:
    _fail(span, event.failure)
    source.end()
    _fail(source.span, event.failure)
    source.span.add_event("sse.gave_up", {"sse.failures": event.failure.attempt})


def _fail(span: Span, failure: Failure) -> None:
    span.set_attribute("error.type", str(failure.kind))
    if failure.status_code is not None:
        span.set_attribute("http.response.status_code", failure.status_code)
    span.set_status(
        Status(StatusCode.ERROR, explain(failure.error) or type(failure.error).__name__)
    )
