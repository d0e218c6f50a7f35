"""What is built is what a stranger needs: the files, the links, and no more."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from typing import TYPE_CHECKING

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from tests.support.files import ROOT

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

HOME = "https://home.invalid/resilient_sse"
SITE = "https://site.invalid/resilient_sse/"
MADE = re.compile(r"__pycache__|.*\.py[cod]|.*_cache|\..*")

pytestmark = pytest.mark.skipif(
    not (ROOT / "src").exists(), reason="there is no source to build from"
)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    list(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    list(SdistBuilder(str(ROOT)).build(directory=str(folder)))
    return folder


@pytest.fixture(scope="module")
def wheel_names(dist: Path) -> set[str]:
    """The files of the wheel."""
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


@pytest.fixture(scope="module")
def sdist_names(dist: Path) -> set[str]:
    """The files of the source distribution, below its own folder."""
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        return {name.partition("/")[2] for name in sdist.getnames()}


@pytest.fixture(scope="module")
def metadata(dist: Path) -> Message:
    """What the index shows."""
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
        return BytesParser().parsebytes(wheel.read(name))


def files_below(folder: str) -> set[str]:
    """The files in a folder of the checkout, without what tools have made."""
    paths = [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {str(path) for path in paths if not any(MADE.fullmatch(part) for part in path.parts)}


def readme(metadata: Message) -> str:
    """The README as the index shows it."""
    return bytes(metadata.get_payload(decode=True)).decode()


def test_the_wheel_is_the_package_and_its_licence(wheel_names: set[str]) -> None:
    """Every file below ``src``, the metadata, and nothing else."""
    package = {name.removeprefix("src/") for name in files_below("src")}
    about = {name for name in wheel_names if ".dist-info/" in name}

    assert wheel_names - about == package
    assert "resilient_sse/py.typed" in wheel_names
    assert {name.partition(".dist-info/")[2] for name in about} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


@pytest.mark.parametrize("folder", ["benchmarks", "docs", "examples", "scripts", "src", "tests"])
def test_the_source_has_whole_folders(sdist_names: set[str], folder: str) -> None:
    """Whoever packages it anew can build, test and document it, and finds nothing made by tools."""
    assert {name for name in sdist_names if name.startswith(f"{folder}/")} == files_below(folder)


def test_the_source_has_what_its_make_needs(sdist_names: set[str]) -> None:
    """The files at its top are those of the checkout, and no cache or environment is among them."""
    needed = {
        ".ci/run",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "PKG-INFO",
        "README.md",
        "SECURITY.md",
        "constraints.txt",
        "mkdocs.yml",
        "pyproject.toml",
    }
    folders = ("benchmarks/", "docs/", "examples/", "scripts/", "src/", "tests/")

    assert needed <= sdist_names
    assert {name for name in sdist_names if not name.startswith(folders)} - needed <= {".gitignore"}


def test_the_placeholders_stand_once() -> None:
    """To give the project a home and its documentation a place, two lines are changed."""
    lines = [
        f"{path.relative_to(ROOT)}: {line}"
        for folder in ("", ".github", "docs", "scripts", "src")
        for path in (ROOT / folder).glob("*" if not folder else "**/*")
        if path.is_file() and path.suffix in {".md", ".toml", ".yml", ".yaml", ".py", ".cff"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"https?://\w+\.invalid", line)
        and not re.search(r"example\.invalid|nowhere\.invalid", line)
    ]

    assert lines == [f'pyproject.toml: home = "{HOME}"', f'pyproject.toml: site = "{SITE}"']


def test_every_link_of_the_readme_leads_somewhere(metadata: Message) -> None:
    """On the index nothing is relative, and what leads home leads to a file of the checkout."""
    links = re.findall(r"\]\((\S+?)(?: \"[^\"]*\")?\)", readme(metadata))
    at_home = [link.removeprefix(f"{HOME}/") for link in links if link.startswith(HOME)]

    assert len(at_home) > 30
    assert not [link for link in links if not link.startswith("https://")]
    assert not [link for link in at_home if not _exists(link)]


def test_the_pictures_of_the_readme_are_files(metadata: Message) -> None:
    """A picture comes as the file itself, not as a page about it."""
    pictures = re.findall(r"!\[[^]]*\]\((\S+?)\)", readme(metadata))

    assert pictures
    assert all(
        picture.startswith((f"{HOME}/raw/", f"{HOME}/actions/")) and "blob" not in picture
        for picture in pictures
    )


def test_every_url_of_the_project_leads_somewhere(metadata: Message) -> None:
    """The links beside the README, on the index."""
    urls = dict(entry.split(", ") for entry in metadata.get_all("Project-URL", []))

    assert set(urls) == {"Changelog", "Documentation", "Homepage", "Issues", "Source"}
    assert urls.pop("Documentation") == SITE
    assert not [url for url in urls.values() if not _exists(url.removeprefix(HOME).lstrip("/"))]


def _exists(link: str) -> bool:
    """Whether a link below the project's home leads to something of this checkout, or GitHub's."""
    if link in {"", "issues"}:
        return True
    kind, _, rest = link.partition("/")
    if kind == "actions":
        return (ROOT / ".github" / rest.removesuffix("/badge.svg")).exists()
    path, _, anchor = rest.partition("/")[2].partition("#")
    place = ROOT / path
    return place.exists() and (not anchor or anchor in _anchors(place))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as both GitHub and the documentation make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def check(dist: Path, changelog: Path) -> str:
    """What ``make release-check`` says; nothing means that it agrees."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "release_check.py"), str(dist), str(changelog)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (not done.stderr)
    return done.stderr


def test_the_placeholder_cannot_be_released(dist: Path) -> None:
    """What has no home, and no date in the changelog, is refused with these reasons."""
    said = check(dist, ROOT / "CHANGELOG.md")

    assert "`home` or `site` in pyproject.toml is still a placeholder" in said
    assert "CHANGELOG.md has no dated section for 0.1.0" in said


def test_with_a_home_and_a_date_it_can(dist: Path, tmp_path: Path) -> None:
    """Nothing else keeps it from being released."""
    (path,) = dist.glob("*.whl")
    (tmp_path / "x.tar.gz").touch()
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n", encoding="utf-8")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "x.whl", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b".invalid/", b".example/"))

    assert not check(tmp_path, changelog)


def test_a_relative_link_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    """The check looks at what is built, not at what was meant."""
    assert "0 wheels and 0 source distributions" in check(tmp_path, ROOT / "CHANGELOG.md")

    (tmp_path / "x.tar.gz").touch()
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("x.dist-info/METADATA", "Version: 1\n\n[a](docs/a.md)\n")

    said = check(tmp_path, ROOT / "CHANGELOG.md")
    assert "a link of the README is relative: docs/a.md" in said
    assert "it has no [project.urls]" in said
