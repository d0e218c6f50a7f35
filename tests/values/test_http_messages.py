"""What is asked of requests and responses: every library has it, whatever its stubs say."""

from __future__ import annotations

from typing import Any

import pytest

from resilient_sse._values.http_messages import HTTPURL, HTTPRequest, HTTPResponse
from tests.support.http_libraries import LIBRARIES


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_library_has_what_is_used(name: str) -> None:
    """Type checkers see it of httpx and httpx2; httpxr's stubs leave out a part."""
    library = LIBRARIES[name]
    request: Any = library.Request("GET", "http://example.com/events")
    response: Any = library.Response(200, request=request)

    assert not missing(HTTPURL, request.url)
    assert not missing(HTTPRequest, request)
    assert not missing(HTTPResponse, response)


def missing(protocol: type, value: object) -> list[str]:
    """Name what a value lacks of a protocol."""
    asked = [
        name for kind in protocol.__mro__[:-3] for name in vars(kind) if not name.startswith("_")
    ]
    assert asked
    return [name for name in asked if not hasattr(value, name)]
