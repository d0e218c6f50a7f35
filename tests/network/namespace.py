"""Running an experiment in a private network and mount namespace."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from typing import Any, Final

__all__ = ["inside", "unavailable"]

# Without root a user namespace may give the right to make the others.
_UNSHARE: Final = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"] + (
    [] if os.geteuid() == 0 else ["--map-root-user"]
)
_PROBE: Final = (
    "ip link set lo up && iptables -A INPUT -p tcp --dport 9 -j DROP && mount --bind /etc /etc"
)


@functools.cache
def unavailable() -> str | None:
    """Say why no experiment can be made here; None if it can."""
    missing = [tool for tool in ("unshare", "ip", "iptables", "ss") if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = subprocess.run([*_UNSHARE, "sh", "-c", _PROBE], capture_output=True, check=False)
    return f"no private network: {probe.stderr.decode().strip()}" if probe.returncode else None


@functools.cache
def inside(fault: str) -> dict[str, dict[str, Any]]:
    """Make an experiment, and return what each runtime found."""
    command = [*_UNSHARE, sys.executable, "-m", "tests.network.laboratory", fault]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=55)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found
