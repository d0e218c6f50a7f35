"""What came back: the stream, a redirect or neither, and what its headers say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from resilient_sse._http._refusal import Refusal, bad_status
from resilient_sse._http._sending import next_hop
from resilient_sse._inflate import codings_of, is_known
from resilient_sse.errors import ContentTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resilient_sse._http._sending import Sending


def judge(sending: Sending, response: Any, content_type: str) -> Sending | Refusal | None:  # noqa: ANN401 - the client's own
    """Say what follows from a response: a redirect to follow, a refusal, or None: go on with it."""
    if response.next_request is not None:
        return next_hop(sending, response.next_request)
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    if response.status_code != httpx.codes.OK:
        return bad_status(response)
    got = response.headers.get("content-type", "")
    if essence(got) != content_type:
        return Refusal(ContentTypeError, f"expected content type {content_type!r}, got {got!r}")
    encoding = encoding_of(response)
    if encoding and not is_known(encoding):
        return Refusal(ContentTypeError, f"cannot read a body with content encoding {encoding!r}")
    return None


def essence(content_type: str) -> str:
    """Return the media type alone; the last one if there are several (fetch standard 2.2.6)."""
    values = [value.partition(";")[0].strip().lower() for value in content_type.split(",")]
    return next((value for value in reversed(values) if "/" in value), "")


def encoding_of(response: Any) -> str:  # noqa: ANN401
    """Return the content encoding of the body, "" if its raw bytes are the stream."""
    return codings_of(response.headers.get("content-encoding", ""))


def headers_of(response: Any) -> Mapping[str, str]:  # noqa: ANN401
    """Return the response's headers for hooks, without the cookies."""
    headers = httpx.Headers(dict(response.headers.items()), encoding="utf-8")
    if "set-cookie" in headers:
        headers["set-cookie"] = "***"
    return headers
