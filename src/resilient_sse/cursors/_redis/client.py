"""How this package speaks to Redis: from threads, asyncio and trio."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import cache
from hashlib import sha1
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._engine.threads import in_own_thread, in_store_thread
from resilient_sse.cursors._redis.trouble import PAUSE, Trouble, adrop_idle, drop_idle

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS: Final = 5.0
# Else redis-py looks up its own version for every connection, which reads files.
_ANONYMOUS: Final[dict[str, None]] = (
    {"driver_info": None}
    if find_spec("redis.driver_info")
    else {"lib_name": None, "lib_version": None}
)
# A pooled connection is dead after a restart of the server; a second one tells the truth.
_RECONNECTIONS: Final = 1
_ASYNC_CLIENTS: Final = (redis.asyncio.Redis, redis.asyncio.RedisCluster)


class Redis:
    """Runs commands on whichever of redis-py's clients fits where it is called from.

    Args:
        given: A URL, of which clients are made as they are needed; or a client of redis-py,
            blocking or for asyncio, which is never closed.
        timeout: Seconds that one command may take, with clients made here.

    Raises:
        TypeError: If it is a client of another library that looks the same.
    """

    def __init__(self, given: Any, *, timeout: float = _SECONDS) -> None:  # noqa: ANN401 - redis-py's own
        _refuse_valkey(given)
        self._given = given
        self._timeout = timeout
        self._is_async = isinstance(given, _ASYNC_CLIENTS)
        self._blocking: Any = None if isinstance(given, str) or self._is_async else given
        self._async: dict[asyncio.AbstractEventLoop, Any] = {}
        self._making = threading.Lock()

    def call(self, command: str, *words: object) -> Any:  # noqa: ANN401 - redis-py's own
        """Run a command with the blocking client."""
        client, trouble = self._blocking_client(), Trouble(self._timeout)
        while True:
            try:
                return client.execute_command(command, *words)
            except redis.RedisError as error:
                trouble.look(error)
                if trouble.elsewhere:
                    drop_idle(client)
                if not trouble.passing:
                    raise
            time.sleep(PAUSE)

    async def acall(self, command: str, *words: object) -> Any:  # noqa: ANN401 - redis-py's own
        """Run a command with the asyncio client; on trio in a thread, with the blocking one."""
        client = self._async_client()
        if client is None:
            return await in_store_thread(self.call, command, *words)
        trouble = Trouble(self._timeout)
        while True:
            try:
                return await client.execute_command(command, *words)
            except redis.RedisError as error:
                trouble.look(error)
                if trouble.elsewhere:
                    await adrop_idle(client)
                if not trouble.passing:
                    raise
            await asyncio.sleep(PAUSE)

    def script(self, script: str, keys: Sequence[str], words: Sequence[object]) -> Any:  # noqa: ANN401 - redis-py's own
        """Run a script, which Redis keeps by its digest."""
        try:
            return self.call("EVALSHA", _digest(script), len(keys), *keys, *words)
        except Exception as error:
            if not _is_unknown(error):
                raise
        return self.call("EVAL", script, len(keys), *keys, *words)

    async def ascript(self, script: str, keys: Sequence[str], words: Sequence[object]) -> Any:  # noqa: ANN401 - redis-py's own
        """Run a script, which Redis keeps by its digest."""
        try:
            return await self.acall("EVALSHA", _digest(script), len(keys), *keys, *words)
        except Exception as error:
            if not _is_unknown(error):
                raise
        return await self.acall("EVAL", script, len(keys), *keys, *words)

    def close(self) -> None:
        """Close the blocking client, if it was made here."""
        if isinstance(self._given, str) and self._blocking is not None:
            self._blocking.close()

    async def aclose(self) -> None:
        """Close the blocking client and that of this event loop, if they were made here."""
        if isinstance(self._given, str):
            loop = _running_loop()
            client = None if loop is None else self._async.pop(loop, None)
            if client is not None:
                await client.aclose()
            if self._blocking is not None:
                await in_own_thread(self._blocking.close)

    def _blocking_client(self) -> Any:  # noqa: ANN401 - redis-py's own
        if self._blocking is None:
            if not isinstance(self._given, str):
                raise TypeError("an asyncio client serves asyncio only; pass redis.Redis, or a URL")
            with self._making:  # several threads may come first
                if self._blocking is None:
                    self._blocking = self._made(redis.Redis, Retry)
        return self._blocking

    def _async_client(self) -> Any:  # noqa: ANN401 - redis-py's own
        """Return the client of this event loop; None where there is none (trio)."""
        loop = _running_loop()
        if loop is None or not isinstance(self._given, str):
            return self._given if loop is not None and self._is_async else None
        if loop not in self._async:
            with self._making:
                for other in [other for other in self._async if other.is_closed()]:
                    del self._async[other]
                self._async[loop] = self._made(redis.asyncio.Redis, AsyncRetry)
        return self._async[loop]

    @without_locals
    def _made(self, kind: Any, retry: Any) -> Any:  # noqa: ANN401 - redis-py's own
        return kind.from_url(
            self._given, retry=retry(NoBackoff(), _RECONNECTIONS), **self._options()
        )

    def _options(self) -> dict[str, Any]:
        return {
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            **_ANONYMOUS,
        }


def _refuse_valkey(given: object) -> None:
    """Refuse what raises errors that nobody here knows: an outage would look like a bug."""
    if any(base.__module__.partition(".")[0] == "valkey" for base in type(given).__mro__):
        raise TypeError(
            f"{type(given).__name__} is a client of the package valkey; pass a URL (redis://), "
            "or a client of redis-py: both speak to Valkey too"
        )


@cache
def _digest(script: str) -> str:
    return sha1(script.encode(), usedforsecurity=False).hexdigest()  # as Redis names scripts


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _is_unknown(error: Exception) -> bool:
    """Say whether Redis does not have the script yet."""
    return type(error).__name__ == "NoScriptError"
