"""`SQLiteCursorStore`: real files, threads, processes and kills."""

from __future__ import annotations

import gc
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import anyio
import pytest

from resilient_sse import (
    CursorError,
    CursorStoreFailed,
    ExponentialBackoff,
    ReconnectingEventSource,
    SyncReconnectingEventSource,
)
from resilient_sse.cursors import SQLiteCursorStore
from resilient_sse.cursors._sqlite import writer as _writer
from resilient_sse.testing import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from resilient_sse.testing import HistoryServer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "cursors.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteCursorStore]:
    """A store that is closed at the end."""
    with SQLiteCursorStore(path) as made:
        yield made


def saved(path: Path) -> dict[str, str]:
    """Read the file as another program would."""
    with closing(sqlite3.connect(path, timeout=10)) as db:
        try:
            return dict(db.execute("SELECT key, cursor FROM cursors"))
        except sqlite3.OperationalError:  # it is made, but not filled
            return {}


def test_what_is_saved_can_be_loaded(store: SQLiteCursorStore, path: Path) -> None:
    """At once by the same store, and by another one after it was flushed."""
    assert store.load("a") is None
    store.save("a", "1")
    store.save("b", "é\n'")
    store.save("a", "2")
    assert store.load("a") == "2"
    with SQLiteCursorStore(path) as other:
        assert other.load("b") == "é\n'"
    assert repr(store) == f"SQLiteCursorStore({str(path)!r})"


def test_another_store_sees_what_is_not_written_yet(path: Path, tmp_path: Path) -> None:
    """A source that is made right after another one resumes where that one was left."""
    first = SQLiteCursorStore(path, flush_interval=60)
    elsewhere = SQLiteCursorStore(tmp_path / "other.db", flush_interval=60)
    first.save("key", "7")
    elsewhere.save("key", "8")
    with SQLiteCursorStore(path) as second:
        assert second.load("key") == "7"
    first.close()
    elsewhere.close()


@pytest.mark.timing
def test_saving_is_fast(store: SQLiteCursorStore, path: Path) -> None:
    """Far less than 50 µs each, amortised, the time to the disk included."""
    count = 20_000
    began = time.perf_counter()
    for number in range(count):
        store.save(f"stream {number % 10}", str(number))
    store.flush()
    assert (time.perf_counter() - began) / count < 50e-6
    assert saved(path)["stream 9"] == str(count - 1)


