"""Build the site into site/, and look at what was built: run by `make docs`.

Where the project and its documentation live is said once, in pyproject.toml; mkdocs.yml takes it
from the environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What a reader of a signature can do nothing with.
PRIVATE = re.compile(r"(?<![\w./])_[A-Za-z]\w*|&lt;object object|object at 0x")
STARS = 'data-md-component="source"'
# Material's own page for what was not found, and what each page takes from the site.
OF_THE_THEME = {"404.html"}


def main() -> int:
    """Return 0 if all is well."""
    forget_last_time()
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=ROOT,
        env={**os.environ, **places(), "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        return 1
    faults = list(faults_of(ROOT / "site"))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def forget_last_time() -> None:
    """Begin anew: the builder does not see that an included file has changed.

    Its own ``--clean`` takes all of .cache, where the runs of tests keep what failed first.
    """
    shutil.rmtree(ROOT / "site", ignore_errors=True)
    for path in (ROOT / ".cache").glob("*"):
        if path.is_file():
            path.unlink()


def places() -> dict[str, str]:
    """Return the variables that mkdocs.yml reads."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    told = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]
    return {"PROJECT_HOME": told["home"], "PROJECT_SITE": told["site"]}


def faults_of(site: Path) -> list[str]:
    """List what the builder lets through."""
    pages = {
        str(path.relative_to(site)): path.read_text(encoding="utf-8")
        for path in sorted(site.rglob("*.html"))
        if path.name not in OF_THE_THEME
    }
    told = {name: _description(page) for name, page in pages.items()}
    often = Counter(told.values())
    return [
        *(f"{name}: no description of its own" for name in told if often[told[name]] > 1),
        *(
            f"{name}: it asks another site for stars"
            for name, page in pages.items()
            if STARS in page
        ),
        *(
            f"{name}: {found} means nothing to a reader"
            for name, page in pages.items()
            if name.startswith("reference/")
            for found in sorted(set(PRIVATE.findall(re.sub(r"<[^>]+>", "", page))))
        ),
    ]


def _description(page: str) -> str:
    found = re.search(r'<meta name="description" content="([^"]*)"', page)
    return found[1] if found else ""


if __name__ == "__main__":
    sys.exit(main())
