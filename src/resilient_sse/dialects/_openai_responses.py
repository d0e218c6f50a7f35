"""OpenAI's Responses API, whose background responses can be resumed.

- cursor: the response's id and the ``sequence_number`` of the event: ``resp_123:42``.
- resume: GET ``/responses/{id}?stream=true&starting_after=42``. The server can do it for responses
  that were created with ``background: true``; for others it refuses with a 4xx, which is a gap.
- heartbeat: ``keepalive``, which no page names. It has a number, which does not move the cursor: no
  page says that a response is resumed behind one.
- error: the event ``error``, and data with an ``error`` that is not null.
- end: ``response.completed``, ``response.incomplete``, ``response.failed`` or
  ``response.cancelled``, which are delivered: a response that failed is an answer.
- gap: none but the refusal, also of a response that is more than five minutes old.

What an event is stands in its data, as ``type``; its name repeats it, and some gateways leave the
name out.

Page: https://platform.openai.com/docs/guides/background#streaming-a-background-response
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse.dialects._payload import as_get, part, payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.http_messages import RequestT

__all__ = ["OpenAIResponses"]

_VERDICTS: Final = {
    "response.completed": Verdict.LAST,
    "response.incomplete": Verdict.LAST,
    "response.failed": Verdict.LAST,
    "response.cancelled": Verdict.LAST,
    "error": Verdict.FAILURE,
    "keepalive": Verdict.SKIP,
}


def _type_of(event: ServerSentEvent) -> Any:  # noqa: ANN401 - any JSON
    return event.event if event.event != "message" else payload(event).get("type")


def _judge(event: ServerSentEvent) -> Verdict:
    data = event.data
    if data.startswith("[DONE]"):
        return Verdict.LAST
    verdict = _VERDICTS.get(str(_type_of(event)), Verdict.DELIVER)
    if verdict is Verdict.DELIVER and '"error"' in data and payload(event).get("error"):
        return Verdict.FAILURE
    return verdict


def _position(event: ServerSentEvent, cursor: str) -> str | None:
    if _type_of(event) == "keepalive":
        return None
    body = payload(event)
    number = body.get("sequence_number")
    response = part(body, "response", "id") or cursor.rpartition(":")[0]
    return f"{response}:{number}" if response and isinstance(number, int) else None


def _resume(request: RequestT, cursor: str) -> RequestT:
    response, _, number = cursor.rpartition(":")
    path = request.url.path.rstrip("/")
    if not path.endswith(f"/{response}"):
        path = f"{path}/{response}"
    url = request.url.copy_with(path=path)
    url = url.copy_set_param("stream", "true").copy_set_param("starting_after", number)
    return as_get(request, url)


OpenAIResponses: Final = Dialect(judge=_judge, position=_position, resume=_resume)
"""OpenAI's Responses API; resumed where the response is a background one."""
