"""`PrometheusHook`, the dashboard and the alerts, with a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest

from resilient_sse import GiveUpError, GroupChanged, SyncReconnectingEventSource
from resilient_sse.cursors import StreamLease
from resilient_sse.instrumentation import PrometheusHook
from resilient_sse.testing import (
    Connection,
    Gate,
    HistoryServer,
    MemoryLeaseEngine,
    ScriptedServer,
    comment,
    event,
)
from tests.support.files import ROOT
from tests.support.prometheus_server import needs_prometheus, needs_promtool, running_prometheus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.prometheus_server import Prometheus

EXAMPLES = ROOT / "examples" / "observability"
ALERTS = EXAMPLES / "alerts.yml"

in_a_checkout = pytest.mark.skipif(not EXAMPLES.exists(), reason="not in a checkout")


def read(url: str, hooks: list[PrometheusHook]) -> None:
    """Read a stream to its end."""
    with SyncReconnectingEventSource(url, policy=lambda _: 0.05, hooks=hooks) as source:
        for _ in source:
            pass


def repeat(stop: threading.Event, step: Callable[[], object]) -> None:
    """Do something ten times a second."""
    while not stop.wait(0.1):
        step()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus, scraping a program that reads a stream which is cut after every third event."""
    folder = tmp_path_factory.mktemp("prometheus")
    stop = threading.Event()
    with ExitStack() as stack:
        found = stack.enter_context(running_prometheus(folder, [ALERTS]))
        hooks = [PrometheusHook("news", registry=found.registry)]
        server = stack.enter_context(HistoryServer(max_events_per_connection=3, heartbeat=0.05))
        source = stack.enter_context(
            SyncReconnectingEventSource(server.url, policy=lambda _: 0.05, hooks=hooks)
        )
        stack.enter_context(StreamLease(MemoryLeaseEngine()("orders"), hooks=hooks))
        hooks[0](GroupChanged(group="orders", streams=1, replicas=1))
        publish = partial(repeat, stop, lambda: server.publish("news"))
        threads = [
            threading.Thread(target=work) for work in (publish, lambda: [None for _ in source])
        ]
        for thread in threads:
            thread.start()
        yield found
        stop.set()
        source.close()
        for thread in threads:
            thread.join()


@needs_prometheus
def test_prometheus_sees_an_open_connection(prometheus: Prometheus) -> None:
    """Events of a connection that stays open are there after the next scrape, and grow."""
    gate, end = Gate(), Gate()
    steps = (comment("hello"), event("one"), event("two"), gate, event("three"), end)

    def expect(metric: str, value: int) -> None:
        series = f'sse_client_{metric}{{sse_stream="quiet"}}'
        assert prometheus.wait_for(f"{series} == {value}") == value

    with ScriptedServer([Connection(*steps)]) as server:
        hooks = [PrometheusHook("quiet", registry=prometheus.registry)]
        thread = threading.Thread(target=read, args=(server.url, hooks))
        thread.start()
        expect("events_total", 2)
        expect("open_connections", 1)
        gate.open()
        expect("events_total", 3)
        expect("time_to_first_event_seconds_count", 1)
        expect("connection_duration_seconds_count", 0)
        end.open()
        thread.join()
    expect("connection_duration_seconds_count", 1)
    expect("io_bytes_total", len(b": hello\n\ndata: one\n\ndata: two\n\ndata: three\n\n"))
    expect("comments_total", 1)
    (sample,) = prometheus.query('sse_client_sources{sse_stream="quiet"}')
    assert sample["metric"]["server_address"] == "127.0.0.1"
    assert sample["metric"]["server_port"] == str(server.port)


@needs_prometheus
def test_prometheus_sees_failures(prometheus: Prometheus) -> None:
    """Reconnects, ends and outages of the program that keeps being cut off grow."""
    for counter in (
        "sse_client_attempts_total",
        "sse_client_reconnects_total",
        'sse_client_failures_total{error_type="ended"}',
        "sse_client_outage_duration_seconds_count",
        "sse_client_comments_total",
    ):
        assert prometheus.wait_for(f"rate({counter}[5s]) > 0") > 0
    assert prometheus.query('sse_client_give_ups_total{sse_stream="news"} == 0')


