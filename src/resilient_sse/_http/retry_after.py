"""When the server wants to be asked again."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read ``Retry-After`` in either form (RFC 9110 10.2.3): seconds, or a date.

    A date is compared with the response's own ``Date``, so that clocks need not agree.

    Args:
        headers: The response's headers.
        now: The time since the epoch, for a response without a ``Date``.

    Returns:
        Seconds from now, 0 or more; None if there is no such header or it makes no sense.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:15])  # a longer number would not be a float, and is for ever anyway
    then = _timestamp(value)
    if then is None:
        return None
    return max(0.0, then - (_timestamp(headers.get("date", "")) or now))


def _timestamp(http_date: str) -> float | None:
    try:
        then = parsedate_to_datetime(http_date)
        # The asctime form, which RFC 9110 5.6.7 has recipients accept, names no zone and means UTC.
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
