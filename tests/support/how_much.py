"""How often something is tried, where more tries find more: a fifth as often in ``make test``."""

from __future__ import annotations

__all__ = ["set_brief", "tries"]

_brief = False


def set_brief(*, brief: bool) -> None:
    """Say which it is, before the tests are imported: ``--brief`` does."""
    global _brief  # noqa: PLW0603 - decorators ask for it, which know of no pytest.Config
    _brief = brief


def tries(number: int) -> int:
    """How often to try, of this number."""
    return max(number // 5, 10) if _brief else number
