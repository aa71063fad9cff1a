"""The client of embeddings APIs: its requests, the order of vectors, and what it makes of errors."""

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from amplifier.embeddings.models import EmbeddingError, configured
from amplifier.embeddings.openai_model import OpenAIModel
from amplifier.secret import Secret
from amplifier.settings import Settings
from tests.support import embeddings
from tests.support.embeddings import Server, vector


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with embeddings.running() as server:
        yield server


@pytest.fixture
async def model(server: Server) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel("openai:small", "small", f"{server.url}/", Secret("sk-0123456789"))
    yield model
    await model.close()


def answered(*items: tuple[int, Any], **more: Any) -> bytes:
    return json.dumps({"data": [{"index": index, "embedding": numbers} for index, numbers in items], **more}).encode()


async def test_vectors_are_in_the_order_of_the_texts(model: OpenAIModel, server: Server) -> None:
    embedded = await model.embed(["a car", "a dog"])
    assert embedded.tokens == 6
    for text, numbers in zip(["a car", "a dog"], embedded.vectors, strict=True):
        assert numbers == pytest.approx(vector(text))
    [(headers, body)] = server.requests
    assert body == {"model": "small", "input": ["a car", "a dog"], "encoding_format": "float"}
    assert headers["target"] == "POST /v1/embeddings HTTP/1.1"
    assert headers["authorization"] == "Bearer sk-0123456789"


async def test_vectors_have_the_length_one(model: OpenAIModel, server: Server) -> None:
    server.answers.append((200, {}, answered((0, [3e30, 4e30]))))
    embedded = await model.embed(["x"])
    assert embedded.vectors == [pytest.approx([0.6, 0.8])]
    assert embedded.tokens == 0
    assert math.isclose(math.hypot(*embedded.vectors[0]), 1)


@pytest.mark.parametrize(("status", "is_of_texts"), [(400, True), (413, True), (422, True), (401, False), (500, False)])
async def test_status_says_what_is_at_fault(model: OpenAIModel, server: Server, status: int, is_of_texts: bool) -> None:
    server.answers.append((status, {}, b"the text: secret"))
    with pytest.raises(EmbeddingError, match=f"answered {status}$") as raised:
        await model.embed(["x"])
    assert (raised.value.is_of_texts, raised.value.retry_after) == (is_of_texts, None)


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("soon", None), ("-1", None)]
)
async def test_retry_after_is_read(model: OpenAIModel, server: Server, value: str, seconds: float | None) -> None:
    server.answers.append((429, {"retry-after": value}, b""))
    with pytest.raises(EmbeddingError) as raised:
        await model.embed(["x"])
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"data": [{"index": 0}]}',
        answered(),
        answered((0, [1.0]), (1, [1.0])),
        answered((1, [1.0])),
        answered((0, [])),
        answered((0, [0.0, 0.0])),
        answered((0, [1.0] * 4001)),
        answered((0, ["x"])),
    ],
)
async def test_wrong_answers_are_errors(model: OpenAIModel, server: Server, answer: bytes) -> None:
    server.answers.append((200, {}, answer))
    with pytest.raises(EmbeddingError):
        await model.embed(["x"])


async def test_redirects_are_not_followed(model: OpenAIModel, server: Server) -> None:
    server.answers.append((302, {"location": server.url}, b""))
    with pytest.raises(EmbeddingError, match="answered 302"):
        await model.embed(["x"])
    assert len(server.requests) == 1


async def test_unreachable_server_is_an_error() -> None:
    model = OpenAIModel("openai:small", "small", "http://127.0.0.1:1/v1", None)
    with pytest.raises(EmbeddingError, match="cannot be reached: ConnectError"):
        await model.embed(["x"])
    await model.close()


def test_setting_names_the_model() -> None:
    assert configured(Settings()) is None
    model = configured(Settings(search_embeddings="openai:some/model:1"))
    assert model is not None
    assert model.name == "openai:some/model:1"
