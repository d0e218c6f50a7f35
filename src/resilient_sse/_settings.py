"""The keywords of a source: checked once, then read by the session and the drivers."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

from resilient_sse._header import sendable
from resilient_sse._redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._failure import RetryPolicy
    from resilient_sse.lifecycle import Hook

__all__ = ["CursorStore", "Decoder", "DecoderFactory"]

_ON_GAP: Final = ("give up", "continue")


class Decoder(Protocol):
    """The decoder shape: bytes in, events out, no I/O."""

    last_event_id: str
    """The cursor after what was fed."""
    retry: int | None
    """The reconnection time in milliseconds that was read last."""

    def feed(self, chunk: bytes, /) -> list[ServerSentEvent]:
        """Decode the next bytes of the stream into the events that they complete."""
        ...


class DecoderFactory(Protocol):
    """What makes a decoder for each connection; a decoder class is one.

    An attribute ``content_type`` names the media type it decodes (default ``text/event-stream``).
    """

    def __call__(
        self,
        *,
        last_event_id: str,
        max_event_size: int | None,
        on_comment: Callable[[str], None] | None,
    ) -> Decoder:
        """Make the decoder for a connection that resumes from ``last_event_id``."""
        ...


class CursorStore(Protocol):
    """Where a cursor survives the process; both methods may be sync or async.

    An asynchronous source calls ``aload`` and ``asave`` instead, where a store has them. Saves of
    one source never overlap, so that an older cursor is never saved after a newer one.
    """

    def load(self, key: str, /) -> str | Awaitable[str | None] | None:
        """Return the saved cursor, or None."""
        ...

    def save(self, key: str, last_event_id: str, /) -> Awaitable[None] | None:
        """Save the cursor of the last acknowledged event."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it holds credentials
class Settings:
    """Every keyword of a source but its client; see `ReconnectingEventSource` for the meanings.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value makes no sense.
    """

    url: str
    method: str
    headers: Any
    params: Any
    content: str | bytes | None
    json: Any
    data: Any
    auth: Any
    prepare_request: Callable[..., Any] | None
    connect_timeout: float
    idle_timeout: float | None
    last_event_id: str
    cursor: CursorStore | None
    cursor_key: str
    cursor_policy: RetryPolicy
    auto_ack: bool
    max_unacked: int
    dedupe: int
    gap: Callable[[ServerSentEvent], object] | None
    on_gap: Literal["give up", "continue"]
    policy: RetryPolicy
    reset_after: float
    retry_unsafe: bool
    decoder: DecoderFactory
    max_event_size: int | None
    until: Callable[[ServerSentEvent], object] | None
    hooks: Iterable[Hook]

    def __post_init__(self) -> None:
        _check_url(self.url)
        _check_content(self.content)
        _check_seconds("connect_timeout", self.connect_timeout)
        if self.idle_timeout is not None:
            _check_seconds("idle_timeout", self.idle_timeout)
        _check_seconds("reset_after", self.reset_after, zero=True)
        _check_count("dedupe", self.dedupe, at_least=0)
        _check_count("max_unacked", self.max_unacked, at_least=1)
        if self.on_gap not in _ON_GAP:
            msg = f"on_gap must be one of {_ON_GAP}, not {self.on_gap!r}"
            raise ValueError(msg)
        if self.max_event_size is not None:
            _check_count("max_event_size", self.max_event_size, at_least=1)
        for name in ("policy", "cursor_policy", "decoder"):
            _check_callable(name, getattr(self, name))
        for name in ("prepare_request", "until", "gap"):
            if getattr(self, name) is not None:
                _check_callable(name, getattr(self, name))
        for name in ("policy", "cursor_policy", "until", "gap"):
            _check_plain(name, getattr(self, name))
        _check_store(self.cursor)
        _check_text("last_event_id", self.last_event_id)
        if not sendable(self.last_event_id):
            msg = f"last_event_id cannot be sent in an HTTP header: {self.last_event_id[:80]!r}"
            raise ValueError(msg)

    @property
    def content_type(self) -> str:
        """The media type that the decoder decodes."""
        return getattr(self.decoder, "content_type", "text/event-stream")


def _check_url(url: object) -> None:
    if not isinstance(url, str):
        msg = f"url must be a str, not {url!r}"
        raise TypeError(msg)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        shown = redact_url(url).rpartition("@")[2]
        msg = f"url must begin with http:// or https:// and name a host, not {shown!r}"
        raise ValueError(msg)
    _ = parts.port  # which raises ValueError: "Port out of range 0-65535"


def _check_content(content: object) -> None:
    if content is not None and not isinstance(content, (str, bytes)):
        msg = f"content must be str or bytes, so that it can be sent again, not {content!r}"
        raise TypeError(msg)


def _check_seconds(name: str, value: object, *, zero: bool = False) -> None:
    number = _as_number(name, value)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        what = "0 or more" if zero else "above 0"
        msg = f"{name} must be a finite number of seconds, {what}, not {value!r}"
        raise ValueError(msg)


def _as_number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{name} must be a number of seconds, not {value!r}"
        raise TypeError(msg)
    return value


def _check_count(name: str, value: object, *, at_least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be an int, not {value!r}"
        raise TypeError(msg)
    if value < at_least:
        msg = f"{name} must be at least {at_least}, not {value!r}"
        raise ValueError(msg)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        msg = f"{name} must be a str, not {value!r}"
        raise TypeError(msg)


def _check_callable(name: str, value: object) -> None:
    if not callable(value):
        msg = f"{name} must be callable, not {value!r}"
        raise TypeError(msg)


def _check_plain(name: str, value: object) -> None:
    if is_coroutine_function(value):
        msg = f"{name} must be a plain function, and {value!r} is a coroutine function"
        raise TypeError(msg)


def is_coroutine_function(value: object) -> bool:
    """Say whether calling this object makes a coroutine."""
    call = getattr(type(value), "__call__", None)  # noqa: B004 - not whether it can be called
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(call)


def _check_store(store: object) -> None:
    for method in ("load", "save"):
        if store is not None and not callable(getattr(store, method, None)):
            msg = f"cursor must be a store with load and save, and {type(store)!r} has no {method}"
            raise TypeError(msg)
