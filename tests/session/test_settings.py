"""The keywords of a source: what is refused, at once and in clear words."""

from __future__ import annotations

from typing import Any

import pytest

from resilient_sse import (
    Dialect,
    ExponentialBackoff,
    NDJSONDecoder,
    ReconnectingEventSource,
    SSEDecoder,
    SyncReconnectingEventSource,
)
from tests.support.http_libraries import LIBRARIES
from tests.support.session_settings import keywords_of, make_settings


async def _coroutine_function(_: object) -> None:
    """Stand where only a plain function would be called."""


@pytest.mark.parametrize("source", [ReconnectingEventSource, SyncReconnectingEventSource])
@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("example.com/events", ValueError, "http:// or https://"),
        ("ftp://example.com", ValueError, "http:// or https://"),
        ("http://", ValueError, "name a host"),
        ("", ValueError, "http:// or https://"),
        (b"http://example.com", TypeError, "url must be a str"),
        (None, TypeError, "url must be a str"),
    ],
)
def test_bad_urls(source: Any, url: Any, error: type[Exception], words: str) -> None:
    """A URL that no stream can have is refused before anything is sent."""
    with pytest.raises(error, match=words):
        source(url)


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_url_objects(library: Any) -> None:
    """A URL object of any of the libraries is as good as its text."""
    source = ReconnectingEventSource(library.URL("http://me:secret@example.com/e?a=b"))
    assert source._settings.url == "http://me:secret@example.com/e?a=b"


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("/events?to=http://x", "http://example.com/v1/events?to=http://x"),
        ("events", "http://example.com/v1/events"),
        ("http://other.com/", "http://other.com/"),
    ],
)
def test_base_url_of_the_client(library: Any, url: str, full: str) -> None:
    """A path is one below the client's ``base_url``, as when the client itself is called."""
    with library.Client(base_url="http://example.com/v1") as client:
        settings = SyncReconnectingEventSource(url, client=client)._settings
        assert str(client.build_request("GET", settings.url).url) == full
    assert (settings.url, settings.cursor_key) == (full, full)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"connect_timeout": 0}, ValueError),
        ({"connect_timeout": float("inf")}, ValueError),
        ({"connect_timeout": "10"}, TypeError),
        ({"idle_timeout": -1}, ValueError),
        ({"idle_timeout": float("nan")}, ValueError),
        ({"idle_timeout": True}, TypeError),
        ({"reset_after": -0.1}, ValueError),
        ({"dedupe": -1}, ValueError),
        ({"dedupe": 1.5}, TypeError),
        ({"dedupe": True}, TypeError),
        ({"max_event_size": 0}, ValueError),
        ({"max_event_size": "1"}, TypeError),
        ({"prepare_request": 1}, TypeError),
        ({"until": "[DONE]"}, TypeError),
        ({"policy": 3.0}, TypeError),
        ({"policy": None}, TypeError),
        ({"policy": _coroutine_function}, TypeError),
        ({"policy": ExponentialBackoff}, TypeError),
        ({"cursor_policy": ExponentialBackoff}, TypeError),
        ({"cursor_policy": None}, TypeError),
        ({"cursor_policy": _coroutine_function}, TypeError),
        ({"until": _coroutine_function}, TypeError),
        ({"gap": _coroutine_function}, TypeError),
        ({"cursor": {}}, TypeError),
        ({"cursor": "file.db"}, TypeError),
        ({"decoder": "sse"}, TypeError),
        ({"dialect": "sse"}, TypeError),
        ({"dialect": Dialect}, TypeError),
        ({"content": [b"x"]}, TypeError),
        ({"last_event_id": 5}, TypeError),
        ({"last_event_id": b"5"}, TypeError),
        ({"last_event_id": "a\r\nX: y"}, ValueError),
        ({"last_event_id": "x" * 10_000}, ValueError),
    ],
    ids=keywords_of,
)
def test_bad_keywords(keywords: dict[str, Any], error: type[Exception]) -> None:
    """A keyword that makes no sense is named in the error."""
    with pytest.raises(error, match=next(iter(keywords))):
        ReconnectingEventSource("http://example.com", **keywords)


def test_what_none_means() -> None:
    """None switches a limit off."""
    settings = make_settings(idle_timeout=None, max_event_size=None, reset_after=0)

    assert settings.idle_timeout is None
    assert settings.max_event_size is None


def test_cursor_from_the_callers_header() -> None:
    """A Last-Event-ID header is the first cursor, and the keyword comes before it."""
    headers = {"last-event-id": "7"}

    assert make_settings(headers=headers).last_event_id == "7"
    assert make_settings(headers=headers, last_event_id="8").last_event_id == "8"


def test_cursor_key_is_the_url_unless_given() -> None:
    """A store keeps the cursors of many streams apart."""
    assert make_settings("http://h/e").cursor_key == "http://h/e"
    assert make_settings("http://h/e", cursor_key="news").cursor_key == "news"


def test_the_content_type_of_a_decoder_comes_first() -> None:
    """The decoder says what it decodes; a plain factory decodes what the dialect says."""

    def factory(**keywords: Any) -> SSEDecoder:
        return SSEDecoder(**keywords)

    dialect = Dialect(accept="text/x", content_types={"text/y"})
    for decoder, accept, types in (
        (None, "text/x", {"text/y"}),
        (factory, "text/x", {"text/y"}),
        (NDJSONDecoder, "application/x-ndjson", {"application/x-ndjson"}),
    ):
        made = make_settings(decoder=decoder, dialect=dialect).dialect
        assert (made.accept, made.content_types) == (accept, types)
        assert made.decoder is (decoder or SSEDecoder)
