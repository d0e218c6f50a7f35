"""Where and with what is measured, and which core a process runs on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["CLIENT", "SERVER", "facts", "pin"]

PACKAGES = (
    "resilient-sse", "httpx-sse", "httpx2", "httpxr", "sseclient-py", "launchdarkly-eventsource",
    "aiohttp-sse-client", "openai", "anthropic", "httpx", "httpcore", "httpx-aiohttp", "aiohttp",
    "requests",
)  # fmt: skip
_CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
# Two cores, so that neither the one nor the other waits for its turn or moves to a cold cache.
CLIENT, SERVER = _CORES[-1:], _CORES[:1]


def pin(cores: list[int], process: int = 0) -> None:
    """Keep a process (default: this one) on these cores, if the system can and there are two."""
    if sys.platform == "linux" and len(_CORES) > 1:
        os.sched_setaffinity(process, cores)


def facts() -> dict[str, object]:
    """Say when, on which machine, and with which versions something was measured."""
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": dict(_versions()),
    }


def _versions() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append((name, importlib.metadata.version(name)))
    return found


def _commit() -> str:
    """Name the commit; "-dirty" if what is measured, or what measures, was changed since."""
    with suppress(OSError):
        changed = _git("status", "--porcelain", "src", "benchmarks")
        return _git("describe", "--always") + ("-dirty" if changed else "")
    return ""


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
