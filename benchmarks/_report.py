"""The tables of the documentation's page on performance, made from the results."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks._results import spread
from benchmarks._targets import AGAINST, DECODER, DECODER_WORST, MEMORY_KB, OVERHEAD
from benchmarks.decoder import BASELINE, OURS, ratios

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BARE", "TITLES", "write"]

PAGE = Path(__file__).parent.parent / "docs/explanation/performance.md"
BARE = "bare decoder loop"
TITLES = {"backlog": "backlog", "burst": "burst", "paced": "paced", "json": "1.2 KB JSON"}
_OF_OURS = ("resilient_sse", "resilient_sse batches()")


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
        yield "decoder-targets", list(_decoder_targets(results["decoder"]["data"]))
    ends = {part: results[part]["data"] for part in TITLES if part in results}
    if ends:
        newest = results[max(ends, key=lambda part: results[part]["about"]["when"])]
        yield "end-to-end", [_about(newest), "", *_end_to_end(ends)]
        yield "rates", list(_rates(ends))
        yield "overhead", list(_overhead(ends))
    if "drop" in results:
        drops = results["drop"]["data"]["drop_ms"]
        yield "drop", [_about(results["drop"]), "", *_list("milliseconds", drops)]
    if "many" in results:
        yield "many", [_about(results["many"]), "", *_many(results["many"]["data"])]
    if "tls" in results:
        yield "tls", [_about(results["tls"]), "", *_many(results["tls"]["data"])]
    yield "against", list(_against(results))
    if "event" in results:
        yield "event", list(_list("nanoseconds", results["event"]["data"]))


def _about(part: dict[str, Any]) -> str:
    """Say where a table comes from."""
    about = part["about"]
    versions = about["versions"]
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{about['when']}, {about['python']}, {about['system']}, {about['processor']}, "
        f"{about['cores']} cores, commit `{about['commit']}`; {peers}."
    )


def _rule(columns: int) -> str:
    return "|---" + "|---:" * (columns - 1) + "|"


def _decoder(data: dict[str, Any]) -> Iterator[str]:
    """One row for each workload, the fastest decoder in bold."""
    found = {kind: ratios(variants) for kind, variants in data.items()}
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    yield f"| | {' | '.join(names)} |"
    yield _rule(len(names) + 1)
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


def _decoder_targets(data: dict[str, Any]) -> Iterator[str]:
    yield "| | target | median | target | worst | ns per event | |"
    yield _rule(6) + "---|"
    for kind, target in DECODER.items():
        found = {name: median(values) for name, values in ratios(data[kind]).items()}
        worst = ratios(data[kind])[OURS][0]
        taken = [spread(times[OURS]).middle for times in data[kind].values()]
        met = found[OURS] >= target.value and worst >= DECODER_WORST
        outcome = "met" if met else target.missed
        first = ", first" if found[OURS] == max(found.values()) else ""
        yield (
            f"| {kind} | {target.value} | {found[OURS]:.2f} | {DECODER_WORST} | {worst:.2f} "
            f"| {min(taken):,.0f} to {max(taken):,.0f} | {outcome}{first} |"
        )


def _cell(values: list[float] | None, best: float | None = None) -> str:
    if not values:
        return ""
    low, middle, high = spread(values)
    bold = "**" if middle == best else ""
    return f"{bold}{_digits(middle)}{bold} ({_digits(low)} to {_digits(high)})"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"  # noqa: PLR2004 - how many digits say something


def _end_to_end(parts: dict[str, Any]) -> Iterator[str]:
    """CPU per event: one row for each client."""
    measured = {part: data["cpu_us"] for part, data in parts.items()}
    names = list(dict.fromkeys(name for clients in measured.values() for name in clients))
    yield f"| µs of CPU per event | {' | '.join(TITLES[part] for part in measured)} |"
    yield _rule(len(measured) + 1)
    for name in names:
        yield f"| {name} | {' | '.join(_cell(part.get(name)) for part in measured.values())} |"


def _rates(parts: dict[str, Any]) -> Iterator[str]:
    """Events per second: what the clock says, where the server does not set the pace."""
    measured = {part: data["wall_us"] for part, data in parts.items() if part != "paced"}
    names = list(dict.fromkeys(name for data in parts.values() for name in data["cpu_us"]))
    yield f"| events per second | {' | '.join(TITLES[part] for part in measured)} |"
    yield _rule(len(measured) + 1)
    for name in names:
        cells = [
            f"{1e6 / spread(part[name]).middle:,.0f}" if name in part else ""
            for part in measured.values()
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def _overhead(parts: dict[str, Any]) -> Iterator[str]:
    yield "| | µs per event | bare loop | times the bare loop | target | |"
    yield _rule(5) + "---|"
    for part, data in parts.items():
        bare = spread(data["cpu_us"][BARE]).middle
        for name in _OF_OURS:
            ours = spread(data["cpu_us"][name]).middle
            target = OVERHEAD.get((part, name))
            verdict = f"{target.value} | {_outcome(ours / bare, target)}" if target else " | "
            numbers = f"{ours:.2f} | {bare:.2f} | {ours / bare:.2f}"
            yield f"| {TITLES[part]}, {name} | {numbers} | {verdict} |"


def _outcome(value: float, target: Any) -> str:  # noqa: ANN401
    return "met" if value <= target.value else target.missed


def _against(results: dict[str, Any]) -> Iterator[str]:
    yield "| | times better than httpx-sse | target | | the best of the others | ours beside it |"
    yield "|---|---:|---:|---|---|---:|"
    for aim in AGAINST:
        if aim.part not in results:
            continue
        figures = results[aim.part]["data"][aim.figure]
        middles = {name: spread(values).middle for name, values in figures.items()}
        others = {name: value for name, value in middles.items() if _is_another(name)}
        best = min(others, key=others.__getitem__)
        ours = middles[aim.client]
        ratio = middles[BASELINE] / ours
        outcome = "met" if ratio >= aim.target.value else aim.target.missed
        beside = f"{best} | {others[best] / ours:.2f}"
        yield f"| {aim.title} | {ratio:.2f} | {aim.target.value} | {outcome} | {beside} |"
    if "many" in results:
        memory = results["many"]["data"]["memory_kb"]
        ours = spread(memory["resilient_sse"]).middle
        outcome = "met" if ours <= MEMORY_KB else "missed"
        ratio = spread(memory[BASELINE]).middle / ours
        numbers = f"{ours:.1f} | {ratio:.2f} | {MEMORY_KB} KB"
        yield f"| memory of a quiet stream, KB: {numbers} | {outcome} | | |"


def _is_another(name: str) -> bool:
    """Say whether it is a client of somebody else's, and for events."""
    return not name.startswith(("resilient_sse", "bare "))


def _list(unit: str, data: dict[str, list[float]]) -> Iterator[str]:
    best = min(spread(values).middle for values in data.values())
    yield f"| | {unit} |"
    yield _rule(2)
    for name, values in data.items():
        yield f"| {name} | {_cell(values, best)} |"


def _many(data: dict[str, Any]) -> Iterator[str]:
    yield "| | KB of memory per stream | µs of CPU to open one | µs of CPU per event |"
    yield _rule(4)
    for name in data["memory_kb"]:
        cells = [_cell(data[what].get(name)) for what in ("memory_kb", "open_us", "event_us")]
        yield f"| {name} | {' | '.join(cells)} |"
