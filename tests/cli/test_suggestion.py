"""``resilient-sse check`` knows each ready-made dialect by its first events."""

from __future__ import annotations

import json

import pytest

from resilient_sse import SSEDecoder
from resilient_sse._values.library import Headers
from resilient_sse.cli._check.heard import Heard
from resilient_sse.cli._check.suggestion import SIGNS, about_dialect
from resilient_sse.cli._dialects import DIALECTS
from tests.dialects.streams import bytes_of
from tests.dialects.test_cuts import CASES


def heard(body: bytes, content_type: str, name: str | None = None) -> Heard:
    """What `check` has of a body: events, or the beginning of what is no stream."""
    made = Heard(status=200, headers=Headers({"Content-Type": content_type}), headers_after=0.0)
    if name is not None:
        made.dialect = DIALECTS[name]
    if content_type == "text/event-stream":
        made.events = SSEDecoder().feed(body)
    else:
        made.excerpt = body.decode()[:2000]
    return made


def suggested(what: Heard) -> list[str]:
    """The names of the dialects that are suggested."""
    return [finding.text.split()[-2] for finding in about_dialect(what)]


@pytest.mark.parametrize("name", CASES)
def test_a_stream_of_each(name: str) -> None:
    """It is suggested for its own stream, and not once it was named."""
    body, kind = bytes_of(CASES[name].stream), CASES[name].content_type
    assert suggested(heard(body, kind)) == [name]
    assert suggested(heard(body, kind, name)) == []


def test_every_dialect_has_signs() -> None:
    """A new one needs them."""
    assert {signs.dialect for signs in SIGNS} == set(DIALECTS)


def test_others() -> None:
    """What is nobody's in particular suggests nothing; lines of JSON do, however called."""
    assert suggested(heard(b"data: hello\n\n", "text/event-stream")) == []
    assert suggested(heard(b"<html>", "text/html")) == []
    assert suggested(heard(b'{"a": 1}', "application/json")) == []
    assert suggested(heard(b'{"a": 1}\n{"a": 2}\n', "text/plain")) == ["NDJSON"]
    assert suggested(heard(b"1", "application/x-ndjson")) == ["NDJSON"]
    quoted = json.dumps({"text": "a jsonrpc"}).encode()
    assert suggested(heard(b"data: " + quoted + b"\n\n", "text/event-stream")) == []
