"""The documentation is true: its Python runs, and its commands exist.

CONTRIBUTING.md ("Code in the documentation") says what authors can rely on.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import SkipTest

import pytest
import stamina
from sybil import Document, Example, Lexeme
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.abstract.codeblock import AbstractCodeBlockParser
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, RawFencedCodeBlockLexer

from tests.support.docs_server import serve
from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sybil.typing import Evaluator, Parser

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]

# The hosts that a local server stands in for (`tests.support.docs_vendors`).
EXAMPLE_HOST = re.compile(
    r"https?://(([\w-]+\.)*example\.com|api\.openai\.com|api\.anthropic\.com"
    r"|generativelanguage\.googleapis\.com|boats\.firebaseio\.com|stream\.wikimedia\.org|kubernetes\.default\.svc)\b"
)
# Programs that are not the project's own; whether their arguments are right cannot be known here.
FOREIGN_PROGRAMS = {"cd", "curl", "docker", "git", "mkdocs", "python", "redis-server", "uv"}

pytestmark = pytest.mark.skipif(not DOCUMENTS[0].exists(), reason="not in a checkout")


def blocks(language: str, evaluator: Evaluator) -> Parser:
    """Find the blocks of one language, also those that readers do not see."""
    return AbstractCodeBlockParser(
        [
            # Whatever follows the language, such as a title, makes no difference.
            RawFencedCodeBlockLexer(re.compile(rf"(?P<arguments>{language})\b[^\n]*\n")),
            DirectiveInHTMLCommentLexer("invisible-code-block", arguments=".+"),
        ],
        language,
        evaluator,
    )


@pytest.fixture
def base_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a server, in an empty folder, without waits between attempts."""
    monkeypatch.chdir(tmp_path)
    with serve() as url, stamina.set_testing(True, attempts=1000):
        yield url


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks_work(path: Path, base_url: str) -> None:
    """The Python of a document runs, in order, in one namespace; its commands exist."""
    run = PythonEvaluator()

    def run_with_local_server(example: Example) -> None:
        example.parsed = _replace(example.parsed, base_url)
        run(example)

    document = Document.parse(
        str(path),
        blocks("python", run_with_local_server),
        blocks("bash", _check_commands),
        blocks("console", _check_commands),
        SkipParser(),
    )
    document.namespace["__name__"] = "__main__"
    for example in document.examples():
        # One that is skipped does not skip the others.
        with suppress(SkipTest):
            example.evaluate()


def _replace(source: Lexeme, base_url: str) -> Lexeme:
    """Put the local server in the example's place; the source keeps its position in the file."""
    return Lexeme(EXAMPLE_HOST.sub(base_url, source), source.offset, source.line_offset)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_block_escapes(path: Path) -> None:
    """No block is left out by another name for its language, or skipped without a reason."""
    text = path.read_text(encoding="utf-8")

    assert not re.findall(
        r"^\s*(?:```|~~~)\s*(?:py|python3|pycon|sh|shell|zsh)\b", text, re.MULTILINE
    )
    assert not re.findall(r"<!--+\s*skip:\s*\w+\s*--+>", text)


def _check_commands(example: Example) -> None:
    console = example.region.lexemes["arguments"] == "console"
    # A backslash at the end of a line joins it with the next.
    lines = example.parsed.replace("\\\n", " ").splitlines()
    commands = [line.removeprefix("$ ") for line in lines if not console or line.startswith("$ ")]
    for command in commands:
        words = shlex.split(command, comments=True)
        while words and re.match(r"\w+=", words[0]):  # a variable for this command alone
            words.pop(0)
        if words:
            _check_command(words)


def _check_command(words: list[str]) -> None:
    program = Path(words[0]).name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if program == "make":
        targets = re.findall(
            r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
        )
        unknown = {word for word in words[1:] if "=" not in word} - set(targets)
        assert not unknown, f"make has no such target: {unknown}"
    elif program in {"pip", "uv"} or words[:3] == ["python", "-m", "pip"]:
        for extras in re.findall(r"resilient-sse\[([^]]*)\]", " ".join(words)):
            unknown = {extra.strip() for extra in extras.split(",")}
            unknown -= set(project["optional-dependencies"])
            assert not unknown, f"the project has no such extra: {unknown}"
    elif words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]), f"there is no module {words[2]}"
    elif program not in FOREIGN_PROGRAMS | set(project.get("scripts", ())):
        assert (ROOT / words[0]).exists() or program in {"bash", "pytest"}, (
            f"unknown program {program}; if it is right, add it to FOREIGN_PROGRAMS"
        )
