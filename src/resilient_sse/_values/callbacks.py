"""What the program's own functions raise: it reaches the consumer as it is, and ends the stream."""

from __future__ import annotations


class CallbackFailed(Exception):  # noqa: N818 - it never leaves the library
    """Carries what a callback raised past everything that would take it for a failure.

    Attributes:
        error: What it raised, fit to leave an iterator.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = presentable(error)


def presentable(error: Exception) -> Exception:
    """Return an error that may leave an iterator.

    Out of ``__next__`` or ``__anext__`` these two would say that the stream is complete, so they
    become a ``RuntimeError``, as they do when a generator raises them (PEP 479).
    """
    if not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    made = RuntimeError(f"a callback raised {type(error).__name__}")
    made.__cause__ = error
    return made
