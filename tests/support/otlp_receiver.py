"""What OpenTelemetry sends to: an OTLP/HTTP receiver that keeps what it gets."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


class OtlpReceiver:
    """The newest metrics, and all spans, as they came over the wire."""

    def __init__(self) -> None:
        self.url = ""
        self.metrics: dict[str, Any] = {}
        self.spans: list[Any] = []
        self.scopes: set[tuple[str, str]] = set()  # names and versions

    def receive(self, path: str, body: bytes) -> None:
        """Keep the contents of one request."""
        if path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    self.scopes.add((scope.scope.name, scope.scope.version))
                    self.metrics.update({metric.name: metric for metric in scope.metrics})
        else:
            for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in spans.scope_spans:
                    self.scopes.add((scope.scope.name, scope.scope.version))
                    self.spans.extend(scope.spans)

    def value(self, name: str, **attributes: str) -> int:
        """Add up the values of a sum whose attributes have these values (dots as underscores)."""
        points = self.metrics[name].sum.data_points
        return sum(
            point.as_int
            for point in points
            if attributes.items() <= _underscored(point.attributes).items()
        )

    def histogram(self, name: str) -> Any:
        """Return the one data point of a histogram."""
        (point,) = self.metrics[name].histogram.data_points
        return point

    def named(self, name: str) -> list[Any]:
        """Return the spans of a name, in the order of their beginnings."""
        found = [span for span in self.spans if span.name == name]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


def _underscored(attributes: Iterable[Any]) -> dict[str, object]:
    return {name.replace(".", "_"): value for name, value in attributes_of(attributes).items()}


def attributes_of(attributes: Iterable[Any]) -> dict[str, object]:
    """Read a list of attributes of the protocol."""
    return {
        attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value"))
        for attribute in attributes
    }


@contextmanager
def otlp_receiver() -> Generator[OtlpReceiver]:
    """Run a receiver in a thread."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.receive(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