def test_saves_reach_the_file_by_themselves(store: SQLiteCursorStore, path: Path) -> None:
    """Soon after, without anybody asking for it."""
    store.save("a", "1")
    deadline = time.monotonic() + 5
    while saved(path) != {"a": "1"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.anyio
async def test_an_event_loop_is_never_blocked(path: Path, sse_history: HistoryServer) -> None:
    """Reading, saving and loading again from an asynchronous source."""
    for number in range(5):
        sse_history.publish(str(number))
    store = SQLiteCursorStore(path)
    async with ReconnectingEventSource(sse_history.url, cursor=store) as source:
        for _ in range(3):
            await anext(source)
    async with ReconnectingEventSource(sse_history.url, cursor=store) as source:
        assert (await anext(source)).id == "3", "the third was not acknowledged"
    await anyio.to_thread.run_sync(store.close)


def test_a_blocking_source_uses_it_too(
    store: SQLiteCursorStore, sse_history: HistoryServer
) -> None:
    """Under a key of its own."""
    for number in range(3):
        sse_history.publish(str(number))
    with SyncReconnectingEventSource(sse_history.url, cursor=store, cursor_key="k") as source:
        next(source)
        next(source)
    assert store.load("k") == "1"


def test_closing_writes_and_another_save_opens_again(store: SQLiteCursorStore, path: Path) -> None:
    """Closing twice does no harm."""
    store.save("a", "1")
    store.close()
    store.close()
    store.flush()
    assert saved(path) == {"a": "1"}
    store.save("a", "2")
    store.close()
    assert saved(path) == {"a": "2"}


def test_a_store_that_is_forgotten_writes_what_it_has(path: Path) -> None:
    """When it is collected, as at the end of the interpreter."""
    store = SQLiteCursorStore(path, flush_interval=60)
    store.save("a", "1")
    del store
    gc.collect()
    assert saved(path) == {"a": "1"}


def test_the_end_of_the_program_writes_what_there_is(path: Path) -> None:
    """Although nobody closed the store."""
    program = f"""
from resilient_sse.cursors import SQLiteCursorStore
store = SQLiteCursorStore({str(path)!r}, flush_interval=60)
store.save("a", "1")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    assert saved(path) == {"a": "1"}


def test_a_forked_process_saves_for_itself(path: Path) -> None:
    """The writer's thread stays with the parent; the child starts its own."""
    program = f"""
import os
from resilient_sse.cursors import SQLiteCursorStore
store = SQLiteCursorStore({str(path)!r}, flush_interval=60)
store.save("parent", "1")
child = os.fork()
if not child:
    store.flush()  # nothing of the child's yet
    store.save("child", "2")
    store.close()
    os._exit(0)
os.waitpid(child, 0)
os._exit(0 if store.load("child") == "2" else 1)
"""
    # Python 3.12 warns of a fork in a program with threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    subprocess.run(command, check=True, timeout=30)
    assert saved(path) == {"child": "2", "parent": "1"}


def test_many_threads_and_stores_share_a_file(path: Path) -> None:
    """Each key ends with what was saved last under it."""
    stores = [SQLiteCursorStore(path, flush_interval=0.001) for _ in range(4)]

    def save(which: int) -> None:
        for number in range(200):
            stores[which % 4].save(f"key {which}", str(number))
            time.sleep(0.0002)

    threads = [threading.Thread(target=save, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert saved(path) == {f"key {which}": "199" for which in range(8)}


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """By flush, load and the save after; when it can be written again nothing is lost."""
    path = tmp_path / "folder" / "cursors.db"
    store = SQLiteCursorStore(path, flush_interval=0)
    store.save("a", "1")
    with pytest.raises(sqlite3.OperationalError):
        store.flush()
    with pytest.raises(CursorError, match="folder does not exist; make it"):
        store.load("a")
    with pytest.raises(sqlite3.OperationalError, match="folder does not exist; make it"):
        store.save("b", "1")
    path.parent.mkdir()
    store.flush()
    store.save("a", "2")
    store.close()
    assert saved(path) == {"a": "2", "b": "1"}


def test_a_file_of_another_kind_is_told(path: Path) -> None:
    """And left as it is."""
    path.write_text("This is no database, but a letter to one. " * 100)
    with (
        SQLiteCursorStore(path) as store,
        pytest.raises(CursorError, match="choose another path") as caught,
    ):
        store.load("a")
    assert caught.value.key == "a"
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert path.read_text().startswith("This is no database")


def test_closing_tells_that_it_could_not_write(tmp_path: Path) -> None:
    """And ends the thread."""
    store = SQLiteCursorStore(tmp_path / "folder" / "cursors.db")
    store.save("a", "1")
    with pytest.raises(sqlite3.OperationalError):
        store.close()
    store.close()


def test_a_failed_write_is_tried_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if nobody saves any more."""
    monkeypatch.setattr(_writer, "_RETRY_SECONDS", 0.01)
    path = tmp_path / "folder" / "cursors.db"
    store = SQLiteCursorStore(path, flush_interval=0)
    store.save("a", "1")
    time.sleep(0.05)
    path.parent.mkdir()
    deadline = time.monotonic() + 5
    while saved(path) != {"a": "1"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    store.flush()
    assert saved(path) == {"a": "1"}
    store.close()


@pytest.mark.anyio
async def test_a_full_disk_does_not_stop_the_stream(
    tmp_path: Path, sse_history: HistoryServer
) -> None:
    """Events flow, hooks are told, and the cursor is saved when there is room again."""
    folder = tmp_path / "folder"
    folder.mkdir()
    store = SQLiteCursorStore(folder / "cursors.db", flush_interval=0)
    recorder = Recorder()
    policy = ExponentialBackoff(wait_initial=0.01, wait_max=0.01)
    async with ReconnectingEventSource(
        sse_history.url, cursor=store, cursor_policy=policy, hooks=[recorder]
    ) as source:
        folder.rename(tmp_path / "elsewhere")
        for number in range(1, 30):
            sse_history.publish(str(number))
            assert (await anext(source)).id == str(number)
            await anyio.sleep(0.005)
        assert recorder.of(CursorStoreFailed)
        (tmp_path / "elsewhere").rename(folder)
    await anyio.to_thread.run_sync(store.close)
    assert saved(folder / "cursors.db") == {sse_history.url: "28"}


def test_a_killed_process_loses_no_more_than_the_interval(path: Path) -> None:
    """What was saved half a second before SIGKILL is in the file."""
    program = f"""
import time
from resilient_sse.cursors import SQLiteCursorStore
store = SQLiteCursorStore({str(path)!r})
number = 0
while True:
    number += 1
    store.save("a", str(number))
    print(number, time.monotonic(), flush=True)
    time.sleep(0.001)
"""
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            killer = threading.Timer(0.6, process.send_signal, [signal.SIGKILL])
            killer.start()
            lines = [first, *process.stdout]
        killed = float(lines[-2].split()[1])
        old_enough = [
            int(number) for number, when in map(str.split, lines[:-1]) if float(when) < killed - 0.5
        ]
        assert int(saved(path)["a"]) >= old_enough[-1]


def test_a_negative_interval_is_refused(path: Path) -> None:
    """When the store is made."""
    with pytest.raises(ValueError, match="flush_interval"):
        SQLiteCursorStore(path, flush_interval=-1)
