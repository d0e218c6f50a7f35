"""Which dialect would read what a server sends: by what stands in the first events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from resilient_sse.cli._check.findings import Finding, Kind
from resilient_sse.cli._dialects import DIALECTS, STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse.cli._check.heard import Heard

__all__ = ["SIGNS", "about_dialect"]


class _Signs(NamedTuple):
    """What gives a dialect away.

    Attributes:
        dialect: Its name.
        words: Patterns that are all found in what came first.
        header: Or one of the response.
    """

    dialect: str
    words: tuple[str, ...]
    header: str = ""


def _keys(*names: str) -> tuple[str, ...]:
    return tuple(rf'"{name}"\s*:' for name in names)


# In this order: what is said of lines in general comes last.
SIGNS: Final = (
    _Signs("MCP", _keys("jsonrpc"), "mcp-session-id"),
    _Signs("Anthropic", (r'"message_start"',)),
    _Signs("OpenAIResponses", (r'"response\.[a-z_.]+"',)),
    _Signs("ChatCompletions", (r'"(chat|text)[._]completion',)),
    _Signs("Gemini", _keys("candidates", "usageMetadata")),
    _Signs("Firebase", (r'\A\{"path"\s*:\s*"/', *_keys("data"))),
    _Signs("KubernetesWatch", (r'"(ADDED|MODIFIED|DELETED|BOOKMARK)"', *_keys("object"))),
    _Signs("DockerEvents", _keys("Action", "Actor", "timeNano")),
    _Signs("CouchDBChanges", _keys("seq", "changes")),
    _Signs("LangGraph", (r'\A\{"run_id"\s*:', *_keys("attempt"))),
    _Signs("DurableStreams", _keys("streamNextOffset"), "stream-next-offset"),
    _Signs("Wikimedia", (*_keys("meta", "domain"), r"mediawiki|wiki[pm]edia")),
    _Signs("NDJSON", (r"\A\s*[{\[][^\r\n]*[}\]]\r?\n\s*[{\[]",)),
)


def about_dialect(heard: Heard) -> Iterator[Finding]:
    """Suggest a dialect, unless one was named already."""
    name = _suggested(heard) if heard.dialect == STANDARD else ""
    if name:
        text = f"this looks like what --dialect {name} reads"
        yield Finding(Kind.DIALECT, text)


def _suggested(heard: Heard) -> str:
    said = "\n".join(event.data for event in heard.events) or heard.excerpt
    for signs in SIGNS:
        listed = signs.header in heard.headers
        if listed or all(re.search(word, said) for word in signs.words):
            return signs.dialect
    is_ndjson = heard.content_type in (DIALECTS["NDJSON"].content_types or ())
    return "NDJSON" if is_ndjson else ""
