"""A request on its way: where it may go, and with which credentials.

They are for the source's own origin, whoever sends the request elsewhere: the server by a redirect,
or the user in `prepare_request`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from resilient_sse._http._refusal import Refusal
from resilient_sse._http._request import parsed_url
from resilient_sse._redact import redact_url
from resilient_sse.errors import StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resilient_sse._settings import Settings

# The number that the fetch standard allows (4.4), and httpx and browsers with it.
_MOST_REDIRECTS: Final = 20
_HIGHEST_PORT: Final = 65535
# A header whose name has one of these in it is a credential, and stays with its origin.
_CREDENTIAL_WORDS: Final = ("auth", "cookie", "token", "key", "secret", "session", "password")


class Sending(NamedTuple):
    """A request on its way, and whether it may carry the source's credentials."""

    request: Any
    trusted: bool
    hops: int = 0


def on_its_way(settings: Settings, built: Mapping[str, str], request: Any) -> Sending:  # noqa: ANN401 - the client's own
    """Take away the credentials of a request that `prepare_request` sent to another origin.

    Args:
        settings: The source's settings.
        built: The headers as they were before `prepare_request`. Those it changed or added are
            meant for the new origin and stay.
        request: The request as it is now.
    """
    if _origin(request.url) == _origin(parsed_url(settings.url)):
        return Sending(request, trusted=True)
    for name in _credentials(request.headers):
        if built.get(name) == request.headers[name]:
            del request.headers[name]
    # A URL made from the source's by changing its host has its userinfo too.
    if request.url.userinfo and request.url.userinfo == parsed_url(settings.url).userinfo:
        request.url = request.url.copy_with(userinfo=b"")
    return Sending(request, trusted=False)


def send_options(settings: Settings, sending: Sending) -> dict[str, Any]:
    """Return the keywords for the client's `send`."""
    options: dict[str, Any] = {"stream": True, "follow_redirects": False}
    if not sending.trusted:
        options["auth"] = None
    elif settings.auth is not None:
        options["auth"] = settings.auth
    return options


def next_hop(sending: Sending, request: Any) -> Sending | Refusal:  # noqa: ANN401
    """Follow a redirect to this request, or say why not."""
    sent = sending.request
    if sent.url.scheme == "https" and request.url.scheme != "https":
        where = redact_url(str(request.url))
        return Refusal(StatusError, f"refused to follow the redirect from https to {where}")
    if (request.url.port or 0) > _HIGHEST_PORT:  # asyncio raises an OverflowError for it
        return Refusal(StatusError, f"redirected to port {request.url.port}, which cannot be")
    if sending.hops >= _MOST_REDIRECTS:
        return Refusal(StatusError, f"more than {_MOST_REDIRECTS} redirects in a row")
    trusted = sending.trusted and _origin(request.url) == _origin(sent.url)
    if not trusted:
        for name in _credentials(request.headers):
            del request.headers[name]
    elif "cookie" in sent.headers:  # which httpx takes away, to put its jar's in its place
        request.headers.setdefault("cookie", sent.headers["cookie"])
    return Sending(request, trusted, sending.hops + 1)


def _credentials(headers: Any) -> list[str]:  # noqa: ANN401
    return [name for name in headers if any(word in name.lower() for word in _CREDENTIAL_WORDS)]


def _origin(url: Any) -> tuple[str, str, int | None]:  # noqa: ANN401
    """Return scheme, host and port (RFC 6454 4)."""
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default
