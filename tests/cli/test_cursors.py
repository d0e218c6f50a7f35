"""``resilient-sse cursors``: the same on every engine that keeps cursors."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import stamina.instrumentation
import structlog

from resilient_sse.cli import main
from resilient_sse.cursors import (
    PostgreSQLCursorStore,
    PostgreSQLLeases,
    RedisCursorStore,
    RedisLeases,
    SQLiteCursorStore,
    StreamLease,
)
from resilient_sse.cursors._engine import memory as _memory
from tests.support.postgresql_server import PROGRAMS
from tests.support.redis_server import needs_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.postgresql_server import PostgreSQLServer
    from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(60)

URL = "https://example.com/events"
ENGINES = [
    "sqlite",
    pytest.param("redis", marks=needs_redis),
    pytest.param("postgresql", marks=pytest.mark.skipif(not PROGRAMS, reason="no postgresql")),
]
SHARED = ENGINES[1:]


class Store:
    """A store, by the words of a command line and as a program uses it."""

    def __init__(self, words: str, made: Callable[[], Any], leases: Callable[[], Any]) -> None:
        self.words = words
        self.made = made
        self.leases = leases
        self.age: Callable[[str], None] = lambda _key: None

    def keep(self, **cursors: str) -> None:
        """Save some."""
        with self.made() as store:
            for key, cursor in cursors.items():
                store.save(key, cursor)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store on one of the engines."""
    return _STORES[request.param](request, tmp_path)


def _sqlite(_request: pytest.FixtureRequest, folder: Path) -> Store:
    path = folder / "cursors.db"
    made = Store(str(path), lambda: SQLiteCursorStore(path), lambda: None)
    made.keep()
    with SQLiteCursorStore(path) as store:
        store.load("")  # which makes the file

    def age(key: str) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE cursors SET saved_at = saved_at - 1000 WHERE key = ?", (key,))

    made.age = age
    return made


def _redis(request: pytest.FixtureRequest, _folder: Path) -> Store:
    server: RedisServer = request.getfixturevalue("shared_redis")
    server.flush()
    server.grow_old("resilient-sse:{g}")
    made = Store(
        server.url, lambda: RedisCursorStore(server.url), lambda: RedisLeases(server.url, "g")
    )

    def age(key: str) -> None:
        for name in ("resilient-sse:cursors", "resilient-sse:{g}:cursors"):
            entry = server.client.hget(name, key)
            if entry is not None:
                server.client.hset(name, key, re.sub(rb"@\d+", b"@1000000", entry))

    made.age = age
    return made


def _postgresql(request: pytest.FixtureRequest, _folder: Path) -> Store:
    server: PostgreSQLServer = request.getfixturevalue("shared_postgresql")
    for table in ("server", "leases", "saves", "members", "streams", "cursors"):
        server.execute(f"DROP TABLE IF EXISTS resilient_sse_{table}")
    _memory.forget()

    def leases() -> PostgreSQLLeases:
        made = PostgreSQLLeases(server.url, "g")
        made.holders()  # which makes the tables
        server.execute("DELETE FROM resilient_sse_server")
        server.execute(
            "INSERT INTO resilient_sse_server VALUES"
            " (true, pg_postmaster_start_time()::text, 'epoch')"
        )
        return made

    def age(key: str) -> None:
        server.execute("UPDATE resilient_sse_cursors SET saved_at = 'epoch' WHERE key = %s", key)
        server.execute("UPDATE resilient_sse_saves SET saved_at = 'epoch' WHERE name = %s", key)

    made = Store(server.url, lambda: PostgreSQLCursorStore(server.url), leases)
    made.age = age
    return made


_STORES: dict[str, Callable[[pytest.FixtureRequest, Path], Store]] = {
    "sqlite": _sqlite,
    "redis": _redis,
    "postgresql": _postgresql,
}


class Ran:
    """What a command wrote, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def found(self) -> list[dict[str, Any]]:
        """The objects that it wrote."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ran]]:
    """The command in this process."""

    def run(*words: str) -> Ran:
        code = main(["cursors", *words])
        output = capfd.readouterr()
        return Ran(code, output.out, output.err)

    yield run
    structlog.reset_defaults()
    stamina.instrumentation.set_on_retry_hooks(None)


