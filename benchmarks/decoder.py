"""How fast the decoder is, beside every other Python decoder of Server-Sent Events.

Run it with ``python -m benchmarks.decoder`` (``--quick`` for a rough answer, ``--page FILE`` to put
the table into the documentation's page on performance). Every decoder reads
the same chunks in the same process, in turns, so that a slower moment of the machine hits all of
them; the numbers are medians of CPU time. Decoders that are not installed are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.metadata
import os
import platform
import sys
import time
from datetime import date
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks._workloads import Workload, workloads
from resilient_sse._decoder import SSEDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

__all__ = ["Result", "main", "measure"]

BASELINE = "httpx-sse"
OURS = "resilient_sse"
# How many times faster than httpx-sse the decoder is meant to be, workload by workload.
GOALS = (3.9, 2.9, 4.7, 1.8, 1.8, 2.6, 2.4, 4.6, 3.2, 2.2, 3.7)
_BEGIN, _END = "<!-- decoder: begin -->\n", "<!-- decoder: end -->\n"


class Result(NamedTuple):
    """What one decoder needed for one workload.

    Attributes:
        workload: The workload's name.
        decoder: The decoder's name.
        seconds: The CPU time per run: the median.
        spread: The distance between the quartiles, as a part of the median.
        events: How many events it found, or -1 if it failed (its time means nothing then).
        expected: How many there are.
        ratio: How many times faster than httpx-sse it is.
    """

    workload: str
    decoder: str
    seconds: float
    spread: float
    events: int
    expected: int
    ratio: float


def _ours(chunks: list[bytes]) -> int:
    decoder = SSEDecoder()
    feed = decoder.feed
    count = 0
    for chunk in chunks:
        for _ in feed(chunk):
            count += 1
    return count


def _length(events: Iterable[object]) -> int:
    count = 0
    for _ in events:
        count += 1
    return count


def _httpx_sse() -> Callable[[list[bytes]], int]:
    """Do what ``EventSource(response).iter_sse()`` does with the chunks of a response."""
    httpx: Any = importlib.import_module("httpx._decoders")
    peer: Any = importlib.import_module("httpx_sse._decoders")

    def texts(chunks: list[bytes]) -> Iterator[str]:
        decoder = httpx.TextDecoder(encoding="utf-8")
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.flush()

    def lines(chunks: list[bytes]) -> Iterator[str]:
        decoder = peer.SSELineDecoder()
        for text in texts(chunks):
            yield from decoder.decode(text)
        yield from decoder.flush()

    def events(chunks: list[bytes]) -> Iterator[object]:
        decoder = peer.SSEDecoder()
        for line in lines(chunks):
            event = decoder.decode(line.rstrip("\n"))
            if event is not None:
                yield event

    return lambda chunks: _length(events(chunks))


def _httpx2() -> Callable[[list[bytes]], int]:
    texts: Any = importlib.import_module("httpx2._decoders")
    peer: Any = importlib.import_module("httpx2._sse")

    def events(chunks: list[bytes]) -> Iterator[object]:
        decoder = texts.TextDecoder(encoding="utf-8")
        parser = peer._SSEParser(max_event_size=None)  # noqa: SLF001 - it has no public one
        for chunk in chunks:
            yield from parser.decode(decoder.decode(chunk))
        yield from parser.flush()

    return lambda chunks: _length(events(chunks))


def _sseclient() -> Callable[[list[bytes]], int]:
    peer: Any = importlib.import_module("sseclient")
    return lambda chunks: _length(peer.SSEClient(iter(chunks)).events())


def _launchdarkly() -> Callable[[list[bytes]], int]:
    peer: Any = importlib.import_module("ld_eventsource.reader")
    event_class: type = importlib.import_module("ld_eventsource.actions").Event

    def run(chunks: list[bytes]) -> int:
        lines = peer._BufferedLineReader.lines_from(iter(chunks))  # noqa: SLF001 - as above
        count = 0
        for item in peer._SSEReader(lines).events_and_comments():  # noqa: SLF001 - as above
            if isinstance(item, event_class):
                count += 1
        return count

    return run


def _openai() -> Callable[[list[bytes]], int]:
    peer: Any = importlib.import_module("openai._streaming")
    return lambda chunks: _length(peer.SSEDecoder().iter_bytes(iter(chunks)))


def _aiohttp() -> Callable[[list[bytes]], int]:
    """Let aiohttp-sse-client read from aiohttp's own stream reader, filled beforehand."""
    peer: Any = importlib.import_module("aiohttp_sse_client.client")
    streams: Any = importlib.import_module("aiohttp.streams")
    protocols: Any = importlib.import_module("aiohttp.base_protocol")

    class Ended(Exception):  # noqa: N818 - a signal
        pass

    def stop() -> None:
        raise Ended

    async def events(chunks: list[bytes]) -> AsyncIterator[object]:
        loop = asyncio.get_running_loop()
        content = streams.StreamReader(protocols.BaseProtocol(loop), limit=2**30, loop=loop)
        for chunk in chunks:
            content.feed_data(chunk)
        content.feed_eof()
        source = peer.EventSource("http://peer", session=SimpleNamespace(), on_error=stop)
        source._response = SimpleNamespace(status=200, content=content)  # noqa: SLF001 - as above
        try:
            async for event in source:
                yield event
        except Ended:
            return

    async def count(chunks: list[bytes]) -> int:
        total = 0
        async for _ in events(chunks):
            total += 1
        return total

    return lambda chunks: asyncio.run(count(chunks))


