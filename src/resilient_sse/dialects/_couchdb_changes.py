"""CouchDB's changes with ``feed=continuous``: JSON lines, each a document that changed.

- cursor: ``seq``, a number or any text.
- resume: the query parameter ``since``. Without one the feed begins with all there is, with
  ``since=now`` with what happens next.
- heartbeat: an empty line, as often as the parameter ``heartbeat`` says (milliseconds). Without it
  the server ends a quiet feed, with a line ``last_seq`` that moves the cursor and is not delivered.
- error: a line with an ``error``, in the middle of a feed of status 200.
- end: none.
- gap: none. A server that lost its place in a shard begins earlier: a change may come twice.

Page: https://docs.couchdb.org/en/stable/api/database/changes.html#continuous
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._decoding.ndjson import NDJSONDecoder
from resilient_sse._session.dialect import Dialect, Verdict, resume_by_query
from resilient_sse.dialects._payload import payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["CouchDBChanges"]


def _judge(event: ServerSentEvent) -> Verdict:
    # Every line of a change has these words; those of the others may stand in any document.
    if '"changes"' in event.data:
        return Verdict.DELIVER
    body = payload(event)
    if "last_seq" in body:
        return Verdict.SKIP
    return Verdict.FAILURE if body.get("error") else Verdict.DELIVER


def _position(event: ServerSentEvent, _cursor: str) -> str | None:
    body = payload(event)
    place = body.get("seq", body.get("last_seq"))
    return str(place) if isinstance(place, int | str) else None


CouchDBChanges: Final = Dialect(
    decoder=NDJSONDecoder,
    accept="application/json",
    content_types=frozenset({"application/json", "text/plain"}),  # whichever it takes Accept for
    judge=_judge,
    position=_position,
    resume=resume_by_query("since"),
)
"""The changes of a CouchDB database, or of one that replicates with it."""