@pytest.mark.parametrize("store", ENGINES, indirect=True)
def test_list_show_set_forget(store: Store, run: Callable[..., Ran]) -> None:
    """Of a store without leases."""
    assert run("list", store.words).out == ""
    store.keep(**{URL: "7", "b": ""})
    (first, second) = run("list", store.words, "--format", "json").found
    assert (first["key"], first["cursor"], first["group"]) == ("b", "", None)
    assert (second["key"], second["cursor"], second["held"]) == (URL, "7", False)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", second["saved_at"])
    assert run("show", store.words, URL).out == "7\n"
    assert run("show", store.words, URL, "--format", "json").found == [second]

    assert run("set", store.words, URL, "two words").code == 0
    assert run("show", store.words, URL).out == "two words\n"
    _memory.forget()  # a program that is started next
    with store.made() as opened:
        assert opened.load(URL) == "two words"

    gone = run("forget", store.words, "b", URL, "--format", "json")
    assert [one["key"] for one in gone.found] == ["b", URL]
    assert run("list", store.words).out == ""


@pytest.mark.parametrize("store", ENGINES, indirect=True)
def test_what_is_long_over_is_forgotten(store: Store, run: Callable[..., Ran]) -> None:
    """And what is not is kept."""
    store.keep(old="1", new="2")
    store.age("old")
    gone = run("forget", store.words, "--older-than", "0.2h", "--format", "json")
    assert [one["key"] for one in gone.found] == ["old"]
    assert [one["key"] for one in run("list", store.words, "--format", "json").found] == ["new"]


@needs_redis
def test_who_may_not_write(shared_redis: RedisServer, run: Callable[..., Ran]) -> None:
    """It is said, without the password, and not tried again."""
    shared_redis.flush()
    shared_redis.client.hset("resilient-sse:cursors", "a", "other 5 3")
    rights = ("on", ">pass", "~*", "+@read", "+@keyspace", "+@connection")
    shared_redis.client.execute_command("ACL", "SETUSER", "reader", *rights)
    store = shared_redis.url.replace("redis://", "redis://reader:pass@")
    assert run("show", store, "a").out == "3\n"
    refused = run("set", store, "a", "4")
    assert refused.code == 4
    assert "the cursor store could not save 'a'" in refused.err
    assert "pass@" not in refused.err
    shared_redis.client.execute_command("ACL", "DELUSER", "reader")


@needs_redis
def test_a_cursor_of_unknown_age_is_kept(
    shared_redis: RedisServer, run: Callable[..., Ran]
) -> None:
    """One that another program wrote, perhaps an earlier build."""
    shared_redis.flush()
    shared_redis.client.hset("resilient-sse:cursors", "a", "other 5 3")
    assert run("list", shared_redis.url).out == "a  3  -  -\n"
    assert run("list", shared_redis.url, "--format", "json").found[0]["saved_at"] is None
    assert run("forget", shared_redis.url, "--older-than", "1s").out == ""
    assert run("show", shared_redis.url, "a").out == "3\n"


@pytest.mark.parametrize("store", ENGINES, indirect=True)
def test_a_cursor_that_is_not_there(store: Store, run: Callable[..., Ran]) -> None:
    """Nothing is written, and nothing forgotten."""
    store.keep(a="1")
    for words in (["show", store.words, "b"], ["forget", store.words, "a", "b"]):
        ran = run(*words)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == "resilient-sse: there is no cursor of 'b'\n"
    assert run("show", store.words, "a").out == "1\n"


@pytest.mark.parametrize("store", SHARED, indirect=True)
def test_cursors_of_a_group(store: Store, run: Callable[..., Ran]) -> None:
    """One whose lease is held is left alone; one that was set is granted with the lease."""
    store.keep(g="of no group")
    lease = StreamLease(store.leases())
    with lease:
        lease._granted().save("", "5")
        (outside, inside) = run("list", store.words, "--format", "json").found
        assert (outside["group"], inside["group"]) == (None, "g")
        assert (inside["key"], inside["cursor"], inside["held"]) == ("g", "5", True)
        assert inside["saved_at"].startswith("20")
        assert run("list", store.words, "--group", "g", "--format", "json").found == [inside]
        for words in (["set", store.words, "g", "9"], ["forget", store.words, "g"]):
            ran = run(*words, "--group", "g")
            assert (ran.code, ran.out) == (1, "")
            assert "the lease of 'g' is held; stop the replicas first" in ran.err
        store.age("g")
        assert run("forget", store.words, "--group", "g", "--older-than", "1m").out == ""
    assert run("show", store.words, "g", "--group", "g").out == "5\n"
    ran = run("show", store.words, "h", "--group", "g")
    assert ran.err == "resilient-sse: there is no cursor of 'h' in the group 'g'\n"

    assert run("set", store.words, "g", "two words", "--group", "g").code == 0
    with lease:  # whose process remembers the other one
        assert lease._granted().load("") == "two words"
    gone = run("forget", store.words, "g", "--group", "g")
    assert re.fullmatch(r"g  two words  20\S+  g\n", gone.out)
    _memory.forget()
    with StreamLease(store.leases()) as another:
        assert another._granted().load("") is None
    assert run("show", store.words, "g").out == "of no group\n"


