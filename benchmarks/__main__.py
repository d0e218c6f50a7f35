"""All benchmarks side by side, and what the documentation shows of them.

    python -m benchmarks [--quick] [--rounds N] [PART ...]

Every part replaces its results in ``docs/explanation/performance.json``; then the tables in
``docs/explanation/performance.md`` and the plots in ``docs/images`` are made anew from that file.
The part ``report`` does only this.
"""

from __future__ import annotations

import argparse
import time

import stamina

from benchmarks import (
    _parts,
    _plots,
    _report,
    _results,
    decoder,
    end_to_end,
    event,
    instructions,
)

PARTS = ("event", "decoder", *_parts.PARTS, "instructions")


def _run(part: str, *, quick: bool, rounds: int | None) -> object:
    if part == "event":
        return event.measure()
    if part == "instructions":
        return instructions.measure()
    if part == "decoder":
        return decoder.measure(quick=quick, rounds=rounds)
    with _parts.serving(part) as address:
        return end_to_end.measure(part, address, quick=quick, rounds=rounds)


def main() -> None:
    """Run what is asked for, part by part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough answer; saves nothing")
    parser.add_argument("--rounds", type=int, help="fewer or more than usual")
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)} or report; default: all")
    options = parser.parse_args()
    if not set(options.part) <= {*PARTS, "report"}:
        parser.error(f"there are {', '.join(PARTS)} and report")
    # What an application logs about retries, and where to, is its own affair.
    stamina.instrumentation.set_on_retry_hooks([])
    for part in options.part or PARTS:
        if part == "report":
            continue
        print(f"==> {part}", flush=True)
        began = time.monotonic()
        data = _run(part, quick=options.quick, rounds=options.rounds)
        print(f"    {time.monotonic() - began:.0f} s", flush=True)
        if data is not None and not options.quick:
            _results.save(part, data)
    if not options.quick:
        _report.write(_results.load())
        _plots.draw(_results.load())


if __name__ == "__main__":
    main()
