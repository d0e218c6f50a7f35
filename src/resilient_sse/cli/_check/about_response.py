"""What the status and the headers mean, and what it means if there are none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from resilient_sse._http.retry_after import retry_after
from resilient_sse._values.http import NO_CONTENT
from resilient_sse._values.library import (
    HTTPError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    Response,
    WriteError,
)
from resilient_sse._values.redact import explain, redact_text
from resilient_sse.cli._check.findings import Finding, Kind
from resilient_sse.cli._outcome import NO_TLS, UNTRUSTED, why_not_connected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from resilient_sse.cli._check.heard import Heard

__all__ = ["about_error", "about_response", "what_it_said"]

_OK: Final = 200  # also where a dialect has more
_FAMILIES: Final = {3: Kind.BAD_REDIRECT, 5: Kind.UNAVAILABLE}
_KINDS: Final = {
    401: Kind.UNAUTHORIZED, 403: Kind.UNAUTHORIZED, 407: Kind.UNAUTHORIZED,
    404: Kind.NOT_FOUND, 410: Kind.NOT_FOUND, 405: Kind.WRONG_METHOD, 429: Kind.RATE_LIMITED,
}  # fmt: skip
_BUSY: Final = (429, 503)
_UTF8: Final = ("utf-8", "utf8", None)


def about_error(error: HTTPError) -> Finding:
    """Say why there is no response."""
    text = f"no response: {redact_text(explain(error)) or type(error).__name__}"
    return Finding(_kind_of(error), text)


def _kind_of(error: HTTPError) -> Kind:
    if why_not_connected(error) == UNTRUSTED:
        return Kind.UNTRUSTED
    if why_not_connected(error) == NO_TLS:
        return Kind.NO_HTTP
    if isinstance(error, ReadTimeout):
        return Kind.NO_HEADERS
    if isinstance(error, RemoteProtocolError | ReadError | WriteError):
        return Kind.NO_HTTP
    return Kind.UNREACHABLE


def about_response(heard: Heard) -> Iterator[Finding]:
    """Judge the status and the headers."""
    if heard.url:
        yield Finding(Kind.REDIRECTED, f"redirected to {redact_text(heard.url)}")
    seconds = f"after {heard.headers_after:.2f} s"
    if heard.status == NO_CONTENT:
        yield Finding(Kind.NO_CONTENT, f"status 204 {seconds}: there is no more to come")
    elif not heard.is_answer:
        yield _about_status(heard, seconds)
    else:
        yield Finding(Kind.STATUS_OK, f"status {heard.status} {seconds}")
        yield from _about_content(heard)


def _about_status(heard: Heard, seconds: str) -> Finding:
    text = f"status {heard.status} {seconds}; a stream needs 200"
    if heard.refusal:
        return Finding(Kind.BAD_REDIRECT, f"{text}; {redact_text(heard.refusal)}")
    family = _FAMILIES.get(heard.status // 100, Kind.BAD_STATUS)
    kind = _KINDS.get(heard.status, family)
    return Finding(kind, f"{text}{what_it_said(heard)}")


def what_it_said(heard: Heard) -> str:
    """Tell what else a refusal has to say: when to come back, and why."""
    said = [_waiting(heard), _challenge(heard.headers), _quoted("it says", heard.excerpt)]
    return "".join(f"; {part}" for part in said if part)


def _waiting(heard: Heard) -> str:
    given = heard.headers.get("retry-after")
    if given is None:
        late = heard.status in _BUSY
        return "no Retry-After says when to come back" if late else ""
    wait = retry_after(heard.headers, time.time())
    if wait is None:
        return f"its Retry-After is neither seconds nor a date: {redact_text(given)}"
    return f"it asks to wait {wait:.0f} s (Retry-After)"


def _challenge(headers: Mapping[str, str]) -> str:
    return _quoted("it wants", headers.get("www-authenticate", ""))


def _quoted(introduction: str, text: str) -> str:
    shown = redact_text(text)
    return f"{introduction}: {shown}" if shown else ""


def _about_content(heard: Heard) -> Iterator[Finding]:
    wanted = " or ".join(sorted(heard.dialect.content_types or ()))
    if not heard.is_right_type:
        given = redact_text(heard.headers.get("content-type", ""))
        text = f"content type is {given}" if given else "there is no content type"
        said = _quoted("; it says", heard.excerpt)
        need = f"clients need {wanted}"
        yield Finding(Kind.WRONG_CONTENT_TYPE, f"{text}; {need}{said}")
        return
    yield Finding(Kind.CONTENT_TYPE_OK, f"content type is {heard.content_type}")
    if heard.refusal:
        yield Finding(Kind.UNKNOWN_ENCODING, redact_text(heard.refusal))
        return
    yield from _about_headers(heard.headers, finite=heard.dialect.end == "finished")


def _about_headers(headers: Mapping[str, str], *, finite: bool) -> Iterator[Finding]:
    charset = Response(_OK, headers=headers).charset_encoding
    if charset is not None and charset.lower() not in _UTF8:
        yield Finding(Kind.CHARSET, f"the content type names the charset {redact_text(charset)}")
    if "content-length" in headers and not finite:
        length = redact_text(headers["content-length"])
        yield Finding(Kind.CONTENT_LENGTH, f"there is a Content-Length: {length}")
    if cached := _signs_of_a_cache(headers):
        yield Finding(Kind.CACHED, f"a cache answered ({cached}): this is an old stream")
    elif not {"no-cache", "no-store"} & _directives(headers):
        yield Finding(Kind.CACHEABLE, "no Cache-Control: no-cache")
    if "via" in headers:
        yield Finding(Kind.PROXY, f"a proxy is in between (Via: {redact_text(headers['via'])})")


def _directives(headers: Mapping[str, str]) -> set[str]:
    listed = headers.get("cache-control", "").lower().split(",")
    return {directive.partition("=")[0].strip() for directive in listed}


def _signs_of_a_cache(headers: Mapping[str, str]) -> str:
    age = headers.get("age", "0").strip()
    if age.strip("0"):
        return f"Age: {redact_text(age)}"
    hit = headers.get("x-cache", "")
    return f"X-Cache: {redact_text(hit)}" if hit.lower().startswith(("hit", "tcp_hit")) else ""
