"""What is said when the demonstration is over: the faults, a timeline, the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from resilient_sse import ConnectionState
from resilient_sse.cli._live.timeline import bar, legend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from examples.demo.ledger import Fault, Ledger
    from resilient_sse.cli._live.monitor import Monitor

__all__ = ["summary"]

_WIDTH: Final = 76


def summary(ledger: Ledger, monitor: Monitor) -> Iterator[Text]:
    """Tell what happened and what was counted, line by line.

    Args:
        ledger: What was counted.
        monitor: What the source did, and when.
    """
    yield Text()
    yield from _timeline(ledger, monitor)
    yield Text()
    for number, fault in enumerate(ledger.faults, start=1):
        yield _told(number, fault, monitor.began)
    yield Text()
    for name, value in _counts(ledger).items():
        yield Text(f"  {name:<18}{value:>8}")
    yield Text()
    yield Text(*_verdict(ledger))


def _timeline(ledger: Ledger, monitor: Monitor) -> Iterator[Text]:
    last = monitor.phases[-1]
    end = last.began if last.state is ConnectionState.CLOSED else monitor.clock()
    seconds = max(1.0, end - monitor.began)
    yield Text("  ").append(bar(monitor, _WIDTH, end - seconds, end))
    marks = [" "] * _WIDTH
    for number, fault in enumerate(ledger.faults, start=1):
        marks[int((fault.at - (end - seconds)) / seconds * (_WIDTH - 1))] = str(number)
    yield Text("  " + "".join(marks).rstrip(), "bold")
    yield Text(f"  {seconds:.0f} seconds:", "dim").append(legend())


def _told(number: int, fault: Fault, began: float) -> Text:
    back = "not got over" if fault.seconds is None else f"events again after {fault.seconds:.2f} s"
    text = Text("  ").append(str(number), "bold")
    return text.append(f"  {fault.at - began:5.1f} s  {fault.name:<39}{back}")


def _counts(ledger: Ledger) -> dict[str, str]:
    return {
        "events sent": str(ledger.published or 0),
        "delivered": str(len(ledger.delivered)),
        "lost": str(ledger.lost),
        "delivered twice": str(ledger.repeated),
        "outages survived": str(ledger.outages),
        "longest gap": f"{ledger.longest_gap:.2f} s",
    }


def _verdict(ledger: Ledger) -> tuple[str, str]:
    if ledger.is_good:
        return "Every event came once, in order.", "bold green"
    return "This should not happen.", "bold red"
