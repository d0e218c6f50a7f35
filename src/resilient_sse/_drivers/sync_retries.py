"""The waits of a blocking source's outages, run by stamina in a thread that can be left behind.

stamina sleeps, and a thread that sleeps cannot be woken. So a helper thread hosts the generator of
an outage, whole, because tenacity below stamina keeps its counts in thread-locals; who waits for it
may stop waiting at any time. The helper then sleeps to the end of its wait, holding nothing but the
generator: no source, no client, no hook. It is a daemon and does not keep the interpreter.

A stream that broke often breaks again at once; some servers end it after every event. Starting a
thread would be half of what a reconnect costs, so the helper stays for a second after an outage.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import stamina

from resilient_sse._drivers.retries import Due, decorated, is_certain, seconds_without_stamina

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resilient_sse._values.failure import Retry

_STAYS: Final = 1.0  # seconds that a helper waits for another outage


class SyncRetries:
    """Waits before the next attempt; `async_retries` has its twin.

    Args:
        name: What stamina's hooks show as the name of what is tried.
        url: What they show as its argument.
        report: Called with what these hooks raise.
        interrupted: Says whether nobody wants to wait any more.

    Attributes:
        begun: Whether a wait has begun since the last outage was over.
        woken: Whether the last wait was ended by `wake`.
    """

    def __init__(
        self,
        name: str,
        url: str,
        report: Callable[[object, Exception], None],
        interrupted: Callable[[], bool],
    ) -> None:
        self._name = name
        self._url = url
        self._report = report
        self._interrupted = interrupted
        self._host: Host | None = None
        self._on_our_own = False
        self.begun = False
        self._awake: threading.Event | None = None  # while somebody waits
        self.woken = False

    def wake(self) -> None:
        """End a wait that is under way in another thread."""
        self.woken = True
        if (awake := self._awake) is not None:
            awake.set()

    def wait(self, retry: Retry) -> bool:
        """Wait as long as was decided, or until `wake`.

        Returns:
            Whether to try again; False if stamina is switched off, or its testing mode allows no
            more attempts.
        """
        if retry.number == 1:
            self.over()
        self.begun = True
        self.woken = False
        awake = self._awake = threading.Event()
        try:
            if self._interrupted():  # by somebody who woke whatever came before
                self.woken = True
                return True
            return self._wait(retry, awake)
        finally:
            self._awake = None

    def _wait(self, retry: Retry, awake: threading.Event) -> bool:
        if retry.resumed:
            awake.wait(retry.seconds)
            return True
        if not stamina.is_active():
            return False
        began = monotonic()
        if not self._on_our_own:
            with_stamina = self._with_stamina(retry, awake)
            if with_stamina is not None:
                return with_stamina
        seconds = seconds_without_stamina(retry)
        if seconds is not None:
            awake.clear()  # the helper may have set it, to say what a hook of stamina's raised
            if not self.woken:
                awake.wait(max(0.0, began + seconds - monotonic()))
        return seconds is not None

    def over(self) -> None:
        """Note that the outage is over."""
        if self._host is not None:
            self._host.over()
        self._on_our_own = self.begun = False

    def close(self) -> None:
        """Let the helper end: there will be no other outage."""
        self.over()
        self._host = None

    def _with_stamina(self, retry: Retry, awake: threading.Event) -> bool | None:
        """Have stamina wait; None if it could not, because of something that it called."""
        host, self._host = self._host, None
        traceback = retry.error.__traceback__
        try:
            host = host or Host(self._name, self._url)
            outcome = host.step(retry, awake)
        except RuntimeError as no_thread:
            outcome = [no_thread]
        finally:
            retry.error.__traceback__ = traceback  # without stamina's frames
        if not outcome:  # woken, and the helper left behind
            return True
        (error,) = outcome
        if error is None:
            self._host = host
            return True
        if not isinstance(error, Exception):
            raise error
        if error is retry.error and not is_certain():
            return False
        self._on_our_own = True
        self._report(stamina.instrumentation.get_on_retry_hooks, error)
        return None


class Host:
    """Who has the generators of outages run, one after the other, in a helper thread.

    The thread ends when nobody holds this any more, and if an outage is not followed by another one
    within a second; the next one after that starts a new thread.
    """

    def __init__(self, name: str, url: str) -> None:
        self._work = Work(name, url)
        weakref.finalize(self, self._work.steps.put, None).atexit = False

    def step(self, retry: Retry, awake: threading.Event) -> list[BaseException | None]:
        """Have the failure raised, and wait until stamina has waited, or until the event is set.

        Returns:
            Nothing if it was set first; else what stamina raised, or None.

        Raises:
            RuntimeError: If no thread can be started.
        """
        step = self._work.take(retry, awake)
        awake.wait()
        return step.outcome

    def over(self) -> None:
        """Note that the outage is over."""
        self._work.outage = None


class HostedOutage:
    """An outage's failures as its generator raises them, and where the program's are."""

    def __init__(self) -> None:
        self.due = Due()
        self.run = contextvars.copy_context().run  # what it has bound to its log lines, say


class Step:
    """What the thread that waits and the one that sleeps know of each other."""

    def __init__(self, outage: HostedOutage, awake: threading.Event) -> None:
        self.outage = outage
        self.awake = awake
        self.outcome: list[BaseException | None] = []


class Work:
    """What a helper thread has to do, and whether there is such a thread now."""

    def __init__(self, name: str, url: str) -> None:
        self.steps: SimpleQueue[Step | None] = SimpleQueue()  # None: there will be no other
        self.outage: HostedOutage | None = None  # that is not over yet
        self._named = (name, url)
        self._comes_or_goes = threading.Lock()
        self._helped = False

    def take(self, retry: Retry, awake: threading.Event) -> Step:
        """Have the next step of an outage taken, or the first one of another."""
        with self._comes_or_goes:
            self.outage = self.outage or HostedOutage()
            self.outage.due.set(retry)
            step = Step(self.outage, awake)
            if not self._helped:
                threading.Thread(target=self._help, name="resilient_sse wait", daemon=True).start()
                self._helped = True
            self.steps.put(step)
        return step

    def _help(self) -> None:
        outage: HostedOutage | None = None
        attempts: Iterator[None] = iter(())
        while (step := self._next()) is not None:
            error: BaseException | None = None
            try:
                if outage is not step.outage:
                    next(attempts, None)  # which ends those of the outage before
                    outage, attempts = step.outage, _begin(step.outage.due, *self._named)
                step.outage.run(next, attempts)
            except BaseException as raised:  # noqa: BLE001 - who waits decides
                error = raised
            step.outcome.append(error)
            step.awake.set()
            del step, error  # they know the source

    def _next(self) -> Step | None:
        while True:
            with suppress(Empty):
                return self.steps.get(timeout=_STAYS)
            with self._comes_or_goes:
                if self.outage is None and self.steps.empty():
                    self._helped = False
                    return None


def _begin(due: Due, name: str, url: str) -> Iterator[None]:
    def connect(_url: str) -> Any:  # noqa: ANN401 - a generator
        due.throw()
        yield
        due.throw()

    attempts: Iterator[None] = decorated(connect, name, due)(url)
    return attempts
