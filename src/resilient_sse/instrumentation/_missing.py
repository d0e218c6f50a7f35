"""Saying which extra is missing."""

from __future__ import annotations


def missing(hook: str, extra: str, error: ImportError) -> ImportError:
    """Make the error for a hook whose library cannot be imported.

    Args:
        hook: The hook's name.
        extra: The extra that installs the library.
        error: Why it cannot be imported.
    """
    made = ImportError(
        f"{hook} needs the extra {extra!r}: pip install 'resilient-sse[{extra}]' ({error})",
        name=error.name,
    )
    made.__cause__ = error
    return made
