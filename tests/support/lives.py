"""Lives of a source, each made from a seed: what the server answers, and what the program does."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any, Final

import httpx

from resilient_sse import Dialect, Verdict
from resilient_sse.dialects import resume_by_header, resume_by_query
from resilient_sse.testing import Connection, Ending, comment, event, redirect

if TYPE_CHECKING:
    from resilient_sse import Attempt, Failure, GapDetected, ServerSentEvent

__all__ = ["LONG_SECONDS", "URL", "Life"]

URL: Final = "http://example.com/events"
LONG_SECONDS: Final = 60.0  # nobody waits so long: it is a wait to be cut short
_DATA: Final = ("a", "b", "a", "stop", "gap", "gap", "skip", "hello", "bad")
_VERDICTS: Final = {
    "gap": Verdict.GAP,
    "skip": Verdict.SKIP,
    "hello": Verdict.GREETING,
    "bad": Verdict.FAILURE,
}
_ENDINGS: Final = (Ending.CLEAN, Ending.TRUNCATED, Ending.RESET)


class Store:
    """A store in memory, which fails when the life says so.

    Args:
        chance: Decides when.
        rate: How often.
    """

    def __init__(self, chance: random.Random, rate: float) -> None:
        self._chance = chance
        self._rate = rate
        self.kept: dict[str, str] = {URL: "5"} if chance.random() < 0.5 else {}

    def load(self, key: str) -> str | None:
        """Return nothing, or raise."""
        self._perhaps_fail()
        return self.kept.get(key)

    def save(self, key: str, last_event_id: str) -> None:
        """Keep it, or raise."""
        self._perhaps_fail()
        self.kept[key] = last_event_id

    def _perhaps_fail(self) -> None:
        if self._chance.random() < self._rate:
            raise OSError("the disk is full")


class Life:
    """Everything that is decided beforehand.

    Args:
        seed: Decides on it.
    """

    def __init__(self, seed: int) -> None:
        self._chance = chance = random.Random(seed)
        self.stamina = chance.choice(["on"] * 8 + ["off", "testing"])
        self._calls = random.Random(seed)  # what the program's functions do, call by call
        self._ids = itertools.count(1)
        self.batches = chance.random() < 0.2
        self.script = [self._answer() for _ in range(chance.randint(2, 9))]
        self.actions = [self._action() for _ in range(40)]
        self.in_a_wait = chance.choice(["close", "reconnect"])
        self._gives_up_after = chance.choice([1, 2, 3, 3])
        # The failure whose wait is cut short, if any. In stamina's testing mode nothing waits.
        self._long = 0 if self.stamina == "testing" else chance.choice([0, 0, 1, 1, 2])
        self._raising = chance.random() < 0.15
        self.options = self._options()

    def _answer(self) -> Any:
        kind = self._chance.choice(
            ["events"] * 8 + ["status", "status", "redirect", "other", "204"]
        )
        match kind:
            case "events":
                return self._events()
            case "status":
                status = self._chance.choice([404, 408, 429, 500, 503])
                return Connection(b"sorry", status=status)
            case "redirect":
                return redirect(f"http://{self._chance.choice(['example.com', 'h'])}/there")
            case "other":
                return Connection(b"<p>", headers={"Content-Type": "text/html"})
            case _:
                return Connection(status=204)

    def _events(self) -> Connection:
        steps: list[Any] = []
        for _ in range(self._chance.randint(0, 4)):
            if self._chance.random() < 0.2:
                steps.append(comment("a heartbeat"))
            steps.append(event(self._chance.choice(_DATA), id=self._id()))
        steps.append(self._chance.choice([b"data: half", b"id: 77\n\n", b": a comment\n"]))
        return Connection(*steps, ending=self._chance.choice(_ENDINGS))

    def _id(self) -> str:
        return self._chance.choice([str(next(self._ids)), "7", ""])

    def _action(self) -> str:
        return self._chance.choice(["nothing"] * 12 + ["ack"] * 6 + ["reconnect", "close", "raise"])

    def _options(self) -> dict[str, Any]:
        chance = self._chance
        options: dict[str, Any] = {"policy": self._policy, "auto_ack": chance.random() < 0.6}
        possible: list[tuple[str, Any, float]] = [
            ("until", self._is_last, 0.3),
            ("dialect", self._dialect(), 0.5),
            ("on_gap", chance.choice(["continue", self._recover, self._recover]), 0.6),
            ("dedupe", 3, 0.2),
            ("method", "POST", 0.2),
            ("prepare_request", self._prepare, 0.3),
            ("max_event_size", 8, 0.1),
            ("max_unacked", 2, 0.1),
        ]
        options |= {name: value for name, value, odds in possible if chance.random() < odds}
        if options.get("max_unacked"):  # with nobody to acknowledge it would be a wait for ever
            options["auto_ack"] = True
        if chance.random() < 0.5:
            options["cursor"] = Store(self._calls, chance.choice([0.0, 0.3]))
            options["cursor_policy"] = self._cursor_policy
        return options

    def _dialect(self) -> Dialect:
        chance = self._chance
        return Dialect(
            judge=self._judge,
            position=chance.choice([None, _position]),
            resume=chance.choice(
                [resume_by_header("Last-Event-ID"), resume_by_query("after"), None]
            ),
            end=chance.choice(["failure", "failure", "finished"]),
            flush=chance.random() < 0.3,
        )

    def _judge(self, event: ServerSentEvent) -> Verdict:
        self._or_raise(None)
        return _VERDICTS.get(event.data, Verdict.DELIVER)

    def _recover(self, _gap: GapDetected) -> str:
        self._or_raise(None)
        if self._calls.random() < 0.2:
            raise httpx.ConnectError("no snapshot")
        return "9"

    def _or_raise(self, answer: object) -> object:
        if self._raising and self._calls.random() < 0.3:
            raise LookupError("a defect of the program")
        return answer

    def _is_last(self, event: ServerSentEvent) -> object:
        return self._or_raise(event.data == "stop")

    def _policy(self, failure: Failure) -> float | None:
        self._or_raise(None)
        if failure.attempt == self._long:
            return LONG_SECONDS
        return 0.0 if failure.attempt <= self._gives_up_after else None

    def _cursor_policy(self, failure: Failure) -> float | None:
        return 0.0 if failure.attempt <= self._gives_up_after else None

    def _prepare(self, request: httpx.Request, attempt: Attempt) -> httpx.Request:
        self._or_raise(None)
        if self._calls.random() < 0.2:
            raise httpx.ConnectError("no token")
        request.headers["X-Attempt"] = str(attempt.number)
        return request


def _position(event: ServerSentEvent, cursor: str) -> str | None:
    return f"{cursor[-3:]}{event.id}" if event.id else None
