"""The keywords of a source: checked once, then read by the session and the drivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

from resilient_sse._session.checks import (
    check_callable,
    check_count,
    check_instance,
    check_plain,
    check_seconds,
    check_text,
)
from resilient_sse._session.dialect import carrier
from resilient_sse._values.library import HTTPX
from resilient_sse._values.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from resilient_sse._session.dialect import Dialect
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.failure import Attempt, RetryPolicy
    from resilient_sse._values.library import Library
    from resilient_sse.lifecycle import GapDetected, Hook

__all__ = ["CursorStore"]

_ON_GAP: Final = ("give up", "continue")


OnGap: TypeAlias = "Literal['give up', 'continue'] | Callable[[GapDetected], str | Awaitable[str]]"
"""What to do about a gap: a word, or a function that puts right what was missed and returns the
cursor to go on from."""


class CursorStore(Protocol):
    """Where a cursor survives the process; both methods may be sync or async.

    An asynchronous source calls ``aload`` and ``asave`` instead, where a store has them. Saves of
    one source never overlap, so that an older cursor is never saved after a newer one.
    """

    def load(self, key: str, /) -> str | Awaitable[str | None] | None:
        """Return the saved cursor, or None.

        Args:
            key: The source's ``cursor_key``, which is its URL unless it was given another.

        Raises:
            Exception: Whatever went wrong. ``cursor_policy`` decides whether it is tried again, but
                not about a `CursorError`, nor about what looks like a bug, such as a ``TypeError``.
        """
        ...

    def save(self, key: str, last_event_id: str, /) -> Awaitable[None] | None:
        """Save the cursor of the last acknowledged event.

        Args:
            key: As for `load`.
            last_event_id: The cursor, which may be "": an event can reset it.

        Raises:
            Exception: As for `load`; the stream goes on meanwhile.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # it holds credentials
class Settings:
    """Every keyword of a source but its client; see `ReconnectingEventSource` for the meanings.

    Of the client it has the library, for what is to be of the same one.

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
    prepare_request: Callable[[Any, Attempt], object] | None
    connect_timeout: float
    idle_timeout: float | None
    last_event_id: str
    cursor: CursorStore | None
    cursor_key: str
    cursor_policy: RetryPolicy
    auto_ack: bool
    max_unacked: int
    dedupe: int
    on_gap: OnGap
    policy: RetryPolicy
    reset_after: float
    retry_unsafe: bool
    dialect: Dialect
    max_event_size: int | None
    until: Callable[[ServerSentEvent], object] | None
    hooks: Iterable[Hook]
    library: Library = HTTPX

    def __post_init__(self) -> None:
        _check_url(self.url)
        _check_content(self.content)
        check_seconds("connect_timeout", self.connect_timeout)
        if self.idle_timeout is not None:
            check_seconds("idle_timeout", self.idle_timeout)
        check_seconds("reset_after", self.reset_after, zero=True)
        check_count("dedupe", self.dedupe, at_least=0)
        check_count("max_unacked", self.max_unacked, at_least=1)
        _check_on_gap(self.on_gap)
        if self.max_event_size is not None:
            check_count("max_event_size", self.max_event_size, at_least=1)
        for name in ("policy", "cursor_policy"):
            check_callable(name, getattr(self, name))
        for name in ("prepare_request", "until"):
            if getattr(self, name) is not None:
                check_callable(name, getattr(self, name))
        for name in ("policy", "cursor_policy", "until"):
            check_plain(name, getattr(self, name))
        for name in ("policy", "cursor_policy", "prepare_request", "until"):
            check_instance(name, getattr(self, name))
        _check_store(self.cursor)
        for name in ("method", "cursor_key", "last_event_id"):
            check_text(name, getattr(self, name))
        if not carrier(self.dialect)(self.last_event_id):
            msg = f"last_event_id cannot be sent in an HTTP header: {self.last_event_id[:80]!r}"
            raise ValueError(msg)

    @property
    def shown_url(self) -> str:
        """The URL, fit to be shown."""
        return redact_url(self.url)

    @property
    def shown_key(self) -> str:
        """The key in the cursor store, fit to be shown: redacted if it is the URL."""
        return self.shown_url if self.cursor_key == self.url else self.cursor_key

    @property
    def looks_at_events(self) -> bool:
        """Whether some rule applies to single events, so that none is handed out unseen."""
        dialect = self.dialect
        rules = (self.until, self.cursor, dialect.judge, dialect.position)
        return dialect.flush or any(rule is not None for rule in rules)


def _check_on_gap(on_gap: object) -> None:
    check_instance("on_gap", on_gap)
    if not callable(on_gap) and on_gap not in _ON_GAP:
        msg = f"on_gap must be one of {_ON_GAP} or a function, not {on_gap!r}"
        raise ValueError(msg)


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


def _check_store(store: object) -> None:
    for method in ("load", "save"):
        if store is not None and not callable(getattr(store, method, None)):
            msg = f"cursor must be a store with load and save, and {type(store)!r} has no {method}"
            raise TypeError(msg)
