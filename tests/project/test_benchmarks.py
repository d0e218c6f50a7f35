"""What the documentation says was measured is what was measured."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import _parts, _report, _results
from benchmarks._drops import DROPS
from benchmarks._event_server import EVENT, flushed
from benchmarks._many import CLIENTS
from benchmarks._parts import TLS, WORKLOADS, Workload, serving
from benchmarks._peers import PEERS, dial
from benchmarks._server import HEAD, LAST
from benchmarks._targets import AGAINST, DECODER, OVERHEAD
from benchmarks._tls_peers import DROPS_OVER_TLS, PEERS_OVER_TLS, TRUSTING
from benchmarks._unread import Unread
from benchmarks._workloads import workloads
from benchmarks.end_to_end import cpu_per_event, drop_to_request
from resilient_sse._decoding.sse import SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def test_the_page_shows_the_results(tmp_path: Path) -> None:
    """The tables of the page are those that the file of results gives."""
    page = tmp_path / "performance.md"
    page.write_text(_report.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    _report.write(_results.load(), page)
    assert page.read_text(encoding="utf-8") == _report.PAGE.read_text(encoding="utf-8")


def test_every_workload_of_the_decoder_has_a_target() -> None:
    """None is forgotten, and none is for a workload that is gone."""
    assert list(workloads()) == list(DECODER)


def test_every_variant_of_a_workload_holds_the_events_it_says() -> None:
    """The variants differ, and all of them are streams as the standard reads them."""
    for kind, variants in workloads().items():
        assert len({each.variant for each in variants}) == len(variants), kind
        for each in variants:
            decoder = SSEDecoder(max_event_size=None)
            assert sum(len(decoder.feed(chunk)) for chunk in each.chunks) == each.events, each[:2]


def test_a_saved_part_leaves_the_others(tmp_path: Path) -> None:
    """Measuring one part anew keeps what was measured before."""
    path = tmp_path / "results.json"
    _results.save("one", {"a": [1.23456]}, path)
    _results.save("two", {"b": [2.0]}, path)
    _results.save("one", {"a": [3.0]}, path)
    assert {part: kept["data"] for part, kept in _results.load(path).items()} == {
        "one": {"a": [3.0]},
        "two": {"b": [2.0]},
    }


def test_a_table_for_results_of_any_size() -> None:
    """Medians and quartiles hold for a single round too."""
    assert _results.spread([4.0]) == (4.0, 4.0, 4.0)
    assert _results.spread([5.0, 1.0, 3.0, 2.0, 4.0]) == (2.0, 3.0, 4.0)


# -- What is measured end to end -------------------------------------------------------------


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the tests, and the servers, on every core."""

    def leave(cores: list[int], process: int = 0) -> None:
        del cores, process

    monkeypatch.setattr(_parts, "pin", leave)


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("part", ["each", "tls-each"])
def test_every_read_has_one_event(part: str) -> None:
    """The server writes the next when the last was read, on whichever core it is."""
    with serving(part) as address, dial(f"{address}/each?n=300", TRUSTING) as sock:
        reads = list(iter(lambda: sock.recv(65536), b""))
    assert reads == [HEAD, *[EVENT] * 300, LAST]


def test_every_event_is_written_by_itself() -> None:
    """As of a server that flushes: a system call, which this kind of socket keeps apart."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        flushed(here, 5)
        here.close()
        assert list(iter(lambda: there.recv(65536), b"")) == [EVENT] * 5


def test_what_the_other_end_has_yet_to_read() -> None:
    """Some until it is read, whoever has acknowledged it; an error when nobody can read it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        reader = socket.create_connection(listening.getsockname())
        writer, _ = listening.accept()
    unread = Unread(writer)
    with writer, reader:
        assert not unread
        writer.sendall(b"ab")
        assert unread
        assert reader.recv(1) == b"a"
        assert unread
        assert reader.recv(1) == b"b"
        _wait_until_read(unread)
        writer.sendall(b"c")
        reader.close()
        with pytest.raises(OSError, match="not connected"):
            _wait_until_read(unread)
    unread.close()


