"""The ready-made dialects by their names, as an option takes them."""

from __future__ import annotations

from typing import Final

from resilient_sse import dialects
from resilient_sse._session.dialect import Dialect

__all__ = ["DIALECTS", "STANDARD"]

STANDARD: Final = Dialect()
DIALECTS: Final[dict[str, Dialect]] = {
    name: value for name, value in sorted(vars(dialects).items()) if isinstance(value, Dialect)
}
