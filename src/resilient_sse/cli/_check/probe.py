"""One connection to a server, listened to closely."""

from __future__ import annotations

from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import anyio

from resilient_sse._decoding.ndjson import NDJSONError
from resilient_sse._drivers.async_request import carry_out
from resilient_sse._drivers.attempt import follow
from resilient_sse._http.inflate import acceptable
from resilient_sse._http.outgoing import OutgoingRequest
from resilient_sse._http.slot import StreamSlot
from resilient_sse._values.library import (
    URL,
    AsyncClient,
    DecodingError,
    Headers,
    ReadTimeout,
    Request,
    Timeout,
    TransportError,
)
from resilient_sse._values.redact import CREDENTIAL, redact_text, redact_url
from resilient_sse.cli._check.heard import Ear, End, Heard
from resilient_sse.cli._check.meaning import DialectEar
from resilient_sse.cli._dialects import STANDARD
from resilient_sse.errors import EventTooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from resilient_sse._drivers.attempt import Arrival
    from resilient_sse._http.refusal import Refusal
    from resilient_sse._session.dialect import Dialect
    from resilient_sse._values.http_messages import HTTPResponse
    from resilient_sse.cli._target import Target

__all__ = ["Probe"]

_OK: Final = 200
_EXCERPT_SECONDS: Final = 2.0
_EXCERPT_BYTES: Final = 2000


class Probe:
    """Makes connections as the options say.

    Args:
        client: Makes the requests.
        target: What to connect to.
    """

    def __init__(self, client: AsyncClient, target: Target) -> None:
        self._client = client
        self._target = target

    async def listen(
        self,
        seconds: float,
        last_event_id: str,
        enough: Callable[[Heard], bool],
        opened: Callable[[Heard], object] = lambda _: None,
    ) -> Heard:
        """Open a connection and listen.

        Args:
            seconds: Stop listening after so long.
            last_event_id: Where to go on; "" for nowhere.
            enough: Says whether to stop earlier.
            opened: Called when the status and the headers are there, and for what is no stream
                the beginning of its body.

        Raises:
            HTTPError: If there is no response.
        """
        began = monotonic()
        async with self._response(last_event_id) as (response, heard):
            heard.headers_after = monotonic() - began
            if not heard.is_stream:
                heard.excerpt = self._without_secrets(await _beginning(response))
            opened(heard)
            if heard.is_stream:
                ear = self._ear(heard, last_event_id)
                with anyio.move_on_after(seconds):
                    await _read(response, heard, ear, began, enough)
            heard.listened = monotonic() - began
        return heard

    def _ear(self, heard: Heard, last_event_id: str) -> Ear:
        kind = Ear if heard.dialect == STANDARD else DialectEar
        return kind(heard, last_event_id)

    @asynccontextmanager
    async def _response(self, last_event_id: str) -> AsyncGenerator[tuple[HTTPResponse, Heard]]:
        """Go where redirects lead, as a source does: credentials stay with their origin."""
        arrival = await self._arrive(self._request(last_event_id))
        try:
            yield arrival.response, _heard(arrival, self._target.spoken)
        finally:
            await arrival.response.aclose()

    async def _arrive(self, request: Request) -> Arrival:
        outgoing = OutgoingRequest(request, trusted=True)
        sent: list[Any] = []  # requests of httpx, as the client is
        limit = self._target.connect_timeout
        with anyio.move_on_after(limit):
            steps = follow(outgoing, None, self._target.spoken, sent.append)
            return await carry_out(self._client, steps, StreamSlot(self._client))
        raise ReadTimeout(f"no headers in {limit:.0f} s", request=sent[-1])

    def _request(self, last_event_id: str) -> Request:
        resume = self._target.spoken.resume
        request = self._client.build_request(
            self._target.verb,
            self._target.url,
            headers=self._headers(),
            content=self._target.body,
            timeout=Timeout(self._target.connect_timeout),
        )
        if resume is None or not last_event_id:
            return request
        resumed: Request = resume(request, last_event_id)
        return resumed

    def _headers(self) -> Headers:
        headers = Headers({"Accept": self._target.spoken.accept, "Cache-Control": "no-cache"})
        headers["Accept-Encoding"] = acceptable(self._client.headers.get("Accept-Encoding", ""))
        headers.update(self._target.headers())
        return headers

    def _without_secrets(self, text: str) -> str:
        """Take out what this side sent: an error page often repeats it, and reports get about."""
        for name, value in self._target.headers().items():
            secret = value.rpartition(" ")[2]
            if secret and CREDENTIAL.search(name):
                text = text.replace(secret, "***")
        for _, value in URL(self._target.url).params.multi_items():
            text = text.replace(value, "***") if value else text
        return redact_text(text)


def _heard(arrival: Arrival, dialect: Dialect) -> Heard:
    outgoing, response, refusal = arrival
    return Heard(
        status=response.status_code,
        headers=response.headers,
        headers_after=0.0,
        dialect=dialect,
        url=redact_url(str(outgoing.request.url)) if outgoing.hops else "",
        refusal=_refusal(response, refusal),
    )


def _refusal(response: HTTPResponse, verdict: Refusal | None) -> str:
    """Return the reason of a refusal, if it is more than the status."""
    says_more = response.status_code == _OK or response.next_request is not None
    return verdict.message if verdict is not None and says_more else ""


async def _beginning(response: HTTPResponse) -> str:
    """Read what the server has to say, if it says it soon."""
    body = b""
    with anyio.move_on_after(_EXCERPT_SECONDS):
        try:
            async for chunk in response.aiter_bytes():
                body += chunk[:_EXCERPT_BYTES]
                if len(body) >= _EXCERPT_BYTES:
                    break
        except (TransportError, DecodingError):
            pass  # the status is the news
    return body.decode("utf-8", "replace")


async def _read(
    response: HTTPResponse,
    heard: Heard,
    ear: Ear,
    began: float,
    enough: Callable[[Heard], bool],
) -> None:
    try:
        async for chunk in response.aiter_bytes():
            ear.take(chunk, monotonic() - began)
            if enough(heard):
                return
    except NDJSONError as error:
        heard.end = End.BROKEN
        heard.reason = redact_text(str(error))
    except EventTooLarge:
        heard.end = End.TOO_LARGE
    except DecodingError:
        heard.end = End.UNDECODABLE
    except TransportError as error:
        heard.end = End.BROKEN
        heard.reason = type(error).__name__
    else:
        heard.end = End.CLEAN
        ear.finish(monotonic() - began)
