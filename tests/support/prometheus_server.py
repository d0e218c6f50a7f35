"""A real Prometheus that scrapes a registry of this process: the one of Debian's package."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="there is no prometheus (a Debian package)"
)
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="there is no promtool (Debian's prometheus)"
)


class Prometheus:
    """A running Prometheus.

    Attributes:
        registry: What it scrapes.
        url: Where its API is.
    """

    def __init__(self, registry: CollectorRegistry, url: str) -> None:
        self.registry = registry
        self.url = url

    def api(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of the API."""
        with urlopen(f"{self.url}/{path}?{urlencode(parameters)}", timeout=10) as response:  # noqa: S310 - it is ours
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples that an expression has now."""
        found: list[dict[str, Any]] = self.api("api/v1/query", query=expression)["result"]
        return found

    def wait_for(self, expression: str, seconds: float = 15.0) -> float:
        """Wait until an expression has a sample, and return the value of the first one."""
        deadline = time.monotonic() + seconds
        while not (samples := self.query(expression)):
            assert time.monotonic() < deadline, f"nothing for {expression} in {seconds} s"
            time.sleep(0.05)
        return float(samples[0]["value"][1])


@contextmanager
def running_prometheus(folder: Path, rules: Sequence[Path] = ()) -> Generator[Prometheus]:
    """Run Prometheus with its data in the folder; it scrapes five times a second."""
    registry = CollectorRegistry()
    exporter, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        target = f"127.0.0.1:{exporter.server_port}"
        with _process(folder, _config(target, rules)) as url:
            yield Prometheus(registry, url)
    finally:
        exporter.shutdown()
        exporter.server_close()
        thread.join()


def _config(target: str, rules: Sequence[Path]) -> str:
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [{"job_name": "program", "static_configs": [{"targets": [target]}]}],
        }
    )


@contextmanager
def _process(folder: Path, config: str) -> Generator[str]:
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    port = _free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (
        (folder / "prometheus.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/-/ready", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port: int = reserved.getsockname()[1]
        return port


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - it is ours
                return
        except (URLError, OSError):
            assert process.poll() is None, "prometheus has ended; its log is in the test's folder"
            assert time.monotonic() < deadline, "prometheus is not ready after 20 s"
            time.sleep(0.05)
