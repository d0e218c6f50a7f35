"""What an error of ours carries from httpx2, pickled so that it can be read without httpx2.

A class is pickled by its name, which has to be there when it is read. Requests, responses and
exceptions of httpx2 are pickled by what they say instead, and made anew of what is there: of
httpx2, or else of httpx.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from resilient_sse._values.library import HTTPX, installed, name_of, own_library_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.library import Request, Response

    _Reduced = tuple[Callable[..., Any], tuple[Any, ...]]
    _Fields = list[tuple[bytes, bytes]]


class Portable:
    """A value that is read anywhere, whatever of httpx2 is in it."""

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - whatever can be pickled
        self.value = value

    def __reduce__(self) -> _Reduced:
        file = io.BytesIO()
        _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(self.value)
        return _read, (file.getvalue(),)


def _read(data: bytes) -> Portable:
    return Portable(pickle.loads(data))  # noqa: S301 - it stands within what is being read


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401 - as in `pickle`
        library = own_library_of(value)
        if library is None or library is HTTPX:
            return NotImplemented
        name = name_of(library)
        if isinstance(value, library.Request):
            return _request, (name, value.method, str(value.url), value.headers.raw)
        if isinstance(value, library.Response):
            return _response, (name, value.status_code, value.headers.raw, _links(value))
        if isinstance(value, Exception):
            return _exception, (name, _public_name(value, name), value.args, vars(value))
        return NotImplemented


def _links(response: Response) -> dict[str, Any]:
    """Return what a response leads to."""
    return {
        "request": getattr(response, "_request", None),
        "history": response.history,
        "next_request": response.next_request,
    }


def _public_name(error: Exception, library: str) -> str:
    """Return the name of the library's own class that an exception, perhaps a user's, is of."""
    kinds = (kind for kind in type(error).__mro__ if kind.__module__.startswith(library))
    return next(kinds).__name__


def _request(library: str, method: str, url: str, headers: _Fields) -> Request:
    return installed(library).Request(method, url, headers=headers, content=b"")


def _response(library: str, status: int, headers: _Fields, links: dict[str, Any]) -> Response:
    made = installed(library).Response(status, headers=headers)
    for name, value in links.items():
        setattr(made, name, value)
    return made


def _exception(library: str, name: str, args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    kind: Any = getattr(installed(library), name)
    made: Exception = kind.__new__(kind, *args)
    vars(made).update(state)
    return made
