"""The tables of the documentation's page on performance, made from the results."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks._cells import cell, rule
from benchmarks._parts import STREAMS, TLS
from benchmarks._results import spread
from benchmarks._verdicts import against, decoder_targets, overhead
from benchmarks.decoder import ratios

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["TITLES", "write"]

PAGE = Path(__file__).parent.parent / "docs/explanation/performance.md"
TITLES = {
    "backlog": "backlog",
    "burst": "burst",
    "each": "one event per read",
    "flushed": "flushed per event",
    "paced": "paced",
    "json": "1.2 KB JSON",
}
_SHAPES = {
    "backlog": "small events in blocks of 64 KB",
    "burst": "one event to a chunk, as fast as they are read",
    "each": "a server that writes the next event as soon as Linux says that the client has read "
    "the last, so that events come as fast as they are read, one to a read",
    "flushed": "a server that flushes after every event: each a chunk and a system call of its "
    "own, as fast as the socket takes them; how many of them a read finds is up to both sides",
    "paced": "2,000 a second, one to a packet",
    "json": "records with id and type in blocks of 64 KB",
}
_OVER_TLS = """\
### The same over TLS

TLS 1.3. Every client is given one context, which trusts the server's certificate and was loaded
before, and opens one connection.
"""
_DROP_OVER_TLS = """\
Over TLS 1.3, from a server that sends session tickets. The library's own transports resume the
session, as the bare socket does here; httpx, aiohttp and urllib3 shake hands anew.
"""
# What sets the pace of these is the server, or both in turn.
_SERVER_PACED = frozenset({"each", "flushed", "paced"})


def write(results: dict[str, Any], page: Path = PAGE) -> None:
    """Put every table for which there are results into the page."""
    text = page.read_text(encoding="utf-8")
    for name, lines in _tables(results):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        before, found, rest = text.partition(begin)
        assert found, f"{page} has no place for the table {name!r}"
        text = before + begin + "\n".join([*lines, ""]) + end + rest.partition(end)[2]
    page.write_text(text, encoding="utf-8")


def _tables(results: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    if "decoder" in results:
        yield "decoder", [_about(results["decoder"]), "", *_decoder(results["decoder"]["data"])]
        yield "decoder-targets", list(decoder_targets(results["decoder"]["data"]))
    yield from _ends(results)
    yield from _drops(results)
    for part in STREAMS:
        if part in results:
            yield part, [_about(results[part]), "", *_many(results[part]["data"])]
    yield "against", list(against(results))
    if "instructions" in results:
        counted = results["instructions"]
        yield "instructions", [_about(counted), "", *_instructions(counted["data"])]
    if "event" in results:
        yield "event", list(_list("nanoseconds", results["event"]["data"]))


def _ends(results: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    if ends := _measured(results, ""):
        yield "shapes", [f"- {TITLES[part]}: {_SHAPES[part]}" for part in ends]
        yield "end-to-end", [_newest(results, ends), "", *_end_to_end(ends)]
        yield "rates", list(_rates(ends))
        # How many events a read finds differs there, so one is not the other and something more.
        alike = {part: data for part, data in ends.items() if part != "flushed"}
        yield "overhead", list(overhead(alike, TITLES))
    if over_tls := _measured(results, TLS):
        about = _newest(results, [TLS + part for part in over_tls])
        yield "end-to-end-tls", [_OVER_TLS, about, "", *_end_to_end(over_tls)]


def _measured(results: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {part: results[prefix + part]["data"] for part in TITLES if prefix + part in results}


def _newest(results: dict[str, Any], parts: Iterable[str]) -> str:
    return _about(results[max(parts, key=lambda part: results[part]["about"]["when"])])


def _drops(results: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for part, before in {"drop": [], f"{TLS}drop": [_DROP_OVER_TLS]}.items():
        if part in results:
            drops = results[part]["data"]["drop_ms"]
            yield part, [*before, _about(results[part]), "", *_list("milliseconds", drops)]


def _about(part: dict[str, Any]) -> str:
    """Say where a table comes from."""
    about = part["about"]
    versions = about["versions"]
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{about['when']}, {about['python']}, {about['system']}, {about['processor']}, "
        f"{about['cores']} cores, commit `{about['commit']}`; {peers}."
    )


def _decoder(data: dict[str, Any]) -> Iterator[str]:
    """One row for each workload, the fastest decoder in bold."""
    found = {kind: ratios(variants) for kind, variants in data.items()}
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    yield f"| | {' | '.join(names)} |"
    yield rule(len(names) + 1)
    for kind, each in found.items():
        best = max(median(values) for values in each.values())
        cells = [_ratio(each.get(name), len(data[kind]), best) for name in names]
        yield f"| {kind} | {' | '.join(cells)} |"


def _ratio(values: list[float] | None, variants: int, best: float) -> str:
    """The median and the worst; how many variants it cannot read, if there are any."""
    if not values:
        return "fails"
    bold = "**" if median(values) == best else ""
    fails = f", fails {variants - len(values)}" if len(values) < variants else ""
    return f"{bold}{median(values):.2f}{bold} ({values[0]:.2f}{fails})"


def _end_to_end(parts: dict[str, Any]) -> Iterator[str]:
    """CPU per event: one row for each client."""
    measured = {part: data["cpu_us"] for part, data in parts.items()}
    names = list(dict.fromkeys(name for clients in measured.values() for name in clients))
    yield f"| µs of CPU per event | {' | '.join(TITLES[part] for part in measured)} |"
    yield rule(len(measured) + 1)
    for name in names:
        yield f"| {name} | {' | '.join(cell(part.get(name)) for part in measured.values())} |"


def _rates(parts: dict[str, Any]) -> Iterator[str]:
    """Events per second: what the clock says, where the server does not set the pace."""
    measured = {part: data["wall_us"] for part, data in parts.items() if part not in _SERVER_PACED}
    names = list(dict.fromkeys(name for data in parts.values() for name in data["cpu_us"]))
    yield f"| events per second | {' | '.join(TITLES[part] for part in measured)} |"
    yield rule(len(measured) + 1)
    for name in names:
        cells = [
            f"{1e6 / spread(part[name]).middle:,.0f}" if name in part else ""
            for part in measured.values()
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def _list(unit: str, data: dict[str, list[float]]) -> Iterator[str]:
    best = min(spread(values).middle for values in data.values())
    yield f"| | {unit} |"
    yield rule(2)
    for name, values in data.items():
        yield f"| {name} | {cell(values, best)} |"


def _many(data: dict[str, Any]) -> Iterator[str]:
    yield "| | KB of memory per stream | µs of CPU to open one | µs of CPU per event |"
    yield rule(4)
    for name in data["memory_kb"]:
        cells = [cell(data[what].get(name)) for what in ("memory_kb", "open_us", "event_us")]
        yield f"| {name} | {' | '.join(cells)} |"


def _instructions(data: dict[str, Any]) -> Iterator[str]:
    """What callgrind counted: one row for each client."""
    names = list(dict.fromkeys(name for clients in data.values() for name in clients))
    yield f"| instructions for | {' | '.join(data)} |"
    yield rule(len(data) + 1)
    for name in names:
        cells = [f"{clients[name][0]:,.0f}" if name in clients else "" for clients in data.values()]
        yield f"| {name} | {' | '.join(cells)} |"