_PEERS: dict[str, Callable[[], Callable[[list[bytes]], int]]] = {
    "httpx-sse": _httpx_sse,
    "httpx2": _httpx2,
    "sseclient-py": _sseclient,
    "launchdarkly": _launchdarkly,
    "openai": _openai,
    "aiohttp-sse-client": _aiohttp,
}


def _decoders() -> dict[str, Callable[[list[bytes]], int]]:
    decoders: dict[str, Callable[[list[bytes]], int]] = {OURS: _ours}
    for name, load in _PEERS.items():
        try:
            decoders[name] = load()
        except ImportError as error:
            print(f"without {name}: {error}", file=sys.stderr)
    return decoders


def _time(decode: Callable[[list[bytes]], int], chunks: list[bytes]) -> tuple[float, int]:
    """Run once; for a decoder that cannot read the stream the number of events is -1."""
    start = time.process_time()
    try:
        events = decode(chunks)
    except Exception:  # noqa: BLE001 - whatever a peer raises
        return time.process_time() - start, -1
    return time.process_time() - start, events


def _spread(times: list[float]) -> float:
    ordered = sorted(times)
    low, high = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    return (high - low) / median(times)


def _measure_workload(
    workload: Workload, decoders: dict[str, Callable[[list[bytes]], int]], rounds: int
) -> list[Result]:
    times: dict[str, list[float]] = {}
    events: dict[str, int] = {}
    for _ in range(rounds):
        for name, decode in decoders.items():
            seconds, events[name] = _time(decode, workload.chunks)
            times.setdefault(name, []).append(seconds)
    base = median(times[BASELINE]) if BASELINE in times else float("nan")
    return [
        Result(
            workload.name,
            name,
            median(taken),
            _spread(taken),
            events[name],
            workload.events,
            base / median(taken),
        )
        for name, taken in times.items()
    ]


def measure(*, quick: bool = False) -> list[Result]:
    """Measure every decoder that is installed on every workload.

    Args:
        quick: Fewer rounds on shorter streams.

    Returns:
        One result per decoder and workload; a named tuple, so it goes into JSON as it is.
    """
    decoders = _decoders()
    rounds, scale = (3, 1) if quick else (15, 4)
    return [
        result
        for workload in workloads(scale)
        for result in _measure_workload(workload, decoders, rounds)
    ]


def _table(results: list[Result]) -> Iterator[str]:
    names = list(dict.fromkeys(result.decoder for result in results))
    yield f"{'ratio to httpx-sse (higher is faster)':38}" + "".join(f"{n:>20}" for n in names)
    for workload in dict.fromkeys(result.workload for result in results):
        cells = {r.decoder: r for r in results if r.workload == workload}
        yield f"{workload:38}" + "".join(_cell(cells[name]) for name in names)


def _cell(result: Result) -> str:
    if result.events < 0:
        return f"{'fails':>20}"
    wrong = "" if result.events == result.expected else f"({result.events}!) "
    return f"{wrong}{result.ratio:.2f} ±{result.spread:4.0%}".rjust(20)


def _markdown(results: list[Result]) -> Iterator[str]:
    """Make the documentation's table: the fastest of each workload in bold."""
    names = list(dict.fromkeys(result.decoder for result in results))
    packages = [{"launchdarkly": "launchdarkly-eventsource"}.get(name, name) for name in names]
    versions = [importlib.metadata.version(name.replace("_", "-")) for name in packages]
    heads = [f"{name} {version}" for name, version in zip(names, versions, strict=True)]
    yield f"| | goal | {' | '.join(heads)} |"
    yield "|---" * (len(names) + 2) + "|"
    workloads_seen = dict.fromkeys(result.workload for result in results)
    for goal, workload in zip(GOALS, workloads_seen, strict=True):
        row = [result for result in results if result.workload == workload]
        best = max(result.ratio for result in row if result.events == result.expected)
        yield f"| {workload} | {goal} | {' | '.join(_markdown_cell(r, best) for r in row)} |"


def _markdown_cell(result: Result, best: float) -> str:
    if result.events < 0:
        return "fails"
    shown = f"{result.ratio:.2f}"
    wrong = "" if result.events == result.expected else f", {result.events} events"
    bold = "**" if result.ratio == best else ""
    return f"{bold}{shown}{bold} ±{result.spread:.0%}{wrong}"


def _put_into(page: Path, results: list[Result]) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    how = f"{date.today():%d %B %Y}, {python}, {os.cpu_count()} cores."  # noqa: DTZ011 - a day
    table = "\n".join(_markdown(results))
    page.write_text(f"{before}{_BEGIN}{how}\n\n{table}\n{_END}{after}", encoding="utf-8")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough answer in a few seconds")
    parser.add_argument("--page", type=Path, help="the page to put the table into")
    options = parser.parse_args()
    results = measure(quick=options.quick)
    for line in _table(results):
        print(line)
    if options.page is not None:
        _put_into(options.page, results)


if __name__ == "__main__":
    main()
