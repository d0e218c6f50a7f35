"""The byte streams that the decoders are measured on."""

from __future__ import annotations

import json
from typing import NamedTuple

__all__ = ["Workload", "workloads"]

_BLOCK = 64 * 1024
_MEGABYTE = 1024 * 1024


class Workload(NamedTuple):
    """One stream, cut into the chunks it arrives in.

    Attributes:
        name: What is in it.
        chunks: The bytes.
        events: How many events a browser would dispatch.
    """

    name: str
    chunks: list[bytes]
    events: int


def _cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def _tokens(count: int) -> list[bytes]:
    """Make what a language model streams: events of 20 to 60 bytes."""
    words = ["a", "hello", "world", "resilience", "the", "incomprehensibilities", " and so on"]
    return [
        b"data: %s\n\n" % json.dumps({"i": i, "t": words[i % len(words)]}).encode()
        for i in range(count)
    ]


def _documents(count: int) -> list[bytes]:
    """Make events with an id, a type and 1.2 KB of JSON."""
    document = {"title": "change", "body": "lorem ipsum dolor sit amet " * 43, "bot": False}
    return [
        b"id: %d\nevent: change\ndata: %s\n\n" % (i, json.dumps({"n": i, **document}).encode())
        for i in range(count)
    ]


def workloads(scale: int = 1) -> list[Workload]:
    """Make the streams.

    Args:
        scale: How many times longer than the shortest useful ones they are.
    """
    n = 1000 * scale
    tokens = _tokens(2 * n)
    named = [b"event: token\n" + token for token in tokens]
    documents = _documents(n)
    poem = [b"data: line %d of a longer text\n" % i for i in range(20)]
    beats = [b": ping\n\n" * 9 + token for token in tokens[: n // 2]]
    foreign = ["data: Grüße, Жизнь, 你好, 🎉\n\n".encode()] * (2 * n)
    big = b"data: " + b"x" * (10 * _MEGABYTE) + b"\n\n"
    crlf = b"".join(tokens).replace(b"\n", b"\r\n")
    return [
        Workload("tokens, 64 KB blocks", _cut(b"".join(tokens), _BLOCK), 2 * n),
        Workload("tokens, one per chunk", tokens, 2 * n),
        Workload("event and data, 64 KB blocks", _cut(b"".join(named), _BLOCK), 2 * n),
        Workload("1.2 KB JSON with id, 64 KB blocks", _cut(b"".join(documents), _BLOCK), n),
        Workload("1.2 KB JSON with id, 4 KB blocks", _cut(b"".join(documents), 4096), n),
        Workload(
            "20 data lines, 64 KB blocks", _cut(b"".join([*poem, b"\n"] * (n // 5)), _BLOCK), n // 5
        ),
        Workload("one 10 MB event, 64 KB blocks", _cut(big, _BLOCK), 1),
        Workload("tokens, one byte per chunk", _cut(b"".join(tokens[: n // 5]), 1), n // 5),
        Workload("tokens with CRLF, 64 KB blocks", _cut(crlf, _BLOCK), 2 * n),
        Workload("nine heartbeats per event", _cut(b"".join(beats), _BLOCK), n // 2),
        Workload("not ASCII, 64 KB blocks", _cut(b"".join(foreign), _BLOCK), 2 * n),
    ]
