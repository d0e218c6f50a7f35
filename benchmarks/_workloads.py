"""The byte streams that the decoders are measured on: kinds of streams, each in many variants.

A decoder that is made for a benchmark's bytes is fast at nothing else, so the first variant of each
kind is written down, as plain as it can be, and all others are drawn, always the same ones, from a
seed: whether a space follows the colon, the order of the fields, how long the data is, which events
have an id, what comments say and where they stand, and where chunks are cut.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Workload", "workloads"]

VARIANTS = 8
_SEED = "20"
_WORDS, _FOREIGN = (
    " ".join(random.Random(_SEED).choices(words.split(), k=5000))
    for words in (
        "a hello world resilience the incomprehensibilities and so on 3.14 null lorem ipsum",
        "Grüße Жизнь 你好 🎉 größer ελληνικά 日本語",
    )
)
_BEFORE = '{"t":"'
_YES, _NO = True, False
_ONE_EACH = 0  # in place of a size: a chunk for each block
_MIXED = ["data", "event data", "id event data", "data id"]
_TOKEN, _TEXT, _JSON = (20, 60), (20, 300), (1200, 1200)


class Workload(NamedTuple):
    """One stream, cut into the chunks it arrives in.

    Attributes:
        name: What kind of stream it is.
        variant: In what it differs from the others of its kind.
        chunks: The bytes.
        events: How many events a browser would dispatch.
    """

    name: str
    variant: str
    chunks: list[bytes]
    events: int


class _Kind(NamedTuple):
    """A kind of streams: what all its variants have in common, and what the first is like."""

    name: str
    events: int
    fields: str = "data"
    lengths: Sequence[tuple[int, int]] = (_TOKEN, _TOKEN, _TEXT)
    lines: int = 1
    words: str = _WORDS
    ending: str = "\n"
    beats: int = 0
    mixed: bool = False
    size: int = 64 * 1024


class _Style(NamedTuple):
    """What the variants of a kind differ in."""

    space: bool
    fields: Sequence[str]
    length: tuple[int, int]
    some_ids: bool
    comment: str
    comment_inside: bool
    cut_anywhere: bool

    def __str__(self) -> str:
        said = [
            "space" if self.space else "no space",
            "+".join(self.fields),
            f"{self.length[0]:,} to {self.length[1]:,} bytes",
            "some ids" * self.some_ids,
            f"comments {self.comment!r}{' inside' * self.comment_inside}" * bool(self.comment),
            "cut anywhere" * self.cut_anywhere,
        ]
        return ", ".join(part for part in said if part)


_KINDS = (
    _Kind("tokens, 64 KB blocks", 2000),
    _Kind("tokens, one per chunk", 2000, size=_ONE_EACH),
    _Kind("event and data, 64 KB blocks", 2000, "event data"),
    _Kind("event and data, one per chunk", 2000, "event data", size=_ONE_EACH),
    _Kind("id, event and data, one per chunk", 2000, "id event data", size=_ONE_EACH),
    _Kind("mixed blocks, one per chunk", 2000, "event data", mixed=True, size=_ONE_EACH),
    _Kind("mixed blocks, 1 KB reads", 2000, "event data", mixed=True, size=1024),
    _Kind("JSON with id, 64 KB blocks", 800, "id event data", (_JSON, (200, 5000), (20, 20_000))),
    _Kind(
        "JSON with id, 4 KB blocks", 800, "id event data", (_JSON, (200, 5000), (20, 20_000)),
        size=4096,
    ),
    _Kind("20 data lines, 64 KB blocks", 200, lines=20, lengths=((25, 25), (20, 80), (1, 200))),
    _Kind("one 10 MB event, 64 KB blocks", 1, lengths=((10 * 2**20, 10 * 2**20),)),
    _Kind("tokens, one byte per chunk", 200, size=1),
    _Kind("tokens with CRLF, 64 KB blocks", 2000, ending="\r\n"),
    _Kind("nine heartbeats per event", 500, beats=9),
    _Kind("not ASCII, 64 KB blocks", 2000, words=_FOREIGN),
)  # fmt: skip


def workloads(scale: int = 1) -> dict[str, list[Workload]]:
    """Make the streams: of every kind its variants.

    Args:
        scale: How many times longer than the shortest useful ones they are.
    """
    return {kind.name: list(_variants(kind, scale)) for kind in _KINDS}


def _variants(kind: _Kind, scale: int) -> Iterator[Workload]:
    for number, style in enumerate(_styles(kind)):
        dice = random.Random(f"{_SEED} {kind.name} {number}")
        count = kind.events if kind.events == 1 else kind.events * scale
        blocks = [
            piece.replace("\n", kind.ending).encode()
            for at in range(count)
            for piece in _event(kind, style, at, dice)
        ]
        yield Workload(kind.name, f"{number}: {style}", _chunks(kind, style, blocks, dice), count)


def _styles(kind: _Kind) -> list[_Style]:
    """Draw the variants, so that each choice occurs as often as it should in the eight."""
    dice = random.Random(f"{_SEED} {kind.name}")
    fields = kind.fields.split()

    def drawn(*choices: Any) -> list[Any]:  # noqa: ANN401 - whatever a column holds
        return dice.sample([choices[at % len(choices)] for at in range(VARIANTS)], VARIANTS)

    beats = ["ping", "", "keep-alive", "ping - {now}"]
    columns = zip(
        drawn(_YES, _NO),
        [dice.sample(fields, len(fields)) for _ in range(VARIANTS)],
        drawn(*kind.lengths),
        drawn(_YES, _NO) if "id" in fields else drawn(_NO, _NO, _NO, _YES),
        drawn(*(beats if kind.beats else ["", "", "", "ping {now}"])),
        drawn(_YES, _NO),
        drawn(_YES, _NO),
        strict=True,
    )
    plain = _Style(_YES, fields, kind.lengths[0], _NO, "ping" * bool(kind.beats), _NO, _NO)
    return [plain, *(_Style(*column) for column in columns)][:VARIANTS]


def _event(kind: _Kind, style: _Style, at: int, dice: random.Random) -> Iterator[str]:
    """Make the block of one event, and the comments before it."""
    fields = dice.choice(_MIXED).split() if kind.mixed else [*style.fields]
    has_id = at % 10 == 0 or not style.some_ids
    if style.some_ids and has_id and "id" not in fields:
        fields.insert(dice.randrange(len(fields) + 1), "id")
    colon = ": " if style.space else ":"
    lines: list[str] = []
    for field in fields:
        if field == "data":
            many = dice.choice([1, 1, 1, 3]) if kind.mixed else kind.lines
            lines += [f"data{colon}{_text(kind, style, dice)}\n" for _ in range(many)]
        elif field == "event":
            lines.append(f"event{colon}{'done' if style.some_ids and at % 5 == 0 else 'token'}\n")
        elif has_id:
            lines.append(f"id{colon}{at}\n")
    comment = f"{colon}{style.comment.format(now=at / 7)}\n"
    if kind.beats:
        yield from [comment + "\n"] * kind.beats
    elif style.comment and at % 50 == 0 and style.comment_inside:
        lines.insert(dice.randrange(len(lines) + 1), comment)
    elif style.comment and at % 50 == 0:
        yield comment + "\n"
    yield "".join([*lines, "\n"])


def _text(kind: _Kind, style: _Style, dice: random.Random) -> str:
    """Make text of a length between two, rather a short one than a long one."""
    low, high = style.length
    length = low + round((high - low) * dice.random() ** 3) - len(_BEFORE)
    if length > len(kind.words):
        return _BEFORE + kind.words * (length // len(kind.words))
    start = dice.randrange(len(kind.words) - length + 1)
    return _BEFORE + kind.words[start : start + length]


def _chunks(kind: _Kind, style: _Style, blocks: list[bytes], dice: random.Random) -> list[bytes]:
    if kind.size == _ONE_EACH:
        return blocks
    stream = b"".join(blocks)
    chunks: list[bytes] = []
    at = 0
    while at < len(stream):
        size = dice.randint(1, 2 * kind.size - 1) if style.cut_anywhere else kind.size
        chunks.append(stream[at : at + size])
        at += size
    return chunks
