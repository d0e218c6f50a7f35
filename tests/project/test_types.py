"""What type checkers are told and see."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import resilient_sse
from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPING = sorted((ROOT / "tests/typing").glob("*.py"))
SOURCE = Path(resilient_sse.__path__[0])
NAMED = re.compile(r"(\w+_)?(request|response)")
ANYTHING = re.compile(r"Any( \| None)?")
# What a program gives takes the requests of its own client, and a parameter is no place for less.
OF_THE_PROGRAM = {"_drivers/options.py": ["request"]}


def annotated(source: str) -> Iterator[tuple[str, str]]:
    """Go through the parameters and the fields of classes that have an annotation."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                yield name, ast.unparse(annotation)
            case ast.ClassDef(body=body):
                fields = (each for each in body if isinstance(each, ast.AnnAssign))
                yield from ((ast.unparse(e.target), ast.unparse(e.annotation)) for e in fields)
            case _:
                continue


def unchecked(source: str) -> list[str]:
    """Name the requests and responses that may be anything."""
    return [
        name
        for name, annotation in annotated(source)
        if NAMED.fullmatch(name) and ANYTHING.fullmatch(annotation)
    ]


def test_what_may_be_anything_is_found() -> None:
    """A parameter and a field are, and what is no request is not."""
    assert unchecked("def send(request: Any, /, *, next_request: Any | None = None): ...") == [
        "request",
        "next_request",
    ]
    assert unchecked("class Send:\n    response: Any\n    options: Any") == ["response"]
    assert not unchecked(
        "def send(request: HTTPRequest, prepare_request: Callable[[Any], Any]): ..."
    )


def test_requests_and_responses_are_checked() -> None:
    """Each of them is a library's own class, or one of the protocols in `http_messages`."""
    modules = sorted(SOURCE.rglob("*.py"))
    assert modules
    found = {
        str(module.relative_to(SOURCE)): names
        for module in modules
        if (names := unchecked(module.read_text(encoding="utf-8")))
    }

    assert found == OF_THE_PROGRAM


@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "checker",
    [
        ("mypy", "--strict", "--python-executable", sys.executable),
        ("pyright", "--pythonpath", sys.executable),
    ],
    ids=lambda c: c[0],
)
def test_type_checkers_see_what_they_are_to_see(checker: tuple[str, ...]) -> None:
    """They infer what `tests/typing` says, and refuse what it says is wrong."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = shutil.which(checker[0], path=path)
    if program is None:
        pytest.skip(f"{checker[0]} is not installed")
    assert TYPING
    done = subprocess.run(
        [program, *checker[1:], *map(str, TYPING)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert done.returncode == 0, done.stdout + done.stderr
