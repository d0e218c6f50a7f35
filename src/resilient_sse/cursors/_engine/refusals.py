"""What an engine says no with for good: an error of the store, which nobody tries again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from resilient_sse._values.redact import redact_text, repr_with_message
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def refusals(operation: str, key: str, lasts: Callable[[Exception], bool]) -> Generator[None]:
    """Tell what no waiting changes as a `CursorError`; let everything else through.

    Args:
        operation: What is tried, as "load" or "save".
        key: Whose cursor it is about.
        lasts: Says whether an error stays until somebody puts something right.
    """
    try:
        yield
    except Exception as error:
        if not lasts(error):
            raise
        story = redact_text(f"{operation} {key!r}: {repr_with_message(error)}")
        raise CursorError(f"the cursor store could not {story}", key=key) from error
