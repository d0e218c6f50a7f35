"""Labels as OpenTelemetry attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_sse.instrumentation._labels import Labels

__all__ = ["attributes_of"]


def attributes_of(labels: Labels) -> dict[str, str | int]:
    """Return the attributes that have a value."""
    attributes: dict[str, str | int] = {
        "sse.stream": labels.stream,
        "server.address": labels.server_address,
        "server.port": labels.server_port,
        "error.type": labels.error_type,
        "http.response.status_code": labels.status_code,
    }
    return {name: value for name, value in attributes.items() if value}
