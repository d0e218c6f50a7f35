"""What came back: the stream, a redirect or neither, and what its headers say."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from resilient_sse._http.inflate import codings_of, is_known
from resilient_sse._http.outgoing import next_hop
from resilient_sse._http.refusal import Refusal, bad_status
from resilient_sse._values.http import NO_CONTENT
from resilient_sse._values.library import library_of
from resilient_sse._values.redact import quoted
from resilient_sse.errors import ContentTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resilient_sse._http.outgoing import OutgoingRequest
    from resilient_sse._session.dialect import Dialect
    from resilient_sse._values.http_messages import HTTPResponse


def judge(
    outgoing: OutgoingRequest,
    response: HTTPResponse,
    dialect: Dialect,
) -> OutgoingRequest | Refusal | None:
    """Say what follows from a response: a redirect to follow, a refusal, or None: go on with it."""
    if response.next_request is not None:
        return next_hop(outgoing, response.next_request)
    if response.status_code not in dialect.statuses:
        no_content = response.status_code == NO_CONTENT
        return None if no_content else bad_status(response)
    wanted = dialect.content_types
    got = response.headers.get("content-type", "")
    if wanted is not None and essence(got) not in map(str.lower, wanted):
        names = " or ".join(repr(name) for name in sorted(wanted))
        return Refusal(ContentTypeError, f"expected content type {names}, got {quoted(got)}")
    encoding = encoding_of(response)
    if encoding and not (is_known(encoding) or _is_the_callers(encoding, outgoing, response)):
        return Refusal(
            ContentTypeError, f"cannot read a body with content encoding {quoted(encoding)}"
        )
    return None


def _is_the_callers(encoding: str, outgoing: OutgoingRequest, response: HTTPResponse) -> bool:
    """Say whether the caller asked for this content coding, and the client can decompress it.

    The library by itself asks only for what it can decompress in bounded pieces; several codings,
    one inside the other, can stand for any amount of memory, and are never read.
    """
    accepted = outgoing.request.headers.get("accept-encoding", "").lower().split(",")
    names = {entry.partition(";")[0].strip() for entry in accepted}
    return encoding in names and _decompresses(response.__class__, encoding)


@lru_cache(maxsize=16)
def _decompresses(kind: Any, encoding: str) -> bool:  # noqa: ANN401
    """Say whether a client's responses of this kind do, by trying it on what is not compressed."""
    try:
        return bool(kind(200, headers={"content-encoding": encoding}, content=b"?").content != b"?")
    except Exception:  # noqa: BLE001 - it tried, or is of a client that makes none by hand
        return True


def essence(content_type: str) -> str:
    """Return the media type alone; the last one if there are several (fetch standard 2.2.6)."""
    for value in reversed(content_type.split(",")):
        media_type = value.partition(";")[0].strip().lower()
        if "/" in media_type:
            return media_type
    return ""


def encoding_of(response: HTTPResponse) -> str:
    """Return the content encoding of the body, "" if its raw bytes are the stream."""
    given = response.headers.get("content-encoding")
    return codings_of(given) if given else ""


def headers_of(response: HTTPResponse) -> Mapping[str, str]:
    """Return the response's headers for hooks, without the cookies."""
    kind = library_of(response).Headers
    given = response.headers
    if isinstance(given, kind):
        headers = kind(given)
    else:
        headers = kind(dict(given.items()), encoding="utf-8")
    if "set-cookie" in headers:
        headers["set-cookie"] = "***"
    return headers
