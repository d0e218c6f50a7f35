"""An extension of Markdown for the site: what a page takes from elsewhere, and its description.

`<!-- include: CHANGELOG.md -->` stands for a file of the repository, with a heading behind the
name for that section alone. Links of what is included lead to the project's home, where the rest
of the repository is. The description, which search engines show, is the page's first paragraph.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from markdown import Extension
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor
from zensical.extensions.context import ContextPreprocessor

from scripts.package_metadata import absolute_links

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from markdown import Markdown

ROOT = Path(__file__).parent.parent
INCLUDE = re.compile(r"<!-- include: (?P<file>\S+)(?: (?P<heading>#+ .+))? -->")
MOST = 200  # characters that a search engine shows of a description


class Include(Preprocessor):
    """Puts a file of the repository in the place of the comment that names it."""

    def run(self, lines: list[str]) -> list[str]:
        """Called by Markdown with the lines of a page."""
        return [new for line in lines for new in self._instead_of(line)]

    def _instead_of(self, line: str) -> list[str]:
        named = INCLUDE.fullmatch(line)
        if not named:
            return [line]
        text = (ROOT / named["file"]).read_text(encoding="utf-8")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        home = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["home"]
        text = absolute_links(text, home, f"v{project['project']['version']}")
        return (_section(text, named["heading"]) if named["heading"] else text).splitlines()


class Describe(Treeprocessor):
    """Makes the first paragraph the description, unless the page has one."""

    def run(self, root: Element) -> None:
        """Called by Markdown with the page, as elements."""
        context = ContextPreprocessor.from_markdown(self.md)
        paragraph = root.find("p")
        # Text within a docstring is rendered as a page of its own, without a heading.
        if context and paragraph is not None and root.find("h1") is not None:
            context.page.meta.setdefault("description", shortened(text_of(paragraph)))


class SitePages(Extension):
    """Adds both."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - Markdown's name
        """Called by Markdown."""
        md.preprocessors.register(Include(md), "include", 100)
        md.treeprocessors.register(Describe(md), "describe", 5)


def _section(text: str, heading: str) -> str:
    """Return a heading and what stands below it, up to the next of its level; all references."""
    level = heading.partition(" ")[0]
    below = text.partition(f"\n{heading}\n")[2]
    references = re.findall(r"^\[[^]]+\]: \S+$", text, re.MULTILINE)
    return "\n".join([heading, re.split(rf"^{level} ", below, flags=re.MULTILINE)[0], *references])


def text_of(element: Element) -> str:
    """Return an element's text in one line, fit for an attribute, without what was put aside."""
    text = re.sub("\x02.*?\x03", "", "".join(element.itertext()))  # how Markdown puts aside
    text = text.replace('"', "'").replace("<", "").replace("&", "and")
    return re.sub(r"\s+", " ", text).strip()


def shortened(text: str) -> str:
    """Cut a text to whole sentences, or else words, that a search engine shows."""
    if len(text) <= MOST:
        return re.sub(":$", ".", text)
    whole = re.match(rf".{{50,{MOST - 1}}}[.:](?= )", text)
    return whole[0].rstrip(":") if whole else text[:MOST].rpartition(" ")[0] + " …"


def makeExtension() -> SitePages:  # noqa: N802 - Markdown's name
    """Called by Markdown."""
    return SitePages()
