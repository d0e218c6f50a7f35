"""Making an error fit to be shown to anybody, or sent to another process: its request, its message.

The exceptions of the HTTP libraries carry the whole request, and quote what a server sent.
"""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote, urlsplit

from resilient_sse._values.causes import causes
from resilient_sse._values.library import PYTHON, library_of, own_library_of, parsed_url
from resilient_sse._values.redact import CREDENTIAL, CUT, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.http_messages import HTTPRequest, HTTPResponse
    from resilient_sse._values.library import Request

_LIBRARIES: Final = PYTHON | {"httpxr", "_httpxr", "httpcore", "httpcore2", "h11", "h2"}
_OURS: Final = "resilient_sse"
_WORD: Final = re.compile(r"[^\s:;,&=]+")
_SHORTEST: Final = 8  # a shorter word may stand in any sentence
_SHORTEST_PART: Final = 3


def redacted_request(request: HTTPRequest | None) -> Request | None:
    """Copy a request, its body excepted, with credentials and query values redacted.

    Returns:
        A request of the same library, which may be httpx2; one of httpx for any other.
    """
    if request is None:
        return None
    library = library_of(request)
    url = parsed_url(redact_url(str(request.url)), library)
    headers = _redacted(request.headers, library.Headers)
    made = library.Request(
        str(request.method), url, headers=headers, stream=library.ByteStream(b"")
    )
    made.read()
    return made


def redacted_response(response: HTTPResponse) -> object:
    """Copy a response, its body excepted, so that nothing in it tells a secret."""
    if own_library_of(response) is None:
        return response
    made: Any = copy.copy(response)
    made.headers = _redacted(made.headers, type(made.headers))
    made.history = [redacted_response(earlier) for earlier in made.history]
    made.next_request = redacted_request(response.next_request)
    made.request = redacted_request(request_of(response))
    return made


def request_of(owner: object) -> HTTPRequest | None:
    """Return the request that a response or an error belongs to, or None."""
    try:
        found: HTTPRequest | None = getattr(owner, "request", None)
    except RuntimeError:  # httpx's way to say that there is none
        return None
    return found


def make_presentable(error: Exception, request: HTTPRequest | None = None) -> None:
    """Redact and bound the messages of a failure and its causes, and the requests they carry.

    Args:
        error: The exception, which learns of its request if it knows of none.
        request: The request that was sent last, if one was.
    """
    hide = _hider(request)
    for cause in causes(error):
        kind: Any = type(cause)
        packages = _packages(kind)
        ours = _OURS in packages
        if not ours and packages.isdisjoint(_LIBRARIES):
            continue
        cause.args = tuple([_presentable(each, hide, bounded=ours) for each in cause.args])
        if not ours and (known := request_of(cause)) is not None:
            cast("Any", cause).request = redacted_request(known)
    if hasattr(type(error), "request") and request_of(error) is None:
        # An error of ours redacts what it is given, and keeps nothing else.
        kind = type(error)
        ours = _OURS in _packages(kind)
        cast("Any", error).request = request if ours else redacted_request(request)


@lru_cache(maxsize=256)
def _packages(kind: Any) -> frozenset[str]:  # noqa: ANN401 - a class, whatever its metaclass
    return frozenset(str(base.__module__).partition(".")[0] for base in kind.__mro__)


def _presentable(argument: object, hide: Callable[[str], str], *, bounded: bool) -> object:
    if not isinstance(argument, str):
        return argument
    return hide(argument if bounded else redact_text(argument))


def _redacted(headers: Any, kind: Any) -> Any:  # noqa: ANN401 - the client's own, httpx's or httpx2's
    """Copy headers, whatever text is in them, as ones of this kind."""
    if isinstance(headers, kind):
        made = kind(headers)
    else:
        made = kind([(name.encode(), value.encode()) for name, value in headers.items()])
    for raw_name, _ in made.raw:
        name = raw_name.decode("ascii", "replace")
        if CREDENTIAL.search(name):
            made[name] = "***"
        elif name.lower() == "location":
            made[name] = redact_url(made[name])
    return made


def _hider(request: HTTPRequest | None) -> Callable[[str], str]:
    """Make what hides a request's own secrets in a text: a server may repeat them in its answer."""
    words = _secrets(request)
    if not words:
        return str
    pattern = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))))

    def hide(text: str) -> str:
        *cut, last = pattern.sub("***", text).split(CUT)
        return CUT.join([*(_without_beginning(piece, words) for piece in cut), last])

    return hide


def _without_beginning(text: str, words: set[str]) -> str:
    """Hide the beginning of a secret at the end of a text that was cut there."""
    for word in words:
        for length in range(len(word) - 1, _SHORTEST_PART - 1, -1):
            if text.endswith(word[:length]):
                return text[:-length] + "***"
    return text


def _secrets(request: HTTPRequest | None) -> set[str]:
    """Return the words of a request that are secrets, but for short ones."""
    if request is None:
        return set()
    words = list[str]()
    for name, value in request.headers.items():
        if CREDENTIAL.search(name):
            words += _WORD.findall(value)
    url = urlsplit(str(request.url))
    quoted = _WORD.findall(f"{url.netloc.rpartition('@')[0]} {url.query}")
    return {word for word in (*words, *quoted, *map(unquote, quoted)) if len(word) >= _SHORTEST}
