"""The waits of a blocking source's outages, run by stamina in a thread that can be left behind.

stamina sleeps, and a thread that sleeps cannot be woken. So a helper thread hosts the generator of
an outage, whole, because tenacity below stamina keeps its counts in thread-locals; who waits for it
may stop waiting at any time. The helper then sleeps to the end of its wait, holding nothing but the
generator: no source, no client, no hook. It is a daemon and does not keep the interpreter.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

import stamina

from resilient_sse._drivers.retries import Due, decorated, is_certain, seconds_without_stamina

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from resilient_sse._values.failure import Retry


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
            awake.wait(max(0.0, began + seconds - monotonic()))
        return seconds is not None

    def over(self) -> None:
        """Note that the outage is over."""
        self._host = None
        self._on_our_own = self.begun = False

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
    """A helper thread with the generator of one outage; it ends when nobody holds this."""

    def __init__(self, name: str, url: str) -> None:
        self._due = Due()
        self._steps: SimpleQueue[Step | None] = SimpleQueue()
        run = contextvars.copy_context().run  # what the program has bound to its log lines, say
        hosted = (_host, self._steps, self._due, name, url)
        threading.Thread(target=run, args=hosted, name="resilient_sse wait", daemon=True).start()
        weakref.finalize(self, self._steps.put, None).atexit = False

    def step(self, retry: Retry, awake: threading.Event) -> list[BaseException | None]:
        """Have the failure raised, and wait until stamina has waited, or until the event is set.

        Returns:
            Nothing if it was set first; else what stamina raised, or None.
        """
        step = Step(awake)
        self._due.set(retry)
        self._steps.put(step)
        awake.wait()
        return step.outcome


class Step:
    """What the thread that waits and the one that sleeps know of each other."""

    def __init__(self, awake: threading.Event) -> None:
        self.awake = awake
        self.outcome: list[BaseException | None] = []


def _host(steps: SimpleQueue[Step | None], due: Due, name: str, url: str) -> None:
    attempts = None
    while (step := steps.get()) is not None:
        error: BaseException | None = None
        try:
            if attempts is None:
                attempts = _begin(due, name, url)
            next(attempts)
        except BaseException as raised:  # noqa: BLE001 - who waits decides
            error = raised
        step.outcome.append(error)
        step.awake.set()
        del step, error  # they know the source


def _begin(due: Due, name: str, url: str) -> Generator[None, None, None]:
    def connect(_url: str) -> Any:  # noqa: ANN401 - a generator
        yield
        raise due.take()

    attempts: Generator[None, None, None] = decorated(connect, name, due)(url)
    next(attempts)
    return attempts
