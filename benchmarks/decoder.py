"""How fast the decoder is, beside every other Python decoder of Server-Sent Events.

    python -m benchmarks.decoder [--quick]

Every decoder reads the same chunks in the same process, in turns and in another order each time, so
that a slower moment of the machine hits all of them; the numbers are medians of CPU time. Every
kind of workload comes in variants, and what counts is the median of them, and the worst. Every kind
has a process of its own: what another one left in memory changes how fast large strings
are made. Decoders that are not installed are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import random
import subprocess
import sys
import time
from contextlib import suppress
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks._machine import CLIENT, pin
from benchmarks._results import spread
from benchmarks._workloads import Workload, workloads
from resilient_sse import SSEDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

__all__ = ["BASELINE", "OURS", "main", "measure", "ratios"]

BASELINE = "httpx-sse"
OURS = "resilient_sse"
_FAILED = -1
Times = dict[str, dict[str, dict[str, list[float]]]]
"""Nanoseconds for each event, round by round, of each decoder, each variant, each workload."""


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


def _launchdarkly_async() -> Callable[[list[bytes]], int]:
    peer: Any = importlib.import_module("ld_eventsource.async_reader")
    event_class: type = importlib.import_module("ld_eventsource.actions").Event

    async def source(chunks: list[bytes]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def count(chunks: list[bytes]) -> int:
        lines = peer._AsyncBufferedLineReader.lines_from(source(chunks))  # noqa: SLF001 - as above
        total = 0
        async for item in peer._AsyncSSEReader(lines).events_and_comments():  # noqa: SLF001 - same
            if isinstance(item, event_class):
                total += 1
        return total

    return lambda chunks: asyncio.run(count(chunks))


def _anthropic() -> Callable[[list[bytes]], int]:
    peer: Any = importlib.import_module("anthropic._streaming")
    return lambda chunks: _length(peer.SSEDecoder().iter_bytes(iter(chunks)))


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
    "launchdarkly async": _launchdarkly_async,
    "openai": _openai,
    "anthropic": _anthropic,
    "aiohttp-sse-client": _aiohttp,
}


def _decoders() -> dict[str, Callable[[list[bytes]], int]]:
    decoders: dict[str, Callable[[list[bytes]], int]] = {OURS: _ours}
    for name, load in _PEERS.items():
        with suppress(ImportError):
            decoders[name] = load()
    return decoders


def _time(name: str, decode: Callable[[list[bytes]], int], workload: Workload) -> float | None:
    """Run once; None for a decoder that cannot read the stream or finds other events.

    What the others are measured by is timed in any case: httpx-sse finds an event in every comment
    behind an id.
    """
    start = time.process_time()
    try:
        events = decode(workload.chunks)
    except Exception:  # noqa: BLE001 - whatever a peer raises
        events = _FAILED
    seconds = time.process_time() - start
    right = events == workload.events or (name == BASELINE and events != _FAILED)
    return seconds / workload.events * 1e9 if right else None


def _measure_here(workload: Workload, rounds: int) -> dict[str, list[float]]:
    """Let the decoders take turns, after one round that does not count."""
    decoders = _decoders()
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for turn in range(rounds + 1):
        for name in random.sample(list(times), len(times)):
            taken = _time(name, decoders[name], workload)
            if taken is None:
                print(
                    f"  ({name} cannot read {workload.name}: {workload.variant})", file=sys.stderr
                )
                del times[name]
            elif turn:
                times[name].append(taken)
    return {name: times[name] for name in decoders if name in times}


def measure(*, quick: bool = False, rounds: int | None = None) -> Times:
    """Measure every decoder that is installed on every workload, each in a process of its own.

    Args:
        quick: Fewer rounds on shorter streams.
        rounds: How many rounds; default: 3 or 7.
    """
    times: Times = {}
    command = [sys.executable, "-m", "benchmarks.decoder", *(["--quick"] if quick else [])]
    command += ["--rounds", str(rounds or (3 if quick else 7))]
    for kind in workloads():
        done = subprocess.run([*command, "--kind", kind], stdout=subprocess.PIPE, check=True)
        times[kind] = json.loads(done.stdout)
        print(_line(kind, times[kind]), flush=True)
    return times


def ratios(variants: dict[str, dict[str, list[float]]]) -> dict[str, list[float]]:
    """Say how many times faster than httpx-sse each decoder is, variant by variant, worst first.

    A decoder that cannot read a variant has none for it.
    """
    found: dict[str, list[float]] = {}
    for times in variants.values():
        base = spread(times[BASELINE]).middle
        for name, taken in times.items():
            found.setdefault(name, []).append(base / spread(taken).middle)
    return {name: sorted(values) for name, values in found.items()}


def _line(kind: str, variants: dict[str, dict[str, list[float]]]) -> str:
    """Make one line of a table for the terminal: of each decoder the median and the worst."""
    found = ratios(variants)
    cells = [f"{name} {median(each):.2f} ({each[0]:.2f})" for name, each in found.items()]
    return f"  {kind:34} " + ", ".join(cells)


def main() -> None:
    """Print how many times faster than httpx-sse each is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough answer in a few seconds")
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    if options.kind is None:
        measure(quick=options.quick, rounds=options.rounds)
        return
    pin(CLIENT)
    variants = workloads(1 if options.quick else 2)[options.kind]
    print(json.dumps({each.variant: _measure_here(each, options.rounds) for each in variants}))


if __name__ == "__main__":
    main()
