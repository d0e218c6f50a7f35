"""Chat completions as OpenAI has them, and the many servers and gateways that follow it.

- cursor, resume: none, so a POST is never sent twice.
- heartbeat: a comment, or an event with empty data (gateways).
- error: data with an ``error`` that is not null, in the middle of a stream of status 200.
- end: the data ``[DONE]``, which is delivered. Some gateways leave it out, or the last blank line:
  a clean end of the body is an end, too. Whoever must know that an answer is whole looks at its
  ``finish_reason``.
- gap: none.

Page: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse.dialects._payload import payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["ChatCompletions"]


def _judge(event: ServerSentEvent) -> Verdict:
    data = event.data
    if data.strip().startswith("[DONE]"):
        return Verdict.LAST
    if not data:
        return Verdict.SKIP
    if '"error"' in data and payload(event).get("error"):
        return Verdict.FAILURE
    return Verdict.DELIVER


ChatCompletions: Final = Dialect(end="finished", flush=True, judge=_judge, resume=None)
"""OpenAI's chat completions (and completions), and what follows them."""
