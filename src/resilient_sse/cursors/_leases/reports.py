"""What leases and groups report: through ``logging``, and never at the cost of who reports."""

from __future__ import annotations

import logging
from contextlib import suppress

from resilient_sse._values.redact import redact_text, repr_with_message


def warn(what: str, /, **facts: object) -> None:
    """Log a warning; if that raises, nobody hears of it.

    A thread that renews leases, or a task that looks after streams, is not to end because
    somebody closed the file that logs go to.

    Args:
        what: What it is about, to be searched for.
        facts: More about it. URLs in it are redacted: a lease of a group is called by its stream.
    """
    with suppress(Exception):
        said = {name: _said(value) for name, value in facts.items()}
        story = ", ".join(f"{name}={value}" for name, value in said.items())
        logging.getLogger("resilient_sse").warning("resilient_sse.%s: %s", what, redact_text(story))


def _said(value: object) -> str:
    return repr_with_message(value) if isinstance(value, BaseException) else repr(value)
