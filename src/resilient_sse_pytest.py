"""Fixtures for pytest: ``sse_server``, ``sse_history`` and ``sse_recorder``.

pytest loads this module in every run of whoever has the library installed. So it stands beside the
package, which is imported when a fixture is used, and coverage sees what is imported then.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

    from resilient_sse.testing import HistoryServer, Recorder, ScriptedServer
    from resilient_sse.testing._script import ScriptEntry

__all__ = ["ServerFactory", "sse_history", "sse_recorder", "sse_server"]


class ServerFactory(Protocol):
    """The type of the fixture `sse_server`."""

    def __call__(
        self,
        script: Iterable[ScriptEntry] = (),
        *,
        then: ScriptEntry | None = None,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> ScriptedServer:
        """Start a `ScriptedServer`; it is closed at the end of the test."""
        ...


@pytest.fixture
def sse_server() -> Iterator[ServerFactory]:
    """A function that starts a `ScriptedServer`; all are closed at the end of the test."""
    from resilient_sse.testing import ScriptedServer  # noqa: PLC0415 - see the module docstring

    with contextlib.ExitStack() as stack:

        def start(
            script: Iterable[ScriptEntry] = (),
            *,
            then: ScriptEntry | None = None,
            port: int = 0,
            ssl_context: ssl.SSLContext | None = None,
        ) -> ScriptedServer:
            server = ScriptedServer(script, then=then, port=port, ssl_context=ssl_context)
            return stack.enter_context(server)

        yield start


@pytest.fixture
def sse_history() -> Iterator[HistoryServer]:
    """A running `HistoryServer`, closed at the end of the test."""
    from resilient_sse.testing import HistoryServer  # noqa: PLC0415 - see the module docstring

    with HistoryServer() as server:
        yield server


@pytest.fixture
def sse_recorder() -> Recorder:
    """A `Recorder`."""
    from resilient_sse.testing import Recorder  # noqa: PLC0415 - see the module docstring

    return Recorder()
