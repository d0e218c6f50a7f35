"""The keywords of a source, with their types, for whoever passes them on; and what these accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import (
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Mapping,
        Sequence,
    )

    from resilient_sse._decoding.protocol import DecoderFactory
    from resilient_sse._session.dialect import Dialect
    from resilient_sse._session.settings import CursorStore, OnGap
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.failure import Attempt, RetryPolicy
    from resilient_sse.lifecycle import Hook

    _Primitive: TypeAlias = str | int | float | bool | None
    Headers: TypeAlias = (
        Mapping[str, str]
        | Mapping[bytes, bytes]
        | Sequence[tuple[str, str]]
        | Sequence[tuple[bytes, bytes]]
    )
    Params: TypeAlias = (
        Mapping[str, _Primitive | Sequence[_Primitive]]
        | Sequence[tuple[str, _Primitive]]
        | str
        | bytes
    )
    Auth: TypeAlias = "tuple[str | bytes, str | bytes] | Callable[[Any], Any] | _Auth"

__all__ = ["SourceOptions"]


class HTTPClient(Protocol):
    """A blocking client: httpx's, httpx2's or httpxr's."""

    def build_request(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the client's own
        """Make a request."""
        ...

    def send(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the client's own
        """Send it."""
        ...

    def close(self) -> object:
        """Close all connections."""
        ...


class AsyncHTTPClient(Protocol):
    """An asynchronous client: httpx's, httpx2's or httpxr's."""

    def build_request(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the client's own
        """Make a request."""
        ...

    def send(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the client's own
        """Send it."""
        ...

    def aclose(self) -> Awaitable[object]:
        """Close all connections."""
        ...


class _Auth(Protocol):
    def auth_flow(self, request: Any, /) -> Generator[Any, Any, None]:  # noqa: ANN401 - as in httpx
        """Yield the requests to send, and take their responses."""
        ...


class LeasedSourceOptions(TypedDict, total=False):
    """The keywords of a source whose cursor is kept with its lease."""

    client: Any
    method: str
    headers: Headers | None
    params: Params | None
    content: str | bytes | None
    json: Any
    data: Mapping[str, Any] | None
    auth: Auth | None
    prepare_request: Callable[[Any, Attempt], object] | None
    connect_timeout: float
    idle_timeout: float | None
    dialect: Dialect
    last_event_id: str
    cursor_policy: RetryPolicy
    auto_ack: bool
    max_unacked: int
    dedupe: int
    on_gap: OnGap
    policy: RetryPolicy
    reset_after: float
    retry_unsafe: bool
    decoder: DecoderFactory | None
    max_event_size: int | None
    until: Callable[[ServerSentEvent], object] | None
    hooks: Iterable[Hook]


class SourceOptions(LeasedSourceOptions, total=False):
    """The keywords of `ReconnectingEventSource` and `SyncReconnectingEventSource`.

    For functions of yours that pass them on: ``**options: Unpack[SourceOptions]``.
    """

    cursor: CursorStore | None
    cursor_key: str
