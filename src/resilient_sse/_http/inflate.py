"""Compressed bodies, decompressed piece by piece.

The clients' own decoders turn a chunk into all that it stands for at once, and 64 KB of gzip may
stand for 64 MB, of Brotli or of gzip within gzip for any amount. So a source decompresses by
itself, in pieces, and asks only for the encodings that it can bound in this way.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from resilient_sse._values.library import HTTPX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self

    from resilient_sse._values.library import Library

_PIECE: Final = 65536
# RFC 9110 8.4.1: "x-gzip" is the same as "gzip".
_KNOWN: Final = frozenset({"gzip", "x-gzip", "deflate"})
# IANA's HTTP Content Coding Registry (RFC 9110 16.6.1). What is not in it, such as the "none" by
# which many servers turn compression off, is no coding; browsers and httpx read the bytes as well.
_REGISTERED: Final = _KNOWN | {
    *("aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd")
}
_DETECT: Final = 32 + zlib.MAX_WBITS  # a gzip header or a zlib header
_RAW: Final = -zlib.MAX_WBITS
_DEFLATED: Final = 8
_GZIP: Final = b"\x1f"  # RFC 1952 2.2: after one member of a gzip file may come another


def is_known(encoding: str) -> bool:
    """Say whether a body with this ``Content-Encoding`` (in lower case) can be decompressed."""
    return encoding in _KNOWN


def codings_of(content_encoding: str) -> str:
    """Leave in a ``Content-Encoding`` what the body has to be freed of; "" if that is nothing."""
    codings = (coding.strip().lower() for coding in content_encoding.split(","))
    return ", ".join(coding for coding in codings if coding in _REGISTERED)


def acceptable(accept_encoding: str) -> str:
    """Leave in an ``Accept-Encoding`` only what can be decompressed; "identity" if nothing is."""
    wanted = [entry.strip() for entry in accept_encoding.split(",")]
    known = [entry for entry in wanted if is_known(entry.partition(";")[0].lower())]
    return ", ".join(known) or "identity"


class Inflater:
    """Decompresses one body.

    Args:
        encoding: Its ``Content-Encoding``, a known one, in lower case.
        library: Whose exception to raise.
    """

    def __init__(self, encoding: str, library: Library = HTTPX) -> None:
        self._library = library
        self._may_be_raw = encoding == "deflate"
        self._stream = zlib.decompressobj(_DETECT)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Decompress the next bytes of the body into pieces of at most 64 KB.

        Raises:
            httpx.DecodingError: Or httpx2's, if they are not what the encoding promises.
        """
        if self._may_be_raw and chunk:  # some servers leave out the zlib header
            self._may_be_raw = False
            if chunk[0] & 15 != _DEFLATED:
                self._stream = zlib.decompressobj(_RAW)
        more = True
        while more:
            if self._stream.eof:
                if chunk[:1] != _GZIP:
                    return  # what is not compressed is not part of the body
                self._stream = zlib.decompressobj(_DETECT)
            piece = self._inflate(chunk)
            if piece:
                yield piece
            ended = self._stream.eof
            chunk = self._stream.unused_data if ended else self._stream.unconsumed_tail
            more = bool(piece) or (ended and bool(chunk))

    def _inflate(self, chunk: bytes) -> bytes:
        try:
            return self._stream.decompress(chunk, _PIECE)
        except zlib.error as error:
            msg = f"the body is not compressed as its headers say: {error}"
            raise self._library.DecodingError(msg) from error


def inflated(chunks: Iterator[bytes], encoding: str, library: Library = HTTPX) -> Iterator[bytes]:
    """Decompress a body's chunks."""
    inflater = Inflater(encoding, library)
    for chunk in chunks:
        yield from inflater.pieces(chunk)


class AsyncInflated:
    """Decompresses a body's chunks; no generator, so that leaving it early is no matter."""

    def __init__(
        self, chunks: AsyncIterator[bytes], encoding: str, library: Library = HTTPX
    ) -> None:
        self._chunks = chunks
        self._inflater = Inflater(encoding, library)
        self._pieces: Iterator[bytes] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while (piece := next(self._pieces, None)) is None:
            self._pieces = self._inflater.pieces(await anext(self._chunks))
        return piece
