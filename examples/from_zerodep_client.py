"""zerodep's reconnecting client: `retry_interval` and `max_retries` are a policy here.

Run it with the URL of an event stream: python examples/from_zerodep_client.py URL
"""

import sys

from resilient_sse import ExponentialBackoff, GiveUpError, SyncReconnectingEventSource


def main(url: str) -> None:
    """Print the events until the server says that there are no more (204)."""
    policy = ExponentialBackoff(wait_initial=0.1, attempts=5)
    try:
        with SyncReconnectingEventSource(url, policy=policy) as events:
            for event in events:
                print(event.event, event.data)
    except GiveUpError as error:
        print(error)


if __name__ == "__main__":
    main(sys.argv[1])
