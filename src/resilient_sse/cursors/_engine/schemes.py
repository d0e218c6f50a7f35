"""Which engine a URL names."""

from __future__ import annotations

from typing import Final

SCHEMES: Final = {
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "postgresql": "postgresql",
    "postgres": "postgresql",
}
"""By the scheme of a URL the engine, which is also the name of its extra."""
