"""An event as a line, or as what it was on the wire."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from resilient_sse.cli._outcome import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.event import ServerSentEvent

__all__ = ["FORMATS", "formatter", "json_line"]

# JSON escapes the lower control characters by itself.
_CONTROL: Final = re.compile(r"[\x7f-\x9f]")


def _as_json(event: ServerSentEvent) -> str:
    facts: dict[str, Any] = {"event": event.event, "id": event.id, "data": event.data}
    if event.retry is not None:
        facts["retry"] = event.retry
    return json_line(facts)


def json_line(facts: dict[str, Any]) -> str:
    """Return an object as one line of JSON that a terminal may be given."""
    line = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _as_text(event: ServerSentEvent) -> str:
    name = f"{event.event} {event.id}".rstrip()
    return printable(f"[{name}] {event.data}").replace("\n", "\\n")


def _as_data(event: ServerSentEvent) -> str:
    return event.data


def _as_raw(event: ServerSentEvent) -> str:
    lines = [f"id: {event.id}"] if event.id else []
    lines += [f"event: {event.event}"] if event.event != "message" else []
    lines += [f"retry: {event.retry}"] if event.retry is not None else []
    lines += [f"data: {line}" for line in event.data.split("\n")]
    return "\n".join(lines) + "\n"


FORMATS: Final[dict[str, Callable[[ServerSentEvent], str]]] = {
    "json": _as_json,
    "text": _as_text,
    "data": _as_data,
    "raw": _as_raw,
}


def formatter(name: str, *, terminal: bool) -> Callable[[ServerSentEvent], bytes]:
    """Return what makes bytes of an event.

    Args:
        name: One of `FORMATS`.
        terminal: Whether a terminal shows it, which must not be given commands.
    """
    write = FORMATS[name]

    def encode(event: ServerSentEvent) -> bytes:
        text = write(event)
        # A server may send half a surrogate pair as JSON, but not in UTF-8.
        return f"{printable(text) if terminal else text}\n".encode(errors="replace")

    return encode
