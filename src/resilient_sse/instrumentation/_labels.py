"""What a figure or a span is about: labels with few values."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Labels", "labels_of"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Labels(NamedTuple):
    """What a figure is about; every part has few values.

    Attributes:
        stream: The name that the program gave the stream ("" for none).
        server_address: The server's host.
        server_port: The server's port.
        error_type: The kind of a failure ("" if the figure is not about failures).
        status_code: The HTTP status of a failure of that kind (0 for none).
    """

    stream: str
    server_address: str
    server_port: int
    error_type: str = ""
    status_code: int = 0


def labels_of(url: str, stream: str) -> Labels:
    """Return the labels of a source that reads the named stream from a redacted URL."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return Labels(stream, parts.hostname or "", port)
