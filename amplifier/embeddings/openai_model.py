"""Embeds texts through OpenAI's embeddings API, or a compatible server."""

import asyncio
import time
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from amplifier import __version__
from amplifier.embeddings.models import Embedded, EmbeddingError, unit
from amplifier.secret import Secret

_TIMEOUT = httpx.Timeout(30, connect=10)  # seconds; callers that wait for a person set a shorter one
_MOST_BYTES = 64 * 1024 * 1024  # of an answer
_OF_TEXTS = (400, 413, 422)  # the status of answers that refuse what was sent


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Answer(msgspec.Struct):
    data: list[_Item]
    usage: _Usage | None = None


class OpenAIModel:
    """A model of an embeddings API. Connections belong to the event loop of the first call."""

    def __init__(self, name: str, model: str, base_url: str, key: Secret | None) -> None:
        self.name, self._model, self._key = name, model, key
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._client: httpx.AsyncClient | None = None

    async def embed(self, texts: list[str]) -> Embedded:
        """Returns the vectors of some texts. Raises EmbeddingError."""
        body = msgspec.json.encode({"model": self._model, "input": texts, "encoding_format": "float"})
        answer = await self._send(body)
        return await asyncio.to_thread(_read, answer, len(texts))

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _send(self, body: bytes) -> bytes:
        client = self._client = self._client or httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)
        headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"amplifier-api/{__version__}",
        }
        if self._key is not None:  # read each time, because a rotation changes it
            headers["authorization"] = f"Bearer {self._key.reveal()}"
        try:
            async with client.stream("POST", self._url, content=body, headers=headers) as response:
                answer = bytearray()
                async for piece in response.aiter_raw():
                    answer += piece
                    if len(answer) > _MOST_BYTES:
                        raise EmbeddingError("the answer of the model's server is too long")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise EmbeddingError(f"the model's server cannot be reached: {type(error).__name__}") from None
        if response.status_code != 200:
            raise EmbeddingError(
                f"the model's server answered {response.status_code}",
                retry_after=_retry_after(response.headers.get("retry-after", "")),
                is_of_texts=response.status_code in _OF_TEXTS,
            )
        return bytes(answer)


def _read(answer: bytes, count: int) -> Embedded:
    try:
        read = msgspec.json.decode(answer, type=_Answer)
    except msgspec.MsgspecError:
        raise EmbeddingError("the answer of the model's server is not one of an embeddings API") from None
    items = sorted(read.data, key=lambda item: item.index)
    if [item.index for item in items] != list(range(count)):
        raise EmbeddingError(f"the model's server returned {len(items)} vectors for {count} texts")
    return Embedded([unit(item.embedding) for item in items], 0 if read.usage is None else read.usage.prompt_tokens)


def _retry_after(value: str) -> float | None:
    """Returns the seconds of a Retry-After header, a number or a date."""
    try:
        return max(
            0.0, float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
        )
    except (ValueError, OverflowError):
        return None
