"""What `attempt.steps` asks for, done on asyncio and trio."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from resilient_sse._drivers.attempt import ReadExcerpt, Resolve, Send, steps
from resilient_sse._drivers.optional_await import resolve
from resilient_sse._http import body as _body
from resilient_sse._http.refusal import EXCERPT_BYTES, as_callbacks, as_failure, excerpt_seconds
from resilient_sse._http.request import limit_reads, set_read_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from resilient_sse._drivers.attempt import Step
    from resilient_sse._drivers.options import AsyncHTTPClient
    from resilient_sse._http.request import Requests
    from resilient_sse._http.slot import HTTP1Slot
    from resilient_sse._session.session import Session
    from resilient_sse._session.settings import Settings
    from resilient_sse._values.failure import Attempt
    from resilient_sse._values.http_messages import HTTPResponse
    from resilient_sse.lifecycle import GapDetected

T = TypeVar("T")


async def answer(
    requests: Requests,
    session: Session,
    slot: HTTP1Slot,
    attempt: Attempt,
    scope: anyio.CancelScope,
) -> HTTPResponse | None:
    """Return the response with the stream that was asked for, its body unread; None if interrupted.

    The scope ends with ``connect_timeout``, and is cancelled to interrupt the attempt.

    Raises:
        Exception: Whatever the client raises, fit to be shown to anybody.
        httpx.ReadTimeout: If the headers do not come within ``connect_timeout``.
        ResponseError: If the response is another one.
    """
    settings, told = requests.settings, ""
    with scope:
        try:
            opening = slot.begin()
            extensions = {} if opening is None else {"trace": opening.atrace}
            attempted = steps(requests, session, attempt, extensions)
            with slot.until_answered():
                return await carry_out(requests.client, attempted, slot)
        except anyio.get_cancelled_exc_class():
            told = slot.unanswered(late=anyio.current_time() >= anyio.current_effective_deadline())
            raise
        except Exception as error:  # noqa: BLE001 - the session knows which are failures
            failure = as_failure(error, settings.library)
            raise failure from failure.__cause__
    if session.interrupted:
        return None
    msg = f"no response headers within {settings.connect_timeout:g} s{told}"
    raise settings.library.ReadTimeout(msg)


async def carry_out(
    client: AsyncHTTPClient, attempt: Generator[Step, Any, T], slot: HTTP1Slot
) -> T:
    """Do one step after the other, and return what comes of them."""
    step = next(attempt)
    done: Any = None
    while True:
        match step:
            case Send(request, options):
                limit_reads(request, None)  # the cancel scope does, and some know one limit for all
                if (cut := slot.sending(request)) is not None:
                    await _body.notice(cut)
                try:
                    done = await client.send(request, **options)
                except Exception as error:
                    if slot.may_repeat(request, error):
                        continue
                    raise
                slot.sent(request, done)
            case Resolve(call):
                done = await _resolved(call)
            case ReadExcerpt(response):
                done = await _excerpt(response)
            case _:
                await _body.close(step.response)
        try:
            step = attempt.send(done)
        except StopIteration as end:
            value: T = end.value
            return value


async def _resolved(call: Callable[[], object]) -> object:
    try:
        return await resolve(call())
    except Exception as error:  # noqa: BLE001 - it is the consumer's to see
        raise as_callbacks(error) from error.__cause__


async def recovered(settings: Settings, gap: GapDetected) -> object:
    """Return the cursor that ``on_gap`` returns; it may fail as `prepare_request` may."""
    on_gap: Any = settings.on_gap
    return await _resolved(partial(on_gap, gap))


async def _excerpt(response: HTTPResponse) -> bytes:
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
