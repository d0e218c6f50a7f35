"""`SQLiteCursorStore` in trouble: disks that are full, files that cannot be used, odd words."""

from __future__ import annotations

import functools
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from resilient_sse import CursorError, ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse.cursors import SQLiteCursorStore
from resilient_sse.cursors._sqlite import store as _sqlite

if TYPE_CHECKING:
    from collections.abc import Generator

    from resilient_sse.testing import HistoryServer

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "cursors.db"


@contextmanager
def as_nobody() -> Generator[None]:
    """Drop the rights that make a test run as root write everywhere."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.timing
@pytest.mark.anyio
async def test_a_missing_folder_is_told_before_the_stream_is_opened(tmp_path: Path) -> None:
    """At once, by an error that says what to do; nothing is retried."""
    store = SQLiteCursorStore(tmp_path / "folder" / "cursors.db")
    began = time.monotonic()
    with pytest.raises(CursorError, match="folder does not exist; make it"):
        async with ReconnectingEventSource("http://127.0.0.1:1", cursor=store):
            raise AssertionError

    def enter() -> None:
        with SyncReconnectingEventSource("http://127.0.0.1:1", cursor=store):
            raise AssertionError

    with pytest.raises(CursorError, match="folder does not exist; make it"):
        await anyio.to_thread.run_sync(enter)
    assert time.monotonic() - began < 5
    await anyio.to_thread.run_sync(store.close)


def test_a_file_that_only_others_may_write_is_told() -> None:
    """As it is; what was in it stays."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # one that nobody may enter
        path = Path(folder, "cursors.db")
        with SQLiteCursorStore(path) as store:
            store.save("a", "1")
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        with as_nobody(), SQLiteCursorStore(path) as store:
            with pytest.raises(CursorError, match="writable by this user"):
                store.load("a")
            store.save("a", "2")
            with pytest.raises(sqlite3.OperationalError, match="writable by this user"):
                store.flush()
            store._writer._values.clear()
        Path(folder).chmod(0o755)
        path.chmod(0o644)
        with SQLiteCursorStore(path) as store:
            assert store.load("a") == "1"


def test_a_damaged_file_is_told(path: Path) -> None:
    """With what to do about it; it is not touched."""
    with SQLiteCursorStore(path) as store:
        for number in range(2000):
            store.save(f"key {number}", "1" * 100)
    whole = bytearray(path.read_bytes())
    whole[4096:] = random.Random(0).randbytes(len(whole) - 4096)
    path.write_bytes(whole)
    with (
        SQLiteCursorStore(path) as store,
        pytest.raises(CursorError, match=r"malformed \(move it away"),
    ):
        store.load("key 7")
    assert path.read_bytes() == whole


def test_a_full_disk_is_told_and_loses_nothing(path: Path) -> None:
    """With a real limit of the system; what could not be written is when there is room."""
    program = f"""
import resource, sqlite3, time
from resilient_sse.cursors import SQLiteCursorStore
store = SQLiteCursorStore({str(path)!r}, flush_interval=0)
store.save("a", "1")
store.flush()
usual = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, usual[1]))
store.save("a", "2" * 100_000)
try:
    store.flush()
except sqlite3.OperationalError as error:
    print(error)
try:
    store.save("b", "3")
except sqlite3.OperationalError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, usual)
store.close()
"""
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert run.stdout.count("make room on the disk") == 2
    with SQLiteCursorStore(path) as store:
        assert store.load("a") == "2" * 100_000
        assert store.load("b") == "3"


@pytest.mark.timing
@pytest.mark.anyio
async def test_a_file_that_another_program_has_locked_blocks_no_event_loop(
    path: Path, sse_history: HistoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving goes on at once; the writer waits, and writes when the lock is gone."""
    monkeypatch.setattr(_sqlite, "_BUSY_SECONDS", 0.2)
    for number in range(1, 201):
        sse_history.publish(str(number))
    store = SQLiteCursorStore(path, flush_interval=0)
    async with ReconnectingEventSource(sse_history.url, cursor=store) as source:
        await anext(source)
        await anext(source)
        await anyio.to_thread.run_sync(store.flush)
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            worst = 0.0
            for _ in range(198):
                began = time.perf_counter()
                await anext(source)
                worst = max(worst, time.perf_counter() - began)
            with pytest.raises(sqlite3.OperationalError, match="keeps it locked"):
                await anyio.to_thread.run_sync(store.flush)
            with pytest.raises(sqlite3.OperationalError, match="keeps it locked"):
                await store.aload("a")  # which may pass, so it is retried
        assert worst < 0.15
    await anyio.to_thread.run_sync(store.close)
    assert await store.aload(sse_history.url) == "199"
    await anyio.to_thread.run_sync(store.close)


def test_processes_that_make_the_file_together_do_not_disturb_each_other(path: Path) -> None:
    """The first that comes makes it; nobody gets an error."""
    program = f"""
import sys
from resilient_sse.cursors import SQLiteCursorStore
sys.stdin.readline()
with SQLiteCursorStore({str(path)!r}) as store:
    assert store.load("mine") is None
    store.save(sys.argv[1], "1")
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(number)], stdin=subprocess.PIPE)
        for number in range(6)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0
    with SQLiteCursorStore(path) as store:
        assert [store.load(str(number)) for number in range(6)] == ["1"] * 6


