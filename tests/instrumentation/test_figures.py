"""`Counters`: what is counted, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse._values.failure import Failure, FailureKind
from resilient_sse.instrumentation import _figures
from resilient_sse.instrumentation._figures import Counters, labels_of
from resilient_sse.lifecycle import (
    Closed,
    Comment,
    Connected,
    Connecting,
    ConnectionTotals,
    CursorStoreFailed,
    Disconnected,
    GapDetected,
    GaveUp,
    GroupChanged,
    LeaseEnded,
    LeaseEvent,
    LeaseGranted,
    LifecycleEvent,
    RetryScheduled,
    SourceEvent,
)

if TYPE_CHECKING:
    from resilient_sse.instrumentation._figures import Duration, Observation, Sum

URL = "https://example.com/events"
LABELS = labels_of(URL, "news")


class Story:
    """Lifecycle events of one source, at times that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.observations: list[Observation] = []
        self.figures = Counters(
            self.observations.append, lambda: self.now, lambda: 1_800_000_000.5 + self.now
        )
        self.totals = ConnectionTotals()

    def tell(self, kind: type[LifecycleEvent], /, source_id: int = 1, **facts: Any) -> None:
        """Hand over one lifecycle event."""
        self.figures.see(kind(url=URL, source_id=source_id, **facts), "news")

    def connecting(self, attempt: int = 1) -> None:
        """Begin an attempt."""
        self.tell(Connecting, attempt=attempt, last_event_id="")

    def connected(self) -> None:
        """Open a connection whose totals are still zero."""
        self.totals = ConnectionTotals()
        facts: dict[str, Any] = {"status_code": 200, "headers": {}, "seconds": 0.1}
        self.tell(Connected, attempt=1, resumed=False, totals=self.totals, **facts)

    def receive(
        self,
        events: int = 1,
        bytes: int = 10,  # noqa: A002 - the field's name
        seconds: float = 0.5,
        *,
        progress: bool = True,
    ) -> None:
        """Have events come in."""
        self.totals.events += events
        self.totals.bytes += bytes
        self.totals.first_event_seconds = seconds
        self.totals.progress = progress

    def disconnected(self, failure: Failure | None = None, seconds: float = 7.0) -> None:
        """End the connection."""
        totals = self.totals
        self.tell(
            Disconnected,
            failure=failure,
            seconds=seconds,
            events=totals.events,
            bytes=totals.bytes,
        )

    def sum(self, metric: Sum, **labels: Any) -> int:
        """Read the sum of one series."""
        wanted = LABELS._replace(**labels)
        (value,) = [
            value
            for known, found, value in self.figures.read()
            if known is metric and found == wanted
        ]
        return value

    def seconds(self, metric: Duration) -> list[float]:
        """List the values of a histogram."""
        return [found.seconds for found in self.observations if found.metric is metric]


@pytest.fixture
def story() -> Story:
    """A story that begins."""
    return Story()


def failed(kind: FailureKind = FailureKind.ENDED, **facts: Any) -> Failure:
    """Make a failure."""
    return Failure(error=OSError(), kind=kind, **facts)


def test_open_connections_are_read_while_they_are_open(story: Story) -> None:
    """Events and bytes show at once, and are the same after the connection is over."""
    story.connecting()
    story.connected()
    story.receive(events=3, bytes=100)
    assert story.sum(_figures.EVENTS) == 3
    assert story.sum(_figures.BYTES) == 100
    assert story.sum(_figures.OPEN_CONNECTIONS) == 1
    story.disconnected()
    assert story.sum(_figures.EVENTS) == 3
    assert story.sum(_figures.BYTES) == 100
    assert story.sum(_figures.OPEN_CONNECTIONS) == 0
    assert story.seconds(_figures.CONNECTION_DURATION) == [7.0]


def test_the_first_event_is_observed_once_without_a_call(story: Story) -> None:
    """Reading finds out, and reading again or the end of the connection adds nothing."""
    story.connecting()
    story.connected()
    story.figures.read()
    assert story.seconds(_figures.TIME_TO_FIRST_EVENT) == []
    story.receive(seconds=0.25)
    story.figures.read()
    story.figures.read()
    story.disconnected()
    assert story.seconds(_figures.TIME_TO_FIRST_EVENT) == [0.25]


def test_a_failure_is_counted_once(story: Story) -> None:
    """The end of a connection and the retry after it tell of one failure, the next of another."""
    story.connecting()
    story.connected()
    story.receive()
    story.disconnected(failed())
    story.tell(RetryScheduled, failure=failed(), delay=1.0)
    story.connecting(2)
    refused = failed(FailureKind.STATUS, attempt=2, status_code=503)
    story.tell(RetryScheduled, failure=refused, delay=1.0)
    assert story.sum(_figures.FAILURES, error_type="ended") == 1
    assert story.sum(_figures.FAILURES, error_type="status", status_code=503) == 1
    assert story.sum(_figures.ATTEMPTS) == 2


