"""Vendors' servers and clients that are written for node, where they are installed.

`make test-vendors` installs them beside the virtual environment's own packages.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["needs", "run", "serve"]

_FOLDER = Path(sys.prefix) / "node"
_NODE = shutil.which("node")


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip what needs packages that are not there."""
    missing = [name for name in packages if not (_FOLDER / "node_modules" / name).is_dir()]
    if _NODE is None:
        missing.insert(0, "node")
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


def _words(program: str, arguments: tuple[str, ...]) -> list[str]:
    return [str(_NODE), "--input-type=module", "-e", program, *arguments]


@contextmanager
def serve(program: str) -> Generator[str]:
    """Run a program that serves, and says where in its first line."""
    with subprocess.Popen(
        _words(program, ()), cwd=_FOLDER, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def run(program: str, *arguments: str) -> list[Any]:
    """Run a program to its end; each line of what it says is JSON."""
    done = subprocess.run(
        _words(program, arguments),
        cwd=_FOLDER, capture_output=True, text=True, check=True, timeout=25,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]
