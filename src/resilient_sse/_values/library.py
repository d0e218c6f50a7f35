"""The HTTP libraries: what is used of httpx and of httpx2. Nothing else here imports either.

httpx is what this library depends on: its own clients, its errors and its command line are made of
it, by the names that this module hands on. httpx2 is its equal wherever a client is the caller's:
what such a client gets (responses, exceptions, streams) is of the client's `Library`, which
`library_of` finds through the class of the client itself, or of what it made. httpx2 is never
imported for that: whoever has a client of it has done so.

To the type checkers httpx2's classes are httpx's, but for transports and errors, which are both.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

import httpx

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

    import httpx2

    from resilient_sse._values.http_messages import HTTPRequest

    class AsyncTransport(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):
        """The asynchronous transport of either library."""

        async def handle_async_request(self, request: HTTPRequest) -> Any:  # noqa: ANN401 - either's
            """Answer a request with a response of the same library."""
            ...

    class BlockingTransport(httpx.BaseTransport, httpx2.BaseTransport):
        """The blocking transport of either library."""

        def handle_request(self, request: HTTPRequest) -> Any:  # noqa: ANN401 - either's
            """Answer a request with a response of the same library."""
            ...

    class AnyTransportError(httpx.TransportError, httpx2.TransportError):
        """What ours are: of httpx, and of httpx2 too if they are about a client of it."""

        _request: Any

        @property
        def request(self) -> Any:  # noqa: ANN401 - either's
            """The request."""
            ...

        @request.setter
        def request(self, request: HTTPRequest | None) -> None: ...

else:  # httpx2 takes any transport that has the methods
    AsyncTransport, BlockingTransport = httpx.AsyncBaseTransport, httpx.BaseTransport
    AnyTransportError = httpx.TransportError

# httpx's, for what is made of it: our own clients, our errors, the command line

AsyncBaseTransport = httpx.AsyncBaseTransport
AsyncClient = httpx.AsyncClient
AsyncHTTPTransport = httpx.AsyncHTTPTransport
BaseTransport = httpx.BaseTransport
Client = httpx.Client
Cookies = httpx.Cookies
HTTPTransport = httpx.HTTPTransport
Limits = httpx.Limits
Timeout = httpx.Timeout
USE_CLIENT_DEFAULT = httpx.USE_CLIENT_DEFAULT
create_ssl_context = httpx.create_ssl_context

URL = httpx.URL
Headers = httpx.Headers
QueryParams = httpx.QueryParams
Request = httpx.Request
Response = httpx.Response

DecodingError = httpx.DecodingError
HTTPError = httpx.HTTPError
InvalidURL = httpx.InvalidURL
ReadError = httpx.ReadError
ReadTimeout = httpx.ReadTimeout
RemoteProtocolError = httpx.RemoteProtocolError
TransportError = httpx.TransportError
WriteError = httpx.WriteError

K = TypeVar("K", bound=type)

PYTHON: Final = frozenset({"httpx", "httpx2"})
"""The libraries that are written in Python and are alike: the names of their modules."""


class Library(Protocol):
    """What is made of a client's own library: httpx, or httpx2. The modules are the values."""

    ConnectError: type[httpx.ConnectError]
    ConnectTimeout: type[httpx.ConnectTimeout]
    DecodingError: type[httpx.DecodingError]
    LocalProtocolError: type[httpx.LocalProtocolError]
    PoolTimeout: type[httpx.PoolTimeout]
    ReadError: type[httpx.ReadError]
    ReadTimeout: type[httpx.ReadTimeout]
    RemoteProtocolError: type[httpx.RemoteProtocolError]
    RequestError: type[httpx.RequestError]
    TimeoutException: type[httpx.TimeoutException]
    TransportError: type[httpx.TransportError]
    UnsupportedProtocol: type[httpx.UnsupportedProtocol]
    WriteError: type[httpx.WriteError]
    WriteTimeout: type[httpx.WriteTimeout]

    AsyncByteStream: type[httpx.AsyncByteStream]
    ByteStream: type[httpx.ByteStream]
    SyncByteStream: type[httpx.SyncByteStream]
    Headers: type[httpx.Headers]
    Request: type[httpx.Request]
    Response: type[httpx.Response]
    URL: type[httpx.URL]

    def create_ssl_context(self, verify: bool) -> ssl.SSLContext:  # noqa: FBT001 - as in httpx
        """Make a context that trusts whom the library does."""
        ...


HTTPX: Final = cast("Library", httpx)


def library_of(value: object) -> Library:
    """Return the library of a client, or of what a client made; httpx for any other value."""
    kind: Any = type(value)
    return _library_of(kind) or HTTPX


def own_library_of(value: object) -> Library | None:
    """Return the library that a value's class, or a base of it, is of; None if it is of neither."""
    kind: Any = type(value)
    return _library_of(kind)


@lru_cache(maxsize=256)
def _library_of(kind: Any) -> Library | None:  # noqa: ANN401 - a class, whatever its metaclass
    for base in kind.__mro__:
        name = base.__module__.partition(".")[0]
        if name in PYTHON:
            return cast("Library", sys.modules[name])
    return None


def parsed_url(url: str, library: Library = HTTPX) -> URL:
    """Parse a URL, once for each stream.

    It is a tenth of what it takes from a drop to the next request, and half of what telling of a
    failure costs.
    """
    kind: Any = library.URL
    parsed: URL = _parsed_url(kind, url)
    return parsed


@lru_cache(maxsize=512)
def _parsed_url(kind: Any, url: str) -> Any:  # noqa: ANN401 - a library's
    return kind(url)


def installed(name: str) -> Library:
    """Return the library of this name, imported if it has to be; httpx if it is not there."""
    try:
        return cast("Library", importlib.import_module(name))
    except ImportError:
        return HTTPX


def name_of(library: Library) -> str:
    """Return the name of a library's module."""
    return cast("ModuleType", library).__name__


def kind_for(kind: K, base: type) -> K:
    """Return the class as one that also has a base of a library, under the same name.

    So what one library asks its classes for is asked of ours, too, and nothing is written twice.
    """
    return cast("K", _kind_for(kind, base))


@lru_cache(maxsize=64)
def _kind_for(kind: Any, base: Any) -> Any:  # noqa: ANN401 - classes
    if issubclass(kind, base):
        return kind
    about = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind)(kind.__name__, (kind, base), about | {"_made_of": (kind, base)})


def made_of(kind: type) -> tuple[type, str]:
    """Return the class that `kind_for` made this one of, and the library's name, or "" for none."""
    own, base = vars(kind).get("_made_of", (kind, None))
    return own, base.__module__.partition(".")[0] if base is not None else ""
