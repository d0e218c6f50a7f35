"""What surrounds the code on its host says the same as the code: workflows, templates, citation."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.files import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="not in a repository")


def read(name: str) -> str:
    """Read a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def parsed(name: str) -> dict[str, Any]:
    """Read a file of YAML. Its `on` is a truth value to YAML 1.1."""
    loaded: dict[str, Any] = yaml.safe_load(read(name))
    return loaded


def supported() -> list[str]:
    """The Pythons that the project is made for, as ``find-python`` has them."""
    match = re.search(r'^supported="(.*)"$', read("scripts/find-python"), re.MULTILINE)
    assert match
    return match[1].split()


def project() -> dict[str, Any]:
    """The project's table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return table


def steps(workflow: Path) -> list[dict[str, Any]]:
    """Every step of a workflow."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [step for job in jobs for step in job.get("steps", [])]


def test_every_list_of_pythons_is_the_same() -> None:
    """Classifiers, the search for interpreters, and the workflow name the same versions."""
    classifiers = [entry.rpartition(" :: ")[2] for entry in project()["classifiers"]]
    jobs = parsed(".github/workflows/check.yml")["jobs"]

    assert [name for name in classifiers if re.fullmatch(r"3\.\d+", name)] == supported()
    assert jobs["pythons"]["strategy"]["matrix"]["python"] == supported()
    assert project()["requires-python"] == f">={supported()[0]}"


def test_workflows_call_make() -> None:
    """They know nothing that a developer cannot run, and no target that does not exist."""
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    commands = [step["run"] for workflow in WORKFLOWS for step in steps(workflow) if "run" in step]
    made = [command.split()[1] for command in commands if command.startswith("make ")]

    assert {"check", "docs", "test", "release-check"} <= set(made)
    assert set(made) - {"${{"} <= targets
    assert not [command for command in commands if re.search(r"pytest|ruff|mypy", command)]


def test_workflows_run_the_extras() -> None:
    """Whatever ``.ci/run`` adds to ``make check`` is run there too, the Pythons as a matrix."""
    extras = re.search(r"^extras=\((.*?)^\)", read(".ci/run"), re.MULTILINE | re.DOTALL)
    assert extras
    named = {line.strip().strip('"') for line in extras[1].splitlines() if line.strip()}
    matrix = parsed(".github/workflows/check.yml")["jobs"]["extras"]["strategy"]["matrix"]

    assert set(matrix["target"]) == named - {"test-others", "test-unstable"}


def test_a_release_is_checked_first_and_names_no_index() -> None:
    """Publishing needs the build, the build the checks; and where to is the action's default."""
    text = read(".github/workflows/release.yml")
    jobs = parsed(".github/workflows/release.yml")["jobs"]

    assert (jobs["publish"]["needs"], jobs["build"]["needs"]) == ("build", "check")
    assert "repository-url" not in text
    assert "password" not in text
    assert "make release-check" in text
    assert "attest-sbom" in text
    assert jobs["publish"]["permissions"] == {"id-token": "write"}


def test_the_site_is_published_at_no_placeholder() -> None:
    """What ``make docs`` built is published once pyproject.toml says where it belongs."""
    jobs = parsed(".github/workflows/pages.yml")["jobs"]
    place = next(step["run"] for step in jobs["build"]["steps"] if step.get("id") == "place")
    told: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["tool"]["hatch"]["metadata"]
    done = subprocess.run(
        ["/bin/sh", "-c", place.replace('>> "$GITHUB_OUTPUT"', "")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"site={told['hooks']['custom']['site']}\n"
    assert "!contains(needs.build.outputs.site, '.invalid')" in jobs["publish"]["if"]
    assert "https:" not in read(".github/workflows/pages.yml")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_read_alone(workflow: Path) -> None:
    """Whatever more a job needs, it says itself."""
    assert parsed(f".github/workflows/{workflow.name}")["permissions"] == {"contents": "read"}


def test_pre_commit_uses_the_pinned_versions() -> None:
    """What a commit is checked with is what ``make lint`` checks with."""
    hooks = parsed(".pre-commit-config.yaml")["repos"][0]["hooks"]
    pins = read("constraints.txt").splitlines()

    assert all(pin in pins for hook in hooks for pin in hook["additional_dependencies"])


def test_the_citation_is_of_this_version() -> None:
    """It says what pyproject.toml says."""
    citation = parsed("CITATION.cff")

    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"]
    assert " ".join(citation["abstract"].split()) == project()["description"]


@pytest.mark.parametrize("name", ["CODE_OF_CONDUCT.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_links_of_pages_beside_the_code_lead_somewhere(name: str) -> None:
    """A link to a file is to one that exists."""
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", read(name))

    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_documentation_is_built_by_make() -> None:
    """Read the Docs runs the target that ``make check`` runs."""
    assert parsed(".readthedocs.yaml")["build"]["jobs"]["build"]["html"][0] == "make docs"


def test_unstable_says_why_it_cannot_be_used(tmp_path: Path) -> None:
    """Where a system cannot be set up the reason is given, and nothing is left behind."""
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n", encoding="utf-8")
    (tmp_path / "id").chmod(0o755)
    system = tmp_path / "system"
    done = subprocess.run(
        [str(ROOT / "scripts" / "debian-unstable"), "prepare"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "DEBIAN_UNSTABLE": str(system)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "cannot be used here: only root" in done.stderr
    assert not system.exists()


def test_no_file_names_a_mirror() -> None:
    """Where Debian's packages come from is what the machine's own sources say."""
    text = read("scripts/debian-unstable") + read(".ci/run") + read("Makefile")

    assert not re.findall(r"https?://|\bdeb\.", text)
