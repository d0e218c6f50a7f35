"""The project keeps its own promises: names, layers, pages, packaging."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import resilient_sse
from tests.support.files import ROOT

# Imported by their module's name; the package does not export what they hold.
PLUGINS = {"cli", "contrib", "cursors", "dialects", "instrumentation", "testing", "transports"}

Nav: TypeAlias = "str | dict[str, Nav] | list[Nav]"

pytestmark = pytest.mark.skipif(not (ROOT / "mkdocs.yml").exists(), reason="not in a checkout")


def pyproject() -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def core_modules() -> list[str]:
    """Name the modules below the plug-ins."""
    found = pkgutil.walk_packages(resilient_sse.__path__, "resilient_sse.")
    above = tuple(f"resilient_sse.{name}" for name in (*PLUGINS, "__main__"))
    return [
        each.name for each in found if not f"{each.name}.".startswith(tuple(f"{a}." for a in above))
    ]


@pytest.mark.skipif(not hasattr(resilient_sse, "__all__"), reason="the package exports nothing yet")
def test_package_exports_every_public_name() -> None:
    """The package's names are those of its modules below the plug-ins, sorted, none twice."""
    exported: list[str] = vars(resilient_sse)["__all__"]
    modules = [importlib.import_module(name) for name in core_modules()]
    public = {name for module in modules for name in getattr(module, "__all__", ())}

    assert exported == sorted(set(exported))
    assert set(exported) - {"__version__"} == public
    for module in modules:
        for name in getattr(module, "__all__", ()):
            assert getattr(resilient_sse, name) is getattr(module, name)


def test_package_knows_its_version() -> None:
    """It is that of the installed distribution, and no other name is made up."""
    assert resilient_sse.__version__ == version("resilient-sse")
    assert not hasattr(resilient_sse, "Nothing")


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_every_public_name_has_a_known_type() -> None:
    """No type checker has to guess what one of them is (``pyright --verifytypes``)."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    pyright = shutil.which("pyright", path=programs)
    if pyright is None:
        pytest.skip("pyright is not installed")
    result = subprocess.run(
        [pyright, "--verifytypes", "resilient_sse", "--ignoreexternal"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": programs},
    )

    assert "Type completeness score: 100%" in result.stdout, result.stdout


@pytest.mark.skipif(version("rich").startswith("13."), reason="import-linter needs a newer rich")
def test_imports_go_one_way() -> None:
    """The contracts of import-linter in pyproject.toml hold."""
    lint_imports = shutil.which("lint-imports", path=Path(sys.executable).parent)
    assert lint_imports is not None

    result = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_session_performs_no_io() -> None:
    """The session's module imports nothing that could wait, send or read a clock."""
    graph = grimp.build_graph("resilient_sse", include_external_packages=True, cache_dir=None)
    if "resilient_sse._session.session" not in graph.modules:
        pytest.skip("there is no session yet")
    forbidden = {"anyio", "asyncio", "httpx", "stamina", "threading", "time", "trio"}

    assert not forbidden & graph.find_modules_directly_imported_by("resilient_sse._session.session")


def test_every_page_is_in_the_navigation() -> None:
    """Every page of the documentation is in the navigation, and the other way round."""
    # The tags of mkdocs.yml, such as !ENV, mean nothing to this loader, which takes all for text.
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506
    pages = {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")}

    assert sorted(_leaves(config["nav"])) == sorted(pages)


def _leaves(nav: Nav) -> list[str]:
    """List the pages of a navigation tree."""
    if isinstance(nav, str):
        return [nav]
    branches = nav.values() if isinstance(nav, dict) else nav
    return [page for branch in branches for page in _leaves(branch)]


def test_changelog_knows_the_version() -> None:
    """The changelog starts with what is unreleased, and mentions the version in the project."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.findall(r"^## \[(.*)\]", changelog, re.MULTILINE)[0] == "Unreleased"
    assert pyproject()["project"]["version"] in changelog


def test_tests_are_run_by_one_script() -> None:
    """Whatever runs the tests is judged by ``scripts/run_tests.py``; nothing runs pytest itself."""
    for name in ("Makefile", "scripts/test-wheel", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        commands = [line for line in text.splitlines() if "-m pytest" in line]
        # Killing programs for an hour is watched by a person, and not run by others.
        assert [line for line in commands if "-m pytest -s -v" not in line] == [], name
        assert "--last-failed" not in text


def test_continuous_integration_is_make_check_and_extras() -> None:
    """There is one truth: ``.ci/run`` runs what everybody runs, and names what it adds."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    listed = re.search(r"^extras=\((.*?)^\)", script, re.MULTILINE | re.DOTALL)
    assert listed
    extras = [shlex.split(line)[0].split()[0] for line in listed[1].split("\n") if line.strip()]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))

    assert re.findall(r"^ *make (.*)$", script, re.MULTILINE) == ["check", "$extra"]
    assert set(extras) <= targets
    (checked,) = re.findall(r"^check: (.*?) ##", makefile, re.MULTILINE)
    assert not set(extras) & set(checked.split()), "twice"


def test_all_extras_are_in_all() -> None:
    """The extra "all" has every other one."""
    extras = pyproject()["project"]["optional-dependencies"]
    (everything,) = extras.pop("all")

    assert Requirement(everything).extras == extras.keys()


def test_every_tool_is_pinned() -> None:
    """Whatever the project installs has exactly one version in constraints.txt."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = [Requirement(line) for line in text.splitlines() if line and line[0] != "#"]
    project = pyproject()
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(
            entry
            for group in project["project"]["optional-dependencies"].values()
            for entry in group
        ),
        *(entry for group in project["dependency-groups"].values() for entry in group),
    ]
    requirements = [Requirement(entry) for entry in wanted if isinstance(entry, str)]
    names = {canonicalize_name(requirement.name) for requirement in requirements}

    assert all(str(pin.specifier).startswith("==") for pin in pins)
    assert len({pin.name for pin in pins}) == len(pins)
    assert names - {"resilient-sse"} <= {canonicalize_name(pin.name) for pin in pins}


def test_no_file_names_a_package_index() -> None:
    """Where packages come from is the user's choice: no file names an index."""
    hosts = [
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("anaconda", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
    ]
    # Put together here, so that this file does not name them either.
    forbidden = [".".join(host) for host in hosts]
    forbidden += [f"index{joint}url" for joint in "-_"]
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in _files_of_the_project()
        for word in forbidden
        if word.encode() in path.read_bytes().lower()
    ]

    assert not found


def _files_of_the_project() -> list[Path]:
    """List the files that are written by people, not made by tools."""
    made = re.compile(r"\..*|__pycache__|build|dist|site|.*\.egg-info")
    files: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name in {".ci", ".github"} or not made.fullmatch(name)
        ]
        files += [Path(folder, name) for name in names if not name.startswith(".coverage")]
    return files
