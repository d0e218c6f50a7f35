"""Comments in their place: the bytes of a stream, cut so that each piece has them in front."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_BEFORE_A_COMMENT: Final = re.compile(rb"(?<=[\r\n])(?=:)")


def pieces(chunk: bytes) -> Iterable[bytes]:
    """Cut bytes before each line that is a comment.

    A decoder returns the events of what it is fed all at once, so this is what tells which of them
    stand before a comment: those of earlier pieces.
    """
    if b"\n:" not in chunk and b"\r:" not in chunk:
        return (chunk,)
    return _BEFORE_A_COMMENT.split(chunk)
