"""Durable Streams, read with ``live=sse``.

- cursor: ``streamNextOffset`` of the event ``control``, which follows what it counts, and behind a
  comma its ``streamCursor``, which the server wants back for the sake of caches. It is the id of
  the last event before it, too.
- resume: the query parameters ``offset`` and ``cursor``. A stream is begun with ``offset=-1`` for
  all of it, or ``offset=now``.
- heartbeat: ``control``, which moves the cursor and is not delivered.
- error: none.
- end: ``control`` with ``streamClosed``, which is delivered. The server ends every other connection
  after a minute or so, and the source goes on.
- gap: the status 410: what followed the offset is gone.

What came since the last ``control`` is held back until the next one comes, which is at once: if the
connection breaks between the two it comes again, and would come twice. More than ``max_event_size``
is not held; of that some may.

Page: https://github.com/durable-streams/durable-streams/blob/main/PROTOCOL.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from resilient_sse._decoding.sse import SSEDecoder
from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse._values.event import ServerSentEvent
from resilient_sse.dialects._payload import payload

if TYPE_CHECKING:
    from resilient_sse._values.http_messages import RequestT

__all__ = ["DurableStreams"]

_CONTROL: Final = "control"


class _Decoder(SSEDecoder):
    """Decodes an event stream, and hands out what came as soon as its place is known.

    The place becomes the id of ``control`` and of the last event before it: who has had that one
    has had all that the place counts.
    """

    __slots__ = ("_held", "_held_size")

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - as `SSEDecoder` has them
        super().__init__(**given)
        self._held: list[ServerSentEvent] = []
        self._held_size = 0

    def feed(self, chunk: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """Decode the next bytes of the body, up to the last ``control``."""
        ready: list[ServerSentEvent] = []
        for event in super().feed(chunk):
            if event.event == _CONTROL:
                place = _place(event)
                *before, last = [*self._let_go(), event]
                if before:
                    before[-1] = _with_id(before[-1], place)
                ready += [*before, _with_id(last, place)]
            else:
                ready += self._hold(event)
        return ready

    def _hold(self, event: ServerSentEvent) -> list[ServerSentEvent]:
        """Hold an event back, and let go those before it if they become too many."""
        too_many = self._held_size > self._limit
        before = self._let_go() if too_many else []
        self._held.append(event)
        self._held_size += len(event.data)
        return before

    def _let_go(self) -> list[ServerSentEvent]:
        held, self._held, self._held_size = self._held, [], 0
        return held


def _with_id(event: ServerSentEvent, place: str) -> ServerSentEvent:
    return ServerSentEvent(event=event.event, data=event.data, id=place, retry=event.retry)


def _place(control: ServerSentEvent) -> str:
    body = payload(control)
    offset, cache = body.get("streamNextOffset"), body.get("streamCursor")
    if not isinstance(offset, str):
        return ""
    return f"{offset},{cache}" if isinstance(cache, str) else offset


def _judge(event: ServerSentEvent) -> Verdict:
    if event.event != _CONTROL:
        return Verdict.DELIVER
    return Verdict.LAST if payload(event).get("streamClosed") is True else Verdict.SKIP


def _position(event: ServerSentEvent, _cursor: str) -> str | None:
    return event.id or None


def _resume(request: RequestT, cursor: str) -> RequestT:
    offset, _, cache = cursor.partition(",")
    request.url = request.url.copy_set_param("offset", offset)
    if cache:
        request.url = request.url.copy_set_param("cursor", cache)
    return request


DurableStreams: Final = Dialect(decoder=_Decoder, judge=_judge, position=_position, resume=_resume)
"""A stream of the Durable Streams protocol, live."""
