"""The request of one attempt that blocks: prepared, sent and redirected, up to its answer.

It holds no rule, and is `_async_request` in the other language; the wire keeps the time.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx

from resilient_sse import _body
from resilient_sse._http._refusal import EXCERPT_BYTES, Refusal, as_failure, excerpt_seconds
from resilient_sse._http._request import build_request, prepared, set_read_timeout
from resilient_sse._http._response import judge
from resilient_sse._http._sending import Sending, on_its_way, send_options
from resilient_sse._settled import settled

if TYPE_CHECKING:
    from resilient_sse._failure import Attempt
    from resilient_sse._session import Session
    from resilient_sse._settings import Settings
    from resilient_sse.transports._wire import Wire


def answer(client: Any, settings: Settings, session: Session, wire: Wire, attempt: Attempt) -> Any:  # noqa: ANN401 - the client's own
    """Return the response with the stream that was asked for, its body unread; None if interrupted.

    Raises:
        Exception: Whatever the client raises, fit to be shown to anybody.
        httpx.ReadTimeout: If the headers do not come within ``connect_timeout``.
        ResponseError: If the response is another one.
    """
    limit = settings.connect_timeout
    with wire.deadline(limit):
        try:
            sending = _prepare(client, settings, session, wire, attempt)
            return _send(client, settings, wire, sending)
        except Exception as error:
            if session.interrupted:
                return None
            if wire.overdue(error):
                msg = f"no response headers within {limit:g} s"
                raise httpx.ReadTimeout(msg) from error
            failure = as_failure(error)
            raise failure from failure.__cause__


def _prepare(
    client: Any,  # noqa: ANN401
    settings: Settings,
    session: Session,
    wire: Wire,
    attempt: Attempt,
) -> Sending:
    """Build the request, and let the user have a word."""
    request = build_request(client, settings, attempt)
    request.extensions.update(wire.extensions)
    built = dict(request.headers)
    if settings.prepare_request is not None:
        returned = settled(settings.prepare_request(request, attempt))
        request = prepared(returned, request)
    session.sending(request.method)
    return on_its_way(settings, built, request)


def _send(client: Any, settings: Settings, wire: Wire, sending: Sending) -> Any:  # noqa: ANN401
    """Send the request and follow its redirects, to a response that can be gone on with."""
    while True:
        options = send_options(settings, sending)
        response = client.send(sending.request, **options)
        verdict = judge(sending, response, settings.content_type)
        if verdict is None:
            return response
        if isinstance(verdict, Refusal):
            raise verdict.error(response, _excerpt(response, wire.time_left or 0.0))
        response.close()
        sending = verdict


def _excerpt(response: Any, left: float) -> bytes:  # noqa: ANN401
    """Read the beginning of a body that nobody asked for, and close the response."""
    seconds = excerpt_seconds(left)
    set_read_timeout(response, seconds)
    raw = response.iter_bytes if _body.is_read(response) else response.iter_raw
    body, until = b"", monotonic() + seconds
    try:
        with suppress(Exception):
            for chunk in raw():
                body += chunk
                if len(body) >= EXCERPT_BYTES or monotonic() > until:
                    break
    finally:
        response.close()
    return body[:EXCERPT_BYTES]
