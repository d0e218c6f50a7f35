"""The waits of an asynchronous source's outages, run by stamina, on asyncio and trio."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
import stamina

from resilient_sse._drivers.retries import Due, decorated, is_certain, seconds_without_stamina

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from resilient_sse._values.failure import Retry


class Retries:
    """Waits before the next attempt.

    Args:
        name: What stamina's hooks show as the name of what is tried.
        url: What they show as its argument.
        report: Called with what these hooks raise.

    Attributes:
        begun: Whether a wait has begun since the last outage was over.
    """

    def __init__(self, name: str, url: str, report: Callable[[object, Exception], None]) -> None:
        self._name = name
        self._url = url
        self._report = report
        self._due = Due()
        self._attempts: AsyncGenerator[None, None] | None = None
        self._on_our_own = False
        self.begun = False

    async def wait(self, retry: Retry) -> bool:
        """Wait as long as was decided.

        Returns:
            Whether to try again; False if stamina is switched off, or its testing mode allows no
            more attempts.
        """
        if retry.number == 1:
            self.over()
        self.begun = True
        if retry.resumed:
            await anyio.sleep(retry.seconds)
            return True
        if not stamina.is_active():
            return False
        began = monotonic()
        if not self._on_our_own:
            with_stamina = await self._with_stamina(retry)
            if with_stamina is not None:
                return with_stamina
        seconds = seconds_without_stamina(retry)
        if seconds is not None:
            await anyio.sleep(max(0.0, began + seconds - monotonic()))
        return seconds is not None

    def over(self) -> None:
        """Note that the outage is over."""
        attempts, self._attempts = self._attempts, None
        self._on_our_own = self.begun = False
        if attempts is not None:
            # It stands at a bare yield, so ending it takes one step and waits for nothing.
            with suppress(StopAsyncIteration):
                anext(attempts).__await__().send(None)

    async def _with_stamina(self, retry: Retry) -> bool | None:
        """Have stamina wait; None if it could not, because of something that it called."""
        attempts, self._attempts = self._attempts, None
        traceback = retry.error.__traceback__
        self._due.set(retry)
        try:
            attempts = attempts or self._begin()
            await anext(attempts)
        except Exception as error:  # noqa: BLE001 - the failure itself, or what a hook raised
            if error is retry.error and not is_certain():
                return False
            self._on_our_own = True
            self._report(stamina.instrumentation.get_on_retry_hooks, error)
            return None
        finally:
            retry.error.__traceback__ = traceback  # without stamina's frames
        self._attempts = attempts
        return True

    def _begin(self) -> AsyncGenerator[None, None]:
        due = self._due

        async def connect(_url: str) -> Any:  # noqa: ANN401 - an asynchronous generator
            due.throw()
            yield
            due.throw()

        attempts: AsyncGenerator[None, None] = decorated(connect, self._name, due)(self._url)
        return attempts
