"""What a server must have before a reader goes on there: the effects of what it has handled.

A cursor that was saved in a transaction of the program's goes with the effects of that transaction.
A server that took over and lacks both must not be given the cursor alone: whoever reads begins
again, from the cursor that this server has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Effect(NamedTuple):
    """The newest transaction that is known of a lease.

    Attributes:
        token: The token under which it saved.
        number: Which save of that replica it was.
        run: The start of the server on which it was made.
    """

    token: int = 0
    number: int = 0
    run: str = ""


_NONE: Final = Effect()


class Effects:
    """The newest of each lease; none where a cursor was saved without a transaction since."""

    def __init__(self) -> None:
        self._newest: dict[str, Effect] = {}

    def note(self, name: str, effect: Effect) -> None:
        """Note one, which may yet be rolled back."""
        self._newest[name] = effect

    def forget(self, name: str) -> None:
        """Note that what is saved of a lease is a cursor and no more."""
        self._newest.pop(name, None)

    def words(self, name: str) -> Mapping[str, object]:
        """Return what a statement needs to know of one."""
        effect = self._newest.get(name, _NONE)
        return {"token_before": effect.token, "number_before": effect.number, "run": effect.run}

    def of(self, names: list[str]) -> dict[str, Effect]:
        """Return those that there are."""
        return {name: self._newest[name] for name in names if name in self._newest}
