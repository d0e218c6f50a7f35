"""launchdarkly-eventsource's ``SSEClient.all``: a hook for what is no event.

Run it with the URL of an event stream: python examples/from_launchdarkly.py URL
"""

import sys

from resilient_sse import (
    Comment,
    Connected,
    Disconnected,
    LifecycleEvent,
    SyncReconnectingEventSource,
)


def show(action: LifecycleEvent) -> None:
    """Print what ``all`` yields besides events: `Start`, `Fault` and `Comment`."""
    match action:
        case Connected(status_code=status):
            print("start", status)
        case Disconnected(failure=failure) if failure is not None:
            print("fault", failure.error)
        case Comment(text=text):
            print("comment", text)
        case _:
            pass  # attempts, waits, the end


def main(url: str) -> None:
    """Print everything until the server says that there is no more (204)."""
    with SyncReconnectingEventSource(url, hooks=[show]) as source:
        for event in source:
            print("event", event.id, event.data)


if __name__ == "__main__":
    main(sys.argv[1])
