"""Run the tests and judge them honestly: every target that runs tests goes through here.

    python scripts/run_tests.py [--name NAME] [--coverage] [--keep FOLDER] -- PYTEST-ARGUMENTS

On a busy machine one timing test of thousands may come too late. It gets one more chance by itself,
and what is really broken fails again. Nothing else gets one: a leak, or a test without the marker
`timing`, fails the run at once, and so do more than three failures of whatever kind. What failed
first is listed at the end in every case, and kept in FOLDER (.cache/first-failures).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHANCES = 3
ROOT = Path(__file__).resolve().parent.parent
FAILED = 1  # pytest's exit status if tests failed; others say that it could not run them


@dataclass
class Failure:
    """A test that failed in the first round, with all that was said about it."""

    test: str
    reason: str
    text: str
    timing: bool
    leak: bool

    @property
    def final(self) -> bool:
        """Whether no second round can change it."""
        return self.leak or not self.timing

    def __str__(self) -> str:
        """Name the test, and say of what it failed."""
        kind = "leak" if self.leak else "timing" if self.timing else "failure"
        lines = self.reason.strip().splitlines() or ["no reason given"]
        return f"{self.test}\n    {kind}: {lines[0]}"


def main() -> int:
    """Run, judge, and list."""
    options = _arguments()
    kept: Path = options.keep / f"{options.name}.txt"
    kept.unlink(missing_ok=True)
    runner = ["-m", "coverage", "run", "-m", "pytest"] if options.coverage else ["-m", "pytest"]
    pytest = [sys.executable, *runner, "-p", "scripts.suite_plugin"]
    status, failures = _first_round(pytest, options.arguments)
    if not failures:
        return status
    status = _judge(pytest, status, failures)
    _tell(failures, kept, "passed when run again" if status == 0 else "the run has failed")
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the tests and judge them honestly.")
    parser.add_argument("--name", default="tests", help="what the list of failures is called")
    parser.add_argument("--coverage", action="store_true", help="measure the coverage as well")
    parser.add_argument("--keep", type=Path, default=ROOT / ".cache" / "first-failures")
    parser.add_argument("arguments", nargs="*", help="arguments of pytest, after --")
    return parser.parse_args()


def _first_round(pytest: list[str], arguments: list[str]) -> tuple[int, list[Failure]]:
    """Return pytest's exit status, and one entry for each test that failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "failures.json")
        command = [*pytest, "--failures-to", str(report), *arguments]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        entries = json.loads(report.read_text(encoding="utf-8")) if report.exists() else []
    failures: dict[str, Failure] = {}
    for failure in (Failure(**entry) for entry in entries):
        first = failures.setdefault(failure.test, failure)
        first.leak |= failure.leak  # it may fail in its body, and once more in a fixture
    return status, list(failures.values())


def _judge(pytest: list[str], status: int, failures: list[Failure]) -> int:
    """Give those another chance that may have one; return the status of the whole."""
    if status != FAILED or any(failure.final for failure in failures):
        return status or FAILED
    if len(failures) > CHANCES:
        print(f"==> More than {CHANCES} failures are no accident: nothing is run again", flush=True)
        return FAILED
    print("==> Once more, one by one: the timing tests that failed", flush=True)
    tests = [failure.test for failure in failures]
    return subprocess.run([*pytest, "--quiet", *tests], cwd=ROOT, check=False).returncode


def _tell(failures: list[Failure], kept: Path, verdict: str) -> None:
    """List what failed first, and keep it with the tracebacks."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"{failure}\n\n{failure.text}\n" for failure in failures]
    kept.write_text(f"{verdict}\n\n" + "\n".join(texts), encoding="utf-8")
    print(f"==> Failed first ({verdict}; kept in {kept}):")
    for failure in failures:
        print(failure)


if __name__ == "__main__":
    sys.exit(main())
