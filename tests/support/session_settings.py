"""Sessions and their settings for tests, with the defaults of a source."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from resilient_sse import ReconnectingEventSource
from resilient_sse._session.hooks import hooks_of
from resilient_sse._session.session import Do, Over, Session

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from resilient_sse._session.settings import Settings

URL = "http://user:secret@example.com/events?token=secret"


def make_settings(url: str = URL, **keywords: Any) -> Settings:
    """Make settings as a source does."""
    return ReconnectingEventSource(url, **keywords)._settings


def session_of(settings: Settings, lock: AbstractContextManager[Any] | None = None) -> Session:
    """Make a session as a source does."""
    lock = threading.RLock() if lock is None else lock
    return Session(settings, hooks_of(settings, lock), lock)


def outcome_of(session: Session, now: float = 0.0) -> Exception | None:
    """Return what the consumer gets at the end, which is now; the test plays the driver."""
    step = session.step(now, lambda: True)
    if step is Do.CLEAN_UP:
        step = session.step(now, lambda: True)
    assert isinstance(step, Over)
    return step.error


def keywords_of(value: object) -> str:
    """Name a parametrised case by its keywords."""
    return "-".join(cast("dict[str, Any]", value)) if isinstance(value, dict) else ""
