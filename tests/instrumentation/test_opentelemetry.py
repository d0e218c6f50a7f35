"""`OpenTelemetryHook`, with the SDK's own exporter and a receiver on a socket."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import resilient_sse
from resilient_sse import (
    Closed,
    Connected,
    Connecting,
    CursorStoreFailed,
    Failure,
    FailureKind,
    GapDetected,
    GiveUpError,
    GroupChanged,
    ReconnectingEventSource,
    RetryScheduled,
    SyncReconnectingEventSource,
)
from resilient_sse.cursors import StreamLease
from resilient_sse.instrumentation import OpenTelemetryHook, _opentelemetry
from resilient_sse.testing import (
    Connection,
    Ending,
    Gate,
    HistoryServer,
    InstantRetries,
    MemoryLeaseEngine,
    ScriptedServer,
    comment,
    event,
)
from tests.support.otlp_receiver import attributes_of, otlp_receiver

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.support.otlp_receiver import OtlpReceiver


class Telemetry:
    """Providers that export to a receiver when they are told to."""

    def __init__(self, receiver: OtlpReceiver) -> None:
        self.receiver = receiver
        exporter = OTLPMetricExporter(f"{receiver.url}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
        self.meter_provider = MeterProvider([reader], shutdown_on_exit=False)
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        spans = BatchSpanProcessor(OTLPSpanExporter(f"{receiver.url}/v1/traces"))
        self.tracer_provider.add_span_processor(spans)

    def hook(self, stream: str = "") -> OpenTelemetryHook:
        """Make a hook that reports to these providers."""
        return OpenTelemetryHook(
            stream, tracer_provider=self.tracer_provider, meter_provider=self.meter_provider
        )

    def flush(self) -> OtlpReceiver:
        """Export what there is, and return the receiver that has it."""
        self.meter_provider.force_flush()
        self.tracer_provider.force_flush()
        return self.receiver

    def close(self) -> None:
        """End the exporters' threads."""
        self.meter_provider.shutdown()
        self.tracer_provider.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Providers and the receiver they export to."""
    with otlp_receiver() as receiver:
        made = Telemetry(receiver)
        yield made
        made.close()


RETRY = InstantRetries(lambda failure: 0.0 if failure.retryable else None)


@pytest.mark.anyio
async def test_figures_of_an_open_connection_are_exported(telemetry: Telemetry) -> None:
    """Events, bytes and the time to the first event arrive while the connection is open."""
    async with HistoryServer() as server:
        for number in range(5):
            server.publish(f"news {number}")
        hooks = [telemetry.hook("news")]
        async with ReconnectingEventSource(server.url, hooks=hooks) as source:
            for _ in range(5):
                await anext(source)
            got = await to_thread.run_sync(telemetry.flush)
            assert got.value("sse.client.events", sse_stream="news") == 5
            assert got.value("sse.client.io") == sum(
                len(f"id: {n + 1}\ndata: news {n}\n\n") for n in range(5)
            )
            assert got.value("sse.client.open_connections", server_address="127.0.0.1") == 1
            assert got.value("sse.client.sources") == 1
            assert got.histogram("sse.client.time_to_first_event").count == 1
            assert "sse.client.connection.duration" not in got.metrics
        got = await to_thread.run_sync(telemetry.flush)
        assert got.value("sse.client.events") == 5
        assert got.value("sse.client.open_connections") == got.value("sse.client.sources") == 0
        assert got.histogram("sse.client.connection.duration").count == 1


def test_failures_and_outages_are_exported(telemetry: Telemetry) -> None:
    """Attempts, failures by kind and status, reconnects, comments, the length of the outage."""
    script = [
        Connection(comment("hello"), event("one", id="1"), ending=Ending.RESET),
        Connection(status=503),
        Connection(event("two", id="2")),
    ]
    with (
        ScriptedServer(script) as server,
        SyncReconnectingEventSource(server.url, policy=RETRY, hooks=[telemetry.hook()]) as source,
    ):
        assert [found.data for found in source] == ["one", "two"]
    got = telemetry.flush()
    assert got.value("sse.client.attempts") == 4
    assert got.value("sse.client.failures", error_type="transport") == 1
    assert got.value("sse.client.failures", error_type="ended") == 1
    statuses = [
        attributes_of(point.attributes)
        for point in got.metrics["sse.client.failures"].sum.data_points
        if attributes_of(point.attributes)["error.type"] == "status"
    ]
    assert [found["http.response.status_code"] for found in statuses] == [503]
    assert got.value("sse.client.reconnects") == 1
    assert got.value("sse.client.comments") == 1
    assert got.value("sse.client.give_ups") == 0
    outage = got.histogram("sse.client.outage.duration")
    assert outage.count == 1
    assert 0 < outage.sum < 30


def test_names_and_units_follow_the_conventions(telemetry: Telemetry) -> None:
    """Seconds and bytes have their units, counts say of what; counters cannot fall."""
    with (
        ScriptedServer([Connection(event("one"))]) as server,
        SyncReconnectingEventSource(server.url, policy=RETRY, hooks=[telemetry.hook()]) as source,
    ):
        list(source)
    got = telemetry.flush()
    units = {name.removeprefix("sse.client."): found.unit for name, found in got.metrics.items()}
    assert units == {
        "sources": "{source}",
        "open_connections": "{connection}",
        "start_time": "s",
        "attempts": "{attempt}",
        "failures": "{failure}",
        "reconnects": "{reconnect}",
        "give_ups": "{give_up}",
        "events": "{event}",
        "io": "By",
        "comments": "{comment}",
        "gaps": "{gap}",
        "cursor_store_failures": "{failure}",
        "time_to_first_event": "s",
        "connection.duration": "s",
    }
    monotonic = {name for name, found in got.metrics.items() if found.sum.is_monotonic}
    falling = {"sse.client.sources", "sse.client.open_connections"}
    assert monotonic | falling == {
        name for name in got.metrics if got.metrics[name].HasField("sum")
    }
    bounds = got.histogram("sse.client.connection.duration").explicit_bounds
    assert (bounds[0], bounds[-1]) == (1.0, 7 * 86400.0)


def test_every_attempt_has_a_trace_linked_to_the_source(telemetry: Telemetry) -> None:
    """The attempt's own span is its root; the connection that came of it hangs on that."""
    script = [
        Connection(event("one", id="1"), ending=Ending.RESET),
        Connection(status=503),
        Connection(event("two", id="2")),
    ]
    with ScriptedServer(script) as server:
        url = f"{server.url.replace('//', '//user:password@')}?token=secret"
        tracer = telemetry.tracer_provider.get_tracer("the program")
        with (
            tracer.start_as_current_span("work"),
            SyncReconnectingEventSource(url, policy=RETRY, hooks=[telemetry.hook("n")]) as source,
        ):
            assert len(list(source)) == 2
    got = telemetry.flush()
    (work,), (whole,) = got.named("work"), got.named("sse.source")
    attempts, connections = got.named("sse.connect"), got.named("sse.connection")
    assert whole.parent_span_id == work.span_id
    assert len(attempts) == 4
    for span in attempts:
        assert [link.span_id for link in span.links] == [whole.span_id]
        assert span.trace_id != whole.trace_id
        assert span.parent_span_id == b""
        assert span.kind == Span.SPAN_KIND_CLIENT
    opened = [attempts[0], attempts[2]]
    assert [span.parent_span_id for span in connections] == [span.span_id for span in opened]
    assert [span.trace_id for span in connections] == [span.trace_id for span in opened]
    assert facts_of(attempts, "sse.resumed") == [False, True, True, True]
    assert facts_of(attempts, "sse.attempt") == [1, 2, 3, 2]
    assert facts_of(attempts, "http.response.status_code") == [200, 503, 200, None]
    assert facts_of(attempts, "error.type") == [None, "503", None, None]
    assert facts_of(attempts, "sse.failure.kind") == [None, "status", None, None]
    assert facts_of(attempts, "sse.retry.delay") == [None, 0.0, None, None]
    assert facts_of(attempts, "sse.failures") == [None, None, 2, None]
    assert facts_of(attempts, "http.request.method") == ["GET"] * 4
    assert facts_of(connections, "error.type") == ["transport", "ended"]
    assert facts_of(connections, "sse.events") == [1, 1]
    assert facts_of(connections, "sse.last_event_id") == ["1", "2"]
    assert facts_of(connections, "sse.retry.delay") == [0.0, 0.0]
    assert connections[0].status.code == Status.STATUS_CODE_ERROR
    assert [found.name for found in whole.events] == ["sse.retry_scheduled"] * 3
    assert attributes_of(whole.attributes)["sse.closed.reason"] == "no content"
    assert facts_of(attempts, "url.full")[0] == f"{server.url}?token=***"
    exported = "".join(map(str, got.spans))
    assert "secret" not in exported
    assert "password" not in exported


