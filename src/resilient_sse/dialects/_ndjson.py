"""Newline-delimited JSON: a line is an event, and the end of the body is the end.

- cursor, resume: none, so a POST is never sent twice.
- heartbeat: an empty line, which the decoder drops.
- error: none that is common; a line that is no JSON raises `NDJSONError`.
- end: a clean end of the body; the last line may lack its line feed (https://jsonlines.org, 3).
- gap: none.

Page: https://github.com/ndjson/ndjson-spec
"""

from __future__ import annotations

from typing import Final

from resilient_sse._decoding.ndjson import NDJSONDecoder
from resilient_sse._session.dialect import Dialect

__all__ = ["NDJSON"]

NDJSON: Final = Dialect(
    decoder=NDJSONDecoder,
    accept="application/x-ndjson",
    content_types=frozenset(
        {
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonl",
            "application/jsonlines",
            "application/x-jsonlines",
            "application/json-lines",
            "application/stream+json",
        }
    ),
    end="finished",
    flush=True,
    resume=None,
)
"""Newline-delimited JSON of any server, read to its end."""
