"""Running a module's tests over both HTTP libraries, although they are written with one's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from tests.support.http_libraries import LIBRARIES

if TYPE_CHECKING:
    from types import ModuleType
    from typing import TypeAlias

    Outcome: TypeAlias = tuple[int, bytes, type[Exception] | None]

__all__ = ["of_the_library", "over_both_libraries"]


@pytest.fixture(name="library", params=["httpx", "httpx2"], autouse=True)
def over_both_libraries(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """Have the name ``httpx`` mean the one and then the other in a module that imports this."""
    chosen: ModuleType = LIBRARIES[request.param]
    module = cast("ModuleType", request.module)  # pyright: ignore[reportUnknownMemberType] - pytest does not say
    monkeypatch.setattr(module, "httpx", chosen)
    return chosen


def of_the_library(outcome: Outcome, library: ModuleType) -> Outcome:
    """Return an outcome of a table that was made of httpx's exceptions as one of the library's."""
    status, body, error = outcome
    return status, body, error and getattr(library, error.__name__)
