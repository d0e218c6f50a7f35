"""A Flask application with a thread that reads a stream, and stops when the application ends.

    STREAM_URL=https://example.com/prices flask --app examples.flask_app run --no-reload

Every process of the server reads the stream: use one (``gunicorn --workers 1 --threads 8``), or let
another process read it. Flask's reloader would start a second one.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from flask import Flask, abort

from resilient_sse import ExponentialBackoff, GiveUpError, SyncReconnectingEventSource

if TYPE_CHECKING:
    from types import FrameType

# Nothing can interrupt a wait in a thread: these bound what stopping may cost, to 10 seconds.
POLICY = ExponentialBackoff(wait_max=5.0, retry_after_max=5.0, server_retry_max=5.0)


class Prices:
    """The last price of everything, kept up to date by a thread.

    Args:
        url: The stream's URL.

    Attributes:
        last: By name. Only the thread writes it.
        problem: Why there will be no more; "" while the stream is read.
    """

    def __init__(self, url: str) -> None:
        self.last: dict[str, float] = {}
        self.problem = ""
        self._source = SyncReconnectingEventSource(url, policy=POLICY)
        # A daemon: else the interpreter would wait for its end before it runs what is at exit.
        self._thread = threading.Thread(target=self._follow, name="prices", daemon=True)

    def start(self) -> None:
        """Begin to read; stop when the interpreter ends."""
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Close the stream, and wait for what is being done with the last event."""
        self._source.close()
        self._thread.join()

    def _follow(self) -> None:
        try:
            with self._source:
                for event in self._source:
                    price = event.json()
                    self.last[price["name"]] = price["price"]
        except GiveUpError as error:
            self.problem = str(error)
        except Exception as error:
            self.problem = repr(error)
            raise


def end(_number: int, _frame: FrameType | None) -> None:
    """Leave the main thread, so that what is registered with `atexit` is run."""
    sys.exit(0)


def create_app() -> Flask:
    """Make the application, as ``flask`` and WSGI servers call it."""
    app = Flask(__name__)
    prices = Prices(os.environ["STREAM_URL"])
    prices.start()
    # Flask's own server does not know SIGTERM; others, such as gunicorn, replace this.
    signal.signal(signal.SIGTERM, end)

    @app.get("/prices/<name>")
    def price(name: str) -> dict[str, object]:
        if name not in prices.last:
            abort(404)
        return {"name": name, "price": prices.last[name]}

    @app.get("/health")
    def health() -> tuple[dict[str, str], int]:
        return {"problem": prices.problem}, 503 if prices.problem else 200

    return app
