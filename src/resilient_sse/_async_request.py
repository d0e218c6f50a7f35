"""The request of one attempt on asyncio and trio: prepared, sent and redirected, up to its answer.

It holds no rule: those about HTTP are in `_http`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from resilient_sse import _body
from resilient_sse._http._refusal import EXCERPT_BYTES, Refusal, as_failure, excerpt_seconds
from resilient_sse._http._request import (
    build_request,
    lift_read_timeout,
    prepared,
    set_read_timeout,
)
from resilient_sse._http._response import judge
from resilient_sse._http._sending import Sending, on_its_way, send_options
from resilient_sse._settled import settle

if TYPE_CHECKING:
    from resilient_sse._failure import Attempt
    from resilient_sse._session import Session
    from resilient_sse._settings import Settings


async def answer(client: Any, settings: Settings, session: Session, attempt: Attempt) -> Any:  # noqa: ANN401 - the client's own
    """Return the response with the stream that was asked for, its body unread.

    Raises:
        Exception: Whatever the client raises, fit to be shown to anybody.
        httpx.ReadTimeout: If the headers do not come within ``connect_timeout``.
        ResponseError: If the response is another one.
    """
    limit = settings.connect_timeout
    with anyio.move_on_after(limit):
        try:
            sending = await _prepare(client, settings, session, attempt)
            return await _send(client, settings, sending)
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            failure = as_failure(error)
            raise failure from failure.__cause__
    msg = f"no response headers within {limit:g} s"
    raise httpx.ReadTimeout(msg)


async def _prepare(
    client: Any,  # noqa: ANN401
    settings: Settings,
    session: Session,
    attempt: Attempt,
) -> Sending:
    """Build the request, and let the user have a word."""
    request = build_request(client, settings, attempt)
    built = dict(request.headers)
    if settings.prepare_request is not None:
        returned = await settle(settings.prepare_request(request, attempt))
        request = prepared(returned, request)
    session.sending(request.method)
    return on_its_way(settings, built, request)


async def _send(client: Any, settings: Settings, sending: Sending) -> Any:  # noqa: ANN401
    """Send the request and follow its redirects, to a response that can be gone on with."""
    while True:
        lift_read_timeout(sending.request)
        options = send_options(settings, sending)
        response = await client.send(sending.request, **options)
        verdict = judge(sending, response, settings.content_type)
        if verdict is None:
            return response
        if isinstance(verdict, Refusal):
            raise verdict.error(response, await _excerpt(response))
        await _body.close(response)
        sending = verdict


async def _excerpt(response: Any) -> bytes:  # noqa: ANN401
    """Read the beginning of a body that nobody asked for, and close the response."""
    seconds = excerpt_seconds(anyio.current_effective_deadline() - anyio.current_time())
    set_read_timeout(response, seconds)
    raw = response.aiter_bytes if _body.is_read(response) else response.aiter_raw
    body, chunks = b"", aiter(raw())
    try:
        with suppress(Exception), anyio.move_on_after(seconds):
            while len(body) < EXCERPT_BYTES:
                body += await anext(chunks)
    finally:
        await _body.close(response, chunks)
    return body[:EXCERPT_BYTES]
