"""The streamable HTTP transport of the Model Context Protocol, as of its 2025-11-25 revision.

The revision of 2026-07-28 has neither sessions nor resuming; there is nothing to make up for.

- cursor: the stream's ids.
- resume: GET of the same URL with ``Last-Event-ID``, also where a POST began the stream.
- heartbeat: a comment; an event with empty data, by which a stream begins and which only moves the
  cursor.
- answer: an event stream, or the JSON-RPC response alone as ``application/json``: one event.
- error: none; a JSON-RPC error is an answer.
- end: the response to the request, which is delivered. The server may end the body before it at any
  time, after saying with ``retry`` when to come back.
- gap: none but a refusal.

Page: https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
"""

from __future__ import annotations

from typing import Any, Final

from resilient_sse._decoding.sse import SSEDecoder
from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse._values.event import ServerSentEvent
from resilient_sse.dialects._payload import ResumeByGet, payload
from resilient_sse.errors import EventTooLarge

__all__ = ["MCP"]

_ENOUGH: Final = 1000  # bytes, to see by the first that is no blank what a body is


def _judge(event: ServerSentEvent) -> Verdict:
    if not event.data:
        return Verdict.SKIP
    body = payload(event)
    answers = "id" in body and ("result" in body or "error" in body)
    return Verdict.LAST if answers else Verdict.DELIVER


class _Decoder(SSEDecoder):
    """Decodes an event stream, or takes a body that is a JSON object or list for one event."""

    __slots__ = ("_body",)

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - as `SSEDecoder` has them
        super().__init__(**given)
        self._body: bytearray | None = bytearray()  # None once it is an event stream

    def feed(self, chunk: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """Decode the next bytes of the body."""
        if self._body is None:
            return super().feed(chunk)
        self._body += chunk
        begins = self._body[:_ENOUGH].lstrip()
        if not begins or begins.startswith((b"{", b"[")):  # which no field of an event begins with
            if len(self._body) > self._limit:
                raise EventTooLarge(self._limit)
            return []
        body, self._body = bytes(self._body), None
        return super().feed(body)

    def flush(self) -> list[ServerSentEvent]:
        """Dispatch a JSON body; what an event stream leaves unfinished is dropped, as ever."""
        text = (self._body or b"").decode("utf-8", "replace").strip()
        self._body = bytearray() if self._body is not None else None
        return [ServerSentEvent(data=text, id=self.last_event_id)] if text else []


MCP: Final = Dialect(
    decoder=_Decoder,
    accept="application/json, text/event-stream",
    content_types=frozenset({"text/event-stream", "application/json"}),
    flush=True,
    judge=_judge,
    resume=ResumeByGet("Last-Event-ID"),
)
"""The Model Context Protocol over streamable HTTP, revision 2025-11-25."""
