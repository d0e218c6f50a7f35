"""Anthropic's Messages API.

- cursor, resume: none, so a POST is never sent twice.
- heartbeat: ``ping``. Events without a name or without data are none of the API's, and their own
  client passes over them.
- error: ``error``, for example ``overloaded_error``, in the middle of a stream of status 200.
- end: ``message_stop``, which is delivered. A body that ends without it was cut.
- gap: none.

Page: https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._session.dialect import Dialect, Verdict

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["Anthropic"]

_VERDICTS: Final = {
    "message_stop": Verdict.LAST,
    "error": Verdict.FAILURE,
    "ping": Verdict.SKIP,
    "message": Verdict.SKIP,  # which is what an event without a name is called
}


def _judge(event: ServerSentEvent) -> Verdict:
    otherwise = Verdict.DELIVER if event.data else Verdict.SKIP
    return _VERDICTS.get(event.event, otherwise)


Anthropic: Final = Dialect(judge=_judge, resume=None)
"""Anthropic's Messages API."""
