"""Taking secrets out of URLs before anybody can read them in a log."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from resilient_sse._causes import causes

_HIDDEN: Final = "***"
_URL_IN_TEXT: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>]+")
_QUERY_VALUE: Final = re.compile(r"=[^&;]*")


def redact_url(url: str) -> str:
    """Return the URL without userinfo and fragment, its query values replaced by ``***``."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a URL that cannot be parsed cannot be cleaned either
        return _HIDDEN
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, _redact_query(parts.query), ""))


def redact_text(text: str) -> str:
    """Return the text as one line, with every URL in it redacted."""
    return _URL_IN_TEXT.sub(lambda found: redact_url(found[0]), " ".join(text.split()))


def explain(error: BaseException) -> str:
    """Return an exception's message, redacted; if it has none, that of what caused it.

    On trio a failed TLS handshake is an exception without a message, and only its cause tells
    that the certificate has expired.
    """
    return next(filter(None, (redact_text(str(cause)) for cause in causes(error))), "")


def _redact_query(query: str) -> str:
    # A query without "=" may be a token as a whole.
    return _QUERY_VALUE.sub(f"={_HIDDEN}", query) if "=" in query else query and _HIDDEN
