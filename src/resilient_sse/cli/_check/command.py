"""``resilient-sse check``: is this server fit for clients that reconnect?"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from resilient_sse._http.client import default_async_client
from resilient_sse._session.dialect import Verdict
from resilient_sse._values.http import SAFE_METHODS
from resilient_sse._values.library import HTTPError
from resilient_sse._values.redact import redact_url
from resilient_sse.cli._check.about_body import about_body, what_else
from resilient_sse.cli._check.about_response import about_error, about_response
from resilient_sse.cli._check.about_resuming import (
    about_afterwards,
    about_asking_again,
    about_resuming,
    question,
    verdict,
)
from resilient_sse.cli._check.about_stream import about_ids, about_retry, about_the_end, about_time
from resilient_sse.cli._check.findings import Finding, Kind, Level
from resilient_sse.cli._check.meaning import about_meaning
from resilient_sse.cli._check.probe import Probe
from resilient_sse.cli._check.report import REPORTS
from resilient_sse.cli._check.suggestion import about_dialect
from resilient_sse.cli._outcome import DONE, PROBLEM, Outcome, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from resilient_sse.cli._check.about_resuming import Question
    from resilient_sse.cli._check.heard import Heard
    from resilient_sse.cli._target import Target

__all__ = ["Check"]

_ENOUGH: Final = 3  # events, and heartbeats
_PATIENCE_SECONDS: Final = 1.0
# After one of these it is worth while to ask once more; the others say it all.
_GO_ON: Final = (Kind.RESUME_OK, Kind.RESUME_REPEATS, Kind.RESUME_SHORT, Kind.RESUME_UNFINISHED)


class Check:
    """Tries a server, and prints what it found.

    Args:
        target: What to connect to.
        seconds: How long to listen to one connection at most.
        form: One of `REPORTS`.
    """

    def __init__(self, target: Target, seconds: float, form: str) -> None:
        self._url = redact_url(target.url)
        self._seconds = seconds
        self._put = REPORTS[form]
        self._client = target.client() or default_async_client()
        self._probe = Probe(self._client, target)
        self._dialect = target.dialect
        self._verb = target.verb
        self._may_repeat = target.retry_unsafe or target.verb.upper() in SAFE_METHODS
        self._problems = 0
        self._unwritten: Outcome | None = None
        self._first_id = target.last_event_id
        target.source()  # so that what is wrong with the options is said now

    async def run(self) -> None:
        """Try everything."""
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._client)
                await self._try()
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

    async def _try(self) -> None:
        try:
            heard = await self._probe.listen(
                self._seconds,
                self._first_id,
                _is_enough,
                opened=lambda heard: self._report(about_response(heard)),
            )
        except HTTPError as error:
            self._report([about_error(error)])
            return
        self._report(about_dialect(heard))
        if not heard.is_stream:
            return
        self._report(about_meaning(heard, self._dialect) if self._dialect else _about(heard))
        try:
            await self._come_back(heard)
        except HTTPError as error:
            reason = about_error(error).text
            self._report([Finding(Kind.RESUME_REFUSED, f"a client that comes back: {reason}")])

    async def _come_back(self, heard: Heard) -> None:
        asked = question(heard.identified)
        if not heard.events or heard.dialect.resume is None:
            return  # which has been said already
        if not self._may_repeat:
            text = f"resuming was not tried: it would repeat the {self._verb}"
            self._report([Finding(Kind.RESUME_UNSAFE, text)])
        elif asked is not None:
            await self._try_to_resume(asked, heard)
        else:
            if len(heard.identified) == 1:  # of more with one id it has been said
                text = "resuming was not tried: there was only one id"
                self._report([Finding(Kind.RESUME_UNTRIED, text)])
            after = await self._ask_for_more(heard, min(_PATIENCE_SECONDS, self._seconds))
            self._report([about_afterwards(heard.events[-1].id, heard.identified, after)])

    async def _try_to_resume(self, asked: Question, heard: Heard) -> None:
        again = await self._probe.listen(self._seconds, asked.cursor, asked.is_answered)
        oldest = about_resuming(asked, again)
        if oldest.kind not in _GO_ON:
            self._report([oldest])
            return
        patience = min(2 * again.listened + _PATIENCE_SECONDS, self._seconds)
        after = await self._ask_for_more(heard, patience)
        newest = about_afterwards(heard.events[-1].id, heard.identified, after)
        if newest.kind is Kind.LET_IN_AGAIN and after.identified:
            once_more = await self._probe.listen(patience, asked.cursor, _has_id)
            oldest = about_asking_again(asked, again, once_more) or oldest
        self._report(verdict(oldest, newest))

    async def _ask_for_more(self, heard: Heard, seconds: float) -> Heard:
        """Come back with the newest id."""
        return await self._probe.listen(seconds, heard.events[-1].id or self._first_id, _has_id)

    def _report(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._problems += finding.kind.level is Level.PROBLEM
            self._put(finding)


def _about(heard: Heard) -> Iterator[Finding]:
    """Judge what came on the open stream."""
    other = what_else(heard)
    if other is not None:
        yield other
    else:
        yield from about_time(heard)
        wrong = list(about_body(heard))
        yield from wrong
        if heard.events or not wrong:  # otherwise it has been said why there are none
            yield from about_ids(heard)
        yield from about_retry(heard)
    yield from about_the_end(heard)


def _is_enough(heard: Heard) -> bool:
    return (
        Verdict.LAST in heard.verdicts or min(len(heard.events), len(heard.heartbeats)) >= _ENOUGH
    )


def _has_id(heard: Heard) -> bool:
    return bool(heard.identified)
