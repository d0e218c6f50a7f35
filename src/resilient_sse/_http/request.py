"""The request of an attempt: what is asked for, with which headers and time limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from resilient_sse._http.inflate import acceptable
from resilient_sse._session.dialect import ResumeByHeader
from resilient_sse._values.header import encode_last_event_id
from resilient_sse._values.library import PYTHON, library_of, own_library_of, parsed_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from typing import TypeGuard

    from resilient_sse._session.dialect import Dialect
    from resilient_sse._session.settings import Settings
    from resilient_sse._values.http_messages import HTTPRequest, HTTPResponse
    from resilient_sse._values.library import Headers, Library

# Whose clients build the same from the same.
_BUILD_ALIKE: Final = PYTHON | {"resilient_sse"}
_ENDLESS: Final = 1_000_000.0  # twelve days; a socket takes no more than twice that


def build_request(client: Any, settings: Settings, cursor: str) -> HTTPRequest:  # noqa: ANN401 - httpx's, httpx2's or httpxr's
    """Build the request that resumes from a cursor, as httpx would from the same keywords."""
    given = {
        name: value
        for name in ("params", "content", "json", "data")
        if (value := getattr(settings, name)) is not None
    }
    # Both take their own URL objects without parsing them anew; other clients have others.
    library = own_library_of(client)
    request: HTTPRequest = client.build_request(
        settings.method,
        settings.url if library is None else parsed_url(settings.url, library),
        headers=_headers(client, settings, cursor),
        extensions={"timeout": _timeouts(settings)},
        **given,
    )
    name = cursor_header(settings.dialect)
    if name and not cursor.strip(" ") and name in request.headers:
        del request.headers[name]  # the client's own, which was the first cursor
    return request


class Requests:
    """The requests of one source's attempts: from the second on copies with another cursor.

    A copy is byte for byte what would be built anew. So none is made for a client that may build as
    it likes, nor where a request depends on what may change unseen: parameters and bodies that are
    objects of the program's, and cookies, which have a path and a time. What can be seen to change,
    the headers and parameters of the client and the headers of the source, is looked at each time.

    Args:
        client: Builds them.
        settings: What is asked for.
        inject_headers: Has hooks that trace add to the headers of each.

    Attributes:
        client: The client.
        settings: What is asked for.
        as_asked: Whether what the client builds goes where the source wants it to go.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - the client's own
        settings: Settings,
        inject_headers: Callable[[MutableMapping[str, str]], None],
    ) -> None:
        self.client = client
        self.settings = settings
        self._inject_headers = inject_headers
        self._cursor_name = cursor_header(settings.dialect)
        alike = type(client).__module__.partition(".")[0] in _BUILD_ALIKE
        self.as_asked = alike and "build_request" not in vars(client)
        given = (settings.params, settings.json, settings.data)
        self._copies = self.as_asked and all(each is None for each in given)
        self._first = True  # most streams are asked for once, and what is kept takes memory
        self._kept: HTTPRequest | None = None
        self._kept_for: object = None

    def make(self, cursor: str, extensions: Mapping[str, Any]) -> HTTPRequest:
        """Make the request of an attempt.

        Args:
            cursor: What to resume from.
            extensions: By which a transport learns more of the request.
        """
        request = self._made(cursor, extensions)
        self._inject_headers(request.headers)
        return request

    def _made(self, cursor: str, extensions: Mapping[str, Any]) -> HTTPRequest:
        first, self._first = self._first, False
        if first or not self._copies or len(self.client.cookies.jar):
            built = build_request(self.client, self.settings, cursor)
            built.extensions.update(extensions)
            return built
        return self._copy(cursor, extensions)

    def _copy(self, cursor: str, extensions: Mapping[str, Any]) -> HTTPRequest:
        client, settings = self.client, self.settings
        made_for: list[object] = [client.headers.raw, client.params]
        if settings.headers is not None:
            made_for.append(_as_pairs(settings.headers))
        if self._kept is None or made_for != self._kept_for:
            self._kept, self._kept_for = build_request(client, settings, "any"), made_for
        kept = self._kept
        kind: Any = type(kept)
        request: HTTPRequest = kind(
            kept.method,
            kept.url,
            headers=kept.headers,
            stream=kept.stream,
            extensions={"timeout": _timeouts(settings), **extensions},
        )
        request.read()
        if sent := self._cursor_name and cursor.strip(" "):
            request.headers[self._cursor_name] = sent
        elif self._cursor_name:
            del request.headers[self._cursor_name]
        return request


