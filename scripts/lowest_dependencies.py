"""Print the oldest version of each dependency that pyproject.toml allows, as requirements."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in project["dependencies"]:
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", requirement)
    if match is None:
        message = f"the dependency has no plain lower bound: {requirement}"
        raise SystemExit(message)
    print(f"{match[1]}=={match[2]}")
