"""What the asynchronous and the blocking source share: their keywords and their members."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from resilient_sse._decoding.sse import DEFAULT_MAX_EVENT_SIZE
from resilient_sse._http.request import first_cursor
from resilient_sse._session.checks import check_plain
from resilient_sse._session.dialect import Dialect, with_decoder
from resilient_sse._session.hooks import hooks_of
from resilient_sse._session.session import Session
from resilient_sse._session.settings import Settings
from resilient_sse._values.fork import forked, watch
from resilient_sse._values.frames import without_locals
from resilient_sse._values.library import URL, library_of
from resilient_sse.lifecycle import ConnectionState
from resilient_sse.policies import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from resilient_sse._decoding.protocol import DecoderFactory
    from resilient_sse._drivers.options import Auth, Headers, Params
    from resilient_sse._session.settings import CursorStore, OnGap
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.failure import Attempt, RetryPolicy
    from resilient_sse._values.http_messages import HTTPResponse, ResponseHead
    from resilient_sse.lifecycle import Hook


C = TypeVar("C")

_STANDARD = Dialect()
_DEFAULT_POLICY = ExponentialBackoff()
_DEFAULT_CURSOR_POLICY = ExponentialBackoff(wait_initial=0.1, wait_max=5.0, timeout=10.0)


class Source(Generic[C]):
    """An event stream that is read for as long as it takes, over as many connections as it takes.

    It is a context manager, and inside its block an iterator of `ServerSentEvent`. A source is
    used once, by one consumer.

    Args: The stream
        url: The stream's URL, ``http://`` or ``https://``; or a path below the ``base_url`` of a
            client that has one.

    Args: HTTP
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

    Args: Dialect
        dialect: How the server departs from the standard: a ready-made one of
            `resilient_sse.dialects`, or one's own. By default ``Dialect()``, the standard.

    Args: Resume
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
        on_gap: What to do about a gap: an event that the dialect takes for one, or a 4xx by which
            the server refuses to resume and that ``policy`` does not retry. "give up"; "continue"
            from now (after an event on the same connection, after a refusal without a cursor); or
            a function that takes the `GapDetected`, puts right what was missed (loads a snapshot)
            and returns the cursor to go on from, "" for now. It runs in the consumer's own pull,
            before anything else is delivered, and may be a coroutine function in the asynchronous
            source. An error of the HTTP library that it raises is a failure; any other reaches the
            consumer.

    Args: Reconnect
        policy: Decides after a failure how long to wait, or to give up. By default
            ``ExponentialBackoff()``, which never gives up on what may pass.
        reset_after: Seconds of open connection that count as progress even without an event.
        retry_unsafe: Whether to send a POST, a PATCH or another request that is not idempotent
            again, although the server may have acted on it and there is no cursor to resume from.

    Args: Decode
        decoder: The class, or any callable, that makes the decoder of each connection, and whose
            ``content_type``, if it has one, is the media type that is asked for. None: the
            dialect's.
        max_event_size: The bytes that one event may take, comments included; None for no limit. By
            default 16 MiB.

    Args: Stop
        until: A predicate: the stream ends after the first event for which it is true, which is
            delivered too.

    Args: Observe
        hooks: Plain callables that get every `LifecycleEvent`.

    Raises:
        TypeError: If an argument has the wrong type, for example a coroutine function as a hook.
        ValueError: If an argument makes no sense, for example a URL without a host.
    """

    @without_locals
    def __init__(  # noqa: PLR0913 - one keyword for each thing a user may decide
        self,
        url: str | URL,
        *,
        # HTTP
        client: C | None = None,
        method: str = "GET",
        headers: Headers | None = None,
        params: Params | None = None,
        content: str | bytes | None = None,
        json: Any = None,  # noqa: ANN401 - as in httpx
        data: Mapping[str, Any] | None = None,
        auth: Auth | None = None,
        prepare_request: Callable[[Any, Attempt], object] | None = None,
        connect_timeout: float = 10.0,
        idle_timeout: float | None = 300.0,
        # Dialect
        dialect: Dialect = _STANDARD,
        # Resume
        last_event_id: str = "",
        cursor: CursorStore | None = None,
        cursor_key: str = "",
        cursor_policy: RetryPolicy = _DEFAULT_CURSOR_POLICY,
        auto_ack: bool = True,
        max_unacked: int = 10_000,
        dedupe: int = 0,
        on_gap: OnGap = "give up",
        # Reconnect
        policy: RetryPolicy = _DEFAULT_POLICY,
        reset_after: float = 60.0,
        retry_unsafe: bool = False,
        # Decode
        decoder: DecoderFactory | None = None,
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        # Stop
        until: Callable[[ServerSentEvent], object] | None = None,
        # Observe
        hooks: Iterable[Hook] = (),
    ) -> None:
        address: str = _absolute(url, client)
        dialect = with_decoder(dialect, decoder)
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
            last_event_id=last_event_id or first_cursor(headers, client, dialect),
            cursor=cursor,
            cursor_key=cursor_key or address,
            cursor_policy=cursor_policy,
            auto_ack=auto_ack,
            max_unacked=max_unacked,
            dedupe=dedupe,
            on_gap=on_gap,
            policy=policy,
            reset_after=reset_after,
            retry_unsafe=retry_unsafe,
            dialect=dialect,
            max_event_size=max_event_size,
            until=until,
            hooks=_several(hooks),
            library=library_of(client),
        )
        if not self._awaits:
            check_plain("on_gap", on_gap)
        self._client: Any = client
        self._own_client = client is None
        self._lock = threading.RLock()
        self._hooks = hooks_of(self._settings, self._lock)
        self._session = Session(self._settings, self._hooks, self._lock)
        self._saving = self._session.saving
        # Where no rule applies to single events, they are taken straight from the queue.
        ready, self._quick, self._behind_comments = self._session.shortcuts
        self._plain = ready is not None
        self._ready: list[ServerSentEvent] = [] if ready is None else ready
        self._entered = self._left = self._forked = False
        self._inside = False  # entered, and neither left nor in a forked child
        self._response: HTTPResponse | None = None

    _awaits = True  # what functions of the program's may return

    @property
    def last_event_id(self) -> str:
        """The cursor after the event delivered last; "" if there is none."""
        return self._session.last_event_id

    @property
    def state(self) -> ConnectionState:
        """What the source is doing."""
        return self._session.state

    @property
    def response(self) -> ResponseHead | None:
        """The response of the open connection, or None."""
        return self._response if self.state is ConnectionState.OPEN else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.shown_url} {self.state}>"

    def _enter(self) -> None:
        if self._entered:
            msg = "a source is used once; make another one to read the stream again"
            raise RuntimeError(msg)
        self._entered = self._inside = True
        watch(self)

    def _left_to_parent(self) -> None:
        """Note that this is a forked child, where the source may only be closed and left."""
        self._forked, self._inside = True, False
        self._ready.clear()  # else the next event would be taken from it without a look at this
        self._quick = None
        self._behind_comments.clear()

    def _check_process(self) -> None:
        if self._forked:
            raise forked()

    def _check_inside(self, how: str) -> None:
        if self._inside:
            return
        self._check_process()
        msg = f"iterate inside the block: {how} {type(self).__name__}(url) as source: ..."
        raise RuntimeError(msg)

    def _check_client(self, method: str, advice: str) -> None:
        if self._client is not None and not hasattr(self._client, method):
            msg = f"{type(self).__name__} cannot use {self._client!r}: {advice}"
            raise TypeError(msg)

    def _take(self, most: int | None) -> list[ServerSentEvent]:
        """Hand out at most so many events, or all that are there; none if there is more to do."""
        if self._ready and most is not None:
            try:
                return [self._ready.pop()]
            except IndexError:  # another thread closed the source this very moment
                return []
        return self._session.take(self._now(), most)

    _now = staticmethod(monotonic)


def _absolute(url: Any, client: Any) -> Any:  # noqa: ANN401 - `Settings` checks what it is
    """Return the URL as text, joined to the client's ``base_url`` as httpx does."""
    if hasattr(url, "scheme"):  # a URL object, httpx's or another library's
        url = str(url)
    base = str(getattr(client, "base_url", "")).rstrip("/")
    if not base or not isinstance(url, str) or urlsplit(url).scheme:
        return url
    return str(URL(f"{base}/").join(url.lstrip("/")))


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
