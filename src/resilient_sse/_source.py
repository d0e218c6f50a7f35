"""What the asynchronous and the blocking source share: their keywords and their members."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import httpx

from resilient_sse._decoder import DEFAULT_MAX_EVENT_SIZE, SSEDecoder
from resilient_sse._http._request import first_cursor
from resilient_sse._session import Session
from resilient_sse._settings import Settings
from resilient_sse.lifecycle import ConnectionState
from resilient_sse.policies import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._failure import RetryPolicy
    from resilient_sse._settings import CursorStore, DecoderFactory
    from resilient_sse.lifecycle import Hook


_DEFAULT_POLICY = ExponentialBackoff()
_DEFAULT_CURSOR_POLICY = ExponentialBackoff(wait_initial=0.1, wait_max=5.0, timeout=10.0)


class Source:
    """An event stream that is read for as long as it takes, over as many connections as it takes.

    It is a context manager, and inside its block an iterator of `ServerSentEvent`. A source is
    used once, by one consumer.

    Args:
        url: The stream's URL, ``http://`` or ``https://``; or a path below the ``base_url`` of a
            client that has one.
        client: An httpx, httpx2 or httpxr client; it is never closed. Without one the source
            makes its own, with TCP keepalive and no limit of connections, and closes it.
        method: The HTTP method.
        headers: Headers, as in httpx. A ``Last-Event-ID`` among them is the first cursor.
        params: Query parameters, as in httpx: they replace the URL's own.
        content: A body, as str or bytes; no iterator, because every attempt sends it anew.
        json: A body, as JSON.
        data: A body, as form fields.
        auth: Authentication, as in httpx.
        prepare_request: Called before every attempt with the built request and the `Attempt`;
            may change the request or return another. For fresh tokens and changed URLs. May be a
            coroutine function in the asynchronous source. An error of the HTTP library that it
            raises counts as a failure of the attempt; any other reaches the consumer.
        connect_timeout: Seconds that one attempt may take up to the response's headers:
            ``prepare_request``, connecting, TLS and redirects included.
        idle_timeout: Seconds without a single byte (comments count) after which the connection
            counts as lost. None: never.
        last_event_id: The first cursor, which the first attempt sends as ``Last-Event-ID``; ""
            for none.
        cursor: A store that keeps the cursor beyond this process. What it has saved is used
            instead of ``last_event_id``.
        cursor_key: The key in the store; "" for the URL.
        cursor_policy: Decides, like ``policy``, when a cursor store that failed is tried again;
            meanwhile events keep flowing. When it gives up, or the store has a bug, the consumer
            gets a `CursorError`. By default
            ``ExponentialBackoff(wait_initial=0.1, wait_max=5.0, timeout=10.0)``.
        auto_ack: Whether asking for the next event acknowledges the one before. If not, call
            `ack`.
        max_unacked: How many events may be delivered beyond the saved cursor; then the source
            waits for an acknowledgement, or for the store, before it hands out more. It is also
            how many events can come again after a crash.
        dedupe: Drop an event whose own ``id`` is among this many ids delivered last; 0: drop none.
        gap: A predicate: true for the event, if the server has one, that says that it cannot
            replay everything.
        on_gap: What to do after such an event, or when the server refuses to resume with a 4xx
            that ``policy`` does not retry: "give up", or "continue" from now, without a cursor.
        policy: Decides after a failure how long to wait, or to give up. By default
            ``ExponentialBackoff()``, which never gives up on what may pass.
        reset_after: Seconds of open connection that count as progress even without an event.
        retry_unsafe: Whether to send a POST, a PATCH or another request that is not idempotent
            again, although the server may have acted on it and there is no cursor to resume from.
        decoder: The class, or any callable, that makes the decoder of each connection.
        max_event_size: The bytes that one event may take, comments included; None for no limit. By
            default 16 MiB.
        until: A predicate: the stream ends after the first event for which it is true, which is
            delivered too.
        hooks: Plain callables that get every `LifecycleEvent`.

    Raises:
        TypeError: If an argument has the wrong type, for example a coroutine function as a hook.
        ValueError: If an argument makes no sense, for example a URL without a host.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing a user may decide
        self,
        url: str | httpx.URL,
        *,
        # HTTP
        client: Any = None,  # noqa: ANN401 - httpx's, httpx2's or httpxr's
        method: str = "GET",
        headers: Any = None,  # noqa: ANN401 - as in httpx
        params: Any = None,  # noqa: ANN401 - as in httpx
        content: str | bytes | None = None,
        json: Any = None,  # noqa: ANN401 - as in httpx
        data: Any = None,  # noqa: ANN401 - as in httpx
        auth: Any = None,  # noqa: ANN401 - as in httpx
        prepare_request: Callable[[Any, Any], Any] | None = None,
        connect_timeout: float = 10.0,
        idle_timeout: float | None = 300.0,
        # Resume
        last_event_id: str = "",
        cursor: CursorStore | None = None,
        cursor_key: str = "",
        cursor_policy: RetryPolicy = _DEFAULT_CURSOR_POLICY,
        auto_ack: bool = True,
        max_unacked: int = 10_000,
        dedupe: int = 0,
        gap: Callable[[ServerSentEvent], object] | None = None,
        on_gap: Literal["give up", "continue"] = "give up",
        # Reconnect
        policy: RetryPolicy = _DEFAULT_POLICY,
        reset_after: float = 60.0,
        retry_unsafe: bool = False,
        # Decode
        decoder: DecoderFactory = SSEDecoder,
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        # Stop
        until: Callable[[ServerSentEvent], object] | None = None,
        # Observe
        hooks: Iterable[Hook] = (),
    ) -> None:
        address: str = _absolute(url, client)
        self._settings = Settings(
            url=address,
            method=method,
            headers=headers,
            params=params,
            content=content,
            json=json,
            data=data,
            auth=auth,
            prepare_request=prepare_request,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            last_event_id=last_event_id or first_cursor(headers, client),
            cursor=cursor,
            cursor_key=cursor_key or address,
            cursor_policy=cursor_policy,
            auto_ack=auto_ack,
            max_unacked=max_unacked,
            dedupe=dedupe,
            gap=gap,
            on_gap=on_gap,
            policy=policy,
            reset_after=reset_after,
            retry_unsafe=retry_unsafe,
            decoder=decoder,
            max_event_size=max_event_size,
            until=until,
            hooks=_several(hooks),
        )
        self._client: Any = client
        self._own_client = client is None
        self._session = Session(self._settings)
        self._saving = self._session.saving
        # Where no rule applies to single events, they are taken straight from the queue.
        ready = self._session.ready
        self._plain = ready is not None
        self._ready: list[ServerSentEvent] = [] if ready is None else ready
        self._entered = self._left = False
        self._response: Any = None

    @property
    def last_event_id(self) -> str:
        """The cursor after the event delivered last; "" if there is none."""
        return self._session.last_event_id

    @property
    def state(self) -> ConnectionState:
        """What the source is doing."""
        return self._session.state

    @property
    def response(self) -> Any:  # noqa: ANN401 - httpx's, httpx2's or httpxr's
        """The response of the open connection, or None."""
        return self._response if self.state is ConnectionState.OPEN else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._session.url} {self.state}>"

    def _enter(self) -> None:
        if self._entered:
            msg = "a source is used once; make another one to read the stream again"
            raise RuntimeError(msg)
        self._entered = True

    def _check_inside(self, how: str) -> None:
        if not self._entered or self._left:
            msg = f"iterate inside the block: {how} {type(self).__name__}(url) as source: ..."
            raise RuntimeError(msg)

    def _check_client(self, method: str, advice: str) -> None:
        if self._client is not None and not hasattr(self._client, method):
            msg = f"{type(self).__name__} cannot use {self._client!r}: {advice}"
            raise TypeError(msg)

    _now = staticmethod(monotonic)


def _absolute(url: Any, client: Any) -> Any:  # noqa: ANN401 - `Settings` checks what it is
    """Return the URL as text, joined to the client's ``base_url`` as httpx does."""
    if hasattr(url, "scheme"):  # a URL object, httpx's or another library's
        url = str(url)
    base = str(getattr(client, "base_url", "")).rstrip("/")
    if not base or not isinstance(url, str) or urlsplit(url).scheme:
        return url
    return str(httpx.URL(f"{base}/").join(url.lstrip("/")))


def _several(hooks: Any) -> tuple[Any, ...]:  # noqa: ANN401 - `Settings` checks each
    if not hasattr(hooks, "__iter__"):
        msg = f"hooks takes several: write hooks=[{getattr(hooks, '__name__', hooks)}]"
        raise TypeError(msg)
    return tuple(hooks)


def busy() -> RuntimeError:
    """Make the error for a second consumer."""
    return RuntimeError(
        "one source is for one consumer, and another task or thread is waiting for its next "
        "event; make a source for each consumer, or share the events through a queue"
    )
