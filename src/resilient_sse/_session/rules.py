"""What is asked about each event when it is about to be handed out: once, in order, never ahead.

The dialect's ``judge`` and ``position``, then the program's ``until``. Where none of them is given,
and no cursor store waits for acknowledgements, events need not be looked at one by one.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

from resilient_sse._session.checks import check_text
from resilient_sse._session.dedupe import DeliveredIds
from resilient_sse._session.dialect import Verdict
from resilient_sse._values.callbacks import presentable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse._session.settings import Settings
    from resilient_sse._values.event import ServerSentEvent

_DELIVER: Final = Verdict.DELIVER
_NOT_ASKED: Final = object()


class Looked:
    """What came of looking at the next events.

    Attributes:
        count: How many were looked at; no other call looks at them again.
        handed: Those to be handed out.
        cursors: The cursor after each of these, and after those behind it that are not.
        before: The cursor in front of the first of them.
        stream_id: The id of the stream that is in force after them.
        marks: What `dedupe` is to know them again by, their positions or ids of their own; and
            whether an event with that mark is handed out, not only skipped.
        progress: Whether any of them is progress.
        verdict: LAST, FAILURE or GAP if the last one ends or interrupts the stream.
        event: That event.
        error: What a callback raised about it instead.
    """

    __slots__ = (
        "before",
        "count",
        "cursors",
        "error",
        "event",
        "handed",
        "marks",
        "progress",
        "stream_id",
        "verdict",
    )

    def __init__(self, cursor: str, stream_id: str) -> None:
        self.count = 0
        self.stream_id = stream_id
        self.marks: dict[str, bool] = {}
        self.handed: list[ServerSentEvent] = []
        self.cursors: list[str] = []
        self.before = cursor
        self.progress = False
        self.verdict: Verdict | None = None
        self.event: ServerSentEvent | None = None
        self.error: Exception | None = None

    @property
    def cursor(self) -> str:
        """The cursor after all of them."""
        return self.cursors[-1] if self.cursors else self.before

    @property
    def halts(self) -> bool:
        """Whether nothing behind them is handed out before something is done about the last one."""
        return self.event is not None

    def add(self, event: ServerSentEvent | None, cursor: str) -> None:
        """Add an event, None if it is not to be handed out, and the cursor after it."""
        if event is not None:
            self.handed.append(event)
            self.cursors.append(cursor)
        elif self.cursors:
            self.cursors[-1] = cursor
        else:
            self.before = cursor


class Rules:
    """The rules of one source about single events.

    Attributes:
        stream_id: The id in force at the event looked at last.
        by_position: Whether the dialect says where the cursor is, so that ids move nothing.
        by_id: Whether events that come again are known by ids of their own.
        tell_progress: Whether only looking at an event tells whether it is progress.
        may_be_quick: Whether looking at an event is all there is to handing it out.
    """

    def __init__(self, settings: Settings) -> None:
        dialect = settings.dialect
        self._judge = dialect.judge
        self._position = dialect.position
        self._until = settings.until
        self._size = settings.dedupe
        self.stream_id = ""
        self.by_position = self._position is not None
        self.by_id = bool(self._size) and not self.by_position
        self.may_be_quick = settings.cursor is None and not self._size
        self.tell_progress = self._judge is not None or self.by_position or self.by_id
        # Of the events that wait, the next one last: whether each has an id of its own.
        self._own_ids: list[bool] = []
        self._answer: object = _NOT_ASKED  # the verdict about the next event, if it was asked for
        self._raised: Exception | None = None  # or what a callback raised about it
        self.begin_after("")

    def begin_after(self, cursor: str) -> None:
        """Begin after a cursor, of which it is known that its event was delivered."""
        self._known = DeliveredIds(self._size, cursor) if self._size else None
        self._skipped = DeliveredIds(self._size)
        if not self.by_position:
            self.stream_id = cursor

    def note(self, own_ids: list[bool]) -> None:
        """Note which of the events that have come in have an id of their own."""
        self._own_ids[:0] = reversed(own_ids)

    def discard(self) -> None:
        """Forget the events that wait."""
        self._own_ids.clear()

    def look_at(
        self, events: Iterable[ServerSentEvent], cursor: str, most: int | None = None
    ) -> Looked:
        """Ask about the next events; nothing is noted before they are `taken`.

        Args:
            events: They, in order.
            cursor: The cursor before them.
            most: How many may be handed out; None: any number.
        """
        looked = Looked(cursor, self.stream_id)
        own_ids = reversed(self._own_ids) if self.by_id else repeat(object=False)
        for event, own in zip(events, own_ids, strict=False):
            if most is not None and len(looked.handed) >= most:
                break
            looked.count += 1
            try:
                self._look(event, looked, own=own)
            except Exception as error:  # noqa: BLE001 - it is the consumer's to see
                looked.event, looked.error = event, presentable(error)
            if looked.event is not None:
                break
        return looked

    def quick(self, event: ServerSentEvent, cursor: str) -> str | None:
        """Look at the next event, if it is one like any other, in a tenth of the time.

        Returns:
            The cursor after it; None if `look_at` has to go on with what is known by then.
        """
        try:
            if self._judge is not None and (verdict := self._judge(event)) is not _DELIVER:
                self._answer = verdict
                return None
            if self._until is not None and self._until(event):
                self._answer = Verdict.LAST
                return None
            # `_cursor_after`, whose call would cost as much as all that it does.
            if self._position is None:
                after = None if event.id == self.stream_id else event.id
            else:
                after = self._position(event, cursor)
            if after is not None and after.__class__ is not str:
                check_text("what position returns", after)
        except Exception as error:  # noqa: BLE001 - it is the consumer's to see
            self._raised = error
            return None
        self.stream_id = event.id
        return cursor if after is None else after

    def _verdict(self, event: ServerSentEvent) -> Verdict:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
        answer, self._answer = self._answer, _NOT_ASKED
        if answer is _NOT_ASKED:
            answer = _DELIVER if self._judge is None else self._judge(event)
        if not isinstance(answer, Verdict):
            msg = f"judge must return a Verdict, such as Verdict.DELIVER, not {answer!r}"
            raise TypeError(msg)
        return answer

    def _look(self, event: ServerSentEvent, looked: Looked, *, own: bool) -> None:
        verdict = self._verdict(event)
        if verdict is Verdict.FAILURE or verdict is Verdict.GAP:
            looked.stream_id = event.id
            looked.verdict, looked.event = verdict, event
            return
        cursor = self._cursor_after(event, looked.cursor, looked.stream_id)
        mark = cursor if self.by_position else event.id if own else None
        skip = verdict is Verdict.SKIP
        again = mark is not None and self._came_before(mark, looked, skip=skip)
        skipped = again or skip
        last = verdict is Verdict.LAST or (
            not skipped and self._until is not None and bool(self._until(event))
        )
        # From here on nothing can raise, and the event counts as looked at.
        looked.stream_id = event.id
        if cursor is None or again:  # all up to the cursor was delivered, so it does not move back
            cursor = looked.cursor
        if self._known is not None and mark and not again:
            looked.marks[mark] = not skip
        looked.add(None if skipped else event, cursor)
        if not skipped and verdict is not Verdict.GREETING:
            looked.progress = True
        if last:
            looked.verdict, looked.event = Verdict.LAST, event

    def _came_before(self, mark: str, looked: Looked, *, skip: bool) -> bool:
        """Say whether an event was handed out before; one that is skipped, whether it came before.

        So one that was skipped hides none that is to be handed out, whatever id it had.
        """
        if self._known is None:
            return False
        if mark in self._known or looked.marks.get(mark, False):
            return True
        return skip and (mark in self._skipped or mark in looked.marks)

    def taken(self, looked: Looked) -> None:
        """Note that events that were looked at are dealt with."""
        self.stream_id = looked.stream_id
        if self._known is not None:
            for mark, handed in looked.marks.items():
                (self._known if handed else self._skipped).remember(mark)
        if self.by_id:
            del self._own_ids[len(self._own_ids) - looked.count :]

    def _cursor_after(self, event: ServerSentEvent, cursor: str, stream_id: str) -> str | None:
        """Return the cursor after an event, given what is in force before it; None if it stays."""
        if self._position is None:
            return None if event.id == stream_id else event.id
        position = self._position(event, cursor)
        if position is not None:
            check_text("what position returns", position)
        return position
