"""Print what each fault on the network does to a consumer, as a table for the documentation."""

from __future__ import annotations

from tests.network.laboratory import FAULTS
from tests.network.namespace import inside, unavailable


def main() -> None:
    """Make every experiment once."""
    if reason := unavailable():
        raise SystemExit(reason)
    print("| fault | failures | asyncio | trio | threads |\n|---|---|---|---|---|")
    for name, fault in FAULTS.items():
        found = inside(name)
        kinds = sorted({kind for runtime in found.values() for kind in runtime["failures"]})
        seconds = [runtime["seconds"] for runtime in found.values()]
        times = " | ".join(f"{taken:.2f}\N{NO-BREAK SPACE}s" for taken in seconds)
        print(f"| {name}: {fault.__doc__} | {', '.join(kinds)} | {times} |", flush=True)


if __name__ == "__main__":
    main()
