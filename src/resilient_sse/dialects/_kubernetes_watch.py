"""A watch of the Kubernetes API: JSON lines, each an event about an object.

- cursor: the ``resourceVersion`` of the object.
- resume: the query parameter of that name. Ask for ``allowWatchBookmarks=true``, so that the cursor
  moves where no object changes.
- begin: with the ``resourceVersion`` of a list, in the URL. Without one a watch begins with what
  there is as ``ADDED``, in no order, so that no version among it can be resumed from; the same
  holds for ``sendInitialEvents``.
- heartbeat: none; a ``BOOKMARK`` moves the cursor and is not delivered.
- error: ``ERROR`` with a ``Status``.
- end: none. The server ends every watch after some minutes, and the source goes on.
- gap: ``ERROR`` with code 410, or the status 410: what followed the version is forgotten. An
  ``on_gap`` function lists the objects anew and returns the list's ``metadata.resourceVersion``.

Page: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._decoding.ndjson import NDJSONDecoder
from resilient_sse._session.dialect import Dialect, Verdict, resume_by_query
from resilient_sse.dialects._payload import part, payload

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["KubernetesWatch"]

_GONE: Final = 410


def _judge(event: ServerSentEvent) -> Verdict:
    # The type may stand anywhere in the line, and its words in any object.
    if '"BOOKMARK"' not in event.data and '"ERROR"' not in event.data:
        return Verdict.DELIVER
    body = payload(event)
    if body.get("type") == "BOOKMARK":
        return Verdict.SKIP
    if body.get("type") != "ERROR":
        return Verdict.DELIVER
    return Verdict.GAP if part(body, "object", "code") == _GONE else Verdict.FAILURE


def _position(event: ServerSentEvent, _cursor: str) -> str | None:
    version = part(payload(event), "object", "metadata", "resourceVersion")
    return version if isinstance(version, str) and version else None


KubernetesWatch: Final = Dialect(
    decoder=NDJSONDecoder,
    accept="application/json",
    content_types=frozenset({"application/json"}),
    judge=_judge,
    position=_position,
    resume=resume_by_query("resourceVersion"),
)
"""A watch of the Kubernetes API."""
