"""What `attempt.steps` asks for, done in a thread; an `InterruptHandle` keeps the time."""

from __future__ import annotations

from contextlib import suppress
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from resilient_sse._drivers.attempt import ReadExcerpt, Resolve, Send, steps
from resilient_sse._drivers.optional_await import refuse_awaitable
from resilient_sse._http import body as _body
from resilient_sse._http.aside import Aside
from resilient_sse._http.refusal import EXCERPT_BYTES, as_callbacks, as_failure, excerpt_seconds
from resilient_sse._http.request import lift_timeouts, set_read_timeout
from resilient_sse._http.turns import is_http2
from resilient_sse._values.library import library_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._drivers.attempt import Steps
    from resilient_sse._drivers.options import HTTPClient
    from resilient_sse._http.request import Requests
    from resilient_sse._http.slot import HTTP1Slot
    from resilient_sse._http.turns import Turn
    from resilient_sse._session.session import Session
    from resilient_sse._session.settings import Settings
    from resilient_sse._values.failure import Attempt
    from resilient_sse._values.http_messages import HTTPRequest, HTTPResponse
    from resilient_sse.lifecycle import GapDetected
    from resilient_sse.transports._threads.interrupt import InterruptHandle


def answer(
    requests: Requests,
    session: Session,
    handle: InterruptHandle,
    slot: HTTP1Slot,
    attempt: Attempt,
) -> HTTPResponse | None:
    """Return the response with the stream that was asked for, its body unread; None if interrupted.

    Raises:
        Exception: Whatever the client raises, fit to be shown to anybody.
        httpx.ReadTimeout: If the headers do not come within ``connect_timeout``.
        ResponseError: If the response is another one.
    """
    settings = requests.settings
    limit = settings.connect_timeout
    with handle.deadline(limit):
        try:
            attempted = steps(requests, session, attempt, _extensions(handle, slot))
            with slot.until_answered():
                return carry_out(requests.client, attempted, handle, slot)
        except Exception as error:
            if session.interrupted:
                slot.unanswered(late=False)
                return None
            if handle.overdue(error):
                msg = f"no response headers within {limit:g} s{slot.unanswered(late=True)}"
                raise settings.library.ReadTimeout(msg) from error
            failure = as_failure(error, settings.library)
            raise failure from failure.__cause__


def _extensions(handle: InterruptHandle, slot: HTTP1Slot) -> dict[str, Any]:
    """Return a request's extensions, with all of whom its ``trace`` tells."""
    told, opening = handle.extensions, slot.begin()
    if opening is None:
        return told
    handles: Callable[[str, dict[str, Any]], None] = told["trace"]

    def trace(name: str, info: dict[str, Any]) -> None:
        if opening.turn is None:  # else its connection is not this source's alone
            handles(name, info)
        opening.trace(name, info)

    return {**told, "trace": trace}


def carry_out(
    client: HTTPClient, attempt: Steps, handle: InterruptHandle, slot: HTTP1Slot
) -> HTTPResponse:
    """Do one step after the other, and return what comes of them."""
    step = next(attempt)
    done: Any = None
    while True:
        match step:
            case Send(request, options):
                if (cut := slot.sending(request)) is not None:
                    _body.notice_here(cut)
                send = partial(client.send, request, **options)
                try:
                    turn = slot.turn(request)
                    done = _sent_aside(send, request, handle, turn) if turn else send()
                except Exception as error:
                    if slot.may_repeat(request, error):
                        continue
                    raise
                slot.sent(request, done)
            case Resolve(call):
                done = _resolved(call)
            case ReadExcerpt(response):
                done = _excerpt(response, handle.time_left or 0.0)
            case _:
                step.response.close()
        try:
            step = attempt.send(done)
        except StopIteration as end:
            value: HTTPResponse = end.value
            return value


def _sent_aside(
    call: Callable[[], HTTPResponse], request: HTTPRequest, handle: InterruptHandle, turn: Turn
) -> HTTPResponse:
    """Send a request over a connection that others use, which must not be cut to end the wait."""
    aside = Aside(library_of(request))
    lift_timeouts(request)
    handle.covers(aside.abort)
    try:
        in_context = partial(copy_context().run, call)
        return aside.do(partial(turn.call, in_context), max(0.0, handle.time_left or 0.0))
    except BaseException:
        handle.interrupt()  # a transport of ours has told it of a connection that nobody shares
        raise
    finally:
        turn.end()
        aside.leave()


def _resolved(call: Callable[[], object]) -> object:
    try:
        return refuse_awaitable(call())
    except Exception as error:  # noqa: BLE001 - it is the consumer's to see
        raise as_callbacks(error) from error.__cause__


def recovered(settings: Settings, gap: GapDetected) -> object:
    """Return the cursor that ``on_gap`` returns; it may fail as `prepare_request` may."""
    on_gap: Any = settings.on_gap
    return _resolved(partial(on_gap, gap))


def _excerpt(response: HTTPResponse, left: float) -> bytes:
    seconds, body = excerpt_seconds(left), bytearray()
    read = partial(_read_excerpt, response, body, monotonic() + seconds)
    aside = Aside(library_of(response))
    try:
        with suppress(Exception):
            if is_http2(response):  # another thread may be reading, for as long as it likes
                aside.do(read, seconds)
            else:
                set_read_timeout(response, seconds)
                read()
    finally:
        aside.leave()
        response.close()
    return bytes(body[:EXCERPT_BYTES])


def _read_excerpt(response: HTTPResponse, body: bytearray, until: float) -> None:
    raw = response.iter_bytes if _body.is_read(response) else response.iter_raw
    for chunk in raw():
        body += chunk
        if len(body) >= EXCERPT_BYTES or monotonic() > until:
            break
