"""Errors of providers become errors of amplifier-core: by status, of connections, and within an answer."""

import asyncio
import json
import socket
import traceback

import amplifier_core.llm_errors as llm_errors
import httpx2
import pytest

from amplifier.runtime.modules.providers import clients
from tests.runtime.providers import APIS, KEY, mounted
from tests.support import llm
from tests.support.live import until
from tests.support.llm import Reply

pytestmark = pytest.mark.parametrize("api", APIS)

BY_STATUS = [
    (400, "max_tokens is wrong", llm_errors.InvalidRequestError),
    (400, "This model's maximum context length is 8192 tokens", llm_errors.ContextLengthError),
    (400, "prompt is too long: 300000 tokens > 200000 maximum", llm_errors.ContextLengthError),
    (401, "invalid x-api-key", llm_errors.AuthenticationError),
    (402, "no credit is left", llm_errors.QuotaExceededError),
    (403, "not for you", llm_errors.AccessDeniedError),
    (404, "no such model", llm_errors.NotFoundError),
    (413, "too large", llm_errors.ContextLengthError),
    (422, "not processable", llm_errors.InvalidRequestError),
    (429, "slow down", llm_errors.RateLimitError),
    (429, "You exceeded your current quota: insufficient_quota", llm_errors.QuotaExceededError),
    (500, "oops", llm_errors.ProviderUnavailableError),
    (503, "later", llm_errors.ProviderUnavailableError),
    (529, "Overloaded", llm_errors.ProviderUnavailableError),
]


@pytest.mark.parametrize(("status", "text", "expected"), BY_STATUS)
async def test_status_becomes_error_of_amplifier_core(
    stub: llm.Stub, api: str, status: int, text: str, expected: type[Exception]
) -> None:
    stub.queue(Reply(status=status, error=text))
    async with mounted(api, stub) as one:
        with pytest.raises(llm_errors.LLMError) as caught:
            await one.ask("hello")
    error = caught.value
    assert type(error) is expected
    assert (str(error), error.status_code, error.provider, error.model) == (text, status, api, "model-1")
    assert [name for name, _ in one.events] == ["llm:request"]


async def test_rate_limit_error_contains_retry_after(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(status=429, headers={"retry-after": "17"}))
    async with mounted(api, stub) as one:
        with pytest.raises(llm_errors.RateLimitError) as caught:
            await one.ask("hello")
    assert (caught.value.retry_after, caught.value.retryable) == (17, True)


@pytest.mark.parametrize("status", [429, 500, 529])
async def test_request_is_retried_before_answer_begins(stub: llm.Stub, api: str, status: int) -> None:
    failing = Reply(status=status, headers={"retry-after-ms": "1"})
    stub.queue(failing, failing, Reply("well"))
    async with mounted(api, stub, max_retries=2) as one:
        response = await one.ask("hello")
    assert response.content[0].text == "well"
    assert [seen.status for seen in stub.requests] == [status, status, 200]
    assert stub.requests[0].raw == stub.requests[2].raw
    assert one.deltas() == ["we", "ll"]


async def test_request_fails_after_last_retry(stub: llm.Stub, api: str) -> None:
    stub.when("hello", Reply(status=500, headers={"retry-after-ms": "1"}))
    async with mounted(api, stub, max_retries=1) as one:
        with pytest.raises(llm_errors.ProviderUnavailableError):
            await one.ask("hello")
    assert len(stub.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_permanent_error_is_not_retried(stub: llm.Stub, api: str, status: int) -> None:
    stub.when("hello", Reply(status=status))
    async with mounted(api, stub, max_retries=2) as one:
        with pytest.raises(llm_errors.LLMError):
            await one.ask("hello")
    assert len(stub.requests) == 1


async def test_unreachable_provider_is_network_error(api: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        async with mounted(api, api_key=KEY, model="m", base_url=url, max_retries=0) as one:
            with pytest.raises(llm_errors.NetworkError, match="cannot be reached"):
                await one.ask("hello")


@pytest.mark.parametrize("sent", [0, 2])
async def test_stalled_stream_times_out(stub: llm.Stub, api: str, sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "TIMEOUT", httpx2.Timeout(10, read=0.2))
    stub.queue(Reply(deltas=["a", "b", "c"], stall_after=sent))
    async with mounted(api, stub) as one:
        with pytest.raises(llm_errors.LLMTimeoutError, match="fell silent"):
            await one.ask("hello")
    assert one.deltas() == ["a", "b"][:sent]
    aborted = [data["error"] for data in one.of("llm:stream_aborted")]
    began = bool(one.of("llm:stream_block_start"))
    assert aborted == ["the provider fell silent"] * began
    await until(lambda: stub.requests[0].disconnected)


@pytest.mark.parametrize("sent", [0, 2])
async def test_cut_connection_is_stream_error(stub: llm.Stub, api: str, sent: int) -> None:
    stub.queue(Reply(deltas=["a", "b", "c"], cut_after=sent))
    async with mounted(api, stub, max_retries=2) as one:
        with pytest.raises(llm_errors.StreamError, match="broke off"):
            await one.ask("hello")
    assert one.deltas() == ["a", "b"][:sent]
    assert len(stub.requests) == 1
    assert len(one.of("llm:stream_aborted")) == bool(one.of("llm:stream_block_start"))
    assert not one.of("llm:response")


async def test_incomplete_answer_is_stream_error(stub: llm.Stub, api: str) -> None:
    begin = {
        "openai": b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n',
        "anthropic": b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}\n\n',
    }[api]
    stub.queue(Reply(raw=begin))
    async with mounted(api, stub) as one:
        with pytest.raises(llm_errors.StreamError, match="it has no end"):
            await one.ask("hello")
    assert one.deltas() == ["a"]
    assert one.of("llm:stream_aborted")[0]["error"] == "the answer broke off: it has no end"


@pytest.mark.parametrize("raw", [b"data: {no json}\n\n", b'data: {"type": 5, "choices": 7}\n\n', b"<html>", b""])
async def test_answer_in_another_format_is_stream_error(stub: llm.Stub, api: str, raw: bytes) -> None:
    stub.queue(Reply(raw=raw))
    async with mounted(api, stub) as one:
        with pytest.raises(llm_errors.StreamError):
            await one.ask("hello")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", llm_errors.ProviderUnavailableError),
        ("rate_limit_error", llm_errors.RateLimitError),
        ("invalid_request_error", llm_errors.InvalidRequestError),
        ("unheard_of", llm_errors.StreamError),
    ],
)
async def test_error_event_becomes_error_of_amplifier_core(
    stub: llm.Stub, api: str, kind: str, expected: type[Exception]
) -> None:
    event = {"type": "error", "error": {"type": kind, "message": f"sorry, {KEY}"}}
    stub.queue(Reply(raw=f"event: error\ndata: {json.dumps(event)}\n\n".encode()))
    async with mounted(api, stub) as one:
        with pytest.raises(expected, match=r"sorry, \*\*\*"):
            await one.ask("hello")


