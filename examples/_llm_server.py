"""A server like those of language models, which cuts every first answer in the middle.

    python examples/_llm_server.py PORT

``POST /v1/chat/completions`` answers as OpenAI's API does with ``"stream": true``: a chunk of JSON
for every token, then ``[DONE]``. With ``"ids": true`` the events have ids, and a POST with
``Last-Event-ID`` goes on with the answer it names; without, every POST makes a new answer.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKENS = ["The ", "sea ", "was ", "calm ", "and ", "the ", "boat ", "came ", "home."]


class Question(BaseModel):
    """The body of a request, as far as it matters here."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool
    ids: bool = False


class Model:
    """What there is instead of a model.

    Attributes:
        answers: How many answers were made, which is what the user pays for.
        requests: The ``Last-Event-ID`` of every request.
    """

    def __init__(self) -> None:
        self.answers = 0
        self.requests: list[str] = []
        self._cut_already: set[bool] = set()

    def stream(self, question: Question, last_event_id: str) -> AsyncIterator[str]:
        """Make an answer, or go on with the one that the id names."""
        self.requests.append(last_event_id)
        if last_event_id:
            answer, token = last_event_id.split(":")
            return self._events(question, int(answer), int(token) + 1)
        self.answers += 1
        return self._events(question, self.answers, 0)

    async def _events(self, question: Question, answer: int, first: int) -> AsyncIterator[str]:
        for index, token in enumerate(TOKENS[first:], start=first):
            event = f"id: {answer}:{index}\n" if question.ids else ""
            event += f"data: {json.dumps(chunk(answer, token))}\n\n"
            if index == len(TOKENS) // 2 and question.ids not in self._cut_already:
                self._cut_already.add(question.ids)
                yield event[:40]
                raise ConnectionAbortedError  # the socket is closed, the body unfinished
            yield event
        yield "data: [DONE]\n\n"


def chunk(answer: int, token: str) -> dict[str, Any]:
    """Make the object that OpenAI's API sends for one token."""
    return {
        "id": f"chatcmpl-{answer}",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": token}, "finish_reason": None}],
    }


def application() -> FastAPI:
    """Make the web application; its model is ``application.state.model``."""
    app = FastAPI()
    model = app.state.model = Model()

    @app.post("/v1/chat/completions")
    async def completions(
        question: Question, last_event_id: Annotated[str, Header()] = ""
    ) -> StreamingResponse:
        stream = model.stream(question, last_event_id)
        return StreamingResponse(stream, media_type="text/event-stream")

    return app


if __name__ == "__main__":
    # What breaks here breaks on purpose.
    uvicorn.run(application(), port=int(sys.argv[1]), log_level="critical")
