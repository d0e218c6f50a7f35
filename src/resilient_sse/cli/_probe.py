"""One connection to a server, listened to closely."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

import anyio
import httpx

from resilient_sse._decoder import SSEDecoder
from resilient_sse._header import encode_last_event_id
from resilient_sse._http._response import essence, judge
from resilient_sse._http._sending import Sending
from resilient_sse.errors import EventTooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._http._refusal import Refusal
    from resilient_sse.cli._target import Target

__all__ = ["Heard", "Probe"]

_OK: Final = 200
_STREAM: Final = SSEDecoder.content_type
_PATIENCE_SECONDS: Final = 10.0
_BLOCK_ENDS: Final = (b"\n\n", b"\r\r", b"\n\r\n")


@dataclass(kw_only=True)
class Heard:
    """What a connection told. Times are seconds since the request was begun.

    Attributes:
        status: The HTTP status.
        headers: The response's headers.
        headers_after: When the headers were there.
        refusal: Why a client does not read this, if status and content type do not say it.
        first_byte_after: When the first byte of the body came, if it did.
        events: The events, in order.
        heartbeats: When each comment came, or block without an event (nchan's ``event: ping``).
        retry: The last ``retry`` field, in milliseconds.
        listened: How long, all in all.
        too_large: Whether an event was larger than what clients take.
        end: How the body ended; "" if this side stopped listening.
    """

    status: int
    headers: httpx.Headers
    headers_after: float
    refusal: str = ""
    first_byte_after: float | None = None
    events: list[ServerSentEvent] = field(default_factory=list["ServerSentEvent"])
    heartbeats: list[float] = field(default_factory=list[float])
    retry: int | None = None
    listened: float = 0.0
    too_large: bool = False
    end: str = ""

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return essence(self.headers.get("content-type", ""))

    @property
    def is_stream(self) -> bool:
        """Whether there are events to be had."""
        return self.status == _OK and self.content_type == _STREAM and not self.refusal


class Probe:
    """Makes connections as the options say.

    Args:
        client: Makes the requests.
        target: What to connect to.
    """

    def __init__(self, client: httpx.AsyncClient, target: Target) -> None:
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
            opened: Called when the status and the headers are there.

        Raises:
            httpx.HTTPError: If there is no response.
        """
        began = monotonic()
        async with self._response(seconds, last_event_id) as (response, refusal):
            heard = Heard(
                status=response.status_code,
                headers=response.headers,
                headers_after=monotonic() - began,
                refusal=refusal,
            )
            opened(heard)
            if heard.is_stream:
                with anyio.move_on_after(seconds):
                    await _read(response, heard, began, enough)
            heard.listened = monotonic() - began
        return heard

    @asynccontextmanager
    async def _response(
        self, seconds: float, last_event_id: str
    ) -> AsyncGenerator[tuple[httpx.Response, str]]:
        """Go where redirects lead, as a source would: credentials stay with their origin."""
        sending = Sending(self._request(seconds, last_event_id), trusted=True)
        while True:
            auth = httpx.USE_CLIENT_DEFAULT if sending.trusted else None
            response = await self._client.send(
                sending.request, stream=True, auth=auth, follow_redirects=False
            )
            try:
                verdict = judge(sending, response, _STREAM)
                if not isinstance(verdict, Sending):
                    yield response, _refusal(response, verdict)
                    return
            finally:
                await response.aclose()
            sending = verdict

    def _request(self, seconds: float, last_event_id: str) -> httpx.Request:
        return self._client.build_request(
            self._target.verb,
            self._target.url,
            headers=self._headers(last_event_id),
            content=self._target.body,
            timeout=httpx.Timeout(_PATIENCE_SECONDS, read=_PATIENCE_SECONDS + seconds),
        )

    def _headers(self, last_event_id: str) -> httpx.Headers:
        headers = httpx.Headers({"Accept": "text/event-stream", "Cache-Control": "no-cache"})
        headers.update(self._target.headers())
        if last_event_id:
            headers.update([(b"Last-Event-ID", encode_last_event_id(last_event_id))])
        return headers


def _refusal(response: httpx.Response, verdict: Refusal | None) -> str:
    """Return the reason of a refusal, if it is more than the status."""
    says_more = response.status_code == _OK or response.next_request is not None
    return verdict.message if verdict is not None and says_more else ""


async def _read(
    response: httpx.Response, heard: Heard, began: float, enough: Callable[[Heard], bool]
) -> None:
    comments: list[str] = []
    decoder = SSEDecoder(on_comment=comments.append)
    try:
        async for chunk in response.aiter_bytes():
            now = monotonic() - began
            heard.first_byte_after = heard.first_byte_after or now
            events = decoder.feed(chunk)
            empty_block = (
                not events and decoder.retry == heard.retry and chunk.endswith(_BLOCK_ENDS)
            )
            heard.heartbeats += [now] * (len(comments) or empty_block)
            comments.clear()
            heard.events += events
            heard.retry = decoder.retry
            if enough(heard):
                return
    except EventTooLarge:
        heard.too_large = True
    except (httpx.TransportError, httpx.DecodingError) as error:
        heard.end = f"broke off ({type(error).__name__})"
    else:
        heard.end = "ended"