def test_threads_that_make_the_file_together_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Switching to the log does not wait by itself: one in 250 would be told that it is locked."""

    def make(path: Path, number: int) -> None:
        together.wait()
        with SQLiteCursorStore(path, flush_interval=0) as store:
            store.save(str(number), "1")

    together = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        for file in range(60):
            path = tmp_path / f"{file}.db"
            list(threads.map(make, [path] * 8, range(8)))


def test_files_left_by_a_killed_process_are_read(path: Path) -> None:
    """The log beside the file has what was written last."""
    program = f"""
import os, sqlite3
from resilient_sse.cursors import SQLiteCursorStore
store = SQLiteCursorStore({str(path)!r})
store.save("a", "1")
other = sqlite3.connect({str(path)!r})  # keeps the log from being merged
store.flush()
other.execute("PRAGMA user_version").fetchall()
store.save("a", "2")
store.flush()
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert path.with_name("cursors.db-wal").exists()
    with SQLiteCursorStore(path) as store:
        assert store.load("a") == "2"
    assert [found.name for found in path.parent.iterdir()] == ["cursors.db"]


@pytest.mark.parametrize(
    ("key", "cursor"),
    [("", ""), ("a\0b", "\0"), ("'; DROP TABLE cursors; --", "\n\r"), ("é" * 5000, "x" * 10**6)],
)
def test_odd_words_are_kept(path: Path, key: str, cursor: str) -> None:
    """Empty, long, or with anything in them."""
    with SQLiteCursorStore(path) as store:
        store.save(key, cursor)
        store.save("other", "1")
    with SQLiteCursorStore(path) as store:
        assert store.load(key) == cursor
        assert store.load("other") == "1"


def test_what_cannot_be_written_is_refused_at_once(path: Path) -> None:
    """So that it does not keep the cursors of others from being written."""
    with SQLiteCursorStore(path) as store:
        with pytest.raises(ValueError, match="surrogates"):
            store.save("a", "\ud800")
        with pytest.raises(ValueError, match="surrogates"):
            store.save("\ud800", "1")
        store.save("b", "1")
        assert store.load("b") == "1"


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_path_that_is_no_file_is_refused(path: str) -> None:
    """To SQLite these are databases that end with their connection."""
    with pytest.raises(ValueError, match="path"):
        SQLiteCursorStore(path)


def test_a_store_that_fails_for_long_does_not_grow(tmp_path: Path) -> None:
    """The error that each save raises stays as short as it is."""
    store = SQLiteCursorStore(tmp_path / "folder" / "cursors.db", flush_interval=60)
    store.save("a", "0")
    with pytest.raises(sqlite3.OperationalError):
        store.flush()
    lengths: list[int] = []
    for number in range(20):
        with pytest.raises(sqlite3.OperationalError) as caught:
            store.save("a", str(number))
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert lengths[0] == lengths[-1]
    with pytest.raises(sqlite3.OperationalError):
        store.close()


def test_threads_that_save_after_a_close_start_one_writer(path: Path) -> None:
    """Whoever is second finds it running."""
    store = SQLiteCursorStore(path)
    store.close()
    before = threading.active_count()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(store.save, [f"key {number}" for number in range(8)], "1" * 8))
        store._starting.acquire()
        late = threading.Thread(target=store.save, args=("late", "1"))
        store.close()
        late.start()
        time.sleep(0.05)
        store._start_writer()
        store._starting.release()
        late.join()
    assert threading.active_count() == before + 1
    store.close()
    with SQLiteCursorStore(path) as again:
        assert [again.load(f"key {number}") for number in range(8)] == ["1"] * 8
        assert again.load("late") == "1"


class LockedOnce(sqlite3.Connection):
    """What happens now and then to the slower of two that make a file at the same moment."""

    locked = True

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Be refused the first time."""
        if self.locked:
            self.locked = False
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return super().execute(sql, parameters)


def test_a_file_that_is_locked_for_a_moment_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite does not wait by itself when it is asked to keep a log."""
    connect = functools.partial(sqlite3.connect, factory=LockedOnce)
    monkeypatch.setattr(sqlite3, "connect", connect)
    with SQLiteCursorStore(path) as store:
        assert store.load("a") is None
