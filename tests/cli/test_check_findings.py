"""``resilient-sse check``: everything that it can find out, found out about a real server.

One row says how a server behaves, what that is called, and how the command ends. A finding without
a row fails, and so does one that the page of the command does not list as it is.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import stamina.instrumentation
import structlog

from resilient_sse.cli import main
from resilient_sse.cli._check.findings import Kind, Level
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    RecordedRequest,
    ScriptedServer,
    comment,
    event,
    pause,
    raw,
    redirect,
    retry,
)
from tests.support.files import PEM, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from resilient_sse.testing import ScriptEntry

PAGE = ROOT / "docs/reference/cli.md"
NO_CACHE = {"Cache-Control": "no-cache"}
BEATS = (comment("a"), pause(0.06), comment("b"), pause(0.06), comment("c"))
ONE, TWO, THREE = (event(f"news {number}", id=str(number)) for number in (1, 2, 3))
QUIET = Ending.SILENCE


def says(*steps: Any, headers: dict[str, str | None] | None = None, **options: Any) -> Connection:
    """Make an answer to everybody; it stays open and quiet in the end."""
    options.setdefault("ending", QUIET)
    return Connection(*steps, headers={**NO_CACHE, **(headers or {})}, **options)


def refuses(status: int, body: str = "", **headers: str) -> Connection:
    """Make an answer that is no stream."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Connection(raw(body), status=status, headers=named)


def resumes(
    *opening: Any,
    events: tuple[bytes, ...] = (ONE, TWO, THREE),
    back: int = 9,
    again: Callable[[int], Connection] | None = None,
    **options: Any,
) -> ScriptEntry:
    """Make a server with a history of numbered events.

    Args:
        opening: What everybody gets first.
        events: The history.
        back: How many events of it are kept.
        again: The answer to who comes back with this number, if it is another one.
        options: For `says`.
    """

    def answer(request: RecordedRequest) -> Connection:
        cursor = int(request.last_event_id or 0)
        if cursor and again is not None:
            return again(cursor)
        kept = events[max(cursor, len(events) - back) :] if cursor else events
        return says(*opening, *kept, **options)

    return answer


@contextmanager
def scripted(entry: ScriptEntry, **options: Any) -> Generator[str]:
    """Serve this to everybody."""
    with ScriptedServer(then=entry, **options) as server:
        yield server.url


@contextmanager
def nobody() -> Generator[str]:
    """Reserve a port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


def moves(request: RecordedRequest) -> Connection:
    """Lead to another address."""
    return says(ONE) if request.path == "/b" else redirect("/b")


def untrusted() -> AbstractContextManager[str]:
    """Serve with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return scripted(says(ONE), ssl_context=context)


def repeats_newest() -> Callable[[RecordedRequest], Connection]:
    """Ignore the id: whoever connects gets the newest event again, and what comes live."""
    newest = [1]

    def answer(_: RecordedRequest) -> Connection:
        first = newest[0]
        newest[0] += 2
        live = [event(f"news {first + n}", id=str(first + n)) for n in (1, 2)]
        return says(event(f"news {first}", id=str(first)), pause(0.05), *live)

    return answer


def slides() -> Callable[[RecordedRequest], Connection]:
    """Ignore the id, keep three events, and have one more each time that somebody connects."""
    connections = [0]

    def answer(_: RecordedRequest) -> Connection:
        connections[0] += 1
        numbers = range(connections[0], connections[0] + 3)
        return says(*(event(f"news {number}", id=str(number)) for number in numbers))

    return answer


def counts_anew(request: RecordedRequest) -> Connection:
    """Count on from the id, whatever happens: the same ids stand for other events."""
    first = int(request.last_event_id or 0) + 1
    came_back = bool(request.last_event_id)
    return says(*(event(f"{came_back}", id=str(first + number)) for number in range(3)))


@dataclass(frozen=True)
class Row:
    """How a server behaves, and what is to be said about it.

    Attributes:
        kind: What is found.
        server: What answers, or what serves.
        text: What is said about it, in part.
        also: Problems that are found as well; others are false alarms.
        options: More of the command line.
        times: Times in the code, which a test cannot wait for.
        seconds: How long to listen.
    """

    kind: Kind
    server: Connection | Callable[..., Any]
    text: str = ""
    also: tuple[Kind, ...] = ()
    options: tuple[str, ...] = ()
    times: tuple[tuple[str, float], ...] = ()
    seconds: float = 0.5

    def serve(self) -> AbstractContextManager[str]:
        """Start the server."""
        if self.server in (nobody, untrusted):
            server: Any = self.server
            started: AbstractContextManager[str] = server()
            return started
        return scripted(self.server)


