"""Record what logs, metrics with alerts, and spans tell of one outage, recovery and give-up.

python -m scripts.one_bad_night docs/explanation/one-bad-night.md

The page's blocks named ``logs``, ``metrics`` and ``spans`` are replaced by what was recorded. It
needs Prometheus (Debian's package); a night takes half a minute, as the rules' durations are
divided by 300.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import stamina.instrumentation
import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from resilient_sse import GiveUpError, SyncReconnectingEventSource
from resilient_sse.instrumentation import OpenTelemetryHook, PrometheusHook, StructlogHook
from resilient_sse.testing import Connection, Ending, ScriptedServer, event
from tests.support.files import ROOT
from tests.support.prometheus_server import running_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from resilient_sse import Failure, Hook
    from tests.support.prometheus_server import Prometheus

FASTER: Final = 300
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
STORY: Final = (
    Connection(event("paid", id="41"), event("sent", id="42"), ending=Ending.RESET),
    *[Connection(b"<h1>Deploying</h1>", status=503) for _ in range(5)],
    Connection(event("paid", id="43"), ending=Ending.RESET),
    Connection(b'{"error": "token expired"}', status=401),
)
URL_PATH: Final = "?token=secret"
OF_NO_INTEREST: Final = frozenset(
    {"url.full", "server.address", "server.port", "sse.stream", "sse.failure.kind", "sse.bytes"}
)


def faster(rules: str) -> str:
    """Divide every duration of the rules."""
    return re.sub(
        r"(?<=[\[ ])(\d+)([mhd])(?=[\]:\s)])|(?<=:)(\d+)([mhd])(?=\])",
        lambda found: _milliseconds(int(found[1] or found[3]), found[2] or found[4]),
        rules,
    )


def _milliseconds(count: int, unit: str) -> str:
    return f"{count * SECONDS[unit] * 1000 // FASTER}ms"


def policy(failure: Failure) -> float | None:
    """Wait a second after whatever may pass."""
    return 1.0 if failure.retryable else None


class Night:
    """One source, three hooks, and what they tell.

    Args:
        prometheus: What scrapes the metrics.
    """

    def __init__(self, prometheus: Prometheus) -> None:
        self.prometheus = prometheus
        self.logs: list[str] = []
        self.metrics: list[str] = []
        self._spans = InMemorySpanExporter()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider(shutdown_on_exit=False)
        self.hooks: list[Hook] = [
            StructlogHook(structlog.wrap_logger(None, processors=[self._log]), stream="orders"),
            PrometheusHook("orders", registry=prometheus.registry),
            OpenTelemetryHook("orders", tracer_provider=tracers, meter_provider=meters),
        ]

    def _log(self, _logger: object, level: str, line: Any) -> Any:  # noqa: ANN401 - structlog's own
        if level != "debug":
            name = line.pop("event")
            facts = {key: value for key, value in line.items() if key not in {"url", "source_id"}}
            told = " ".join(f"{key}={value!r}" for key, value in facts.items())
            self.logs.append(f"{level:<7} {name} {told}")
        raise structlog.DropEvent

    def live(self) -> None:
        """Read the stream to its end, and look at the alerts whenever something has changed."""
        with (
            ScriptedServer(STORY) as server,
            SyncReconnectingEventSource(
                server.url + URL_PATH, policy=policy, hooks=self.hooks
            ) as source,
        ):
            for found in self._events(source):
                self._note(f"event {found.id} has come", 2.5 if found.id == "43" else 0.5)
        self._note("the program lives on, 10 minutes later", 3.5)

    def _events(self, source: Any) -> Iterator[Any]:  # noqa: ANN401
        for number in range(3):
            yield next(source)
            if number == 1:
                self._during_the_outage()
        try:
            next(source)
        except GiveUpError:
            self._note("the source gave up", 0.5)

    def _during_the_outage(self) -> None:
        """Note in a thread: this one reads on, and so fails and waits."""

        def note() -> None:
            time.sleep(3.5)
            self._note("the stream has been down for 15 minutes", 0.0)

        threading.Thread(target=note).start()

    def _note(self, when: str, seconds: float) -> None:
        time.sleep(seconds)
        names = ("sources", "open_connections", "failures_total", "give_ups_total", "events_total")
        values = []
        for name in names:
            samples = self.prometheus.query(f"sum(sse_client_{name})")
            values.append(f"{name}={samples[0]['value'][1] if samples else '-'}")
        firing = sorted(
            {
                alert["labels"]["alertname"]
                for alert in self.prometheus.api("api/v1/alerts")["alerts"]
                if alert["state"] == "firing"
            }
        )
        self.metrics.append(
            f"{when}\n    {' '.join(values)}\n    firing: {', '.join(firing) or '-'}"
        )

    def spans(self) -> list[str]:
        """Return the spans in the order in which they were exported."""
        finished = self._spans.get_finished_spans()
        names = {span.context.span_id: span.name for span in finished if span.context}
        return [_shown(span, names) for span in finished]


def _shown(span: ReadableSpan, names: dict[int, str]) -> str:
    seconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e9
    parent = f" under {names[span.parent.span_id]}" if span.parent else ""
    facts = " ".join(
        f"{key}={round(value, 1) if isinstance(value, float) else value!r}"
        for key, value in (span.attributes or {}).items()
        if key not in OF_NO_INTEREST
    )
    error = f" ERROR {span.status.description}" if span.status.description else ""
    return f"{span.name}{parent}, {seconds:.2f} s{error}\n    {facts}"


def replaced(page: str, name: str, lines: list[str]) -> str:
    """Return the page with a block's lines replaced."""
    block = re.compile(rf"(<!-- recorded: {name} -->\n\n```text\n).*?(```\n)", re.DOTALL)
    if not block.search(page):
        sys.exit(f"the page has no block named {name}")
    return block.sub(lambda found: found[1] + "\n".join(lines) + "\n" + found[2], page)


def record() -> Night:
    """Live through the night."""
    stamina.instrumentation.set_on_retry_hooks([])
    with TemporaryDirectory() as name:
        folder = Path(name)
        alerts = (ROOT / "examples" / "observability" / "alerts.yml").read_text(encoding="utf-8")
        rules = folder / "alerts.yml"
        rules.write_text(faster(alerts), encoding="utf-8")
        with running_prometheus(folder, [rules]) as prometheus:
            prometheus.wait_for("up == 1")
            night = Night(prometheus)
            night.live()
    return night


if __name__ == "__main__":
    path = Path(sys.argv[1])
    recorded = record()
    text = path.read_text(encoding="utf-8")
    for block, lines in (
        ("logs", recorded.logs),
        ("metrics", recorded.metrics),
        ("spans", recorded.spans()),
    ):
        text = replaced(text, block, lines)
    path.write_text(text, encoding="utf-8")
