"""The file of ``--cursor``: where a stream was left, kept beyond the process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from typing import Self

__all__ = ["CursorFile"]


class CursorFile:
    """A cursor store in a small JSON file, replaced as a whole at every save.

    Args:
        path: The file; it is made at the first save.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to release."""

    def load(self, key: str) -> str | None:
        """Return the saved cursor.

        Raises:
            ValueError: If the file is not one of these.
        """
        return self._read().get(key)

    def save(self, key: str, last_event_id: str) -> None:
        """Save a cursor; after a crash the file holds the old one or the new one."""
        text = json.dumps(self._read() | {key: last_event_id}, indent=2)
        draft = self._path.with_name(f"{self._path.name}.new")
        with draft.open("w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _read(self) -> dict[str, str]:
        try:
            found: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ValueError(f"{self._path} is not a cursor file: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"{self._path} is not a cursor file")  # noqa: TRY004 - the content is wrong
        return cast("dict[str, str]", found)