HEARTBEAT = (("_check.about_stream._HEARTBEAT_SECONDS", 0.2),)
SLOW = (("_check.about_stream._SLOW_SECONDS", 0.1),)
SOON = ("--connect-timeout", "0.3")
EXCERPT = (("_check.probe._EXCERPT_SECONDS", 0.2),)
NO_IDS = (Kind.NO_IDS,)
WATCHING = ("--dialect", "KubernetesWatch")
LINES = {"Content-Type": "application/x-ndjson"}
HTML = "<!doctype html><title>Sign in</title>\n\n<h1>Please sign in</h1>\n\n"
WATCH: dict[str, str | None] = {"Content-Type": "application/json"}
CHAT = raw('data: {"object": "chat.completion.chunk"}\n\n')
FAILS = raw('data: {"error": {"message": "overloaded"}}\n\n')


def speaks(dialect: str, *steps: Any, **options: Any) -> dict[str, Any]:
    """Make a server with a dialect, and name it."""
    return {"server": says(*steps, **options), "options": ("--dialect", dialect)}


def change(version: int | str, kind: str = "ADDED", **more: object) -> bytes:
    """Make a line of a watch of Kubernetes."""
    made = {"metadata": {"resourceVersion": str(version)}, **more}
    return json.dumps({"type": kind, "object": made}).encode() + b"\n"


def watches(request: RecordedRequest) -> Connection:
    """Resume a watch as Kubernetes does; an empty line keeps it alive."""
    first = int(request.params.get("resourceVersion", 0)) + 1
    lines = [change(number) for number in range(first, 4)]
    return says(*lines, pause(0.05), raw("\n"), pause(0.05), change(4, "BOOKMARK"), headers=WATCH)


NEWS = (raw("data: 1\n"), pause(0.4), raw("\ndata: 2\n"), pause(0.4), raw("\n"))
LONG = event("x" * 60, id="1")

