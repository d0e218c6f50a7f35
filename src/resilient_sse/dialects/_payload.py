"""What the ready-made dialects share: looking into an event's data, and asking again by GET."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from resilient_sse._session.dialect import ResumeByHeader

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.http_messages import HTTPURL, RequestT

_OF_A_BODY: Final = ("content-length", "content-type", "transfer-encoding")


def payload(event: ServerSentEvent) -> dict[str, Any]:
    """Return the JSON object that the data is; an empty one if it is anything else."""
    try:
        parsed: object = json.loads(event.data)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}


def part(body: dict[str, Any], *path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what is at the end of a path of keys; None if there is nothing."""
    found: Any = body
    for key in path:
        if not isinstance(found, dict):
            return None
        found = cast("dict[str, Any]", found).get(key)
    return found


def as_get(request: RequestT, url: HTTPURL | None = None) -> RequestT:
    """Make a GET of a request: the same headers, no body, perhaps another URL."""
    headers = {name: value for name, value in request.headers.items() if name not in _OF_A_BODY}
    kind: Any = type(request)
    made: RequestT = kind("GET", url or request.url, headers=headers)
    made.extensions.update(request.extensions)
    return made


class ResumeByGet(ResumeByHeader):
    """Resumes by a GET of the same URL that carries the cursor in a header."""

    def __call__(self, request: RequestT, cursor: str) -> RequestT:
        """Ask for what follows the cursor."""
        return super().__call__(as_get(request), cursor)
