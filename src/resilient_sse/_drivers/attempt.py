"""The request of one attempt, step by step: prepared, sent, redirected, up to its answer.

A generator without I/O, as httpx's ``auth_flow`` is one: it says what is to be done next, and a
driver does it in its own language and sends in what came of it. An exception is not thrown in: it
ends the attempt, and the generator with it, wherever that was.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from resilient_sse._http.outgoing import OutgoingRequest, on_its_way, send_options
from resilient_sse._http.request import is_built_in, prepared, resumed
from resilient_sse._http.response import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from resilient_sse._http.refusal import Refusal
    from resilient_sse._http.request import Requests
    from resilient_sse._session.dialect import Dialect
    from resilient_sse._session.session import Session
    from resilient_sse._values.failure import Attempt
    from resilient_sse._values.http_messages import HTTPRequest, HTTPResponse


class Resolve(NamedTuple):
    """Call the program's function, and send in what it returns."""

    call: Callable[[], object]


class Send(NamedTuple):
    """Send a request with these keywords, and send in the response."""

    request: HTTPRequest
    options: dict[str, Any]


class ReadExcerpt(NamedTuple):
    """Send in the beginning of a body that nobody asked for, and close the response."""

    response: HTTPResponse


class Close(NamedTuple):
    """Close a response that is not gone on with."""

    response: HTTPResponse


class Arrival(NamedTuple):
    """Where redirects led: a response, to which request, and why it is no stream, if it is none."""

    outgoing: OutgoingRequest
    response: HTTPResponse
    refusal: Refusal | None


Step: TypeAlias = Resolve | Send | ReadExcerpt | Close
Steps: TypeAlias = "Generator[Step, Any, HTTPResponse]"


def steps(
    requests: Requests,
    session: Session,
    attempt: Attempt,
    extensions: Mapping[str, Any],
) -> Steps:
    """Go through an attempt, and return the response with the stream, its body unread.

    Args:
        requests: Makes the request.
        session: Hears of what is sent.
        attempt: Which one it is.
        extensions: By which a transport learns more of the request.

    Raises:
        ResponseError: If the response is another one.
        TypeError: If `prepare_request` or the dialect's ``resume`` returned what is no request.
    """
    settings, cursor = requests.settings, attempt.last_event_id
    resume = settings.dialect.resume
    request = requests.make(cursor, extensions)
    asks = bool(cursor) and not is_built_in(resume)
    if requests.as_asked and not asks and settings.prepare_request is None:
        outgoing = OutgoingRequest(request, trusted=True)
    else:
        built = dict(request.headers)
        if resume is not None and asks:
            request = resumed((yield Resolve(partial(resume, request, cursor))), request)
        if settings.prepare_request is not None:
            returned = yield Resolve(partial(settings.prepare_request, request, attempt))
            request = prepared(returned, request)
        outgoing = on_its_way(settings, built, request)
    hops = follow(outgoing, settings.auth, settings.dialect, session.requested)
    _, response, refusal = yield from hops
    if refusal is not None:
        raise refusal.error(response, (yield ReadExcerpt(response)))
    return response


def follow(
    outgoing: OutgoingRequest,
    auth: Any,  # noqa: ANN401 - as in httpx
    dialect: Dialect,
    requested: Callable[[HTTPRequest], object],
) -> Generator[Step, Any, Arrival]:
    """Send a request, and go where redirects lead.

    Args:
        outgoing: The request.
        auth: Authentication for its own origin; None for the client's.
        dialect: Says what a stream is answered with.
        requested: Hears of every request that is sent.

    Returns:
        The last response, its body unread, to which request it is the answer, and why it is no
        stream, if it is none.
    """
    while True:
        requested(outgoing.request)
        response: HTTPResponse = yield Send(outgoing.request, send_options(auth, outgoing))
        verdict = judge(outgoing, response, dialect)
        if not isinstance(verdict, OutgoingRequest):
            return Arrival(outgoing, response, verdict)
        yield Close(response)
        outgoing = verdict