def _as_pairs(headers: Any) -> object:  # noqa: ANN401 - as in httpx
    """Return headers as they are now, which the program may change."""
    return getattr(headers, "raw", None) or tuple(getattr(headers, "items", headers.__iter__)())


def _timeouts(settings: Settings) -> dict[str, float]:
    # A little less where the client's own error says more than that the time is over: that the
    # request was not sent, so that even a POST may be tried again.
    limit = settings.connect_timeout
    early = limit * 0.95
    return {"connect": early, "read": limit, "write": limit, "pool": early}


def _headers(client: Any, settings: Settings, cursor: str) -> dict[str, str | bytes]:  # noqa: ANN401
    given = parsed_headers(settings.headers, settings.library)
    headers: dict[str, str | bytes] = {
        name: value if value.isascii() else value.encode(given.encoding)
        for name, value in given.items()
    }
    defaults = getattr(client, "headers", {})
    if "accept" not in headers and defaults.get("accept", "*/*") == "*/*":
        headers["accept"] = settings.dialect.accept
    if "cache-control" not in headers and "cache-control" not in defaults:
        headers["cache-control"] = "no-cache"
    accepted = defaults.get("accept-encoding", "")
    if "accept-encoding" not in headers and acceptable(accepted) != accepted:
        headers["accept-encoding"] = acceptable(accepted)
    if name := cursor_header(settings.dialect):
        headers.pop(name, None)  # it is the first cursor, not a constant
        if sent := encode_last_event_id(cursor):
            headers[name] = sent  # bytes: httpx would encode a str as ASCII
    return headers


def is_built_in(resume: object) -> bool:
    """Say whether all that this ``resume`` does is done as the request is built."""
    return type(resume) is ResumeByHeader


def cursor_header(dialect: Dialect) -> str:
    """Return the name, in lower case, of the header that carries the cursor; "" if none does."""
    return dialect.resume.name.lower() if isinstance(dialect.resume, ResumeByHeader) else ""


def parsed_headers(given: Any, library: Library) -> Headers:  # noqa: ANN401 - as in httpx
    """Read a caller's headers as httpx does, but text beyond ASCII, say an event id, as UTF-8."""
    try:
        return library.Headers(given)
    except UnicodeEncodeError:
        return library.Headers(given, encoding="utf-8")


def first_cursor(headers: Any, client: Any, dialect: Dialect) -> str:  # noqa: ANN401
    """Return the cursor, ``Last-Event-ID`` say, among the headers that the caller set."""
    name = cursor_header(dialect)
    if not name:
        return ""
    given: str = parsed_headers(headers, library_of(client)).get(name, "")
    return given or getattr(client, "headers", {}).get(name, "")


def resumed(returned: object, request: HTTPRequest) -> HTTPRequest:
    """Return the request to send, given what a dialect's ``resume`` returned.

    Raises:
        TypeError: If that is no request.
    """
    if not _is_request(returned):
        msg = f"resume must return a request, the one it got or another, not {returned!r}"
        raise TypeError(msg)
    return prepared(returned, request)


def prepared(returned: object, request: HTTPRequest) -> HTTPRequest:
    """Return the request to send, given what `prepare_request` returned.

    Raises:
        TypeError: If that is no request.
    """
    if returned is None:
        return request
    if not _is_request(returned):
        msg = f"prepare_request must return a request, or None for the one it got: {returned!r}"
        raise TypeError(msg)
    # Among them is what the time limits and closing from another thread work by.
    for name, value in request.extensions.items():
        returned.extensions.setdefault(name, value)
    return returned


def _is_request(returned: object) -> TypeGuard[HTTPRequest]:
    """Say whether a program's function returned a request, of whatever library."""
    return hasattr(returned, "headers")


def set_read_timeout(response: HTTPResponse, seconds: float | None) -> None:
    """Set how long the client waits for the next bytes of this body."""
    limit_reads(response.request, seconds)


def lift_timeouts(request: HTTPRequest) -> None:
    """Let the driver watch over reads and writes, for a socket that several threads use.

    A socket has one limit for all of them, so no two may set another, nor one set it and one none.
    """
    timeouts = request.extensions.setdefault("timeout", {})
    timeouts["read"] = timeouts["write"] = _ENDLESS


def limit_reads(request: HTTPRequest, seconds: float | None) -> None:
    """Set how long each read of the answer may take; None: the driver alone watches over them."""
    timeouts = request.extensions.get("timeout")
    if timeouts is not None:
        timeouts["read"] = seconds
