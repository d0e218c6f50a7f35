"""The boundary between the drivers and the session: how many names cross it."""

from __future__ import annotations

import ast
from pathlib import Path

import resilient_sse._drivers

DRIVERS = Path(resilient_sse._drivers.__path__[0])
OWNERS = {"session": "session", "_session": "session", "saving": "saving", "_saving": "saving"}
# Fewer is better: whoever adds a name finds another step that both drivers always take together.
MOST = 20


def test_the_drivers_know_few_names_of_the_session() -> None:
    """What they use of a session, and of the saving that is reached through it."""
    used: set[tuple[str, str]] = set()
    for module in DRIVERS.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.Attribute(
                    value=ast.Attribute(attr=owner) | ast.Name(id=owner), attr=name
                ) if owner in OWNERS:
                    used.add((OWNERS[owner], name))
                case _:
                    continue

    assert len(used) == MOST, sorted(used)
