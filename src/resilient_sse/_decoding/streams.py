"""Events from any source of bytes: `requests`, urllib3, aiohttp, a socket, a file.

Who closes what: these functions open nothing, so a file, a response or a connection stays its
owner's to close. Only a generator they were given is closed when they are left early, as
``yield from`` does: they have read ahead of their last event, so nobody could go on with it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from resilient_sse._decoding.pipe import AsyncPipe, closing
from resilient_sse._decoding.sse import DEFAULT_MAX_EVENT_SIZE, SSEDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator, Iterable

    from resilient_sse._decoding.protocol import Decoder, DecoderFactory
    from resilient_sse._values.event import ServerSentEvent

__all__ = ["adecode", "decode", "decode_lines"]


def decode(
    chunks: Iterable[bytes],
    *,
    last_event_id: str = "",
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    decoder: DecoderFactory = SSEDecoder,
) -> Generator[ServerSentEvent, None, None]:
    """Decode the bytes of one stream into events (WHATWG HTML 9.2.5 and 9.2.6).

    ```python
    with requests.get(url, stream=True) as response:
        read = partial(response.raw.read1, 65536, decode_content=True)
        for event in decode(iter(read, b"")):
            ...
    ```

    An unfinished block at the end is dropped, as the standard says. Errors of ``chunks`` come
    through unchanged. If the iteration is left early, ``chunks`` is closed if it is a generator.

    Args:
        chunks: The stream, cut up in any way.
        last_event_id: The cursor to start from: the `id` of events before the first id.
        max_event_size: The most bytes one event may have (default 16 MiB); None for no limit.
        decoder: What makes the decoder, for example `NDJSONDecoder`.

    Raises:
        EventTooLarge: If one event is larger than ``max_event_size``.
        TypeError: If ``chunks`` is not an iterable of bytes but bytes or text itself, or yields
            text.
    """
    _refuse_one_piece(chunks)
    made = decoder(last_event_id=last_event_id, max_event_size=max_event_size, on_comment=None)
    return _decode(chunks, made)


def adecode(
    chunks: AsyncIterable[bytes],
    *,
    last_event_id: str = "",
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    decoder: DecoderFactory = SSEDecoder,
) -> AsyncPipe[bytes, ServerSentEvent]:
    """Decode the bytes of one asynchronous stream into events, as `decode` does.

    What it returns is an iterator and no generator: it may be left at any time without a warning.
    To leave early and close a generator given as ``chunks``, call its ``aclose()``
    (``contextlib.aclosing`` does).

    Args:
        chunks: The stream, cut up in any way.
        last_event_id: The cursor to start from: the `id` of events before the first id.
        max_event_size: The most bytes one event may have (default 16 MiB); None for no limit.
        decoder: What makes the decoder, for example `NDJSONDecoder`.

    Raises:
        EventTooLarge: If one event is larger than ``max_event_size``.
        TypeError: If ``chunks`` yields anything but bytes.
    """
    made = decoder(last_event_id=last_event_id, max_event_size=max_event_size, on_comment=None)
    # At the end, what the decoder still has to say: that a block was too large.
    return AsyncPipe(chunks, partial(_fed, made), at_end=lambda: made.feed(b""))


def decode_lines(
    lines: Iterable[str],
    *,
    last_event_id: str = "",
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    decoder: DecoderFactory = SSEDecoder,
) -> Generator[ServerSentEvent, None, None]:
    """Decode lines of text into events, as `decode` does with bytes.

    Prefer `decode` where there are bytes: some libraries also split lines at characters that end
    no line of an event stream (``str.splitlines`` does, at U+2028 for example).

    Args:
        lines: The stream's lines, with or without their terminators: a file opened as UTF-8
            text, a list, httpx's ``response.iter_lines()``. (That of requests yields bytes, or
            text that it takes for Latin-1: read its ``iter_content(None)`` with `decode`.)
        last_event_id: The cursor to start from: the `id` of events before the first id.
        max_event_size: The most bytes one event may have (default 16 MiB); None for no limit.
        decoder: What makes the decoder, for example `NDJSONDecoder`.

    Raises:
        EventTooLarge: If one event is larger than ``max_event_size``.
        TypeError: If ``lines`` is not an iterable of lines but the text itself, or yields bytes.
    """
    _refuse_one_piece(lines)
    made = decoder(last_event_id=last_event_id, max_event_size=max_event_size, on_comment=None)
    return _decode(_encoded(lines), made)


def _decode(chunks: Iterable[bytes], decoder: Decoder) -> Generator[ServerSentEvent, None, None]:
    chunk = b""
    with closing(chunks):
        try:
            for chunk in chunks:
                yield from decoder.feed(chunk)
        except TypeError:
            _refuse_other_pieces(chunk)
            raise
        yield from decoder.feed(b"")  # which raises if the last chunk ended in too large a block


def _fed(decoder: Decoder, chunk: bytes) -> list[ServerSentEvent]:
    try:
        return decoder.feed(chunk)
    except TypeError:
        _refuse_other_pieces(chunk)
        raise


def _refuse_other_pieces(chunk: object) -> None:
    if not isinstance(chunk, bytes | bytearray | memoryview):
        kind = type(chunk).__name__
        raise TypeError(f"expected chunks of bytes, got {kind}; decode_lines() reads text")


def _encoded(lines: Iterable[str]) -> Generator[bytes, None, None]:
    with closing(lines):
        for line in lines:
            yield _encode(line)


def _encode(line: object) -> bytes:
    if not isinstance(line, str):
        kind = type(line).__name__
        raise TypeError(f"expected lines of text, got {kind}; decode() reads bytes as they came")
    text = line.replace("\r\n", "\n").replace("\r", "\n")
    # A lone surrogate passes through and becomes U+FFFD, like any other bad byte.
    return (text if text.endswith("\n") else f"{text}\n").encode("utf-8", "surrogatepass")


def _refuse_one_piece(given: object) -> None:
    """Refuse what iterates one number or letter at a time, which nobody means."""
    kind = type(given).__name__
    if isinstance(given, (bytes, bytearray, memoryview, str)):
        msg = f"expected an iterable of pieces, not one {kind}; write decode([data]) for bytes"
        raise TypeError(msg)
