"""Dialects: how kinds of servers depart from the standard, each in one value.

`Dialect` is what they are made of. A ready-made one is used as it is, or changed with
`dataclasses.replace`:

```python
async with ReconnectingEventSource(url, dialect=NDJSON) as source:
    ...
```
"""

from resilient_sse._session.dialect import Dialect, Verdict, resume_by_header, resume_by_query
from resilient_sse.dialects._anthropic import Anthropic
from resilient_sse.dialects._chat_completions import ChatCompletions
from resilient_sse.dialects._couchdb_changes import CouchDBChanges
from resilient_sse.dialects._docker_events import DockerEvents
from resilient_sse.dialects._durable_streams import DurableStreams
from resilient_sse.dialects._firebase import Firebase
from resilient_sse.dialects._gemini import Gemini
from resilient_sse.dialects._kubernetes_watch import KubernetesWatch
from resilient_sse.dialects._langgraph import LangGraph
from resilient_sse.dialects._mcp import MCP
from resilient_sse.dialects._ndjson import NDJSON
from resilient_sse.dialects._openai_responses import OpenAIResponses
from resilient_sse.dialects._wikimedia import Wikimedia

__all__ = [
    "MCP",
    "NDJSON",
    "Anthropic",
    "ChatCompletions",
    "CouchDBChanges",
    "Dialect",
    "DockerEvents",
    "DurableStreams",
    "Firebase",
    "Gemini",
    "KubernetesWatch",
    "LangGraph",
    "OpenAIResponses",
    "Verdict",
    "Wikimedia",
    "resume_by_header",
    "resume_by_query",
]
