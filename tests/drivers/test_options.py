"""`SourceOptions`: the keywords of a source, once more as a type."""

from __future__ import annotations

import inspect

import pytest

from resilient_sse import ReconnectingEventSource, SourceOptions, SyncReconnectingEventSource
from resilient_sse._drivers.options import LeasedSourceOptions
from resilient_sse._session.settings import Settings


@pytest.mark.parametrize("kind", [ReconnectingEventSource, SyncReconnectingEventSource])
def test_they_are_the_keywords_of_the_constructor(kind: type) -> None:
    """In their order, and with their types, but that a client is one of either kind."""
    keywords = dict(inspect.signature(kind).parameters)
    del keywords["url"]
    named = [name for name in keywords if name not in {"cursor", "cursor_key"}]
    assert [*LeasedSourceOptions.__annotations__] == named
    assert SourceOptions.__optional_keys__ == keywords.keys()
    ours = {"url", "library"}  # the second is the client's
    given = keywords.keys() - {"client", "decoder"}
    assert given == Settings.__dataclass_fields__.keys() - ours
    for name, hint in SourceOptions.__annotations__.items():
        if name != "client":
            assert keywords[name].annotation == hint.__forward_arg__, name