def test_leases_and_groups_are_exported(telemetry: Telemetry) -> None:
    """With the name of the group, and nothing of a server."""
    hook = telemetry.hook("news")
    hook(GroupChanged(group="prices", streams=3, replicas=2))
    with StreamLease(MemoryLeaseEngine()("prices"), hooks=[hook]):
        got = telemetry.flush()
    assert got.value("sse.client.leases", sse_stream="news", sse_lease="prices") == 1
    assert got.value("sse.client.lease.grants") == 1
    assert got.value("sse.client.lease.losses") == 0
    assert got.value("sse.client.group.streams", sse_lease="prices") == 3
    assert got.value("sse.client.group.replicas") == 2
    (point,) = got.metrics["sse.client.leases"].sum.data_points
    assert set(attributes_of(point.attributes)) == {"sse.stream", "sse.lease"}


def facts_of(spans: Iterable[Any], name: str) -> list[object]:
    """Return an attribute of every span, None where it has none."""
    return [attributes_of(span.attributes).get(name) for span in spans]


@pytest.mark.anyio
async def test_an_open_stream_has_been_seen_and_names_its_trace(telemetry: Telemetry) -> None:
    """While it is open, the collector has a complete trace, which the server can join."""
    async with HistoryServer() as server:
        server.publish("news")
        async with ReconnectingEventSource(server.url, hooks=[telemetry.hook()]) as source:
            await anext(source)
            got = await to_thread.run_sync(telemetry.flush)
            (attempt,) = got.spans
            assert (attempt.name, attempt.parent_span_id) == ("sse.connect", b"")
            (request,) = server.requests
    _, trace_id, span_id, _ = request.headers["traceparent"].split("-")
    assert (trace_id, span_id) == (attempt.trace_id.hex(), attempt.span_id.hex())


