"""The pages about metrics and the command line name everything there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from prometheus_client import CollectorRegistry

import resilient_sse
from resilient_sse import cli
from resilient_sse.cli import _outcome
from resilient_sse.cli._commands import commands
from resilient_sse.instrumentation import PrometheusHook, _figures
from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="not in a checkout")


def page(name: str) -> str:
    """Read a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_page_on_metrics_has_every_name() -> None:
    """In both columns: as OpenTelemetry writes them, and as Prometheus gets them."""
    registry = CollectorRegistry()
    PrometheusHook(registry=registry)
    described = {family.name: family.type for family in registry.collect()}
    names = {name + "_total" if kind == "counter" else name for name, kind in described.items()}
    rows = re.findall(
        r"^\| `(sse\.client[\w.]+)` \| `(\w+)` \|", page("how-to/metrics.md"), re.MULTILINE
    )
    assert {row[0] for row in rows} == {m.name for m in (*_figures.SUMS, *_figures.DURATIONS)}
    assert {row[1] for row in rows} == names


def every_command(command: click.Command) -> Iterator[click.Command]:
    """Yield it, or all that are in it."""
    if not isinstance(command, click.Group):
        yield command
        return
    for one in command.commands.values():
        yield from every_command(one)


def test_the_reference_has_every_option() -> None:
    """Of every command, and no option that there is not."""
    known = {
        option
        for command in every_command(commands)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    named = re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", page("reference/cli.md"))
    assert set(named) - {"--help", "-m"} == known


def test_the_exit_codes_are_documented() -> None:
    """On the page and in the module, all of them."""
    codes = {
        str(code)
        for code in (
            _outcome.DONE.code, _outcome.PROBLEM, _outcome.USAGE, _outcome.GAVE_UP,
            _outcome.CANNOT_WRITE, _outcome.INTERRUPTED, 143,
        )
    }  # fmt: skip
    rows = re.findall(r"^\| (\d+) \|", page("reference/cli.md"), re.MULTILINE)
    assert set(rows) == codes
    assert cli.__doc__ is not None
    assert set(re.findall(r"\b(\d+)[:,]", cli.__doc__)) == codes


def test_the_messages_to_search_for_are_those_of_the_library() -> None:
    """What the page on troubleshooting lists as a message, some module says."""
    told = re.findall(r"^\| `([^`]+)` \|", page("how-to/troubleshooting.md"), re.MULTILINE)
    library = Path(resilient_sse.__file__).parent
    said = " ".join(path.read_text(encoding="utf-8") for path in library.rglob("*.py"))
    of_openssl = {"CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"}
    assert {message for message in told if message not in said} <= of_openssl
    assert len(told) > 15
