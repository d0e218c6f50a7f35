"""A Server-Sent Events client for programs that run for a year.

The main things are `ReconnectingEventSource`, which reads a stream over as many connections as it
takes, and the policies, hooks and errors around it.
"""

from resilient_sse._async_source import ReconnectingEventSource
from resilient_sse._decoder import SSEDecoder
from resilient_sse._event import ServerSentEvent
from resilient_sse._failure import Attempt, Failure, FailureKind, RetryPolicy
from resilient_sse._ndjson import NDJSONDecoder, NDJSONError
from resilient_sse._settings import CursorStore, Decoder, DecoderFactory
from resilient_sse._sync_source import SyncReconnectingEventSource
from resilient_sse.errors import (
    ContentTypeError,
    CursorError,
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
    CursorStoreFailed,
    Disconnected,
    GapDetected,
    GaveUp,
    Hook,
    LifecycleEvent,
    RetryScheduled,
)
from resilient_sse.policies import ExponentialBackoff, ServerRetry

__all__ = [
    "Attempt",
    "Closed",
    "Comment",
    "Connected",
    "Connecting",
    "ConnectionState",
    "ContentTypeError",
    "CursorError",
    "CursorStore",
    "CursorStoreFailed",
    "Decoder",
    "DecoderFactory",
    "Disconnected",
    "EventTooLarge",
    "ExponentialBackoff",
    "Failure",
    "FailureKind",
    "GapDetected",
    "GapError",
    "GaveUp",
    "GiveUpError",
    "Hook",
    "IdleTimeout",
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
    "StatusError",
    "StreamEnded",
    "SyncReconnectingEventSource",
    "UnsafeRetry",
]
