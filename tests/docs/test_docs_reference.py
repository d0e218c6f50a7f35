"""The reference has every public name, and the README's comparison shows what it says."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import resilient_sse
from tests.support.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = sorted(ROOT.glob("docs/reference/*.md"))
# "::: name" and the indented YAML behind it.
DIRECTIVE = re.compile(r"^::: (\S+)\n((?: {4}.*\n)*)", re.MULTILINE)

pytestmark = pytest.mark.skipif(not PAGES, reason="not in a checkout")


def public_modules() -> Iterator[Any]:
    """Import the package and everything in it whose name has no underscore."""
    yield resilient_sse
    for module in pkgutil.walk_packages(resilient_sse.__path__, "resilient_sse."):
        if not re.search(r"\._", module.name):
            yield importlib.import_module(module.name)


def names_on(page: Path) -> list[str]:
    """List the names that a page documents."""
    found: list[str] = []
    for name, options in DIRECTIVE.findall(page.read_text(encoding="utf-8") + "\n"):
        settings: dict[str, dict[str, Any]] = yaml.safe_load(options) or {}
        found += _documented(name, settings.get("options", {}))
    return found


def _documented(name: str, options: dict[str, Any]) -> list[str]:
    """List what mkdocstrings shows for a name: itself, or the members if it is a module."""
    if not _is_module(name):
        parent, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(parent), last), f"there is no {name}"
        return [last]
    module = importlib.import_module(name)
    members: list[str] = options.get("members", getattr(module, "__all__", []))
    assert all(hasattr(module, member) for member in members), f"{name} has not all of {members}"
    return members


def _is_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def test_every_public_name_is_on_one_page() -> None:
    """No public name is without a place in the reference, or has two."""
    public = {name for module in public_modules() for name in getattr(module, "__all__", ())}
    pages = Counter(name for page in PAGES for name in names_on(page))

    assert not sorted(public - {"__version__"} - pages.keys()), "in no page of the reference"
    assert {name: count for name, count in pages.items() if count > 1} == {}


def test_every_public_module_is_mentioned() -> None:
    """A reader finds the module to import a plug-in from."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    with_names = [module.__name__ for module in public_modules() if getattr(module, "__all__", ())]

    assert [name for name in with_names if name not in text] == []


@pytest.mark.parametrize("folder", ["explanation", "how-to", "reference"])
def test_every_page_is_on_the_list_of_its_folder(folder: str) -> None:
    """Who reads them on the forge has nothing but these lists to find a page by."""
    here = ROOT / "docs" / folder
    text = (here / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in here.glob("*.md")} - {"index.md"}
    assert pages - set(re.findall(r"\]\(([\w-]+\.md)", text)) == set()


def test_descriptions_are_shown() -> None:
    """The option that hides a module's description hides those of its members, too."""
    pages = {page.name: page.read_text(encoding="utf-8") for page in PAGES}

    assert [name for name, text in pages.items() if "show_docstring_description" in text] == []


def comparison() -> list[list[str]]:
    """Read the rows of the README's table, without the headings within it."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Others\n")[2]
    rows = re.findall(r"^\| (?!\| resilient)(.*) \|$", section.partition("\n## ")[0], re.MULTILINE)
    return [row.split(" | ") for row in rows if not row.startswith("**")]


def test_the_comparison_is_shown_by_what_runs() -> None:
    """Ours is a "yes" in every row, linked to a test that exists or to an example that is run."""
    rows = comparison()
    assert len(rows) > 20
    for what, ours, *_ in rows:
        link = re.fullmatch(r'\[yes\]\((\S+\.py)(?: "(\w+)")?\)', ours)
        assert link, f"{what}: {ours}"
        path, test = link.groups()
        source = (ROOT / path).read_text(encoding="utf-8")
        assert path.startswith("examples/") if test is None else f"def {test}(" in source, what


def test_links_of_the_readme_lead_somewhere() -> None:
    """The files that the README links to exist."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!\w+:)([^)#\s]+)", text)
    # What is beside the files of a repository, on its host: see test_package.
    here = [link for link in links if not link.startswith("../../actions/")]

    assert [link for link in here if not (ROOT / link).exists()] == []
