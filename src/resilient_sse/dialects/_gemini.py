"""Google's Gemini API, streamed with ``alt=sse``.

- cursor, resume: none, so a POST is never sent twice.
- heartbeat: none.
- error: data with an ``error`` that is not null, in the middle of a stream of status 200.
- end: a clean end of the body, also within the last block. Nothing marks it: whoever must know that
  an answer is whole looks at its ``finishReason``.
- gap: none.

Page: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse.dialects._payload import payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["Gemini"]


def _judge(event: ServerSentEvent) -> Verdict:
    if '"error"' in event.data and payload(event).get("error"):
        return Verdict.FAILURE
    return Verdict.DELIVER if event.data else Verdict.SKIP


Gemini: Final = Dialect(end="finished", flush=True, judge=_judge, resume=None)
"""Google's Gemini API."""
