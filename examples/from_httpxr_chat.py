"""httpxr's example of a chat that streams: no sentinel and no JSON by hand.

httpxr's blocking client (0.30) hands a body over when it is complete; with `httpx.Client` in its
place the tokens come as they are written.

Run it with the URL of an OpenAI-compatible server: python examples/from_httpxr_chat.py URL
"""

import os
import sys

import httpxr

from resilient_sse import connect_sse, iter_json


def main(url: str) -> None:
    """Print the answer as it is written."""
    with (
        httpxr.Client(timeout=60.0) as client,
        connect_sse(
            client,
            "POST",
            url,
            headers={"Authorization": f"Bearer {os.environ.get('API_KEY', 'none')}"},
            json={
                "model": "gpt-4o",
                "stream": True,
                "messages": [{"role": "user", "content": "Hello!"}],
            },
        ) as source,
    ):
        for chunk in iter_json(source.iter_sse()):
            print(chunk["choices"][0]["delta"].get("content", ""), end="", flush=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