def test_the_callers_own_trace_context_wins(telemetry: Telemetry) -> None:
    """A header that the program set is not replaced."""
    own = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    with ScriptedServer([Connection(event("one"))]) as server:
        with SyncReconnectingEventSource(
            server.url, hooks=[telemetry.hook()], headers=own
        ) as source:
            next(source)
        assert server.requests[0].headers["traceparent"] == own["traceparent"]


def test_a_method_that_the_conventions_do_not_know_is_other(telemetry: Telemetry) -> None:
    """Under its own name beside that, as the conventions have it."""
    with (
        ScriptedServer([Connection(event("one"))]) as server,
        SyncReconnectingEventSource(
            server.url, method="subscribe", hooks=[telemetry.hook()]
        ) as source,
    ):
        next(source)
    (attempt,) = telemetry.flush().named("sse.connect")
    assert facts_of([attempt], "http.request.method") == ["_OTHER"]
    assert facts_of([attempt], "http.request.method_original") == ["SUBSCRIBE"]


def test_the_scope_has_the_version(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of spans and of metrics; where nothing knows it, there is none, and no error."""
    with (
        ScriptedServer([Connection(event("one"))]) as server,
        SyncReconnectingEventSource(server.url, hooks=[telemetry.hook()]) as source,
    ):
        next(source)
    assert telemetry.flush().scopes == {("resilient_sse", resilient_sse.__version__)}

    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_opentelemetry, "version", unknown)
    assert _opentelemetry._version() == ""


def test_gaps_and_store_failures_are_seen_at_once(telemetry: Telemetry) -> None:
    """As spans without length, under the attempt: the connection's may not end for weeks."""
    hook = telemetry.hook()
    who: dict[str, Any] = {"url": "http://h/e", "source_id": 10**9}
    hook(CursorStoreFailed(**who, operation="load", error=OSError(), key="k", attempt=1, delay=1.0))
    hook(Connecting(**who, attempt=1, last_event_id="5"))
    hook(CursorStoreFailed(**who, operation="load", error=OSError(), key="k", attempt=2, delay=1.0))
    hook(Connected(**who, attempt=1, status_code=200, headers={}, seconds=0.1, resumed=True))
    gap: dict[str, Any] = {"last_event_id": "5", "event": None}
    hook(GapDetected(**who, **gap, reason="event", status_code=None, continues=True))
    hook(GapDetected(**who, **gap, reason="refused", status_code=412, continues=False))
    got = telemetry.flush()
    (attempt,) = got.named("sse.connect")
    gaps, (store,) = got.named("sse.gap_detected"), got.named("sse.cursor_store_failed")
    assert {span.parent_span_id for span in (*gaps, store)} == {attempt.span_id}
    assert facts_of(gaps, "sse.gap.reason") == ["event", "refused"]
    assert facts_of(gaps, "http.response.status_code") == [None, 412]
    error, unset = Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET
    assert [span.status.code for span in gaps] == [unset, error]
    assert (store.status.code, store.status.message) == (error, "OSError")
    assert got.named("sse.connection") == []


def test_failures_between_two_connections_have_no_span(telemetry: Telemetry) -> None:
    """Those of an on_gap function: the connection's span tells of the first."""
    hook, who = telemetry.hook(), 10**9 + 1
    failure = Failure(error=OSError("no snapshot"), kind=FailureKind.GAP)
    hook(Connecting(url="http://h/e", source_id=who, attempt=1, last_event_id="5"))
    for _ in range(2):
        hook(RetryScheduled(url="http://h/e", source_id=who, failure=failure, delay=1.0))
    hook(Closed(url="http://h/e", source_id=who, reason="closed"))
    got = telemetry.flush()
    assert facts_of(got.named("sse.connect"), "error.type") == ["gap"]
    assert [found.name for found in got.named("sse.source")[0].events] == [
        "sse.retry_scheduled"
    ] * 2
    headers: dict[str, str] = {}
    hook.inject_headers(who, headers)
    assert headers == {}


def test_a_duration_names_the_trace_that_it_is_of(telemetry: Telemetry) -> None:
    """As an exemplar of the histogram."""
    with (
        ScriptedServer([Connection(event("one"))]) as server,
        SyncReconnectingEventSource(server.url, policy=RETRY, hooks=[telemetry.hook()]) as source,
    ):
        list(source)
    got = telemetry.flush()
    (connection,) = got.named("sse.connection")
    for name in ("connection.duration", "time_to_first_event"):
        (exemplar,) = got.histogram(f"sse.client.{name}").exemplars
        assert (exemplar.trace_id, exemplar.span_id) == (connection.trace_id, connection.span_id)


def test_giving_up_is_an_error_of_the_source(telemetry: Telemetry) -> None:
    """The span of the source says why, that of the attempt too, and a metric counts it."""
    hooks = [telemetry.hook()]
    with (
        ScriptedServer([Connection(status=401)]) as server,
        SyncReconnectingEventSource(server.url, hooks=hooks) as source,
        pytest.raises(GiveUpError),
    ):
        next(source)
    got = telemetry.flush()
    (whole,), (attempt,) = got.named("sse.source"), got.named("sse.connect")
    for span in (whole, attempt):
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert "401" in span.status.message
        assert attributes_of(span.attributes)["error.type"] == "401"
        assert [found.name for found in span.events] == ["sse.gave_up"]
    assert got.value("sse.client.give_ups") == 1


def test_a_connection_that_is_dropped_is_no_error(telemetry: Telemetry) -> None:
    """Leaving the block ends the span at the time the connection was over, without an error."""
    gate = Gate()
    with (
        ScriptedServer([Connection(comment("x"), event("one"), gate)]) as server,
        SyncReconnectingEventSource(server.url, hooks=[telemetry.hook()]) as source,
    ):
        next(source)
    (attempt,) = telemetry.flush().named("sse.connection")
    assert attempt.status.code == Status.STATUS_CODE_UNSET
    assert attributes_of(attempt.attributes)["sse.events"] == 1


def test_a_server_cannot_fill_the_spans(telemetry: Telemetry) -> None:
    """Its ids may be as long as its events; a span has the beginning."""
    refused, long = Connection(status=410), event("one", id="i" * 1_000_000)
    with (
        ScriptedServer([Connection(event("0", id="0"), long), refused]) as server,
        SyncReconnectingEventSource(
            server.url, hooks=[telemetry.hook()], policy=RETRY, on_gap="continue"
        ) as source,
    ):
        assert len(list(source)) == 2
    got = telemetry.flush()
    told = (attributes_of(span.attributes) for span in got.spans)
    ids = [str(each.get("sse.last_event_id", "")) for each in told]
    assert max(map(len, ids)) == 8000


def test_a_source_that_never_tried_leaves_no_trace(telemetry: Telemetry) -> None:
    """Entering and leaving the block without asking for an event is nothing to report."""
    with SyncReconnectingEventSource("http://127.0.0.1:9/", hooks=[telemetry.hook()]):
        pass
    got = telemetry.flush()
    assert got.spans == []
    assert got.metrics == {}


@pytest.mark.anyio
async def test_the_wait_is_no_part_of_the_span(telemetry: Telemetry) -> None:
    """A span ends with its connection, not when the next attempt begins."""
    hooks = [telemetry.hook()]
    async with (
        ScriptedServer([Connection(event("one"))]) as server,
        ReconnectingEventSource(server.url, policy=lambda _: 0.2, hooks=hooks) as source,
    ):
        assert [found.data async for found in source] == ["one"]
    got = await to_thread.run_sync(telemetry.flush)
    (first,), (_, second) = got.named("sse.connection"), got.named("sse.connect")
    assert second.start_time_unix_nano - first.end_time_unix_nano > 0.15e9
    assert attributes_of(first.attributes)["sse.retry.delay"] == 0.2


def test_hooks_share_the_instruments_of_a_provider(telemetry: Telemetry) -> None:
    """A hook for every source: the figures add up, by stream."""
    with HistoryServer() as server:
        server.publish("one")
        for stream in ("a", "b", "b"):
            with SyncReconnectingEventSource(server.url, hooks=[telemetry.hook(stream)]) as source:
                next(source)
    got = telemetry.flush()
    assert got.value("sse.client.events", sse_stream="a") == 1
    assert got.value("sse.client.events", sse_stream="b") == 2


def test_the_global_providers_are_the_default() -> None:
    """Hooks without providers share the global ones, also if a program names these."""
    OpenTelemetryHook()
    known = _opentelemetry.meters_of(None)
    assert known is _opentelemetry.meters_of(metrics.get_meter_provider())
    OpenTelemetryHook(tracer_provider=trace.get_tracer_provider())


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the hook says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"OpenTelemetryHook needs .*\[opentelemetry\]"):
        OpenTelemetryHook()
