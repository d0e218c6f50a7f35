"""An extension of griffe for the site: the reference shows nothing private, and nothing twice."""

from __future__ import annotations

import ast
import re
from typing import Any

from griffe import Attribute, Extension, Function, Module, Object, safe_get_expression

PRIVATE = re.compile(r"\b_[A-Za-z]\w*")


class PlainReference(Extension):
    """Shows values instead of private names, types without quotes, modules without a summary."""

    def on_function(self, *, func: Function, **_: Any) -> None:  # noqa: ANN401 - griffe's own
        """Replace a default such as ``_DEFAULT_POLICY`` by its value, ``ExponentialBackoff()``."""
        for parameter in func.parameters:
            if (value := _value_of(str(parameter.default), func)) is not None:
                parameter.default = value

    def on_attribute(self, *, attr: Attribute, **_: Any) -> None:  # noqa: ANN401 - griffe's own
        """Show what a type stands for, and the class alone of a value made of private names."""
        value = str(attr.value)
        if str(attr.annotation) == "TypeAlias" and value[:1] in "'\"":
            attr.value = _parsed(ast.literal_eval(value), attr)
        elif (of := re.match(r"(\w+)\(", value)) and PRIVATE.search(value):
            attr.value = _parsed(f"{of[1]}(...)", attr)

    def on_module(self, *, mod: Module, **_: Any) -> None:  # noqa: ANN401 - griffe's own
        """Leave a module's summary out: its page begins with a sentence of its own."""
        if mod.docstring:
            mod.docstring.value = mod.docstring.value.partition("\n\n")[2]


def _value_of(name: str, func: Function) -> Any:  # noqa: ANN401 - text or one of griffe's expressions
    """Return what a constant's name stands for; None if it is none of the function's module."""
    module: Object = func.module
    if not name.lstrip("_").isupper() or name not in module.members:
        return None
    return module.members[name].value


def _parsed(text: str, where: Attribute) -> Any:  # noqa: ANN401 - one of griffe's expressions
    return safe_get_expression(ast.parse(text, mode="eval").body, parent=where.parent)
