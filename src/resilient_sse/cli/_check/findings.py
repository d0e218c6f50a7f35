"""What `check` can find out: a name, how much it matters, and what to do about it.

The page of the command lists all of this, and a test compares the two.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from resilient_sse.cli._outcome import DONE_CODE, HINTS, PROBLEM, UNTRUSTED

__all__ = ["Finding", "Kind", "Level"]

_UNBUFFER: Final = (
    "flush after each event, and have what is in between pass it on at once: "
    "X-Accel-Buffering: no for nginx, no compression"
)
_LOST: Final = (
    "send an id with every event, keep those of the last minutes at least, and replay what "
    "comes after the Last-Event-ID: otherwise what is missed in an outage is lost"
)


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"

    @property
    def exit_code(self) -> int:
        """The exit code, if nothing worse is found."""
        return PROBLEM if self is Level.PROBLEM else DONE_CODE


class Kind(Enum):
    """A thing that can be found out.

    Attributes:
        label: What it is called, for programs and on the page of the command.
        level: How much it matters.
        advice: What to do about it; "" for nothing.
    """

    # Whether there is an answer
    UNREACHABLE = "unreachable", Level.PROBLEM, "is the server running, and is the address right?"
    UNTRUSTED = "untrusted", Level.PROBLEM, UNTRUSTED
    NO_HEADERS = (
        "no-headers",
        Level.PROBLEM,
        "send the headers at once, not with the first event; is the server overloaded, or does "
        "a proxy wait for the body?",
    )
    NO_HTTP = (
        "no-http",
        Level.PROBLEM,
        "is it the right port, and http or https as the server speaks it? Its log may say why it "
        "hung up",
    )

    # The status
    STATUS_OK = "status-ok", Level.OK, ""
    REDIRECTED = (
        "redirected",
        Level.NOTE,
        "use the address that it leads to: every reconnect makes the detour",
    )
    BAD_REDIRECT = "bad-redirect", Level.PROBLEM, "use the address of the stream itself"
    NO_CONTENT = (
        "no-content",
        Level.NOTE,
        "answer so only if no event will ever come: clients stop for good",
    )
    UNAUTHORIZED = "unauthorized", Level.PROBLEM, HINTS[401]
    NOT_FOUND = "not-found", Level.PROBLEM, HINTS[404]
    WRONG_METHOD = "wrong-method", Level.PROBLEM, HINTS[405]
    RATE_LIMITED = (
        "rate-limited",
        Level.PROBLEM,
        "wait that long before the next try; fewer connections, or a higher limit, for this client",
    )
    UNAVAILABLE = (
        "unavailable",
        Level.PROBLEM,
        "clients try again, with pauses; the log of the server or proxy says what is wrong",
    )
    BAD_STATUS = "bad-status", Level.PROBLEM, "answer with 200: clients take it for a refusal"

    # The headers
    CONTENT_TYPE_OK = "content-type-ok", Level.OK, ""
    WRONG_CONTENT_TYPE = (
        "wrong-content-type",
        Level.PROBLEM,
        "send Content-Type: text/event-stream; if this is a page to sign in or an error, check "
        "the URL and the credentials",
    )
    CHARSET = "charset", Level.NOTE, "send UTF-8, and name no other: clients read nothing else"
    UNKNOWN_ENCODING = (
        "unknown-encoding",
        Level.PROBLEM,
        "compress as the client's Accept-Encoding allows, or better not at all",
    )
    CONTENT_LENGTH = (
        "content-length",
        Level.PROBLEM,
        "send the body as it comes into being: something has collected the whole of it",
    )
    CACHED = "cached", Level.PROBLEM, "send Cache-Control: no-cache, and keep caches off this path"
    CACHEABLE = (
        "cacheable",
        Level.NOTE,
        "send Cache-Control: no-cache; a cache in between may keep the stream",
    )
    PROXY = "proxy", Level.NOTE, "make sure that it does not buffer, nor cut what is quiet"

    # What the body is
    HTML = (
        "html",
        Level.PROBLEM,
        "check the URL and the credentials: this is a page, whatever its content type says",
    )
    JSON = (
        "json",
        Level.PROBLEM,
        "send errors with a status of their own, and events as 'data: ...' and a blank line",
    )
    EMPTY_BODY = (
        "empty-body",
        Level.PROBLEM,
        "keep the connection open until there are events; 204 tells clients to stop",
    )
    NO_EVENT_IN_BODY = (
        "no-event-in-body",
        Level.PROBLEM,
        "send events: 'data: ...' and a blank line; clients take this for a failure",
    )
    UNDECODABLE = (
        "undecodable",
        Level.PROBLEM,
        "send what Content-Encoding says, or better do not compress",
    )
    TOO_LARGE = "too-large", Level.PROBLEM, "send a link to it instead: clients give up"
    NO_DATA = (
        "no-data",
        Level.PROBLEM,
        "begin each line of the payload with 'data: ', in lower case: without it there is no event",
    )
    UNKNOWN_FIELDS = (
        "unknown-fields",
        Level.NOTE,
        "send only data, event, id and retry, in lower case, and comments: clients ignore the rest",
    )
    NO_BLANK_LINE = (
        "no-blank-line",
        Level.PROBLEM,
        "end every event with a blank line, that is with two line feeds: before it there is no "
        "event",
    )
    LATE_BLANK_LINE = (
        "late-blank-line",
        Level.PROBLEM,
        "send the blank line with the event that it ends, not with the next one",
    )
    UNFINISHED = (
        "unfinished",
        Level.PROBLEM,
        "end the last event with a blank line too: clients drop what is unfinished",
    )
    NOT_UTF8 = (
        "not-utf8",
        Level.PROBLEM,
        "encode the stream as UTF-8; clients show U+FFFD for what is none",
    )
    REPLACED = (
        "replaced",
        Level.NOTE,
        "look for the place where the text is decoded before it gets here: what was in these "
        "places is lost",
    )
    WRAPPED_TWICE = (
        "wrapped-twice",
        Level.PROBLEM,
        "give the framework the data alone: it puts 'data: ' in front by itself",
    )
    ERROR_EVENT = (
        "error-event",
        Level.NOTE,
        "read what it says: the server may have refused the request, with status 200",
    )

    # When it comes
    FIRST_BYTE_OK = "first-byte-ok", Level.OK, ""
    SLOW_FIRST_BYTE = (
        "slow-first-byte",
        Level.NOTE,
        "send a comment at once; if that is late too, a proxy buffers",
    )
    SILENCE = (
        "silence",
        Level.NOTE,
        "send a comment at once; if it does not come, a proxy buffers: X-Accel-Buffering: no for "
        "nginx",
    )
    CUT_BLOCKS = "cut-blocks", Level.PROBLEM, _UNBUFFER
    BURSTS = (
        "bursts",
        Level.NOTE,
        f"if they are made one by one, something collects them: {_UNBUFFER}",
    )
    HEARTBEATS_OK = "heartbeats-ok", Level.OK, ""
    ONE_HEARTBEAT = "one-heartbeat", Level.OK, "listen longer (--seconds) for a period"
    NO_HEARTBEATS = (
        "no-heartbeats",
        Level.NOTE,
        "send a comment every 15 s: without one, quiet cannot be told from dead",
    )
    HEARTBEATS_UNKNOWN = "heartbeats-unknown", Level.NOTE, "listen longer (--seconds) to know"
    HELD_HEARTBEATS = (
        "held-heartbeats",
        Level.NOTE,
        f"something collects them, and they keep nothing alive: {_UNBUFFER}",
    )
    ENDED = (
        "ended",
        Level.NOTE,
        "keep the connection open: clients will reconnect, and each time that costs",
    )
    BROKE_OFF = (
        "broke-off",
        Level.NOTE,
        "clients will reconnect; if it happens at the same time of age, look for a time limit of "
        "the server or a proxy",
    )

    # What a client can rely on
    NO_EVENTS = "no-events", Level.NOTE, "listen longer (--seconds), or while something happens"
    IDS_OK = "ids-ok", Level.OK, ""
    NO_IDS = "no-ids", Level.PROBLEM, _LOST
    SOME_IDS = (
        "some-ids",
        Level.NOTE,
        "send an id with every event: after an outage the others come twice or not at all",
    )
    ONE_ID = "one-id", Level.PROBLEM, "give every event an id of its own: it is a place, no name"
    SHARED_IDS = (
        "shared-ids",
        Level.PROBLEM,
        "give every event an id of its own: after an outage between two that share one, the "
        "second is lost or the first comes twice",
    )
    BAD_ID = (
        "bad-id",
        Level.PROBLEM,
        "make ids of printable ASCII, at most some hundred characters: they come back in a header",
    )
    RETRY_OK = "retry-ok", Level.OK, ""
    NO_RETRY = "no-retry", Level.NOTE, "send 'retry: 3000': clients wait as long as they think fit"
    RETRY_SHORT = (
        "retry-short",
        Level.PROBLEM,
        "ask for a second at least: after a restart all clients come back at once, again and again",
    )
    RETRY_LONG = (
        "retry-long",
        Level.PROBLEM,
        "ask for some seconds; retry is in milliseconds, and browsers obey it after every cut",
    )
    BAD_RETRY = (
        "bad-retry",
        Level.NOTE,
        "send milliseconds in digits alone, such as 'retry: 3000': clients ignore anything else",
    )

    # With a dialect
    DIALECT = (
        "dialect",
        Level.NOTE,
        "name it, here with --dialect and in a program with dialect=: what is said here is said of "
        "a client that knows the standard alone",
    )
    UNDERSTOOD = "understood", Level.OK, ""
    CURSORS_OK = "cursors-ok", Level.OK, ""
    NO_CURSOR = (
        "no-cursor",
        Level.NOTE,
        "nothing can be resumed without one: look at the vendor's page for how to ask for it",
    )
    CANNOT_RESUME = (
        "cannot-resume",
        Level.NOTE,
        "after a break a GET begins anew, and a POST is not repeated",
    )
    GAP = "gap", Level.NOTE, "an on_gap function puts right what was missed"
    ENDED_AS_IT_SHOULD = "ended-as-it-should", Level.OK, ""

    # Coming back
    RESUME_OK = "resume-ok", Level.OK, ""
    RESUME_UNTRIED = (
        "resume-untried",
        Level.NOTE,
        "listen longer (--seconds): it takes two events with different ids",
    )
    RESUME_UNSAFE = (
        "resume-unsafe",
        Level.NOTE,
        "--retry-unsafe tries it, if repeating the request does no harm",
    )
    RESUME_UNFINISHED = "resume-unfinished", Level.NOTE, "listen longer (--seconds) for the rest"
    RESUME_REPEATS = (
        "resume-repeats",
        Level.NOTE,
        "begin with the event after the Last-Event-ID; until then clients have to drop "
        "repetitions (dedupe)",
    )
    RESUME_SHORT = (
        "resume-short",
        Level.PROBLEM,
        "keep the events of some minutes at least: what an outage longer than that misses is lost",
    )
    RESUME_GAP = "resume-gap", Level.PROBLEM, "replay everything after the Last-Event-ID, in order"
    RESUME_CHANGED = (
        "resume-changed",
        Level.PROBLEM,
        "let an id stand for the same event on every connection, and do not count anew on each",
    )
    RESUME_IGNORED = "resume-ignored", Level.PROBLEM, _LOST
    RESUME_NOTHING = "resume-nothing", Level.PROBLEM, _LOST
    RESUME_REFUSED = (
        "resume-refused",
        Level.PROBLEM,
        "let in a client that comes back with the id of an event that it got",
    )
    LET_IN_AGAIN = "let-in-again", Level.OK, ""
    FINISHED = "finished", Level.OK, ""

    def __init__(self, label: str, level: Level, advice: str) -> None:
        self.label = label
        self.level = level
        self.advice = advice


class Finding(NamedTuple):
    """One thing that was found out.

    Attributes:
        kind: What it is.
        text: The facts.
    """

    kind: Kind
    text: str
