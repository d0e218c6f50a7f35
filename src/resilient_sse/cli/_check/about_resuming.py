"""Whether a server lets clients go on where they were: what to ask it, and what the answers mean.

One right answer proves little. A server that repeats its newest event on every connection gives the
right one to whoever asks for what follows the last but one; one that repeats its last five events,
to whoever asks when exactly one more has come. So it is asked twice. From the oldest id everything
that came since has to come again, in order. From the newest one nothing may come again: whoever
does not look at the id repeats himself here, unless something new came in between. If it did, the
first question is asked once more, and the answer has to begin as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from resilient_sse._values.http import NO_CONTENT
from resilient_sse._values.redact import redact_text
from resilient_sse.cli._check.about_response import what_it_said
from resilient_sse.cli._check.findings import Finding, Kind

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse.cli._check.heard import Heard

__all__ = [
    "Question",
    "about_afterwards",
    "about_asking_again",
    "about_resuming",
    "question",
    "verdict",
]

_FAILS: Final = "resuming does not work"


class Question(NamedTuple):
    """What to ask for, and what the answer has to be.

    Attributes:
        cursor: The id to go on from.
        expected: All events with an id of their own that came after it.
    """

    cursor: str
    expected: list[ServerSentEvent]

    def is_answered(self, heard: Heard) -> bool:
        """Say whether there is nothing more to wait for."""
        got = _values(heard.identified)
        wanted = _values(self.expected)
        return len(got) >= len(wanted) or got != wanted[: len(got)]


def question(events: list[ServerSentEvent]) -> Question | None:
    """Ask for what comes after the oldest id.

    Args:
        events: Those with an id of their own, in order.

    Returns:
        None if there are no two events with different ids.
    """
    if not events:
        return None
    cursor = events[0].id
    last = max(place for place, event in enumerate(events) if event.id == cursor)
    expected = events[last + 1 :]
    return Question(cursor, expected) if expected else None


@dataclass(frozen=True)
class _Answer:
    """What came, beside what had to come."""

    asked: Question
    heard: Heard

    @property
    def text(self) -> str:
        """The facts, as a sentence to begin with."""
        return f"asked for what comes after id {redact_text(self.asked.cursor)}"

    def finding(self) -> Finding:
        """Judge it, if there is one."""
        wanted = self.asked.expected
        got = self.heard.identified[: len(wanted)]
        first = redact_text(got[0].id)
        if got[0].id == self.asked.cursor:
            return Finding(Kind.RESUME_REPEATS, f"{self.text}, got that event again")
        for now, then in zip(got, wanted, strict=False):
            if now.id != then.id:
                return self._other(first, now, then)
            if _values([now]) != _values([then]):
                text = f"{self.text}, got id {redact_text(now.id)} with other content than before"
                return Finding(Kind.RESUME_CHANGED, text)
        return self._in_order(len(got), len(wanted))

    def _other(self, first: str, now: ServerSentEvent, then: ServerSentEvent) -> Finding:
        ids = [event.id for event in self.asked.expected]
        if then is not self.asked.expected[0]:
            text = f"got id {redact_text(now.id)} instead of id {redact_text(then.id)}"
            return Finding(Kind.RESUME_GAP, f"{self.text}, {text}")
        if now.id in ids:
            missing = ids.index(now.id)
            text = f"got id {first} first: {missing} of {len(ids)} events were missing"
            return Finding(Kind.RESUME_SHORT, f"{self.text}, {text}")
        return Finding(Kind.RESUME_IGNORED, f"{_FAILS}: {self.text}, got id {first} first")

    def _in_order(self, got: int, wanted: int) -> Finding:
        if got < wanted:
            text = f"{self.text}, got {got} of {wanted} events in {self.heard.listened:.1f} s"
            return Finding(Kind.RESUME_UNFINISHED, f"{text}, in order so far")
        many = "the next one" if wanted == 1 else f"all {wanted} that had come"
        return Finding(Kind.RESUME_OK, f"resuming works: {self.text}, got {many}")


def about_resuming(asked: Question, heard: Heard) -> Finding:
    """Judge what came when the client asked for what comes after an event."""
    answer = _Answer(asked, heard)
    if not heard.is_stream:
        text = f"{answer.text}, got status {heard.status}{what_it_said(heard)}"
        return Finding(Kind.RESUME_REFUSED, text)
    if not heard.identified:
        return Finding(Kind.RESUME_NOTHING, f"{answer.text}, and no event with an id came")
    return answer.finding()


def about_afterwards(last: str, before: list[ServerSentEvent], heard: Heard) -> Finding:
    """Judge the answer to a client that has everything and comes back.

    Args:
        last: The newest id, which was sent.
        before: The events that had come.
        heard: What came now.
    """
    if heard.status == NO_CONTENT:
        return Finding(Kind.FINISHED, "to a client that has everything it says 204: clients stop")
    if not heard.is_stream:
        text = f"a client that has everything gets status {heard.status}{what_it_said(heard)}"
        return Finding(Kind.RESUME_REFUSED, text)
    first = heard.identified[0].id if heard.identified else None
    if first not in {event.id for event in before}:
        text = "a client that has everything is let in, to wait for more"
        return Finding(Kind.LET_IN_AGAIN, text)
    text = f"asked for what comes after id {redact_text(last)}, the newest"
    if first == last:
        return Finding(Kind.RESUME_REPEATS, f"{text}, got that event again")
    return Finding(Kind.RESUME_IGNORED, f"{_FAILS}: {text}, got id {redact_text(first)} again")


def about_asking_again(asked: Question, before: Heard, now: Heard) -> Finding | None:
    """Compare how two answers to the same question begin."""
    first = before.identified[0].id
    second = now.identified[0].id if now.identified else first
    if first == second:
        return None
    text = f"asked twice for what comes after id {redact_text(asked.cursor)}"
    answers = f"got id {redact_text(first)}, then id {redact_text(second)}"
    return Finding(Kind.RESUME_IGNORED, f"{_FAILS}: {text}, {answers}")


def verdict(oldest: Finding, newest: Finding) -> list[Finding]:
    """Put the answers to both questions together.

    To begin with the event that was asked with is a habit only if both answers do.
    """
    if newest.kind is Kind.RESUME_REPEATS and oldest.kind is not Kind.RESUME_REPEATS:
        return [Finding(Kind.RESUME_IGNORED, f"{_FAILS}: {newest.text}")]
    if newest.kind is Kind.RESUME_IGNORED:
        return [newest]
    return [oldest] if newest.kind is oldest.kind else [oldest, newest]


def _values(events: list[ServerSentEvent]) -> list[tuple[str, str, str]]:
    """Return what has to be the same: a ``retry`` field may come at the beginning only."""
    return [(event.id, event.event, event.data) for event in events]
