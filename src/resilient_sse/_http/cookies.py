"""The cookies of a source's own client: few, and looked for only where there are any."""

from __future__ import annotations

from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Final

from resilient_sse._values.library import Cookies as CookiesOfHttpx

if TYPE_CHECKING:
    from http.cookiejar import Cookie

    from resilient_sse._values.library import Response

_MOST: Final = 50
_LARGEST: Final = 4096


class Cookies(CookiesOfHttpx):
    """What servers set."""

    def __init__(self) -> None:
        super().__init__(BoundedCookieJar())

    def extract_cookies(self, response: Response) -> None:
        """Keep what a response sets, if anything.

        httpx makes a request and a response of urllib's for every answer before it looks: a
        twentieth of what an attempt costs.
        """
        if "set-cookie" in response.headers:
            super().extract_cookies(response)


class BoundedCookieJar(CookieJar):
    """Keeps what RFC 6265 6.1 asks for and no more, or a server could fill the memory in weeks."""

    def set_cookie(self, cookie: Cookie) -> None:
        """Keep a cookie in place of the oldest, unless it is too large or cannot be sent.

        RFC 6265 4.1.1 wants visible ASCII; with anything else httpx could make no request any more.
        """
        told = cookie.name + (cookie.value or "")
        parts = told + cookie.path + cookie.domain
        if len(told) > _LARGEST or not (parts.isascii() and parts.isprintable()):
            return
        super().set_cookie(cookie)
        for surplus in list(self)[:-_MOST]:
            self.clear(surplus.domain, surplus.path, surplus.name)
