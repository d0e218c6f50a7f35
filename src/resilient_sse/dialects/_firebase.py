"""Firebase's Realtime Database over its REST API.

- cursor: none, for none is needed: every connection begins with everything, as a ``put`` of the
  path ``/``, which takes the place of what was known. Such a ``put`` is no progress.
- resume: none; the same GET.
- heartbeat: ``keep-alive``, every 30 seconds.
- error: ``cancel`` (a rule forbids to read on) and ``auth_revoked`` (the token has expired: have
  ``prepare_request`` bring a fresh one).
- end: none.
- gap: none; what was missed is in the next ``put``.

Page: https://firebase.google.com/docs/reference/rest/database#section-streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse.dialects._payload import payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["Firebase"]

_VERDICTS: Final = {
    "keep-alive": Verdict.SKIP,
    "cancel": Verdict.FAILURE,
    "auth_revoked": Verdict.FAILURE,
}


def _judge(event: ServerSentEvent) -> Verdict:
    if event.event == "put" and payload(event).get("path") == "/":
        return Verdict.GREETING
    return _VERDICTS.get(event.event, Verdict.DELIVER)


Firebase: Final = Dialect(judge=_judge, resume=None)
"""Firebase's Realtime Database."""
