"""A run of LangGraph's server (LangSmith Deployment, ``langgraph dev``).

- cursor: the run's id, which ``metadata`` tells first, and the event's own, behind a colon. Events
  have ids only in runs that were created with ``stream_resumable: true``.
- resume: GET ``/threads/{thread}/runs/{run}/stream`` with ``Last-Event-ID``, also where a POST
  created the run; without a thread ``/runs/{run}/stream``, as the answer's ``Location`` says, which
  the development server refuses all the same (0.16.7).
- heartbeat: a comment.
- error: none. ``error`` tells of a run that failed, which is an answer, and is delivered.
- end: ``error``, ``end``, or a clean end of the body. LangGraph's own client asks then whether the
  run is over, for a proxy may end a body cleanly as well.
- gap: none that it tells of: an id that is forgotten is answered as if nothing had followed it.

Page: https://docs.langchain.com/langsmith/streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._session.dialect import Dialect, ResumeByHeader, Verdict
from resilient_sse.dialects._payload import as_get, payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.http_messages import RequestT

__all__ = ["LangGraph"]

_LAST: Final = {"error", "end"}
_CREATES: Final = "/runs/stream"


def _judge(event: ServerSentEvent) -> Verdict:
    return Verdict.LAST if event.event in _LAST else Verdict.DELIVER


def _position(event: ServerSentEvent, cursor: str) -> str | None:
    told = payload(event).get("run_id") if event.event == "metadata" else None
    run = told if isinstance(told, str) else cursor.rpartition(":")[0]
    return f"{run}:{event.id}" if event.id else None


class _ResumeRun(ResumeByHeader):
    """Resumes by a GET of the run, whose id is in the cursor."""

    def __call__(self, request: RequestT, cursor: str) -> RequestT:
        """Ask for what follows the event."""
        run, _, last = cursor.rpartition(":")
        path = request.url.path.rstrip("/")
        if run and path.endswith(_CREATES):
            path = f"{path.removesuffix('stream')}{run}/stream"
        return super().__call__(as_get(request, request.url.copy_with(path=path)), last)


LangGraph: Final = Dialect(
    end="finished", judge=_judge, position=_position, resume=_ResumeRun("Last-Event-ID")
)
"""A run of LangGraph's server; resumed where it was created to be."""
