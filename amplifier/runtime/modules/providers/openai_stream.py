"""Reads answers of OpenAI's chat completions API and of compatible servers, which deviate from it in many ways.

What the servers send is recorded in `tests/data/providers/`. Requests are made in `openai.py`.
"""

from collections.abc import AsyncIterator
from typing import Any

from amplifier_core.message_models import Usage

from amplifier.runtime.modules.providers import failures, lenient
from amplifier.runtime.modules.providers.base import Answer
from amplifier.runtime.modules.providers.blocks import Blocks
from amplifier.runtime.modules.providers.lenient import Plain
from amplifier.runtime.modules.providers.openai_calls import Calls
from amplifier.telemetry import run_traces

# members of a delta in the order in which they are read; `function_call` is the form before `tool_calls`
_MEMBERS = ("reasoning_content", "reasoning", "content", "refusal", "tool_calls", "function_call", "extra_content")


async def read(events: AsyncIterator[bytes], blocks: Blocks, source: failures.Source) -> Answer:
    """Reads chunks up to `[DONE]`, or an answer that is no stream. Raises errors of amplifier-core."""
    reading = _Reading(blocks, source)
    async for data in events:
        if data == b"[DONE]":
            reading.is_done = True
            break
        for chunk in lenient.objects(data):
            await reading.take(chunk)
    return await reading.answer()


class _Reading:
    """The state of reading an answer, besides its blocks."""

    def __init__(self, blocks: Blocks, source: failures.Source) -> None:
        self._blocks, self._source = blocks, source
        self._calls = Calls(blocks)
        self._reason: str | None = None
        self._counts: dict[str, int] = {}
        self._is_refused = False
        self.is_done = False

    async def take(self, chunk: Plain) -> None:
        """Reads a chunk, or a whole answer. Raises the error that it contains."""
        if "error" in chunk or "choices" not in chunk:
            self._check(chunk)
        if usage := chunk.get("usage"):
            self._counts |= lenient.counts(usage)
            run_traces.note_model(chunk.get("model"))
        for choice in lenient.items(chunk.get("choices")):
            if isinstance(choice, dict) and not choice.get("index"):
                await self._choose(choice)

    def _check(self, chunk: Plain) -> None:
        if chunk.get("error"):
            raise failures.of_event(chunk, self._source)
        if chunk.get("choices") is None and (chunk.get("object") == "error" or "detail" in chunk):
            raise failures.of_event({"error": chunk}, self._source)

    async def _choose(self, choice: Plain) -> None:
        if choice.get("error"):
            raise failures.of_event({"error": choice["error"]}, self._source)
        delta = choice.get("delta") or choice.get("message")  # `message` is of answers that are no stream
        if isinstance(delta, dict):
            await self._grow(delta)
        if reason := lenient.word(choice.get("finish_reason")):
            if reason == "error":
                raise failures.of_event({"error": None}, self._source)
            self._reason = reason

    async def _grow(self, delta: Plain) -> None:
        """Adds a delta. Of the two names of thoughts, the first counts, because some servers send both."""
        for name in [name for name in _MEMBERS if delta.get(name)]:
            value = delta[name]
            if name == "content":
                await self._write("text", value)
            elif name == "reasoning_content" or (name == "reasoning" and not delta.get("reasoning_content")):
                await self._write("thinking", value)
            elif name == "refusal" and isinstance(value, str):
                self._is_refused = True
                await self._write("text", value)
            elif name in ("tool_calls", "function_call"):
                for call in lenient.items(value):
                    await self._calls.grow({"function": call} if name == "function_call" else lenient.mapping(call))
            elif name == "extra_content" and isinstance(value, dict):
                self._calls.sign(value)

    async def _write(self, kind: str, content: Any) -> None:
        """Adds a text, or the parts of a list: of texts, and of thoughts as Mistral sends them."""
        if isinstance(content, str):
            if content:
                await self._blocks.write(kind, content)
            return
        for part in lenient.items(content):
            if isinstance(part, str):
                await self._write(kind, part)
                continue
            known = lenient.mapping(part)
            await self._write("thinking", known.get("thinking"))
            await self._write(kind, known.get("text"))

    async def answer(self) -> Answer:
        """Completes the calls, and returns the properties of the answer. Raises StreamError if it has no end.

        An answer that ends with `[DONE]` and has content is complete without a reason.
        """
        reason = self._reason
        if reason is None and not (self.is_done and self._blocks.all):
            raise failures.broken(self._source, "it has no end")
        await self._calls.separate()
        has_calls = any(block.kind == "tool_call" for block in self._blocks.all)
        if reason in (None, "stop"):  # Gemini says `stop` of calls
            reason = "tool_calls" if has_calls else "refusal" if self._is_refused else "stop"
        return Answer(_usage(self._counts), reason)


def _usage(counts: dict[str, int]) -> Usage | None:
    given, made = (counts.get(name) for name in ("prompt_tokens", "completion_tokens"))
    if given is None and made is None:
        return None
    cached = counts.get("prompt_tokens_details.cached_tokens", counts.get("prompt_cache_hit_tokens"))
    return Usage(
        input_tokens=given or 0,
        output_tokens=made or 0,
        total_tokens=(given or 0) + (made or 0),
        cache_read_tokens=cached,
        reasoning_tokens=counts.get("completion_tokens_details.reasoning_tokens"),
    )
