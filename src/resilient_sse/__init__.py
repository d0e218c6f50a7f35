"""A Server-Sent Events client for programs that run for a year.

The main things are `ReconnectingEventSource`, which reads a stream over as many connections as it
takes, and the policies, hooks and errors around it. ``__version__`` is the installed version.
"""

from typing import TYPE_CHECKING

from resilient_sse._decoding.json import aiter_json, iter_json
from resilient_sse._decoding.ndjson import NDJSONDecoder, NDJSONError
from resilient_sse._decoding.protocol import Decoder, DecoderFactory
from resilient_sse._decoding.sse import SSEDecoder
from resilient_sse._decoding.streams import adecode, decode, decode_lines
from resilient_sse._drivers.async_source import ReconnectingEventSource
from resilient_sse._drivers.one_connection import EventSource, aconnect_sse, connect_sse
from resilient_sse._drivers.options import SourceOptions
from resilient_sse._drivers.sync_source import SyncReconnectingEventSource
from resilient_sse._session.dialect import Dialect, Verdict
from resilient_sse._session.settings import CursorStore
from resilient_sse._values.event import ServerSentEvent
from resilient_sse._values.failure import Attempt, Failure, FailureKind, RetryPolicy
from resilient_sse.errors import (
    ContentTypeError,
    CursorError,
    EventFailure,
    EventTooLarge,
    GapError,
    GiveUpError,
    IdleTimeout,
    ResponseError,
    SSEError,
    StatusError,
    StreamEnded,
    UnsafeRetry,
)
from resilient_sse.lifecycle import (
    Closed,
    Comment,
    Connected,
    Connecting,
    ConnectionState,
    ConnectionTotals,
    CursorStoreFailed,
    Disconnected,
    GapDetected,
    GaveUp,
    GroupChanged,
    Hook,
    LeaseEnded,
    LeaseEvent,
    LeaseGranted,
    LifecycleEvent,
    RetryScheduled,
    SourceEvent,
)
from resilient_sse.policies import ExponentialBackoff, ServerRetry

__all__ = [
    "Attempt",
    "Closed",
    "Comment",
    "Connected",
    "Connecting",
    "ConnectionState",
    "ConnectionTotals",
    "ContentTypeError",
    "CursorError",
    "CursorStore",
    "CursorStoreFailed",
    "Decoder",
    "DecoderFactory",
    "Dialect",
    "Disconnected",
    "EventFailure",
    "EventSource",
    "EventTooLarge",
    "ExponentialBackoff",
    "Failure",
    "FailureKind",
    "GapDetected",
    "GapError",
    "GaveUp",
    "GiveUpError",
    "GroupChanged",
    "Hook",
    "IdleTimeout",
    "LeaseEnded",
    "LeaseEvent",
    "LeaseGranted",
    "LifecycleEvent",
    "NDJSONDecoder",
    "NDJSONError",
    "ReconnectingEventSource",
    "ResponseError",
    "RetryPolicy",
    "RetryScheduled",
    "SSEDecoder",
    "SSEError",
    "ServerRetry",
    "ServerSentEvent",
    "SourceEvent",
    "SourceOptions",
    "StatusError",
    "StreamEnded",
    "SyncReconnectingEventSource",
    "UnsafeRetry",
    "Verdict",
    "__version__",
    "aconnect_sse",
    "adecode",
    "aiter_json",
    "connect_sse",
    "decode",
    "decode_lines",
    "iter_json",
]

if TYPE_CHECKING:
    __version__: str

if not TYPE_CHECKING:  # which would take this for any name

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version  # noqa: PLC0415 - it takes longer than the rest

        return version("resilient-sse")