def test_reconnects_are_connections_after_the_first(story: Story) -> None:
    """Opening for the first time is no reconnect, however many attempts it took."""
    story.connecting()
    story.tell(RetryScheduled, failure=failed(FailureKind.CONNECT), delay=1.0)
    story.connecting(2)
    story.connected()
    assert story.sum(_figures.RECONNECTS) == 0
    story.disconnected(failed())
    story.connecting(1)
    story.connected()
    assert story.sum(_figures.RECONNECTS) == 1


def test_an_outage_lasts_to_the_next_event(story: Story) -> None:
    """It begins with the first failure, spans attempts, and ends when the first event came."""
    story.connecting()
    story.connected()
    story.receive()
    story.disconnected(failed())
    story.now += 5
    story.connecting(2)
    story.tell(RetryScheduled, failure=failed(attempt=2, outage_seconds=5), delay=1.0)
    story.now += 5
    story.connecting(3)
    story.connected()
    story.figures.read()
    assert story.seconds(_figures.OUTAGE_DURATION) == []
    story.receive(seconds=0.5)
    story.now += 1000
    story.figures.read()
    assert story.seconds(_figures.OUTAGE_DURATION) == [10.5]


def test_an_outage_at_the_start_counts_from_the_first_attempt(story: Story) -> None:
    """The first failure says how long ago the outage began."""
    story.connecting()
    story.now += 3
    story.tell(RetryScheduled, failure=failed(outage_seconds=3), delay=1.0)
    story.now += 1
    story.connecting(2)
    story.connected()
    story.receive(seconds=0.5)
    story.disconnected()
    assert story.seconds(_figures.OUTAGE_DURATION) == [4.5]


def test_a_quiet_connection_that_held_ends_an_outage(story: Story) -> None:
    """Progress without an event: the outage was over when the connection was opened."""
    story.connecting()
    story.tell(RetryScheduled, failure=failed(FailureKind.CONNECT), delay=2.0)
    story.now += 2
    story.connecting(2)
    story.connected()
    story.now += 3600
    story.disconnected(failed(FailureKind.IDLE, progress=True))
    assert story.seconds(_figures.OUTAGE_DURATION) == [2.0]
    story.now += 4
    story.connecting(2)
    story.connected()
    story.receive(seconds=0.0)
    story.disconnected()
    assert story.seconds(_figures.OUTAGE_DURATION) == [2.0, 4.0]


def accept_and_drop(story: Story, *, greeting: bool) -> None:
    """Fail at the first attempt, and lose the connections of two more, a second each."""
    story.connecting()
    story.tell(RetryScheduled, failure=failed(FailureKind.CONNECT), delay=1.0)
    for attempt in (2, 3):
        story.now += 1
        story.connecting(attempt)
        story.connected()
        if greeting:
            story.receive(seconds=0.0, progress=False)
            story.figures.read()
        story.disconnected(failed(attempt=attempt, outage_seconds=attempt - 1))


def test_accepting_and_dropping_is_one_outage(story: Story) -> None:
    """A connection without progress does not end an outage."""
    accept_and_drop(story, greeting=False)
    story.now += 1
    story.connecting(4)
    story.connected()
    story.receive(seconds=0.0)
    story.figures.read()
    assert story.seconds(_figures.OUTAGE_DURATION) == [3.0]


def test_a_greeting_ends_no_outage(story: Story) -> None:
    """A server that greets and then fails has not recovered; with the next event it has."""
    accept_and_drop(story, greeting=True)
    assert story.seconds(_figures.TIME_TO_FIRST_EVENT) == [0.0, 0.0]
    assert story.seconds(_figures.OUTAGE_DURATION) == []
    story.now += 1
    story.connecting(4)
    story.connected()
    story.receive(seconds=0.5, progress=False)
    story.figures.read()
    story.receive(seconds=0.5)
    story.figures.read()
    assert story.seconds(_figures.OUTAGE_DURATION) == [3.5]


def test_giving_up_is_counted_and_is_no_recovery(story: Story) -> None:
    """The failure and the giving up count, the outage is not one that was overcome."""
    story.connecting()
    refused = failed(FailureKind.STATUS, status_code=401)
    story.tell(GaveUp, failure=refused, failures=(refused,))
    story.tell(Closed, reason="gave up")
    assert story.sum(_figures.GIVE_UPS) == 1
    assert story.sum(_figures.FAILURES, error_type="status", status_code=401) == 1
    assert story.seconds(_figures.OUTAGE_DURATION) == []
    assert story.sum(_figures.SOURCES) == 0


