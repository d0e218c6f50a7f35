"""The two sources are twins: same keywords, same defaults, same members."""

from __future__ import annotations

import inspect

from resilient_sse import Dialect, ReconnectingEventSource, SyncReconnectingEventSource

_ASYNC_ONLY = {"aclose", "__aenter__", "__aexit__", "__aiter__", "__anext__"}
_SYNC_ONLY = {"close", "__enter__", "__exit__", "__iter__", "__next__"}
KEYWORDS = {
    "client": None, "method": "GET", "headers": None, "params": None, "content": None,
    "json": None, "data": None, "auth": None, "prepare_request": None, "connect_timeout": 10.0,
    "idle_timeout": 300.0, "last_event_id": "", "cursor": None, "cursor_key": "",
    "auto_ack": True, "max_unacked": 10_000, "dedupe": 0, "on_gap": "give up",
    "reset_after": 60.0, "retry_unsafe": False, "dialect": Dialect(), "decoder": None,
    "max_event_size": 16 * 1024 * 1024, "until": None, "hooks": (),
}  # fmt: skip


def _surface(source: type) -> set[str]:
    """What a program may use: public names, and the special methods that the source defines."""
    own = {
        name for base in source.__mro__[:-1] for name in vars(base) if base.__module__ != "typing"
    }
    special = {name for name in own if name.startswith("__") and callable(getattr(source, name))}
    return {name for name in dir(source) if not name.startswith("_")} | special


def test_signatures() -> None:
    """Both take the same keywords with the same defaults, in the same order."""
    here, there = map(inspect.signature, (ReconnectingEventSource, SyncReconnectingEventSource))
    assert here == there
    assert next(iter(here.parameters)) == "url"
    assert {p.kind for p in list(here.parameters.values())[1:]} == {inspect.Parameter.KEYWORD_ONLY}


def test_defaults() -> None:
    """The keywords and their defaults are those that the documentation promises."""
    signature = inspect.signature(ReconnectingEventSource)
    found = {name: each.default for name, each in signature.parameters.items()}
    assert found.keys() == {"url", "policy", "cursor_policy", *KEYWORDS}
    assert {name: found[name] for name in KEYWORDS} == KEYWORDS
    assert repr(found["policy"]).startswith("ExponentialBackoff(attempts=None, timeout=None")
    assert repr(found["cursor_policy"]).startswith(
        "ExponentialBackoff(attempts=None, timeout=10.0, wait_initial=0.1, wait_max=5.0"
    )


def test_surfaces() -> None:
    """Both have the same members; only what every event loop needs has another name."""
    here, there = _surface(ReconnectingEventSource), _surface(SyncReconnectingEventSource)
    assert here - there == _ASYNC_ONLY
    assert there - here == _SYNC_ONLY
    assert here & there >= {"ack", "batches", "last_event_id", "reconnect", "response", "state"}


def test_members_take_the_same_arguments() -> None:
    """A member of one can be called like that of the other."""
    for name in ("ack", "batches", "reconnect"):
        here = inspect.signature(getattr(ReconnectingEventSource, name))
        there = inspect.signature(getattr(SyncReconnectingEventSource, name))
        assert here.parameters == there.parameters


def test_documentation() -> None:
    """Both say what they are."""
    assert ReconnectingEventSource.__doc__ == SyncReconnectingEventSource.__doc__
    for source in (ReconnectingEventSource, SyncReconnectingEventSource):
        for name in _surface(source) - _ASYNC_ONLY - _SYNC_ONLY - {"__init__", "__repr__"}:
            assert inspect.getdoc(getattr(source, name)), name
