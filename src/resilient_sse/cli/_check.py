"""``resilient-sse check``: is this server fit for clients that reconnect?"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import httpx
from rich.text import Text

from resilient_sse._client import default_async_client
from resilient_sse._redact import explain, redact_url
from resilient_sse.cli._findings import (
    Finding,
    Level,
    about_afterwards,
    about_response,
    about_resuming,
    about_stream,
    resumption,
)
from resilient_sse.cli._outcome import DONE, PROBLEM, Outcome, outcome_of, why_not_connected
from resilient_sse.cli._probe import Probe
from resilient_sse.cli._screen import put

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse.cli._probe import Heard
    from resilient_sse.cli._target import Target

__all__ = ["Check"]

_STYLES: Final = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "bold red"}
_SAFE: Final = ("GET", "HEAD", "OPTIONS", "QUERY")
_ENOUGH: Final = 3  # events, and heartbeats


class Check:
    """Tries a server, and prints what it found.

    Args:
        target: What to connect to.
        seconds: How long to listen to one connection at most.
    """

    def __init__(self, target: Target, seconds: float) -> None:
        self._url = redact_url(target.url)
        self._seconds = seconds
        self._client = target.client() or default_async_client()
        self._probe = Probe(self._client, target)
        self._verb = target.verb
        self._may_repeat = target.retry_unsafe or target.verb.upper() in _SAFE
        self._problems = 0
        self._unwritten: Outcome | None = None
        self._first_id = target.last_event_id
        target.source()  # so that what is wrong with the options is said now

    async def run(self) -> None:
        """Try everything."""
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._client)
                self._report(await self._try_or_say_why_not())
        except OSError as error:  # of the output
            self._unwritten = outcome_of(error)

    def sum_up(self) -> Outcome:
        """Say whether there is a problem, with the exit code too."""
        if self._unwritten is not None:
            return self._unwritten
        if self._problems:
            count = "1 problem" if self._problems == 1 else f"{self._problems} problems"
            return Outcome(PROBLEM, f"{self._url}: {count} that would break clients")
        return DONE

    async def _try_or_say_why_not(self) -> list[Finding]:
        try:
            await self._try()
        except httpx.HTTPError as error:
            reason = explain(error) or type(error).__name__
            text = f"no response: {reason}; {why_not_connected(error)}"
            return [Finding(Level.PROBLEM, text)]
        return []

    async def _try(self) -> None:
        heard = await self._probe.listen(
            self._seconds,
            self._first_id,
            _is_enough,
            opened=lambda heard: self._report(about_response(heard)),
        )
        if not heard.is_stream:
            return
        self._report(about_stream(heard))
        if not self._may_repeat:
            text = f"resuming was not tried: it would repeat the {self._verb}; --retry-unsafe does"
            self._report([Finding(Level.NOTE, text)])
            return
        await self._try_to_resume(heard)
        if heard.end and heard.events:
            last = heard.events[-1].id or self._first_id
            after = await self._probe.listen(0.5, last, lambda _: True)
            self._report([about_afterwards(after)])

    async def _try_to_resume(self, heard: Heard) -> None:
        chosen = resumption(heard.events)
        if chosen is None and not any(event.id for event in heard.events):
            return  # which has been said already
        if chosen is None:
            text = "resuming was not tried: it takes two events with ids; listen longer (--seconds)"
            self._report([Finding(Level.NOTE, text)])
            return
        cursor, expected = chosen
        again = await self._probe.listen(self._seconds, cursor, lambda now: bool(now.events))
        self._report([about_resuming(cursor, expected, again)])

    def _report(self, findings: Iterable[Finding]) -> None:
        for level, text in findings:
            self._problems += level is Level.PROBLEM
            put(Text().append(f"{level.value:<8} ", _STYLES[level]).append(text))


def _is_enough(heard: Heard) -> bool:
    return min(len(heard.events), len(heard.heartbeats)) >= _ENOUGH
