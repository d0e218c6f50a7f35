"""Lifecycle events as OpenTelemetry metrics and traces.

The instruments are one set for each meter provider, however many hooks there are. Two sets would
not add up: of two observable instruments of one name, the SDK asks only the first. A span is
exported when it ends, and a source or a connection may not for weeks: so each attempt has a span
that is over with the response's headers, and everything else hangs on that.

The library is imported where it is used, so not before the first hook is made.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext, suppress
from importlib.metadata import PackageNotFoundError, version
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from resilient_sse._values.failure import FailureKind
from resilient_sse._values.redact import bounded, explain
from resilient_sse.instrumentation import _figures
from resilient_sse.instrumentation._figures import Counters, labels_of, missing
from resilient_sse.lifecycle import (
    Closed,
    Connected,
    Connecting,
    CursorStoreFailed,
    Disconnected,
    GapDetected,
    GaveUp,
    RetryScheduled,
    SourceEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import (
        CallbackOptions,
        Histogram,
        Meter,
        MeterProvider,
        Observation,
    )
    from opentelemetry.trace import Span, SpanKind, Status, Tracer, TracerProvider

    from resilient_sse._values.failure import Failure
    from resilient_sse.instrumentation._figures import Duration, Labels, Sum
    from resilient_sse.lifecycle import LifecycleEvent

__all__ = ["OpenTelemetryHook"]


def _version() -> str:
    """Return the version of this library; "" where it is not installed but, say, bundled."""
    with suppress(PackageNotFoundError):
        return version("resilient-sse")
    return ""


_VERSION: Final = _version()  # now: it reads files, and a hook may be made in an event loop


class OpenTelemetryHook:
    """Makes OpenTelemetry metrics and spans of what sources do; needs the extra ``opentelemetry``.

    Up-down counters: ``sse.client.sources`` (being read), ``sse.client.open_connections``.

    A gauge: ``sse.client.start_time`` (when this process began to read the stream, in seconds).

    Counters: ``sse.client.attempts``, ``sse.client.failures`` (with ``error.type``, a
    `FailureKind`, and ``http.response.status_code``), ``sse.client.reconnects``,
    ``sse.client.give_ups``, ``sse.client.events``, ``sse.client.io`` (bytes),
    ``sse.client.comments``, ``sse.client.gaps``, ``sse.client.cursor_store_failures``.

    Histograms, in seconds: ``sse.client.time_to_first_event``,
    ``sse.client.connection.duration``, ``sse.client.outage.duration``.

    All these have the attributes ``server.address``, ``server.port`` and, if given, ``sse.stream``.
    Of leases and groups, with ``sse.lease`` (the name of the group, or of a lease that is alone)
    and, if given, ``sse.stream``: the up-down counters ``sse.client.leases`` (held),
    ``sse.client.group.streams`` and ``sse.client.group.replicas``, and the counters
    ``sse.client.lease.grants`` and ``sse.client.lease.losses``. The
    counters are observable: events and bytes of open connections are read when the metrics are
    collected; no event costs anything. Hooks of one meter provider share the instruments.

    Every attempt has a span ``sse.connect``, from its start to the response's headers or its
    failure, in a trace of its own, and sends its ``traceparent``. The connection that comes of it
    has a span ``sse.connection`` under it, gaps and failures of the cursor store have spans without
    length there. A span ``sse.source``, to which all of them are linked, lasts as long as the
    source; nothing hangs on it, since it may last for weeks.

    Attributes: ``url.full`` (redacted), ``server.address``, ``server.port``,
    ``http.request.method``, ``http.response.status_code``, ``error.type`` (the status if that is
    what failed, else a `FailureKind`, which always is ``sse.failure.kind``), ``sse.stream``,
    ``sse.attempt``, ``sse.resumed`` (whether there was a cursor), ``sse.last_event_id``,
    ``sse.events``, ``sse.bytes``, ``sse.failed_attempt``, ``sse.retry.delay`` (the wait that
    follows, in seconds) and, on the attempt that ends an outage and on the last one before giving
    up, ``sse.failures`` and ``sse.outage.duration``.

    Where a sampled span is known, the values of histograms carry it as an exemplar.

    Args:
        stream: A name for what these sources read, to tell streams of one server apart.
        tracer_provider: Where spans go; by default the global one.
        meter_provider: Where metrics go; by default the global one.

    Raises:
        ImportError: If opentelemetry-api is not installed.
    """

    def __init__(
        self,
        stream: str = "",
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        try:
            self._figures = meters_of(meter_provider).figures
            self._spans = Spans(stream, tracer_provider)
        except ImportError as error:
            raise missing("OpenTelemetryHook", "opentelemetry", error) from error
        self._stream = stream

    def __call__(self, event: LifecycleEvent) -> None:
        """Count one lifecycle event and put it into its span."""
        with self._spans.around(event):
            self._figures.see(event, self._stream)
        self._spans.see(event)

    def inject_headers(self, source_id: int, headers: dict[str, str]) -> None:
        """Put the trace context of the attempt under way into its request's headers."""
        self._spans.inject(source_id, headers)


