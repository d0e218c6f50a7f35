"""A dialect: how one kind of server departs from the standard, in one value."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from resilient_sse._decoding.sse import SSEDecoder
from resilient_sse._session.checks import check_callable, check_instance, check_plain, check_text
from resilient_sse._values.header import encode_last_event_id, sendable

if TYPE_CHECKING:
    from resilient_sse._decoding.protocol import DecoderFactory
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.http_messages import RequestT

__all__ = ["Dialect", "Verdict"]

_ENDS: Final = ("failure", "finished")


class Verdict(Enum):
    """What an event means, as a dialect's ``judge`` answers."""

    DELIVER = "deliver"
    """An event like any other."""
    LAST = "last"
    """Deliver it, then end the iteration normally, as ``until`` does."""
    GREETING = "greeting"
    """Deliver it, but it is no progress: every connection begins with one."""
    SKIP = "skip"
    """Do not deliver it, and it is no progress: a heartbeat, or a bookmark, which moves the
    cursor."""
    FAILURE = "failure"
    """The server says that it failed: the event is not delivered, the connection is dropped, and
    the policy decides (`EventFailure`, kind EVENT)."""
    GAP = "gap"
    """The server says that it cannot replay everything: the event is not delivered, and ``on_gap``
    decides."""


@dataclass(frozen=True, slots=True)
class ResumeByHeader:
    """Resumes by a request header that carries the cursor."""

    name: str

    def __call__(self, request: RequestT, cursor: str) -> RequestT:
        """Put the cursor into the request, unless no header can carry it."""
        if self.carries(cursor):
            # As bytes: a str would be encoded as the headers happen to be.
            headers: Any = request.headers
            headers.update({self.name: encode_last_event_id(cursor)})
        return request

    @staticmethod
    def carries(cursor: str) -> bool:
        """Say whether an HTTP header can carry the cursor."""
        return sendable(cursor)


@dataclass(frozen=True, slots=True)
class ResumeByQuery:
    """Resumes by a query parameter that is the cursor."""

    name: str

    def __call__(self, request: RequestT, cursor: str) -> RequestT:
        """Set the parameter in the request's URL."""
        request.url = request.url.copy_set_param(self.name, cursor)
        return request


Resume: TypeAlias = Callable[[Any, str], Any]
"""Asks for what follows a cursor: takes the built request, returns the one to send."""


def resume_by_header(name: str) -> ResumeByHeader:
    """Make a ``resume`` that sends the cursor in this request header.

    A cursor that no header can carry (control characters, over 8,000 bytes) is skipped: the source
    resumes from the last one before it that a header can.

    Args:
        name: The header, such as "Last-Event-ID".
    """
    check_text("name", name)
    return ResumeByHeader(name)


def resume_by_query(name: str) -> ResumeByQuery:
    """Make a ``resume`` that sets this query parameter of the URL to the cursor.

    Args:
        name: The parameter, such as "after"; one of that name in the URL is replaced.
    """
    check_text("name", name)
    return ResumeByQuery(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one kind of server departs from the standard: facts about it, not about a program.

    Every field has the standard's value as its default, and anything in a ready-made dialect may be
    changed with `dataclasses.replace`. ``judge`` and ``position`` are called once for each event,
    in order, when it is about to be handed out. What either raises ends the source and reaches the
    consumer as it is.

    Attributes:
        decoder: What makes the decoder of each connection.
        accept: The ``Accept`` header, unless the caller sets one.
        content_types: The media types that a stream is answered with; None: anything is a stream.
        statuses: The statuses that it is answered with. 204 ends the stream unless it is among
            them.
        end: What a clean end of the body means: "failure" (`StreamEnded`, and the policy decides)
            or "finished" (the iteration ends normally). A body that is cut is a failure always; one
            that has neither a length nor chunks cannot be told from a cut one.
        flush: Whether what a clean end of the body leaves unfinished is dispatched, by the
            decoder's ``flush``.
        judge: Says what an event means, as a `Verdict`. DELIVER, LAST, GREETING and SKIP move the
            cursor; FAILURE and GAP do not.
        position: The cursor after an event, any text, given the event and the cursor before it;
            None: it stays what it was. With it the ids of the stream move nothing, and ``dedupe``
            compares positions.
        resume: Takes the built request and the cursor, and returns the request that asks for what
            follows; it may be one with another method, URL or body. It is called before
            ``prepare_request``, at every attempt that has a cursor. None: the server cannot resume,
            so no cursor is sent, and none allows to repeat a POST.

    Raises:
        TypeError: If a value has the wrong type, for example a coroutine function as ``judge``, or
            a decoder without ``flush`` where ``flush`` is asked for.
        ValueError: If ``end`` is neither.
    """

    decoder: DecoderFactory = SSEDecoder
    accept: str = "text/event-stream"
    content_types: AbstractSet[str] | None = frozenset({"text/event-stream"})
    statuses: AbstractSet[int] = frozenset({200})
    end: Literal["failure", "finished"] = "failure"
    flush: bool = False
    judge: Callable[[ServerSentEvent], Verdict] | None = None
    position: Callable[[ServerSentEvent, str], str | None] | None = None
    resume: Resume | None = ResumeByHeader("Last-Event-ID")

    def __post_init__(self) -> None:
        check_text("accept", self.accept)
        if self.content_types is not None:
            _check_set("content_types", self.content_types, str)
        _check_set("statuses", self.statuses, int)
        if self.end not in _ENDS:
            msg = f"end must be one of {_ENDS}, not {self.end!r}"
            raise ValueError(msg)
        check_callable("decoder", self.decoder)
        check_plain("decoder", self.decoder)
        for name in ("judge", "position", "resume"):
            if getattr(self, name) is not None:
                check_callable(name, getattr(self, name))
                check_plain(name, getattr(self, name))
                check_instance(name, getattr(self, name))
        if self.flush and not _can_flush(self.decoder):
            msg = f"flush needs a decoder with a method of that name, and {self.decoder!r} has none"
            raise TypeError(msg)


def with_decoder(dialect: object, decoder: DecoderFactory | None) -> Dialect:
    """Have a dialect decode by something else, whose ``content_type``, if it has one, counts.

    Raises:
        TypeError: If it is no dialect, or asks for a ``flush`` that the decoder does not have.
    """
    if not isinstance(dialect, Dialect):
        msg = f"dialect must be a Dialect, such as resilient_sse.dialects.NDJSON, not {dialect!r}"
        raise TypeError(msg)
    if decoder is None:
        return dialect
    content_type = getattr(decoder, "content_type", None)
    if content_type is None:
        return replace(dialect, decoder=decoder)
    types = frozenset({content_type})
    return replace(dialect, decoder=decoder, accept=content_type, content_types=types)


def carrier(dialect: Dialect) -> Callable[[str], bool]:
    """Return what says whether a cursor can be resumed from, as far as its text goes."""
    return getattr(dialect.resume, "carries", _is_text)


def _is_text(cursor: str) -> bool:
    try:
        cursor.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON may hold
        return False
    return True


def _check_set(name: str, value: object, kind: type) -> None:
    items = cast("AbstractSet[object]", value)
    if not isinstance(value, AbstractSet) or not all(isinstance(item, kind) for item in items):
        msg = f"{name} must be a set of {kind.__name__}, not {value!r}"
        raise TypeError(msg)


def _can_flush(decoder: DecoderFactory) -> bool:
    made: object = decoder
    if not isinstance(decoder, type):
        made = decoder(last_event_id="", max_event_size=None, on_comment=None)
    return callable(getattr(made, "flush", None))