ROWS = (
    Row(Kind.DIALECT, says(CHAT), "--dialect ChatCompletions reads", also=NO_IDS),
    Row(
        Kind.DIALECT,
        says(change(1), headers=WATCH),
        "--dialect KubernetesWatch reads",
        also=(Kind.WRONG_CONTENT_TYPE,),
    ),
    Row(Kind.UNDERSTOOD, watches, "3 events, and 1 that are not", options=WATCHING),
    Row(Kind.UNDERSTOOD, **speaks("chatcompletions", CHAT, event("[DONE]"))),
    Row(Kind.CURSORS_OK, watches, "3 of 3 events move the cursor", options=WATCHING),
    Row(Kind.CURSORS_OK, resumes(), "3 of 3", options=("--dialect", "Wikimedia")),
    Row(Kind.NO_CURSOR, **speaks("KubernetesWatch", change(""), headers=WATCH), text="0 of 1"),
    Row(Kind.CANNOT_RESUME, **speaks("ChatCompletions", CHAT)),
    Row(Kind.GAP, **speaks("KubernetesWatch", change("", "ERROR", code=410), headers=WATCH)),
    Row(Kind.ERROR_EVENT, **speaks("ChatCompletions", FAILS, FAILS), text="overloaded"),
    Row(Kind.NO_EVENTS, **speaks("ChatCompletions", FAILS)),
    Row(Kind.ENDED_AS_IT_SHOULD, **speaks("ChatCompletions", CHAT, event("[DONE]"))),
    Row(
        Kind.ENDED_AS_IT_SHOULD,
        **speaks("ChatCompletions", CHAT, raw("data: {}"), ending=Ending.CLEAN),
        text="ended as ChatCompletions ends",
    ),
    Row(Kind.ENDED, **speaks("Anthropic", BEATS[0], ending=Ending.CLEAN)),
    Row(Kind.ONE_HEARTBEAT, **speaks("Anthropic", event("{}", event="ping"))),
    Row(Kind.HEARTBEATS_OK, **speaks("Anthropic", *BEATS)),
    Row(Kind.HEARTBEATS_OK, watches, options=WATCHING),
    Row(Kind.RESUME_OK, watches, "after id 1, got all 2", options=WATCHING),
    Row(Kind.LET_IN_AGAIN, watches, options=WATCHING),
    Row(
        Kind.BROKE_OFF,
        **speaks("NDJSON", raw("1\nx\n"), pause(0.1), raw("2\n"), headers=LINES),
        text="line 2",
    ),
    Row(
        Kind.WRONG_CONTENT_TYPE,
        **speaks("MCP", headers={"Content-Type": "text/plain"}),
        text="need application/json or text/event-stream",
    ),
    # Whether there is an answer
    Row(Kind.UNREACHABLE, nobody, "no response"),
    Row(Kind.UNTRUSTED, untrusted, "CERTIFICATE_VERIFY_FAILED"),
    Row(Kind.NO_HEADERS, says(before_headers=2), "no headers in", options=SOON),
    Row(Kind.NO_HTTP, Connection(raw("SSH-2\r\n"), framing=Framing.BARE, ending=Ending.CLOSE)),
    Row(Kind.NO_HTTP, Connection(framing=Framing.BARE, ending=Ending.CLOSE)),
    # The status
    Row(Kind.STATUS_OK, resumes()),
    Row(Kind.REDIRECTED, moves, "/b"),
    Row(Kind.BAD_REDIRECT, redirect("/"), "more than 20 redirects"),
    Row(Kind.BAD_REDIRECT, refuses(302), "status 302"),
    Row(Kind.NO_CONTENT, Connection(status=204)),
    Row(Kind.UNAUTHORIZED, refuses(401, "token expired"), "it says: token expired"),
    Row(Kind.UNAUTHORIZED, refuses(401, WWW_Authenticate="Bearer"), "it wants: Bearer"),
    Row(Kind.UNAUTHORIZED, refuses(403, "x" * 9000), f"{'x' * 197}..."),
    Row(Kind.UNAUTHORIZED, refuses(403, "a\x1b[2J\u202eb"), "a\\x1b[2J\\u202eb"),
    Row(Kind.NOT_FOUND, refuses(404)),
    Row(Kind.WRONG_METHOD, refuses(405)),
    Row(Kind.RATE_LIMITED, refuses(429, "slow", Retry_After="60"), "it asks to wait 60 s"),
    Row(Kind.RATE_LIMITED, refuses(429), "no Retry-After says when"),
    Row(Kind.RATE_LIMITED, refuses(429, Retry_After="soon"), "neither seconds nor a date: soon"),
    Row(Kind.UNAVAILABLE, refuses(503, "maintenance"), "no Retry-After says when to come back; it"),
    Row(Kind.UNAVAILABLE, refuses(500), "status 500"),
    Row(
        Kind.UNAVAILABLE,
        Connection(raw("late"), pause(5), status=502),
        "it says: late",
        times=EXCERPT,
    ),
    Row(
        Kind.UNAVAILABLE,
        Connection(raw("no gzip"), status=502, headers={"Content-Encoding": "gzip"}),
        "a stream needs 200",
    ),
    Row(Kind.BAD_STATUS, refuses(418)),
    # The headers
    Row(Kind.CONTENT_TYPE_OK, resumes()),
    Row(
        Kind.WRONG_CONTENT_TYPE,
        says(raw(HTML), headers={"Content-Type": "text/html"}, ending=Ending.CLEAN),
        "content type is text/html; clients need text/event-stream; it says: <!doctype html>",
    ),
    Row(
        Kind.WRONG_CONTENT_TYPE,
        says(headers={"Content-Type": None}, ending=Ending.CLEAN),
        "there is no content type",
    ),
    Row(
        Kind.CHARSET,
        resumes(headers={"Content-Type": "text/event-stream; charset=iso-8859-1"}),
        "iso-8859-1",
    ),
    Row(Kind.UNKNOWN_ENCODING, says(headers={"Content-Encoding": "br"}), "'br'"),
    Row(
        Kind.CONTENT_LENGTH,
        says(ONE, framing=Framing.LENGTH, ending=Ending.CLEAN),
        "Content-Length: ",
    ),
    Row(Kind.CACHED, resumes(headers={"Age": "55"}), "Age: 55"),
    Row(Kind.CACHED, resumes(headers={"Age": "0", "X-Cache": "HIT from x"}), "X-Cache: HIT"),
    Row(Kind.CACHEABLE, resumes(headers={"Cache-Control": "public, max-age=600"})),
    Row(Kind.PROXY, resumes(headers={"Via": "1.1 x", "X-Cache": "MISS"}), "Via: 1.1 x"),
    # What the body is
    Row(Kind.HTML, says(raw(HTML)), "Please sign in"),
    Row(Kind.HTML, says(raw(HTML), ending=Ending.RESET), "the body is HTML"),
    Row(Kind.JSON, says(raw('{"error": "no"}'), ending=Ending.CLEAN), '{"error": "no"}'),
    Row(Kind.JSON, says(raw("[1]")), "[1]"),
    Row(Kind.JSON, says(raw('"data: x\\n\\n"\n')), '"data: x\\n\\n"'),
    Row(Kind.EMPTY_BODY, says(ending=Ending.CLEAN)),
    Row(Kind.NO_EVENT_IN_BODY, says(raw("hello\n\nx\n\n"), ending=Ending.CLEAN), "hello x"),
    Row(Kind.NO_EVENT_IN_BODY, says(retry(3000), ending=Ending.CLEAN), "retry: 3000"),
    Row(Kind.UNDECODABLE, says(raw("no gzip"), headers={"Content-Encoding": "gzip"}), "not gzip"),
    Row(Kind.UNDECODABLE, says(raw(b"\x1f\x8b\x08"), pause(1)), "no Content-Encoding"),
    Row(Kind.TOO_LARGE, says(raw(b"data: " + b"x" * 17_000_000)), "16 MiB", seconds=9),
    Row(Kind.NO_DATA, says(raw('{"a":1}\n\n')), 'no data line and so no event: {"a":1}'),
    Row(Kind.NO_DATA, says(*[raw("Data: x\nId: 4\n\n")] * 2), "2 blocks have no data line"),
    Row(Kind.NO_DATA, resumes(raw("event: done\n\n")), "event: done"),
    Row(Kind.UNKNOWN_FIELDS, resumes(raw("time: 1\nby: x\n\ntime: 2\n\n")), "know: time, by"),
    Row(Kind.NO_BLANK_LINE, says(raw("data: 1\n")), "no blank line came after: data: 1"),
    Row(Kind.NO_BLANK_LINE, says(raw('data: {"a":1}\\n\\n')), 'data: {"a":1}\\n\\n'),
    Row(Kind.NO_BLANK_LINE, says(raw("news: 1\nnews: 2\n")), "news: 1"),
    Row(Kind.NO_BLANK_LINE, says(raw("data: 1\n"), pause(0.4), raw("data: 2\n")), "data: 1"),
    Row(Kind.LATE_BLANK_LINE, says(*NEWS), "2 events came", also=NO_IDS, seconds=1.2),
    Row(Kind.LATE_BLANK_LINE, resumes(events=(ONE, TWO, THREE[:-1])), "1 event came"),
    Row(
        Kind.UNFINISHED,
        says(ONE, TWO[:-1], ending=Ending.CLEAN),
        "before the blank line after: id: 2",
    ),
    Row(Kind.UNFINISHED, says(raw("data: 1\n"), ending=Ending.CLEAN), "after: data: 1"),
    Row(Kind.NOT_UTF8, resumes(raw(b": caf\xe9\n\n")), "1 block is not UTF-8: : caf\ufffd"),
    Row(Kind.REPLACED, resumes(comment("caf\N{REPLACEMENT CHARACTER}")), "U+FFFD"),
    Row(Kind.NOT_UTF8, says(raw("data: x\n\n".encode("utf-16-le"))), "UTF-16"),
    Row(Kind.NOT_UTF8, says(raw("\ufeffdata: x\n\n".encode("utf-16-be"))), "UTF-16"),
    Row(Kind.WRAPPED_TWICE, says(event("data: x\n"), event("id: 1")), "data: x", also=NO_IDS),
    Row(Kind.ERROR_EVENT, resumes(event("denied", event="error")), "1 event has the type error"),
    # When it comes
    Row(Kind.FIRST_BYTE_OK, resumes()),
    Row(Kind.SLOW_FIRST_BYTE, resumes(after_headers=0.2), "after 0.", times=SLOW),
    Row(Kind.SILENCE, says(), "not a byte in 0."),
    Row(
        Kind.CUT_BLOCKS,
        says(LONG[:20], pause(0.35), LONG[20:] + LONG[:30], pause(0.35), LONG[30:]),
        "2 times what came stopped",
        also=(Kind.ONE_ID,),
        seconds=0.9,
    ),
    Row(
        Kind.BURSTS,
        resumes(comment("hello"), pause(0.6), ONE + TWO, pause(0.6), events=(THREE + LONG * 2,)),
        "2 at once, every 0.6 s",
        also=(Kind.SHARED_IDS, Kind.RESUME_IGNORED),
        seconds=1.5,
    ),
    Row(Kind.HEARTBEATS_OK, resumes(*BEATS), "heartbeats every 0."),
    Row(Kind.HEARTBEATS_OK, resumes(*[raw("event: ping\n\n"), pause(0.07)] * 3), "every 0."),
    Row(Kind.HEARTBEATS_OK, resumes(*[raw("\n"), pause(0.07)] * 3), "every 0."),
    Row(Kind.ONE_HEARTBEAT, resumes(event("{}", event="ping"))),
    Row(Kind.ONE_HEARTBEAT, resumes(raw(": a\r\n\r"), pause(0.1), raw("\n"))),
    Row(Kind.NO_HEARTBEATS, resumes(), "no heartbeat in 0.", times=HEARTBEAT),
    Row(Kind.HEARTBEATS_UNKNOWN, resumes(raw("time: 1\n\n")), "too short to say much"),
    Row(Kind.HELD_HEARTBEATS, resumes(comment("a") * 3), "3 heartbeats came at the same moment"),
    Row(Kind.ENDED, says(ONE, ending=Ending.CLEAN), "the stream ended after"),
    Row(Kind.ENDED, says(comment("x"), ending=Ending.CLEAN), "the stream ended after"),
    Row(Kind.BROKE_OFF, says(ONE, ending=Ending.TRUNCATED), "RemoteProtocolError"),
    # Ids and retry
    Row(Kind.NO_EVENTS, says(comment("x")), "no events came"),
    Row(Kind.IDS_OK, resumes(), "3 of 3 events have an id"),
    Row(Kind.NO_IDS, says(event("x"), event("y")), "0 of 2 events"),
    Row(
        Kind.NO_IDS,
        says(pause(0.6), event("x"), pause(0.2), event("y")),
        "0 of 2 events",
        seconds=1.2,
    ),
    Row(Kind.SOME_IDS, resumes(event("hello")), "3 of 4 events have an id"),
    Row(Kind.ONE_ID, says(ONE, event("x", id="1")), "all 2 events have the same id: 1"),
    Row(Kind.SHARED_IDS, resumes(ONE), "2 events share the id 1", also=(Kind.RESUME_IGNORED,)),
    Row(Kind.BAD_ID, resumes(raw("id: a\0b\ndata: x\n\n")), "a\\x00b"),
    Row(Kind.BAD_ID, says(event("x", id="x" * 9000)), "xxx..."),
    Row(Kind.RETRY_OK, resumes(retry(2000)), "2000 ms"),
    Row(Kind.NO_RETRY, resumes()),
    Row(Kind.RETRY_SHORT, resumes(retry(0)), "0 ms"),
    Row(Kind.RETRY_LONG, resumes(retry(86_400_000)), "24 hours"),
    Row(Kind.RETRY_LONG, resumes(raw(f"retry: {'9' * 5000}\n\n")), "e+93 hours"),
    Row(Kind.BAD_RETRY, resumes(raw("retry: 3s\n\n")), "3s"),
    Row(Kind.BAD_RETRY, resumes(retry(2000), raw("retry: -1\n\n")), "-1"),
    # Coming back
    Row(Kind.RESUME_OK, resumes(), "asked for what comes after id 1, got all 2 that had come"),
    Row(Kind.RESUME_OK, resumes(events=(ONE, TWO)), "got the next one"),
    Row(
        Kind.RESUME_OK,
        resumes(again=lambda n: says(TWO, THREE) if n == 1 else says(event("new", id="4"))),
        "got all 2",
    ),
    Row(Kind.RESUME_UNTRIED, resumes(events=(ONE,)), "there was only one id"),
    Row(Kind.RESUME_UNSAFE, resumes(), "repeat the POST", options=("--json", "{}")),
    Row(
        Kind.RESUME_UNFINISHED,
        resumes(again=lambda n: says(TWO) if n == 1 else says()),
        "got 1 of 2 events",
    ),
    Row(Kind.RESUME_REPEATS, resumes(again=lambda n: says(*(ONE, TWO, THREE)[n - 1 :]))),
    Row(Kind.RESUME_REPEATS, says(ONE), "after id 1, the newest, got that event again"),
    Row(Kind.RESUME_SHORT, resumes(back=1), "1 of 2 events were missing"),
    Row(Kind.RESUME_GAP, resumes(again=lambda _: says(TWO, LONG)), "id 1 instead of id 3"),
    Row(Kind.RESUME_CHANGED, counts_anew, "id 2 with other content than before"),
    Row(Kind.RESUME_IGNORED, says(ONE, TWO, THREE), "after id 3, the newest, got id 1 again"),
    Row(
        Kind.RESUME_IGNORED,
        repeats_newest(),
        "asked twice for what comes after id 1, got id 3, then id 7",
    ),
    Row(Kind.RESUME_IGNORED, slides(), "after id 3, the newest, got that event again"),
    Row(Kind.RESUME_IGNORED, resumes(again=lambda _: says(event("x", id="9"))), "got id 9 first"),
    Row(
        Kind.RESUME_IGNORED,
        resumes(again=lambda n: says(THREE if n == 3 else TWO + THREE)),
        "after id 3, the newest, got that event again",
    ),
    Row(Kind.RESUME_NOTHING, resumes(again=lambda _: says()), "no event with an id came"),
    Row(Kind.RESUME_REFUSED, resumes(again=lambda _: refuses(400, "which?")), "it says: which?"),
    Row(Kind.RESUME_REFUSED, resumes(again=lambda n: refuses(410) if n > 2 else says(TWO, THREE))),
    Row(
        Kind.RESUME_REFUSED,
        resumes(again=lambda _: Connection(framing=Framing.BARE, ending=Ending.CLOSE)),
        "a client that comes back: no response",
    ),
    Row(Kind.LET_IN_AGAIN, resumes()),
    Row(
        Kind.FINISHED,
        resumes(again=lambda n: says(TWO, THREE) if n < 3 else Connection(status=204)),
        "says 204",
    ),
)


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """Undo what the command does to this process, which is usually its own."""
    yield
    structlog.reset_defaults()
    stamina.instrumentation.set_on_retry_hooks(None)


