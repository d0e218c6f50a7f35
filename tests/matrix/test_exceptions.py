"""Every exception of the HTTP libraries is classified, those of tomorrow included."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import httpx
import pytest

from resilient_sse import FailureKind
from resilient_sse._session.classify import BY_NAME, classify
from tests.support.http_libraries import LIBRARIES

if TYPE_CHECKING:
    from types import ModuleType

# The exceptions of the HTTP libraries that are no failures of a stream: bases that are not raised,
# and mistakes in a program.
NOT_FAILURES = frozenset(
    {
        "HTTPError",
        "RequestError",
        "CookieConflict",
        "StreamError",
        "StreamConsumed",
        "StreamClosed",
        "ResponseNotRead",
        "RequestNotRead",
    }
)
# Derived from TransportError, and raised by httpx2's own `client.sse()` only.
_NOT_OURS = {"SSEError"}


def _exceptions(module: ModuleType) -> dict[str, type[BaseException]]:
    found = {name: getattr(module, name) for name in dir(module)}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_exception_is_known(library: str) -> None:
    """A release that adds an exception fails here until somebody decides what it means."""
    names = _exceptions(importlib.import_module(library)).keys()
    unknown = names - BY_NAME.keys() - NOT_FAILURES - _NOT_OURS
    assert not unknown, f"{library} has exceptions that _classify.py does not name: {unknown}"


def test_no_name_is_made_up() -> None:
    """Every name that is classified is the name of an exception of httpx, and of one kind."""
    assert (BY_NAME.keys() | NOT_FAILURES) - _NOT_OURS == _exceptions(httpx).keys()
    assert not BY_NAME.keys() & NOT_FAILURES


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_failures(library: str, name: str) -> None:
    """An exception of any library is classified by its name."""
    kind = getattr(importlib.import_module(library), name)
    verdict = classify(_make(kind))
    assert verdict is not None
    assert verdict.kind is BY_NAME[name].kind


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", sorted(NOT_FAILURES - _NOT_OURS))
def test_mistakes(library: str, name: str) -> None:
    """A mistake in a program is let through, whichever library noticed it."""
    kind = getattr(importlib.import_module(library), name)
    assert classify(_make(kind)) is None


def _make(kind: type[BaseException]) -> BaseException:
    """Make an exception without knowing what its constructor wants."""
    return kind.__new__(kind)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_exceptions_that_are_derived(library: str) -> None:
    """A transport's own subclass, under any name and from any module, is what it derives from."""
    base = importlib.import_module(library).ReadTimeout
    verdict = classify(type("VerySlow", (base,), {})("slow"))
    assert verdict is not None
    assert verdict.kind is FailureKind.TIMEOUT


def test_exceptions_of_nobody() -> None:
    """The same name in another library means nothing."""
    assert classify(type("ReadTimeout", (Exception,), {})()) is None
