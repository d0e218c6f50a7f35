"""What the built package says about the project's home: its links, and the README's.

The index shows the README without the repository around it, so links and pictures lead to the
project's home there. Where that is stands once, in pyproject.toml.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# A link or a picture of Markdown, unless it is absolute or leads to the page itself.
RELATIVE = re.compile(r"(?P<before>!\[[^]]*\]\(|\]\()(?P<target>(?!\w+:|#)[^)\s]+)")
# What GitHub itself serves beside the files of a repository.
OUTSIDE = "../../"


class Home(MetadataHookInterface):
    """Adds `readme` and `urls`, which are `dynamic` in pyproject.toml."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling with what pyproject.toml says."""
        home, tag = self.config["home"], f"v{metadata['version']}"
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        readme = absolute_links(text, home, tag)
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
        metadata["urls"] = {
            "Homepage": home,
            "Documentation": self.config["site"],
            "Changelog": f"{home}/blob/{tag}/CHANGELOG.md",
            "Issues": f"{home}/issues",
            "Source": home,
        }


def absolute_links(text: str, home: str, tag: str) -> str:
    """Have the links of a page of the repository lead to its home."""
    return RELATIVE.sub(lambda link: link["before"] + _absolute(link, home, tag), text)


def _absolute(link: re.Match[str], home: str, tag: str) -> str:
    if link["target"].startswith(OUTSIDE):
        return f"{home}/{link['target'].removeprefix(OUTSIDE)}"
    kind = "raw" if link["before"].startswith("!") else "blob"
    return f"{home}/{kind}/{tag}/{link['target']}"
