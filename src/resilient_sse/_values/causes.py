"""What an exception came from."""

from __future__ import annotations


def causes(error: BaseException) -> list[BaseException]:
    """Return the exception, what caused it, what caused that, and so on; each of them once.

    The context stands in for a missing cause, because httpcore raises its errors ``from None``.
    """
    found: dict[int, BaseException] = {}
    cause: BaseException | None = error
    while cause is not None and id(cause) not in found:
        found[id(cause)] = cause
        cause = cause.__cause__ or cause.__context__
    return list(found.values())