@pytest.mark.parametrize("store", SHARED, indirect=True)
def test_a_cursor_for_a_lease_that_nobody_had(store: Store, run: Callable[..., Ran]) -> None:
    """The first replica begins there."""
    leases = store.leases()
    assert run("set", store.words, "g", "3", "--group", "g").code == 0
    with StreamLease(leases) as lease:
        assert lease._granted().load("") == "3"


@pytest.mark.parametrize("store", SHARED, indirect=True)
def test_another_prefix(store: Store, run: Callable[..., Ran]) -> None:
    """It has cursors of its own."""
    store.keep(a="1")
    assert run("list", store.words, "--prefix", "other").out == ""
    assert run("set", store.words, "a", "2", "--prefix", "other").code == 0
    assert run("show", store.words, "a", "--prefix", "other").out == "2\n"
    assert run("show", store.words, "a").out == "1\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "nowhere.db"], "there is no file 'nowhere.db'"),
        (["list", "mysql://h"], "a store is a file, or a URL whose scheme is one of redis, "),
        (["list", "nowhere.db", "--prefix", "x"], "a file has no prefix"),
        (["list", "postgresql://h/d", "--prefix", "X"], "a prefix of tables has small letters"),
        (["forget", "x.db"], "say which: a KEY or several, or --older-than AGE"),
        (["forget", "x.db", "a", "--older-than", "1d"], "say which: a KEY or several"),
        (["forget", "x.db", "--older-than", "soon"], "'soon' is no age, such as 90d"),
        ([], "Missing command"),
    ],
)
def test_a_wrong_command_line(words: list[str], said: str, run: Callable[..., Ran]) -> None:
    """One line says what to write."""
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("resilient-sse: ")
    assert said in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_file_has_no_groups(store: Store, run: Callable[..., Ran]) -> None:
    """It is refused, in words."""
    ran = run("set", store.words, "a", "1", "--group", "g")
    assert ran.code == 2
    assert "a file has no groups" in ran.err


@pytest.mark.parametrize(
    "store", ["redis://:secret@127.0.0.1:1", "postgresql://u:secret@127.0.0.1:1/d"]
)
def test_an_engine_that_cannot_be_reached(store: str, run: Callable[..., Ran]) -> None:
    """One line says why, without the password."""
    ran = run("list", store)
    assert (ran.code, ran.out) == (4, "")
    assert "the store does not answer as it should: " in ran.err
    assert "refused" in ran.err
    assert "secret" not in ran.err
    assert run("set", store, "a", "1").code == 4


@pytest.mark.parametrize("store", [ENGINES[2]], indirect=True)
def test_a_database_that_is_not_there(store: Store, run: Callable[..., Ran]) -> None:
    """No waiting changes that; the line names it."""
    nowhere = store.words.replace("/postgres", "/nowhere")
    for words in (["list", nowhere], ["set", nowhere, "a", "1"]):
        ran = run(*words)
        assert (ran.code, ran.out) == (4, "")
        assert 'database "nowhere" does not exist' in ran.err


def test_a_file_that_is_no_store(tmp_path: Path, run: Callable[..., Ran]) -> None:
    """It is left as it is."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, this is no database at all." * 100)
    ran = run("list", str(path))
    assert ran.code == 4
    assert "choose another path" in ran.err


@pytest.mark.parametrize(
    ("url", "extra"), [("redis://h", "redis"), ("postgresql://h", "postgresql")]
)
def test_without_the_extra(url: str, extra: str, tmp_path: Path) -> None:
    """The error says what to install."""
    library = {"redis": "redis", "postgresql": "psycopg"}[extra]
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.modules[{library!r}] = None\n"
        "from resilient_sse.cli import main\n"
        f"sys.exit(main(['cursors', 'list', {url!r}]))\n"
    )
    ran = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert f"pip install 'resilient-sse[{extra}]'" in ran.stderr
