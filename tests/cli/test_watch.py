"""``resilient-sse watch``: the screen as a person sees it."""

from __future__ import annotations

import signal
import ssl
from typing import Any

import pytest

from resilient_sse._values.failure import Failure, FailureKind
from resilient_sse.cli._live.monitor import Monitor
from resilient_sse.cli._live.panels import for_people
from resilient_sse.cli._live.timeline import bar
from resilient_sse.lifecycle import (
    Closed,
    Comment,
    Connected,
    Connecting,
    ConnectionTotals,
    CursorStoreFailed,
    Disconnected,
    GaveUp,
    LifecycleEvent,
    RetryScheduled,
)
from resilient_sse.testing import Connection, Ending, Gate, ScriptedServer, comment, event
from tests.support.cli_process import started_cli, terminal
from tests.support.files import PEM


def test_the_screen_shows_a_stream_through_an_outage() -> None:
    """Open, cut, waiting: state, rates, timeline, last events, failures; then a summary."""
    gate = Gate()
    script = [
        Connection(comment("beat"), event("first\nnews", id="1"), gate, ending=Ending.RESET),
        Connection(status=503, headers={"Retry-After": "50"}),
    ]
    with terminal() as screen, ScriptedServer(script) as server:
        url = f"{server.url}?token=secret"
        with started_cli("watch", url, **screen.options) as process:
            screen.wait_for(lambda text: "█ open" in text and "first⏎news" in text)
            assert "token=***" in screen.text
            assert "1 heartbeats" in screen.text
            assert "none so far" in screen.text
            gate.open()
            screen.wait_for(
                lambda text: (
                    "░ waiting for" in text
                    and "next try in" in text
                    and "503" in text
                    and "2 failur" in text
                )
            )
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        rest = screen.read_rest()
    assert "1 events in" in rest
    assert "--last-event-id 1" in rest
    assert screen.output.count(b"\x1b[?1049l") == 1  # back to the screen as it was before


def test_the_end_of_the_stream_ends_the_view() -> None:
    """With the usual exit code, and with a certificate of one's own."""
    pem = PEM
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with terminal() as screen, ScriptedServer(ssl_context=context) as server:
        with started_cli("watch", server.url, "--ca", str(pem), **screen.options) as process:
            assert process.wait(15) == 0
        assert "0 events in" in screen.read_rest()


def test_giving_up_ends_the_view() -> None:
    """The reason stays on the terminal."""
    with terminal() as screen, ScriptedServer([Connection(status=404)]) as server:
        with started_cli("watch", server.url, **screen.options) as process:
            assert process.wait(15) == 3
        assert "check the path of the URL" in screen.read_rest().replace("\n", "")


@pytest.mark.parametrize(("columns", "lines"), [(24, 40), (3, 3)])
def test_a_small_terminal_is_enough(columns: int, lines: int) -> None:
    """What has no room is cut off; a URL is text, whatever it looks like."""
    script = [Connection(event("one", id="1"), ending=Ending.SILENCE)]
    with terminal(columns, lines) as screen, ScriptedServer(script) as server:
        with started_cli("watch", f"{server.url}[/x]", **screen.options) as process:
            screen.wait_for(lambda text: "╭" in text and (columns < 10 or "█ open" in text))
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        assert "Traceback" not in screen.read_rest()


def test_a_terminal_without_blocks_has_other_marks() -> None:
    """A character that the encoding does not have is replaced."""
    script = [Connection(event("one ü", id="1"), ending=Ending.SILENCE)]
    with terminal() as screen, ScriptedServer(script) as server:
        screen.options["env"]["PYTHONIOENCODING"] = "ascii"
        with started_cli("watch", server.url, **screen.options) as process:
            screen.wait_for(lambda text: "# open for" in text and "one ?" in text)
            assert "  - waiting" in screen.text
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130


def test_a_terminal_that_cannot_be_drawn_on_is_told() -> None:
    """With what works there."""
    with terminal() as screen:
        screen.options["env"]["TERM"] = "dumb"
        with started_cli("watch", "http://localhost/", **screen.options) as process:
            assert process.wait(10) == 2
        assert "use tail" in screen.read_rest()


class Story:
    """A monitor, and what happens to its source at times that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[str] = []
        self.monitor = Monitor(lambda: self.now, self.told.append)

    def tell(self, kind: type[LifecycleEvent], **facts: Any) -> None:
        """Hand over a lifecycle event."""
        self.monitor(kind(url="http://h/", source_id=1, **facts))

    def connect(self) -> ConnectionTotals:
        """Open a connection; return its totals."""
        totals = ConnectionTotals()
        self.tell(Connecting, attempt=1, last_event_id="")
        self.tell(
            Connected, attempt=1, status_code=200, headers={}, seconds=0.1, resumed=False,
            totals=totals,
        )  # fmt: skip
        return totals


def failure(kind: FailureKind = FailureKind.ENDED) -> Failure:
    """Make a failure whose message has a secret."""
    return Failure(error=OSError("see http://u:p@h/?a=b"), kind=kind)


def test_the_monitor_counts_across_connections() -> None:
    """Events and bytes of the open connection count at once, and once."""
    story = Story()
    totals = story.connect()
    totals.events, totals.bytes = 3, 30
    assert (story.monitor.events, story.monitor.bytes) == (3, 30)
    story.tell(Disconnected, failure=failure(), seconds=1.0, events=3, bytes=30)
    story.tell(RetryScheduled, failure=failure(), delay=4.0)
    assert (story.monitor.events, story.monitor.bytes) == (3, 30)
    assert story.monitor.state == "waiting"
    story.now += 1
    assert story.monitor.seconds_to_next_try == 3.0
    story.connect().events = 2
    story.tell(
        CursorStoreFailed, operation="save", error=OSError("disk full"), key="k", attempt=1,
        delay=None,
    )  # fmt: skip
    story.tell(Comment, text="x")
    story.tell(LifecycleEvent)
    assert story.monitor.events == 5
    assert (story.monitor.reconnects, story.monitor.comments) == (1, 1)
    story.tell(GaveUp, failure=failure(FailureKind.STATUS), failures=())
    story.tell(Closed, reason="gave up")
    assert [incident.text for incident in story.monitor.incidents] == [
        "ended: see http://h/?a=***; next try in 4.0 s",
        "status: see http://h/?a=***; gave up",
    ]
    assert story.told == [
        "ended: see http://h/?a=***; next try in 4.0 s",
        "cannot save the place: disk full",
    ]
    assert story.monitor.state == "closed"


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """A burst is forgotten."""
    story = Story()
    assert story.monitor.rate() == 0.0
    totals = story.connect()
    totals.events = 100
    story.now += 2
    assert story.monitor.rate() == 50.0
    rates: list[float] = []
    for _ in range(10):
        story.now += 1
        totals.events += 3
        rates.append(story.monitor.rate())
    assert rates[-1] == pytest.approx(3.0)


def test_the_timeline_shows_the_worst_of_each_moment() -> None:
    """Empty before the beginning; an outage shows even if it is shorter than a cell."""
    story = Story()
    story.connect()
    story.now += 30
    story.tell(RetryScheduled, failure=failure(), delay=1.0)
    story.now += 0.1
    story.connect()
    story.now += 29.9
    assert bar(story.monitor, 12, story.now - 120, story.now).plain == "      ███░██"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (90, "1.5 min"), (7200, "2 h"), (86400 * 14, "14 d")],
)
def test_lengths_of_time_are_for_people(seconds: float, text: str) -> None:
    """In the largest unit that fits."""
    assert for_people(seconds) == text
