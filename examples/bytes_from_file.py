"""Events out of a file, such as `curl -N URL > events.txt` writes.

Run it with the file's name: python examples/bytes_from_file.py events.txt
"""

import sys
from pathlib import Path

from resilient_sse import decode


def main(name: str) -> None:
    """Print the events that the file holds whole."""
    with Path(name).open("rb") as file:
        for event in decode(file):
            print(event.event, event.data)


if __name__ == "__main__":
    main(sys.argv[1])
