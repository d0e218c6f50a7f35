"""What the documentation says was measured is what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import _report, _results
from benchmarks._targets import DECODER
from benchmarks._workloads import workloads
from resilient_sse._decoding.sse import SSEDecoder

if TYPE_CHECKING:
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
