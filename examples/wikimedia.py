"""Follow the recent changes of Wikipedia and its sisters, and go on where the last run ended.

    python examples/wikimedia.py https://stream.wikimedia.org/v2/stream/recentchange changes.db

Wikimedia's EventStreams cuts every connection after some minutes, and resumes from Last-Event-ID
for some days. `examples/_wikimedia_server.py` does as it does, for trying this out:

    python examples/_wikimedia_server.py 8000
    python examples/wikimedia.py http://127.0.0.1:8000/v2/stream/recentchange changes.db

What is peculiar to it:

- An id is a JSON array with a position in each of several topics. To a client it is a text like
  any other: it is kept and sent back as it came.
- The positions are times, so two changes of one millisecond have the same id. That is why `dedupe`,
  which goes by ids, is not for this stream; ``meta.id`` names a change.
- ``since`` is for the very first start. Where there is a Last-Event-ID, the server goes by that.
- Canary events, by which Wikimedia checks its own pipes, are not meant for us.
- Whoever reads is to say who they are in the User-Agent.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from resilient_sse import ExponentialBackoff, ReconnectingEventSource, aiter_json
from resilient_sse.cursors import SQLiteCursorStore

HEADERS = {"User-Agent": "resilient-sse example (your address here)"}


@dataclass(frozen=True)
class Change:
    """What of a change is of interest here.

    Attributes:
        wiki: Which wiki was changed, for example "enwiki".
        title: The page.
        user: Who did it.
    """

    wiki: str
    title: str
    user: str


def change_by_a_person(message: Any) -> Change | None:  # noqa: ANN401 - JSON
    """Pick the edits and new pages by people; None for everything else."""
    if message["meta"]["domain"] == "canary":
        return None
    if message["type"] not in {"edit", "new"} or message["bot"]:
        return None
    return Change(message["wiki"], message["title"], message["user"])


async def follow(url: str, path: str, since: str, count: int | None) -> None:
    """Print changes, for ever or so many of them."""
    with SQLiteCursorStore(path) as store:
        async with ReconnectingEventSource(
            url,
            params={"since": since} if since else None,
            headers=HEADERS,
            cursor=store,
            # Being cut off is the normal case here, so come back soon.
            policy=ExponentialBackoff(wait_initial=0.2),
        ) as source:
            printed = 0
            async for message in aiter_json(source):
                if change := change_by_a_person(message):
                    print(f"{change.wiki}: {change.user} changed {change.title}")
                    printed += 1
                if printed == count:
                    await source.aclose()  # and no `break`: this event is done


def main(url: str, path: str, since: str = "", count: str = "") -> None:
    """Take the arguments: URL, file for the cursor, time of the first start, how many changes."""
    asyncio.run(follow(url, path, since, int(count) if count else None))


if __name__ == "__main__":
    main(*sys.argv[1:])
