"""Wikimedia's EventStreams.

- cursor: the stream's ids, each a JSON list of topics with their offsets.
- resume: ``Last-Event-ID``, as the standard has it; at first the query parameter ``since``.
- heartbeat: a comment. Canary events (``meta.domain`` is "canary") are for Wikimedia's own
  monitoring and are not delivered; they move the cursor.
- error: the event ``error``.
- end: none. The server ends every connection after 15 minutes, and the source goes on.
- gap: none; a position that is too old begins with the oldest event there is.

Built from the page alone: nothing of the vendor's could be run here to judge it.

Page: https://wikitech.wikimedia.org/wiki/Event_Platform/EventStreams_HTTP_Service
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse.dialects._payload import part, payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["Wikimedia"]


def _judge(event: ServerSentEvent) -> Verdict:
    if event.event == "error":
        return Verdict.FAILURE
    canary = '"canary"' in event.data and part(payload(event), "meta", "domain") == "canary"
    return Verdict.SKIP if canary else Verdict.DELIVER


Wikimedia: Final = Dialect(judge=_judge)
"""Wikimedia's EventStreams."""
