"""A request on its way: where it may go, and with which credentials.

They are for the source's own origin, whoever sends the request elsewhere: the server by a redirect,
or the user in `prepare_request`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from resilient_sse._http.refusal import Refusal
from resilient_sse._values.http import origin_of_url
from resilient_sse._values.library import parsed_url
from resilient_sse._values.redact import CREDENTIAL, redact_text
from resilient_sse.errors import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from resilient_sse._session.settings import Settings
    from resilient_sse._values.http_messages import HTTPRequest

# The number that the fetch standard allows (4.4), and httpx and browsers with it.
_MOST_REDIRECTS: Final = 20
_HIGHEST_PORT: Final = 65535


class OutgoingRequest(NamedTuple):
    """A request on its way, and whether it may carry the source's credentials."""

    request: HTTPRequest
    trusted: bool
    hops: int = 0


def on_its_way(
    settings: Settings, built: Mapping[str, str], request: HTTPRequest
) -> OutgoingRequest:
    """Take away the credentials of a request that `prepare_request` sent to another origin.

    Args:
        settings: The source's settings.
        built: The headers as they were before `prepare_request`. Those it changed or added are
            meant for the new origin and stay.
        request: The request as it is now.
    """
    if origin_of_url(request.url) == origin_of_url(parsed_url(settings.url)):
        return OutgoingRequest(request, trusted=True)
    for name in _credentials(request.headers):
        if built.get(name) == request.headers[name]:
            del request.headers[name]
    # A URL made from the source's by changing its host has its userinfo too.
    if request.url.userinfo and request.url.userinfo == parsed_url(settings.url).userinfo:
        request.url = request.url.copy_with(userinfo=b"")
    return OutgoingRequest(request, trusted=False)


def send_options(auth: Any, outgoing: OutgoingRequest) -> dict[str, Any]:  # noqa: ANN401 - as in httpx
    """Return the keywords for the client's `send`; without ``auth`` the client has its own."""
    options: dict[str, Any] = {"stream": True, "follow_redirects": False}
    if not outgoing.trusted:
        options["auth"] = None
    elif auth is not None:
        options["auth"] = auth
    return options


def next_hop(outgoing: OutgoingRequest, request: HTTPRequest) -> OutgoingRequest | Refusal:
    """Follow a redirect to this request, or say why not."""
    sent = outgoing.request
    if sent.url.scheme == "https" and request.url.scheme != "https":
        where = redact_text(str(request.url))
        return Refusal(StatusError, f"refused to follow the redirect from https to {where}")
    if (request.url.port or 0) > _HIGHEST_PORT:  # asyncio raises an OverflowError for it
        return Refusal(StatusError, f"redirected to port {request.url.port}, which cannot be")
    if outgoing.hops >= _MOST_REDIRECTS:
        return Refusal(StatusError, f"more than {_MOST_REDIRECTS} redirects in a row")
    trusted = outgoing.trusted and origin_of_url(request.url) == origin_of_url(sent.url)
    if not trusted:
        for name in _credentials(request.headers):
            del request.headers[name]
    elif "cookie" in sent.headers:  # which httpx takes away, to put its jar's in its place
        request.headers.setdefault("cookie", sent.headers["cookie"])
    return OutgoingRequest(request, trusted, outgoing.hops + 1)


def _credentials(headers: Iterable[str]) -> list[str]:
    return [name for name in headers if CREDENTIAL.search(name)]
