"""Docker's events: JSON lines, each an event of a container, an image, a network or the like.

- cursor: ``timeNano`` of the event.
- resume: the query parameter ``since``, a nanosecond later: the daemon begins with what happened at
  that very time.
- heartbeat: none. A host where nothing happens is silent: give an ``idle_timeout`` that suits it.
- error: none.
- end: none, and the daemon ends its streams cleanly as it stops. With ``until`` in the URL there is
  one: ``replace(DockerEvents, end="finished")``.
- gap: none that it tells of. The daemon keeps the last 256 events, and none over its own restart.

Page: https://docs.docker.com/reference/api/engine/version/v1.47/#tag/System/operation/SystemEvents
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._decoding.ndjson import NDJSONDecoder
from resilient_sse._session.dialect import Dialect
from resilient_sse.dialects._payload import payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.http_messages import RequestT

__all__ = ["DockerEvents"]

_SECOND: Final = 1_000_000_000  # nanoseconds


def _position(event: ServerSentEvent, _cursor: str) -> str | None:
    when = payload(event).get("timeNano")
    return str(when) if isinstance(when, int) else None


def _resume(request: RequestT, cursor: str) -> RequestT:
    seconds, nanoseconds = divmod(int(cursor) + 1, _SECOND)
    request.url = request.url.copy_set_param("since", f"{seconds}.{nanoseconds:09d}")
    return request


DockerEvents: Final = Dialect(
    decoder=NDJSONDecoder,
    accept="application/json",
    content_types=frozenset({"application/json", "application/jsonl", "application/x-ndjson"}),
    position=_position,
    resume=_resume,
)
"""The events of a Docker daemon."""