def _wait_until_read(unread: Unread) -> None:
    while unread:  # the system acknowledges when it likes
        continue


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("name", PEERS_OVER_TLS)
def test_every_client_reads_over_tls(name: str) -> None:
    """None is left out, and all trust the server."""
    walls: dict[str, list[float]] = {}
    with serving("tls-burst") as address:
        assert cpu_per_event(address, Workload("/burst?n={}", 50, 1), walls, name)
    assert list(walls) == [name]


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("name", DROPS_OVER_TLS)
def test_every_client_comes_back_over_tls(name: str) -> None:
    """What is measured is the time between the end of a connection and the next request."""
    with serving("tls-drop") as address:
        assert drop_to_request(address, 4, name)


# -- What the page makes of it ---------------------------------------------------------------

_CLIENTS: dict[str, Collection[str]] = {
    **{part: PEERS_OVER_TLS if part.startswith(TLS) else PEERS for part in WORKLOADS},
    "drop": DROPS,
    f"{TLS}drop": DROPS_OVER_TLS,
    "many": CLIENTS,
}
_FIGURES = ("cpu_us", "wall_us", "drop_ms", "memory_kb", "open_us", "event_us")


def _made_up(part: str) -> dict[str, Any]:
    """Results of which every client has other ones."""
    clients = {name: [float(place)] for place, name in enumerate(_CLIENTS[part], start=1)}
    about = _results.load()["drop"]["about"]
    return {"about": about, "data": dict.fromkeys(_FIGURES, clients)}


def _empty(page: Path) -> str:
    """Write the page as it is before anything was measured."""
    text = _report.PAGE.read_text(encoding="utf-8")
    text = re.sub(r"(<!-- (\S+): begin -->\n).*?(?=<!-- \2: end)", r"\1", text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")
    return text


def test_every_aim_and_all_that_is_beside_it_is_measured() -> None:
    """No name is misspelt."""
    for aim in AGAINST:
        assert {aim.client, aim.baseline} <= set(_CLIENTS[aim.part]), aim
        assert not aim.ahead or aim.rival in _CLIENTS[aim.part], aim
    assert all(name in _CLIENTS[part] for part, name in OVERHEAD)


def test_a_page_with_everything_measured(tmp_path: Path) -> None:
    """Every aim has a row, beside its like, and every part over TLS its table."""
    page = tmp_path / "performance.md"
    _empty(page)
    _report.write({part: _made_up(part) for part in _CLIENTS}, page)
    text = page.read_text(encoding="utf-8")
    assert [aim.title for aim in AGAINST if f"\n| {aim.title} | " not in text] == []
    assert "| burst | 0.50 | 3.5 | missed | " in text  # httpx-sse is the first, ours the second
    for part, name in OVERHEAD:
        assert f"\n| {_report.TITLES[part]}, {name} | " in text
    assert "### The same over TLS" in text
    assert "\n| \u00b5s of CPU per event | backlog | burst | one event per read |\n" in text
    assert "Over TLS 1.3" in text


@pytest.mark.parametrize("part", _CLIENTS)
def test_a_page_with_one_part_measured(part: str, tmp_path: Path) -> None:
    """It has the aims of this part, and nothing of the others."""
    page = tmp_path / "performance.md"
    _empty(page)
    _report.write({part: _made_up(part)}, page)
    text = page.read_text(encoding="utf-8")
    shown = {aim.title for aim in AGAINST if f"\n| {aim.title} | " in text}
    assert shown == {aim.title for aim in AGAINST if aim.part == part}
    assert ("over TLS\n" in text) == (part.startswith(TLS) and part in WORKLOADS)


def test_results_from_before_a_client_was_measured(tmp_path: Path) -> None:
    """What would be beside it stays empty; without one of httpx-sse's there is no row at all."""
    page = tmp_path / "performance.md"
    _empty(page)
    old = _made_up("drop")
    ours = {"resilient_sse": [1.0], "resilient_sse blocking": [1.0], "sseclient-py": [0.5]}
    old["data"]["drop_ms"] = {"httpx-sse": [3.0], "aiohttp-sse-client": [0.5]} | ours
    _report.write({"drop": old}, page)
    text = page.read_text(encoding="utf-8")
    row = "| drop to next request | 3.00 | 2.0 | met |  |  |  | aiohttp-sse-client: 0.50 |\n"
    assert row in text
    assert "drop to next request, blocking" not in text
