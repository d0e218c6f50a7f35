"""What type checkers make of a request and of a response of httpx and of httpx2.

A line that is to be refused says so with an ignore, and an ignore that is not needed is an error.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

import httpx
import httpx2

from resilient_sse._session.dialect import ResumeByHeader, ResumeByQuery
from resilient_sse.errors import StatusError
from resilient_sse.transports import AsyncioTransport, SyncTransport

if TYPE_CHECKING:
    from resilient_sse._values.http_messages import HTTPURL, HTTPRequest, HTTPResponse


def url_of(_: HTTPURL) -> None:
    """Take any library's URL."""


def sent(_: HTTPRequest) -> None:
    """Take any library's request."""


def answered(_: HTTPResponse) -> None:
    """Take any library's response."""


def of_httpx(url: httpx.URL, request: httpx.Request, response: httpx.Response) -> None:
    """What httpx makes fits."""
    url_of(url)
    sent(request)
    answered(response)
    StatusError("no", response=response)
    assert_type(ResumeByHeader("Last-Event-ID")(request, "1"), httpx.Request)


def of_httpx2(url: httpx2.URL, request: httpx2.Request, response: httpx2.Response) -> None:
    """What httpx2 makes fits as well."""
    url_of(url)
    sent(request)
    answered(response)
    StatusError("no", response=response)
    assert_type(ResumeByQuery("since")(request, "1"), httpx2.Request)


async def over_our_transports(request: httpx.Request, request2: httpx2.Request) -> None:
    """They take the requests of both."""
    SyncTransport().handle_request(request)
    SyncTransport().handle_request(request2)
    await AsyncioTransport().handle_async_request(request)
    await AsyncioTransport().handle_async_request(request2)


def refused(url: httpx.URL, request: httpx2.Request, response: httpx.Response) -> None:
    """None of them is another, and only what every library has may be used."""
    url_of(str(url))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    sent(response)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    answered(request)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    answered(None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def used(request: HTTPRequest, response: HTTPResponse) -> None:
    """A slip of the pen is found."""
    request.url = request.url.copy_set_param("since", "1")
    request.headers["Accept"] = response.headers.get("Accept", "")
    request.header  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] # noqa: B018
    response.status  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] # noqa: B018
    response.headers = {}  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