def name_of(row: Row) -> str:
    """Name the test of a row."""
    return f"{row.kind.label}-{ROWS.index(row)}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_what_a_server_does_has_its_name(
    row: Row, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finding, its text and advice, no false alarm, and the exit code."""
    for name, seconds in row.times:
        monkeypatch.setattr(f"resilient_sse.cli.{name}", seconds)
    with row.serve() as url:
        arguments = ("check", url, "--format", "json", "--seconds", str(row.seconds))
        code = main([*arguments, *row.options])
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (finding,) = [each for each in found if each["finding"] == row.kind.label]
    assert row.text in finding["text"]
    assert finding["advice"] == row.kind.advice
    problems = {each["finding"] for each in found if each["level"] == "problem"}
    assert problems <= {kind.label for kind in (row.kind, *row.also)}
    assert (finding["level"], finding["exit_code"]) == (
        row.kind.level.value, row.kind.level.exit_code,
    )  # fmt: skip
    assert code == max(each["exit_code"] for each in found) == bool(problems)


def test_every_finding_has_a_server() -> None:
    """Whoever adds one shows how it comes about."""
    assert {row.kind for row in ROWS} == set(Kind)


def test_every_finding_has_advice() -> None:
    """If there is anything to do; a name belongs to one finding alone."""
    assert len({kind.label for kind in Kind}) == len(Kind)
    assert all(kind.advice for kind in Kind if kind.level is not Level.OK)


@pytest.mark.skipif(not PAGE.exists(), reason="not in a checkout")
def test_the_page_lists_every_finding_as_it_is() -> None:
    """Name, level, exit code and advice, in the order of the code."""
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (\d) \| (.+) \| (.*) \|$", text, re.MULTILINE)
    assert [(label, level, int(code), advice) for label, level, code, _, advice in rows] == [
        (kind.label, kind.level.value, kind.level.exit_code, kind.advice or "-") for kind in Kind
    ]
    assert all(meaning.strip() for *_, meaning, _ in rows)