def attributes_of(labels: Labels) -> dict[str, str | int]:
    """Return the attributes that have a value."""
    attributes: dict[str, str | int] = {
        "sse.stream": labels.stream,
        "server.address": labels.server_address,
        "server.port": labels.server_port,
        "error.type": labels.error_type,
        "http.response.status_code": labels.status_code,
        "sse.lease": labels.lease,
    }
    return {name: value for name, value in attributes.items() if value}


class Meters:
    """Reads the figures when metrics are collected.

    Args:
        meter: Makes the instruments.
    """

    def __init__(self, meter: Meter) -> None:
        self.figures = Counters(self._observe)
        self._histograms = {metric: _histogram(meter, metric) for metric in _figures.DURATIONS}
        for metric in _figures.SUMS:
            reading = metric.name, [self._reader(metric)], metric.unit, metric.description
            make = {
                _figures.Kind.COUNTER: meter.create_observable_counter,
                _figures.Kind.GAUGE: meter.create_observable_up_down_counter,
                _figures.Kind.MOMENT: meter.create_observable_gauge,
            }[metric.kind]
            make(*reading)

    def _observe(self, observation: _figures.Observation) -> None:
        histogram = self._histograms[observation.metric]
        histogram.record(observation.seconds, attributes_of(observation.labels))

    def _reader(self, metric: Sum) -> Callable[[CallbackOptions], Iterable[Observation]]:
        from opentelemetry.metrics import Observation

        def read(_options: CallbackOptions) -> Iterable[Observation]:
            readings = [reading for reading in self.figures.read() if reading.metric is metric]
            return [Observation(value, attributes_of(labels)) for _, labels, value in readings]

        return read


def _histogram(meter: Meter, metric: Duration) -> Histogram:
    return meter.create_histogram(
        metric.name,
        "s",
        metric.description,
        explicit_bucket_boundaries_advisory=metric.buckets,
    )


_meters: Final[WeakKeyDictionary[object, Meters]] = WeakKeyDictionary()
_making: Final = threading.Lock()


def meters_of(provider: MeterProvider | None) -> Meters:
    """Return the instruments of a meter provider, making them the first time.

    The global provider goes by the name of the API's module: a program may set it after it has
    made its first hook.
    """
    from opentelemetry import metrics

    home: object = metrics
    get_meter: Callable[[str, str], Meter] = metrics.get_meter
    if provider is not None and provider is not metrics.get_meter_provider():
        home, get_meter = provider, provider.get_meter
    with _making:
        meters = _meters.get(home)
        if meters is None:
            meters = _meters[home] = Meters(get_meter(_figures.SCOPE, _VERSION))
        return meters