async def test_redirects_are_not_followed(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(status=302, headers={"location": f"{stub.url}/elsewhere"}))
    async with mounted(api, stub, max_retries=2) as one:
        with pytest.raises(llm_errors.ConfigurationError, match="redirect"):
            await one.ask("hello")
    assert len(stub.requests) == 1


async def test_cancelling_closes_connection(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(deltas=["a", "b"], stall_after=1), Reply("again"))
    async with mounted(api, stub) as one:
        asking = asyncio.create_task(one.ask("hello"))
        await until(lambda: one.deltas() == ["a"])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: stub.requests[0].disconnected)
        assert (await one.ask("hello")).content[0].text == "again"


async def test_cancelling_before_answer_closes_connection(stub: llm.Stub, api: str) -> None:
    gate = llm.Gate()
    stub.when(lambda seen: True, Reply("late", gate=gate, stall_after=0))
    async with mounted(api, stub) as one:
        asking = asyncio.create_task(one.ask("hello"))
        await until(lambda: stub.requests)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: stub.requests[0].disconnected)


ECHOED = [
    (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: ***"),
    ("Incorrect API key provided: sk-te****cdef.", "Incorrect API key provided: ***"),
    ("Incorrect API key provided: abcd******wxyz, see", "Incorrect API key provided: *** see"),
    ("key sk-proj-abcDEF123_456-789 is of another", "key *** is of another"),
    ("header my-secret-header-value", "header ***"),
    ("basic dXNlcjpwYXNz is wrong", "basic *** is wrong"),
    ("word " * 200, ("word " * 200)[:499] + "…"),
]


@pytest.mark.parametrize(("said", "shown"), ECHOED)
async def test_error_texts_contain_no_secrets_and_are_cut(stub: llm.Stub, api: str, said: str, shown: str) -> None:
    stub.queue(Reply(status=401, error=said))
    headers = {"X-Gateway": "my-secret-header-value", "X-Basic": "Basic dXNlcjpwYXNz"}
    async with mounted(api, stub, default_headers=headers) as one:
        with pytest.raises(llm_errors.AuthenticationError) as caught:
            await one.ask("hello")
    assert str(caught.value) == shown
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    printed = "".join(traceback.format_exception(caught.value))
    assert KEY not in printed
    assert "my-secret-header-value" not in printed


async def test_body_of_another_service_is_not_shown(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(status=500, raw=b"<h1>the internal page of another service</h1>"))
    async with mounted(api, stub) as one:
        with pytest.raises(llm_errors.ProviderUnavailableError) as caught:
            await one.ask("hello")
    assert str(caught.value) == "the provider answered with status 500"


async def test_endless_answer_is_cut_off(stub: llm.Stub, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_MOST_BYTES", 10_000)
    stub.queue(Reply(deltas=["x" * 1000] * 20), Reply(status=400, raw=b"x" * 1_000_000))
    async with mounted(api, stub) as one:
        with pytest.raises(llm_errors.StreamError, match="too long"):
            await one.ask("hello")
        with pytest.raises(llm_errors.LLMError):
            await one.ask("hello")


async def test_internal_error_closes_connection(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(deltas=["a", "b"], stall_after=1))

    def broken(event: str, data: dict[str, object]) -> None:
        raise ZeroDivisionError

    async with mounted(api, stub) as one:
        one.provider._coordinator.register_capability("amplifier.live", broken)
        with pytest.raises(ZeroDivisionError):
            await one.ask("hello")
        await until(lambda: stub.requests[0].disconnected)
    assert len(one.of("llm:stream_aborted")) == 1
