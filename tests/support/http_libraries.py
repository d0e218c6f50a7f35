"""The HTTP libraries whose clients a source takes, as far as they exist for this Python."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Final

# By name: httpxr is written in Rust, and has no wheel for a Python that is quite new.
LIBRARIES: Final[dict[str, Any]] = {
    name: importlib.import_module(name)
    for name in ("httpx", "httpx2", "httpxr")
    if importlib.util.find_spec(name)
}
# httpx2 imports it when it first makes a transport, which may be in an event loop that is watched.
if "httpx2" in LIBRARIES:
    importlib.import_module("httpcore2")
