"""Print the oldest version of each dependency that pyproject.toml allows, as requirements.

Those of the extras too. What the tests use beside an extra comes in the same version, as far as it
has to: OpenTelemetry's SDK fits its own API alone.
"""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

COMPANIONS = ("opentelemetry-",)


def oldest(requirement: str) -> str:
    """Pin a requirement to its lower bound."""
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)(?:,<[0-9.]+)?", requirement)
    if match is None:
        raise SystemExit(f"the dependency has no plain lower bound: {requirement}")
    binary = "[binary]" if match[1] == "psycopg" else ""  # which has to be of the same version
    return f"{match[1]}{binary}=={match[2]}"


def main() -> None:
    """Print them, one a line."""
    settings = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    extras = [wanted for name, wanted in project["optional-dependencies"].items() if name != "all"]
    tools = [tool for tool in settings["dependency-groups"]["test"] if isinstance(tool, str)]
    companions = [tool for tool in tools if tool.startswith(COMPANIONS)]
    for requirement in chain(project["dependencies"], *extras, companions):
        print(oldest(requirement))


if __name__ == "__main__":
    main()
