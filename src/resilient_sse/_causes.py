"""What an exception came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception, what caused it, what caused that, and so on.

    The context stands in for a missing cause, because httpcore raises its errors ``from None``.
    """
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
