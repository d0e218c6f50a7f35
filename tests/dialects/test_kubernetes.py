"""Kubernetes' own client and a source read the same bytes, and see the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import GapDetected, GapError, GiveUpError, SyncReconnectingEventSource
from resilient_sse.dialects import KubernetesWatch
from resilient_sse.testing import Connection, Ending, Recorder, ScriptedServer, raw
from tests.dialects.streams import KUBERNETES, bytes_of, data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse import Failure
    from resilient_sse.testing import RecordedRequest

kubernetes = pytest.importorskip("kubernetes", reason="kubernetes is not installed")

PATH = "/api/v1/namespaces/default/configmaps"
HEADERS = {"Content-Type": "application/json"}
ALL = [json.loads(data) for data in data_of(KUBERNETES)]


def error(code: int, reason: str) -> bytes:
    """The line by which a watch fails; the status of its answer was 200."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 1 (12750)",
        "reason": reason,
        "code": code,
    }
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


EXPIRED = Connection(raw(error(410, "Expired")), headers=HEADERS)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server without a script yet."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def core(server: ScriptedServer) -> Iterator[Any]:
    """The vendor's client."""
    configuration = kubernetes.client.Configuration(host=server.url.replace("/events", ""))
    with kubernetes.client.ApiClient(configuration) as client:
        yield kubernetes.client.CoreV1Api(client)


def theirs(core: Any, count: int) -> list[dict[str, Any]]:
    """The first events that the vendor's client hands out; it hands out bookmarks as well."""
    watch, events = kubernetes.watch.Watch(), list[dict[str, Any]]()
    for made in watch.stream(
        core.list_namespaced_config_map, "default", resource_version="1", allow_watch_bookmarks=True
    ):
        events.append({"type": made["type"], "object": made["raw_object"]})
        if len(events) == count:
            watch.stop()
    return [made for made in events if made["type"] != "BOOKMARK"]


def at_once(failure: Failure) -> float | None:
    """Go on where that makes sense."""
    return 0.0 if failure.retryable else None


def give_up(_failure: Failure) -> None:
    """Do not go on."""


def source(
    server: ScriptedServer, count: int = len(ALL), **options: Any
) -> SyncReconnectingEventSource:
    """A source that ends after so many events."""
    query = "allowWatchBookmarks=true&resourceVersion=1&watch=true"
    left = iter(range(count - 1, -1, -1))
    return SyncReconnectingEventSource(
        f"{server.url.replace('/events', PATH)}?{query}",
        dialect=KubernetesWatch,
        policy=options.pop("policy", at_once),
        until=lambda _: next(left) == 0,
        **options,
    )


def asked(requests: list[RecordedRequest]) -> list[tuple[str, str, dict[str, str]]]:
    """What was asked for; True and true are the same."""
    return [
        (
            request.method,
            request.path,
            {name: text.lower() for name, text in request.params.items()},
        )
        for request in requests
    ]


@pytest.mark.parametrize("got", [1, 2, 3])
def test_a_watch_goes_on(server: ScriptedServer, core: Any, got: int) -> None:
    """The server ends it, as it does every few minutes: the next request is the same."""
    first = Connection(raw(bytes_of(KUBERNETES[:got])), headers=HEADERS)
    rest = Connection(raw(bytes_of(KUBERNETES[got:])), headers=HEADERS)
    server.add(first, rest, first, rest)
    assert theirs(core, len(KUBERNETES)) == ALL
    with source(server) as events:
        assert [made.json() for made in events] == ALL
    requests = asked(server.requests)
    assert requests[:2] == requests[2:]
    assert requests[1][2]["resourceVersion"] == KUBERNETES[got - 1].cursor


def test_a_version_that_is_forgotten(server: ScriptedServer, core: Any) -> None:
    """Their client asks once more and raises; for a source it is a gap."""
    server.add(*[EXPIRED] * 3)
    with pytest.raises(kubernetes.client.ApiException) as raised:
        theirs(core, 1)
    with pytest.raises(GiveUpError) as mine, source(server) as events:
        list(events)
    assert raised.value.status == 410
    assert isinstance(mine.value.__cause__, GapError)
    assert [request.params["resourceVersion"] for request in server.requests] == ["1"] * 3


@pytest.mark.parametrize("told", [EXPIRED, Connection(status=410)])
def test_a_gap_is_filled(server: ScriptedServer, core: Any, told: Connection) -> None:
    """Whether a line or the status says so: the objects are listed, and the watch goes on there."""
    listed: dict[str, Any] = {
        "kind": "ConfigMapList",
        "metadata": {"resourceVersion": "20000"},
        "items": [],
    }
    answer = Connection(raw(json.dumps(listed)), headers=HEADERS, keep_alive=True)
    recorder = Recorder()

    def list_anew(_gap: GapDetected) -> str:
        made = core.list_namespaced_config_map("default")
        version: str = made.metadata.resource_version
        return version

    first = Connection(raw(bytes_of(KUBERNETES[:1])), headers=HEADERS)
    server.add(first, told, answer, Connection(raw(bytes_of(KUBERNETES[3:])), headers=HEADERS))
    with source(server, 2, on_gap=list_anew, hooks=[recorder]) as events:
        assert [made.json() for made in events] == [ALL[0], ALL[-1]]
    versions = [request.params.get("resourceVersion") for request in server.requests]
    assert versions == ["1", "10596", None, "20000"]
    assert recorder.of(GapDetected)


def test_another_error(server: ScriptedServer, core: Any) -> None:
    """Both raise; a source only if its policy says so."""
    failing = Connection(raw(error(500, "InternalError")), headers=HEADERS)
    server.add(failing, failing)
    with pytest.raises(kubernetes.client.ApiException) as raised:
        theirs(core, 1)
    with pytest.raises(GiveUpError) as mine, source(server, policy=give_up) as events:
        list(events)
    assert raised.value.status == 500
    assert mine.value.failure.kind == "event"


def test_a_watch_that_is_cut(server: ScriptedServer, core: Any) -> None:
    """Their client raises what its HTTP library does; a source goes on."""
    body = bytes_of(KUBERNETES[:1]) + KUBERNETES[1].sent[:20]
    cut = Connection(raw(body), headers=HEADERS, ending=Ending.TRUNCATED)
    server.add(cut, cut, Connection(raw(bytes_of(KUBERNETES[1:])), headers=HEADERS))
    with pytest.raises(Exception, match=r"IncompleteRead|Connection broken|prematurely"):
        theirs(core, 2)
    with source(server) as events:
        assert [made.json() for made in events] == ALL
