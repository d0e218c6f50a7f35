"""Findings on stdout: for people at 80 columns, or one JSON object per line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from resilient_sse.cli._check.findings import Level
from resilient_sse.cli._live.screen import put
from resilient_sse.cli._outcome import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cli._check.findings import Finding

__all__ = ["REPORTS"]

_STYLES: Final = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "bold red"}
_WIDEST: Final = 100
_MARGIN: Final = 9  # as long as "problem" and two blanks


def _as_text(finding: Finding) -> None:
    kind = finding.kind
    facts = Text(finding.text)
    if kind.level is not Level.OK:
        facts.append(f" [{kind.label}]", "dim")
    lines = _wrapped(facts) + (_wrapped(Text(kind.advice)) if kind.advice else [])
    margins = [f"{kind.level.value:<{_MARGIN}}", *[" " * _MARGIN] * len(lines)]
    style = _STYLES[kind.level]
    pairs = zip(margins, lines, strict=False)
    put(*(Text().append(margin, style).append_text(line) for margin, line in pairs))


def _wrapped(text: Text) -> list[Text]:
    console = Console()
    width = max(1, min(console.width, _WIDEST) - _MARGIN)
    lines = list(text.wrap(console, width, overflow="fold"))
    for line in lines:
        line.rstrip()
    return lines


def _as_json(finding: Finding) -> None:
    facts = {
        "finding": finding.kind.label,
        "level": finding.kind.level.value,
        "exit_code": finding.kind.level.exit_code,
        "text": finding.text,
        "advice": finding.kind.advice,
    }
    write(f"{json.dumps(facts)}\n".encode())


REPORTS: Final[dict[str, Callable[[Finding], None]]] = {"text": _as_text, "json": _as_json}
