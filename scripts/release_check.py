"""Say what keeps dist/ from being released: run by `make release-check`, after the build.

A project without a home can be built and installed, but not be published: the index would show
links that lead nowhere.
"""

from __future__ import annotations

import re
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

RELATIVE = re.compile(r"\]\((?!\w+:|#)[^)\s]+")


def main(folder: str = "dist", changelog: str = "CHANGELOG.md") -> int:
    """Print every obstacle; the exit status says whether there is one."""
    obstacles = list(find_obstacles(Path(folder), Path(changelog)))
    for obstacle in obstacles:
        print(f"Not fit for a release: {obstacle}", file=sys.stderr)
    return 1 if obstacles else 0


def find_obstacles(folder: Path, changelog: Path) -> list[str]:
    """List them; none means that everything is in its place."""
    wheels, sources = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sources) != 1:
        return [f"{folder} has {len(wheels)} wheels and {len(sources)} source distributions"]
    metadata = read_metadata(wheels[0])
    return [*_of_the_links(metadata), *_of_the_changelog(changelog, str(metadata["Version"]))]


def read_metadata(wheel: Path) -> Message:
    """Read what the index will show."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return BytesParser().parsebytes(archive.read(name))


def _of_the_links(metadata: Message) -> list[str]:
    urls = [str(entry).partition(", ")[2] for entry in metadata.get_all("Project-URL", [])]
    text = bytes(metadata.get_payload(decode=True) or b"").decode()
    found = [f"a link of the README is relative: {link[2:]}" for link in RELATIVE.findall(text)]
    if not urls:
        found.append("it has no [project.urls]")
    if any(".invalid" in url for url in urls):
        found.append("`home` or `site` in pyproject.toml is still a placeholder")
    return found


def _of_the_changelog(changelog: Path, version: str) -> list[str]:
    dated = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    if re.search(dated, changelog.read_text(encoding="utf-8"), re.MULTILINE):
        return []
    return [f"{changelog.name} has no dated section for {version}"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
