"""Settings for tests of the session, with the defaults of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from resilient_sse import ReconnectingEventSource

if TYPE_CHECKING:
    from resilient_sse._session.settings import Settings

URL = "http://user:secret@example.com/events?token=secret"


def make_settings(url: str = URL, **keywords: Any) -> Settings:
    """Make settings as a source does."""
    return ReconnectingEventSource(url, **keywords)._settings


def keywords_of(value: object) -> str:
    """Name a parametrised case by its keywords."""
    return "-".join(cast("dict[str, Any]", value)) if isinstance(value, dict) else ""
