"""Models for the search by meaning that need no network and no weights, and a stub of OpenAI's embeddings API.

Words of one line of MEANINGS mean the same. Every other word has a meaning of its own.
"""

import asyncio
import contextlib
import json
import zlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from amplifier.embeddings.indexing import Indexing
from amplifier.embeddings.models import Embedded, EmbeddingError, unit
from amplifier.embeddings.questions import Questions
from tests.conftest import Api

NAME = "openai:stub"
DIMENSIONS = 64
MEANINGS = (
    ("car", "automobile", "vehicle"),
    ("refund", "reimbursement", "repayment"),
    ("dog", "puppy", "hound"),
)
_PLACES = {word: place for place, words in enumerate(MEANINGS) for word in words}


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """Returns the vector of a text: the sum of the meanings of its words."""
    numbers = [0.001] * dimensions
    for word in text.lower().replace(".", " ").split():
        place = _PLACES.get(word, len(MEANINGS) + zlib.crc32(word.encode()) % (dimensions - len(MEANINGS)))
        numbers[place] += 1
    return unit(numbers)


class Stub:
    """A model in this process. Raises the errors of `failures` first, and refuses texts with a word of `refused`."""

    def __init__(self, name: str = NAME, dimensions: int = DIMENSIONS) -> None:
        self.name, self.dimensions = name, dimensions
        self.failures: deque[EmbeddingError] = deque()
        self.refused: set[str] = set()
        self.most_characters = 1_000_000
        self.calls: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def embed(self, texts: list[str]) -> Embedded:
        self.calls.append(texts)
        await self.gate.wait()
        if self.failures:
            raise self.failures.popleft()
        if any(len(text) > self.most_characters or self.refused & set(text.split()) for text in texts):
            raise EmbeddingError("the model's server answered 400", is_of_texts=True)
        return Embedded([vector(text, self.dimensions) for text in texts], sum(len(text.split()) for text in texts))

    async def close(self) -> None:
        """Does nothing."""


def use(api: Api, model: Stub) -> Indexing:
    """Lets an application search by a model, and returns the job that embeds its messages."""
    state = api.app.state
    state.questions = Questions(state.queries, model, 5)
    return Indexing(state.queries, model, 1_000_000)


async def finish(indexing: Indexing) -> int:
    """Embeds all messages that wait. Returns the number of texts that the model was given."""
    total = 0
    while (texts := await indexing.embed_next()) is not None:
        total += texts
    return total


class Server:
    """A stub of the embeddings API. `answers` are given first: a status, headers and a body each."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: deque[tuple[int, dict[str, str], bytes]] = deque()
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.stalls = False

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of a connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                self.requests.append((headers | {"target": head[0]}, body))
                if self.stalls:
                    await asyncio.sleep(3600)
                status, more, answer = self.answers.popleft() if self.answers else (200, {}, _answer(body["input"]))
                lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in more.items())]
                lines.append(f"content-length: {len(answer)}")
                writer.write("\r\n".join([*lines, "", ""]).encode() + answer)
                await writer.drain()
        writer.close()


def _answer(texts: list[str]) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": vector(text)} for index, text in enumerate(texts)]
    # servers may return them in any order
    return json.dumps({"object": "list", "data": data[::-1], "usage": {"prompt_tokens": 3 * len(texts)}}).encode()


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Server]:
    """Serves the stub in this event loop."""
    stub = Server()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(stub.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
