"""Making text fit to be shown: without secrets, and without what a server could do to a log.

Text from outside (a reason phrase, a header's value, a body, the message of an HTTP library's
exception) enters a message of ours through `redact_text`, `quoted` or `excerpt`: as one line of a
bounded length, without secrets and without control characters.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from resilient_sse._values.causes import causes
from resilient_sse._values.header import LONGEST

MOST_SHOWN: Final = 200
_MOST_TOLD: Final = 1000  # of a message of ours, in which each part from outside is bounded
_HIDDEN: Final = "***"
CUT: Final = "..."  # behind what is left of a longer text
# Each part is matched once, from its beginning, or a long word would take quadratic time.
_URL_IN_TEXT: Final = re.compile(r"(?<![a-zA-Z0-9+.-])([a-zA-Z0-9+.-]*+)(://[^\s'\"<>]+)")
_QUERY_VALUE: Final = re.compile(r"=[^&;]*")
# What stands in an address that is relative, as in most pages that a server sends with an error.
_QUERY_IN_TEXT: Final = re.compile(r"([?&][^\s?&=;'\"<>]{1,64}=)[^\s&;'\"<>]+")
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
# A header whose name has one of these in it is a credential.
CREDENTIAL: Final = re.compile("auth|cookie|token|key|secret|session|password", re.IGNORECASE)


def redact_url(url: str) -> str:
    """Return the URL without userinfo and fragment, its query values replaced by ``***``."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a URL that cannot be parsed cannot be cleaned either
        return _HIDDEN
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, _redact_query(parts.query), ""))


def redact_text(text: str, limit: int = MOST_SHOWN) -> str:
    """Return the text as one line that is fit to be shown, cut to a number of characters.

    Every URL in it is redacted, and what cannot be printed is escaped, as in a string literal.
    """
    line = _QUERY_IN_TEXT.sub(rf"\1{_HIDDEN}", _redact_urls(" ".join(text.split())))
    shown = _UNPRINTABLE.sub(_escaped, line[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - len(CUT)] + CUT


def quoted(text: str) -> str:
    """Return text from outside as it stands within a sentence of ours."""
    return f"'{redact_text(text)}'"


def bounded(text: str) -> str:
    """Return a cursor or a comment for a log line or a span: whole, unless no header could hold it.

    Each of them may be as long as an event, and a cursor is told of again with every failure.
    """
    return text if len(text) <= LONGEST else text[: LONGEST - len(CUT)] + CUT


def excerpt(body: bytes) -> str:
    """Return the beginning of a body as it stands within a sentence of ours."""
    return quoted(body[: 4 * MOST_SHOWN].decode(errors="replace"))


def explain(error: BaseException) -> str:
    """Return an exception's message, redacted; if it has none, that of what caused it.

    On trio a failed TLS handshake is an exception without a message, and only its cause tells
    that the certificate has expired.
    """
    stories = (_told(cause) for cause in causes(error))
    return next(filter(None, stories), "")


def _told(error: BaseException) -> str:
    ours = any(base.__module__.startswith("resilient_sse.") for base in type(error).__mro__)
    return redact_text(str(error), _MOST_TOLD if ours else MOST_SHOWN)


def _redact_urls(text: str) -> str:
    # Whatever the scheme is called, as something else may stand right before it.
    return _URL_IN_TEXT.sub(lambda found: found[1] + redact_url("x" + found[2])[1:], text)


def repr_with_message(error: BaseException) -> str:
    """Return an exception's repr; if that hides the message, as redis-py's does, with it."""
    said = repr(error)
    if all(str(word) in said or repr(word) in said for word in error.args):
        return said
    return f"{type(error).__name__}({str(error)!r})"


def _redact_query(query: str) -> str:
    # A query without "=" may be a token as a whole.
    return _QUERY_VALUE.sub(f"={_HIDDEN}", query) if "=" in query else query and _HIDDEN


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode()