class _Source:
    """The spans of one source.

    Attributes:
        span: That of the source itself, which ends with it: perhaps never.
        attempt: That of the newest attempt; it may be over.
        connection: That of its connection; None until there is one, and when it is over.
        failing: What the next failure is about, until a wait follows or the source ends.
    """

    def __init__(self, span: Span, attributes: dict[str, str | int]) -> None:
        self.span = span
        self.attributes = attributes
        self.attempt: Span | None = None
        self.connection: Span | None = None
        self.disconnected_at: int | None = None  # nanoseconds since the epoch

    @property
    def failing(self) -> Span:
        """The span that the next failure is about."""
        from opentelemetry.trace import INVALID_SPAN

        if self.connection is not None:
            return self.connection
        attempt = self.attempt
        return attempt if attempt is not None and attempt.is_recording() else INVALID_SPAN

    def start(
        self, tracer: Tracer, name: str, kind: SpanKind, attributes: Mapping[str, Any], *, of: Span
    ) -> Span:
        """Start a span that is linked to the source's, in the trace of another one."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, set_span_in_context

        return tracer.start_span(
            name,
            context=set_span_in_context(of, Context()),
            kind=kind,
            links=[Link(self.span.get_span_context())],
            attributes={**self.attributes, **attributes},
        )

    def end(self) -> None:
        """End what is under way, a connection at the time that it was over."""
        if self.connection is not None:
            self.connection.end(self.disconnected_at)
        else:
            self.failing.end()
        self.connection = self.disconnected_at = None


class Spans:
    """Makes spans of lifecycle events.

    Args:
        stream: The name of what the sources read.
        provider: Where spans go; None for the global one.
    """

    def __init__(self, stream: str, provider: TracerProvider | None) -> None:
        from opentelemetry import trace

        self._tracer = trace.get_tracer(_figures.SCOPE, _VERSION, tracer_provider=provider)
        self._stream = stream
        self._sources: dict[int, _Source] = {}

    def see(self, event: LifecycleEvent) -> None:
        """Put a lifecycle event into its span."""
        if isinstance(event, Connecting):
            self._connecting(event)
        elif isinstance(event, SourceEvent) and event.source_id in self._sources:
            source = self._sources[event.source_id]
            self._put(event, source)

    def around(self, event: LifecycleEvent) -> AbstractContextManager[object]:
        """Make the span of a connection that is over the current one, for exemplars to name it."""
        source = self._sources.get(event.source_id) if isinstance(event, Disconnected) else None
        if source is None:
            return nullcontext()
        from opentelemetry.trace import use_span

        return use_span(source.failing, record_exception=False, set_status_on_exception=False)

    def inject(self, source_id: int, headers: dict[str, str]) -> None:
        """Put the context of the attempt under way into headers."""
        from opentelemetry.context import Context
        from opentelemetry.propagate import inject
        from opentelemetry.trace import set_span_in_context

        source = self._sources.get(source_id)
        if source is not None and source.attempt is not None:
            inject(headers, set_span_in_context(source.attempt, Context()))

    def _connecting(self, event: Connecting) -> None:
        from opentelemetry.trace import INVALID_SPAN, SpanKind

        source = self._sources.get(event.source_id)
        if source is None:
            attributes = {
                **attributes_of(labels_of(event.url, self._stream)),
                "url.full": event.url,
            }
            span = self._tracer.start_span("sse.source", attributes=attributes)
            source = self._sources[event.source_id] = _Source(span, attributes)
        source.end()
        facts = {
            **_method(event.method),
            "sse.attempt": event.attempt,
            "sse.resumed": bool(event.last_event_id),
        }
        source.attempt = source.start(
            self._tracer,
            "sse.connect",
            SpanKind.CLIENT,
            facts,
            of=INVALID_SPAN,  # a trace of its own
        )

    def _put(self, event: LifecycleEvent, source: _Source) -> None:
        match event:
            case Connected():
                self._connected(event, source)
            case Disconnected():
                _disconnected(event, source)
            case RetryScheduled():
                _retry(event, source)
            case GaveUp():
                _gave_up(event, source)
            case GapDetected() | CursorStoreFailed():
                self._fact(event, source)
            case Closed():
                source.end()
                source.span.set_attribute("sse.closed.reason", event.reason)
                source.span.end()
                del self._sources[event.source_id]
            case _:  # comments are counted, not traced
                return

    def _connected(self, event: Connected, source: _Source) -> None:
        """End the span of the attempt: what is exported is complete, however long it is open."""
        from opentelemetry.trace import SpanKind

        attempt = source.failing
        attempt.set_attribute("http.response.status_code", event.status_code)
        if event.failures:
            outage = {"sse.failures": event.failures, "sse.outage.duration": event.outage_seconds}
            attempt.set_attributes(outage)
        source.end()
        source.connection = source.start(
            self._tracer, "sse.connection", SpanKind.INTERNAL, {}, of=attempt
        )

    def _fact(self, event: GapDetected | CursorStoreFailed, source: _Source) -> None:
        """Tell in a span without length what could be an event of one that may last for weeks."""
        from opentelemetry.trace import INVALID_SPAN, SpanKind

        fact = _gap(event) if isinstance(event, GapDetected) else _store(event)
        span = source.start(
            self._tracer,
            fact.name,
            SpanKind.INTERNAL,
            fact.attributes,
            of=source.attempt or INVALID_SPAN,
        )
        if fact.error is not None:
            span.set_status(_error_status(fact.error))
        span.end()


class _Fact(NamedTuple):
    """What a span without length tells; ``error`` if the source cannot go on as it was."""

    name: str
    attributes: dict[str, str | int | float]
    error: str | None


def _gap(event: GapDetected) -> _Fact:
    attributes: dict[str, str | int | float] = {
        "sse.gap.reason": event.reason,
        "sse.last_event_id": bounded(event.last_event_id),
    }
    if event.status_code is not None:
        attributes["http.response.status_code"] = event.status_code
    return _Fact("sse.gap_detected", attributes, None if event.continues else "events are lost")


def _store(event: CursorStoreFailed) -> _Fact:
    attributes: dict[str, str | int | float] = {
        "sse.cursor_store.operation": event.operation,
        "sse.cursor_store.failures": event.attempt,
        "error.type": type(event.error).__name__,
    }
    return _Fact("sse.cursor_store_failed", attributes, _told(event.error))


# What the HTTP conventions know; others are told of as _OTHER, and by their own name beside it.
_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)


def _method(method: str) -> dict[str, str]:
    if method in _METHODS:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method}


def _disconnected(event: Disconnected, source: _Source) -> None:
    source.disconnected_at = time_ns()
    span = source.failing
    span.set_attributes({"sse.events": event.events, "sse.bytes": event.bytes})
    if event.last_event_id:
        span.set_attribute("sse.last_event_id", bounded(event.last_event_id))
    if event.failure is not None:
        _fail(span, event.failure)


def _retry(event: RetryScheduled, source: _Source) -> None:
    span = source.failing
    _fail(span, event.failure)
    span.set_attribute("sse.retry.delay", event.delay)
    source.end()
    source.span.add_event(
        "sse.retry_scheduled",
        {"error.type": _error_type(event.failure), "sse.retry.delay": event.delay},
    )


def _gave_up(event: GaveUp, source: _Source) -> None:
    facts = {
        "sse.failures": event.failure.attempt,
        "sse.outage.duration": event.failure.outage_seconds,
    }
    for span in (source.failing, source.span):
        _fail(span, event.failure)
        span.add_event("sse.gave_up", facts)
    source.end()


def _fail(span: Span, failure: Failure) -> None:
    span.set_attributes(
        {
            "error.type": _error_type(failure),
            "sse.failure.kind": str(failure.kind),
            "sse.failed_attempt": failure.attempt,
        }
    )
    if failure.last_event_id:
        span.set_attribute("sse.last_event_id", bounded(failure.last_event_id))
    if failure.status_code is not None:
        span.set_attribute("http.response.status_code", failure.status_code)
    span.set_status(_error_status(_told(failure.error)))


def _error_type(failure: Failure) -> str:
    """Return the status if that is what failed, as the HTTP conventions have it, else the kind."""
    if failure.kind is FailureKind.STATUS and failure.status_code is not None:
        return str(failure.status_code)
    return str(failure.kind)


def _error_status(message: str) -> Status:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR, message)


def _told(error: BaseException) -> str:
    return explain(error) or type(error).__name__
