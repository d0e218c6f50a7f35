"""An extension of griffe for the site: a default that has a private name shows its value."""

from __future__ import annotations

from typing import Any

from griffe import Extension, Function, Object


class PlainDefaults(Extension):
    """Replaces ``_DEFAULT_POLICY`` by ``ExponentialBackoff()``, and its like."""

    def on_function(self, *, func: Function, **_: Any) -> None:  # noqa: ANN401 - griffe's own
        """Called by griffe for each function it has read."""
        for parameter in func.parameters:
            if (value := _value_of(str(parameter.default), func)) is not None:
                parameter.default = value


def _value_of(name: str, func: Function) -> Any:  # noqa: ANN401 - text or one of griffe's expressions
    """Return what a constant's name stands for; None if it is none of the function's module."""
    module: Object = func.module
    if not name.lstrip("_").isupper() or name not in module.members:
        return None
    return module.members[name].value