def dashboard_queries() -> list[str]:
    """List the dashboard's queries, its variables replaced as Grafana replaces them."""
    if not EXAMPLES.exists():
        return []
    dashboard = json.loads((EXAMPLES / "dashboard.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    values = {"$__rate_interval": "5s", "$__range": "5s", "$stream": "news", "$server": ".*"}
    return [
        re.sub(r"\$\w+", lambda variable: values[variable[0]], expression) for expression in queries
    ]


def without_threshold(expression: str) -> str:
    """Take away what keeps an alert from having a value when all is well."""
    told = re.sub(r"\sunless .*$", "", expression.strip())
    return re.sub(r"\s*(>|==) [\d.]+(?=$| and)|\s(and .*)?$", "", told)


@needs_prometheus
@in_a_checkout
@pytest.mark.parametrize("expression", dashboard_queries())
def test_every_query_of_the_dashboard_has_data(prometheus: Prometheus, expression: str) -> None:
    """Each is executed against a Prometheus that scrapes a running program."""
    assert isinstance(prometheus.wait_for(without_threshold(expression)), float)


@in_a_checkout
def test_every_panel_of_the_dashboard_says_when_it_is_red() -> None:
    """Grafana's own rule is red from 80 on, whatever is counted."""
    dashboard = json.loads((EXAMPLES / "dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None, panel["title"]
        assert {step["color"] for step in steps} <= {"green", "red"}, panel["title"]


@needs_prometheus
@in_a_checkout
def test_the_variables_of_the_dashboard_have_values(prometheus: Prometheus) -> None:
    """The stream and the server can be chosen."""
    prometheus.wait_for("sse_client_sources")
    dashboard = json.loads((EXAMPLES / "dashboard.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.findall(r"label_values\((\w+), (\w+)\)", variable["definition"])[0]
            path = f"api/v1/label/{label}/values"
            found[variable["name"]] = prometheus.api(path, **{"match[]": metric})
    assert "news" in found["stream"]
    assert found["server"] == ["127.0.0.1"]


@needs_prometheus
@in_a_checkout
def test_every_alert_is_evaluated(prometheus: Prometheus) -> None:
    """Prometheus has loaded the rules, evaluates them without an error, and has their metrics."""
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]
    deadline = time.monotonic() + 10
    while True:
        (group,) = prometheus.api("api/v1/rules")["groups"]
        health = {rule["name"]: rule["health"] for rule in group["rules"]}
        if set(health.values()) == {"ok"} or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert health == {rule["alert"]: "ok" for rule in rules}
    for rule in rules:
        for metric in re.findall(r"sse_client_\w+", rule["expr"]):
            assert prometheus.wait_for(f"count({metric})") > 0


@needs_promtool
@in_a_checkout
def test_the_alerts_fire_when_they_should() -> None:
    """Their own tests, with series over hours, hold."""
    result = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yml"],  # noqa: S607 - wherever it is installed
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_giving_up_is_counted() -> None:
    """With the status that led to it, and nothing secret."""
    registry = CollectorRegistry()
    with ScriptedServer([Connection(status=401)]) as server:
        hooks = [PrometheusHook("orders", registry=registry)]
        url = f"{server.url.replace('//', '//user:password@')}?token=secret"
        with (
            SyncReconnectingEventSource(url, hooks=hooks) as source,
            pytest.raises(GiveUpError),
        ):
            next(source)
    labels = f'server_address="127.0.0.1",server_port="{server.port}",sse_stream="orders"'
    text = generate_latest(registry).decode()
    assert f"sse_client_give_ups_total{{{labels}}} 1.0" in text
    failure = 'error_type="status",http_response_status_code="401"'
    assert f"sse_client_failures_total{{{failure},{labels}}} 1.0" in text
    assert not re.search("secret|password|token|/events", text)


def test_leases_are_counted() -> None:
    """Under the name of the lease, and without a server's labels."""
    registry = CollectorRegistry()
    hooks = [PrometheusHook("orders", registry=registry)]

    def value(name: str) -> float | None:
        labels = {"sse_stream": "orders", "sse_lease": "the lease"}
        return registry.get_sample_value(f"sse_client_{name}", labels)

    with StreamLease(MemoryLeaseEngine()("the lease"), hooks=hooks):
        assert value("leases") == value("lease_grants_total") == 1
    assert value("leases") == value("lease_losses_total") == 0


def test_hooks_of_one_registry_share_the_metrics() -> None:
    """A hook for every source can be made; a registry of its own has figures of its own."""
    shared, other = CollectorRegistry(), CollectorRegistry()
    with HistoryServer() as server:
        server.publish("one")
        for registry, stream in ((shared, "a"), (shared, "b"), (other, "b")):
            hooks = [PrometheusHook(stream, registry=registry)]
            with SyncReconnectingEventSource(server.url, hooks=hooks) as source:
                next(source)
    labels = {"server_address": "127.0.0.1", "server_port": str(server.port)}
    found = [
        registry.get_sample_value("sse_client_events_total", {"sse_stream": stream, **labels})
        for registry, stream in ((shared, "a"), (shared, "b"), (other, "a"), (other, "b"))
    ]
    assert found == [1, 1, None, 1]


def test_a_name_that_is_taken_is_reported() -> None:
    """The registry knows the names before there is a value."""
    registry = CollectorRegistry()
    PrometheusHook(registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Counter("sse_client_events", "The program's own.", registry=registry)


def test_the_default_registry_is_the_librarys_own() -> None:
    """Without a registry the hook reports where prometheus_client's exporters look."""
    PrometheusHook()
    assert any(family.name == "sse_client_events" for family in REGISTRY.collect())


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the hook says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"PrometheusHook needs .*\[prometheus\]"):
        PrometheusHook()