def test_figures_begin_at_zero(story: Story) -> None:
    """Every counter stands there from the first attempt, so that a rate sees its first step."""
    story.connecting()
    assert story.sum(_figures.GIVE_UPS) == story.sum(_figures.COMMENTS) == 0
    assert story.sum(_figures.FAILURES, error_type="idle") == 0
    assert story.sum(_figures.SOURCES) == 1


def test_the_start_of_the_process_is_that_of_its_first_source(story: Story) -> None:
    """A program that reads the stream again and again has started once."""
    story.connecting()
    story.tell(Closed, reason="closed")
    story.now += 60
    story.tell(Connecting, source_id=2, attempt=1, last_event_id="")
    assert story.sum(_figures.START_TIME) == 1_800_001_000


def test_sources_of_one_stream_add_up(story: Story) -> None:
    """Two sources share a series; one that closes takes only itself away."""
    story.connecting()
    story.tell(Connecting, source_id=2, attempt=1, last_event_id="")
    story.tell(Comment, source_id=2, text="hello")
    assert story.sum(_figures.SOURCES) == 2
    story.tell(Closed, source_id=2, reason="closed")
    assert story.sum(_figures.SOURCES) == 1
    assert story.sum(_figures.COMMENTS) == 1


def test_a_source_that_never_tried_counts_nothing(story: Story) -> None:
    """Closing before the first attempt leaves no trace."""
    story.tell(Closed, reason="closed")
    assert story.figures.read() == []


def test_unknown_lifecycle_events_are_ignored(story: Story) -> None:
    """A kind that comes with a later version breaks nothing."""
    story.connecting()
    before = story.figures.read()
    story.tell(LifecycleEvent)
    story.tell(SourceEvent)
    assert story.figures.read() == before


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("https://example.com/events?token=***", "example.com", 443),
        ("http://example.com/", "example.com", 80),
        ("http://[::1]:8080/", "::1", 8080),
        ("***", "", 0),
    ],
)
def test_labels_name_the_server_and_nothing_secret(url: str, address: str, port: int) -> None:
    """Host and port; no path, no query."""
    assert labels_of(url, "s") == _figures.Labels("s", address, port)


def test_a_store_that_fails_is_counted_before_the_first_attempt(story: Story) -> None:
    """Loading comes first; what fails there is a failure of no attempt, and no source's yet."""
    facts: dict[str, Any] = {"operation": "load", "key": "k", "attempt": 1, "delay": 0.1}
    story.tell(CursorStoreFailed, error=OSError("disk full"), **facts)

    assert story.sum(_figures.CURSOR_STORE_FAILURES) == 1
    assert not any(found.metric is _figures.SOURCES for found in story.figures.read())


def test_gaps_are_counted(story: Story) -> None:
    """A gap is counted beside the failure that may come of it; before the first there are none."""
    story.connecting()
    assert story.sum(_figures.GAPS) == 0
    assert story.sum(_figures.CURSOR_STORE_FAILURES) == 0

    facts: dict[str, Any] = {"reason": "refused", "last_event_id": "5", "status_code": 410}
    story.tell(GapDetected, event=None, continues=True, **facts)

    assert story.sum(_figures.GAPS) == 1


def test_leases_are_counted_by_group() -> None:
    """Those that are held now, those granted, and those that were lost."""
    figures = Counters(lambda _: None)

    def value(metric: Sum, group: str = "g") -> int:
        labels = _figures.Labels("news", "", 0, lease=group)
        (found,) = [value for known, at, value in figures.read() if (known, at) == (metric, labels)]
        return found

    figures.see(GroupChanged(group="g", streams=3, replicas=2), "news")
    assert value(_figures.LEASE_LOSSES) == value(_figures.LEASES) == 0
    for name in ("a", "b", "c"):
        figures.see(LeaseGranted(group="g", name=name, token=1, waited=0.1), "news")
    figures.see(LeaseGranted(group="other", name="a", token=1, waited=0.1), "news")
    figures.see(LeaseEnded(group="g", name="a", token=1, reason="lost"), "news")
    figures.see(LeaseEnded(group="g", name="b", token=1, reason="given back"), "news")
    figures.see(LeaseEvent(group="g"), "news")
    figures.see(LifecycleEvent(url=None, source_id=None), "news")
    assert value(_figures.LEASES) == value(_figures.LEASE_LOSSES) == 1
    assert value(_figures.LEASE_GRANTS) == 3
    assert value(_figures.LEASES, "other") == 1
    assert (value(_figures.GROUP_STREAMS), value(_figures.GROUP_REPLICAS)) == (3, 2)
