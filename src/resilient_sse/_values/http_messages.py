"""A request and a response, as far as this library uses them: of httpx, httpx2, httpxr or a test.

The libraries' classes have no base in common, so these say by name what is asked of them. They are
for type checkers alone, which read in `tests/typing` that httpx's and httpx2's classes fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, MutableMapping


class HTTPURL(Protocol):
    """The URL of a request."""

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, for what can be sent."""
        ...

    @property
    def host(self) -> str:
        """The name or the address."""
        ...

    @property
    def raw_host(self) -> bytes:
        """The name or the address as it is looked up."""
        ...

    @property
    def port(self) -> int | None:
        """The port; None for the scheme's own."""
        ...

    @property
    def path(self) -> str:
        """The path."""
        ...

    @property
    def raw_path(self) -> bytes:
        """The path and the query as they are sent."""
        ...

    @property
    def userinfo(self) -> bytes:
        """The user's name and password."""
        ...

    def copy_with(self, **components: Any) -> HTTPURL:  # noqa: ANN401 - as in httpx
        """Make a URL that differs in some components."""
        ...

    def copy_set_param(self, key: str, value: str) -> HTTPURL:
        """Make a URL with a parameter of the query set."""
        ...


class HTTPRequest(Protocol):
    """A request."""

    @property
    def method(self) -> str:
        """The method."""
        ...

    @property
    def url(self) -> HTTPURL:
        """Where it goes."""
        ...

    @url.setter
    def url(self, url: Any) -> None:  # noqa: ANN401 - a URL of the same library
        ...

    @property
    def headers(self) -> MutableMapping[str, str]:
        """The headers; their names are found in any case."""
        ...

    @property
    def extensions(self) -> MutableMapping[str, Any]:
        """What the transport is told, such as the time limits."""
        ...

    @property
    def stream(self) -> Any:  # noqa: ANN401 - of the library's own classes
        """The body, to be iterated as the client's kind asks for."""
        ...

    def read(self) -> bytes:
        """Return the body."""
        ...

    def aread(self) -> Awaitable[bytes]:
        """Return the body, of an asynchronous client's request."""
        ...


class ResponseHead(Protocol):
    """The response of a source's open connection, without its body, which the source reads."""

    @property
    def status_code(self) -> int:
        """The status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; their names are found in any case."""
        ...

    @property
    def url(self) -> Any:  # noqa: ANN401 - the library's own class
        """Where it came from, after redirects."""
        ...

    @property
    def request(self) -> Any:  # noqa: ANN401 - the library's own class
        """What it answers."""
        ...

    @property
    def extensions(self) -> MutableMapping[str, Any]:
        """What the transport tells of the connection."""
        ...


class HTTPResponse(ResponseHead, Protocol):
    """A response and its body, read either way: each library has one class for both."""

    @property
    def request(self) -> HTTPRequest:
        """What it answers."""
        ...

    @property
    def next_request(self) -> HTTPRequest | None:
        """Where it redirects to; None if it is no redirect."""
        ...

    @property
    def stream(self) -> Any:  # noqa: ANN401 - of the library's own classes
        """The body as the transport made it."""
        ...

    def iter_raw(self) -> Iterator[bytes]:
        """Read the body as it comes."""
        ...

    def iter_bytes(self) -> Iterator[bytes]:
        """Read the body, decompressed."""
        ...

    def close(self) -> object:
        """Let go of the connection."""
        ...

    def aiter_raw(self) -> AsyncIterator[bytes]:
        """Read the body of an asynchronous response as it comes."""
        ...

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Read the body of an asynchronous response, decompressed."""
        ...

    def aclose(self) -> Awaitable[object]:
        """Let go of the connection of an asynchronous response."""
        ...


RequestT = TypeVar("RequestT", bound=HTTPRequest)
"""A request of a class that stays what it is: who gives httpx's gets httpx's back."""
