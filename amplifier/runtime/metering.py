"""Limits the time of model and tool calls, and counts the calls, their tokens and their time."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from amplifier_core import LLMTimeoutError

from amplifier.runtime.finish_reasons import normalised
from amplifier.telemetry import recorder, run_traces

_COUNTED = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)
_MOST_MODELS, _LONGEST_NAME = 20, 255  # of one run; characters of a model's name


class Meter:
    """Limits and counts the calls of one run.

    `usage` holds numbers of tokens and calls; `timing` and the timeouts are seconds. `finish_reason` is that of the
    last model call, None while it lasts and if it failed.
    """

    def __init__(self, model_timeout: float, tool_timeout: float) -> None:
        self._model_timeout, self._tool_timeout = model_timeout, tool_timeout
        self.usage: Counter[str] = Counter(model_calls=0, tool_calls=0)
        self.timing = {"model": 0.0, "tools": 0.0}
        self._models: dict[str, Counter[str]] = {}
        self._left_out: dict[str, int] = {}
        self.finish_reason: str | None = None

    @property
    def numbers(self) -> dict[str, Any]:
        """The usage of the run without numbers of 0, with that of each model in `models`."""
        models = {name: _counted(numbers) for name, numbers in self._models.items()}
        return _counted(self.usage) | ({"models": models} if models else {})

    def leave_out(self, messages: Any, limit: Any) -> None:
        """Counts messages of the transcript that models are not sent because of this limit. The last number counts."""
        if isinstance(messages, int):
            self._left_out[str(limit)] = messages
            self.usage["messages_left_out"] = sum(self._left_out.values())

    def watch(self, coordinator: Any) -> None:
        """Wraps the mounted providers and tools, so that their calls are limited and counted."""
        for name, provider in (coordinator.get("providers") or {}).items():
            provider.complete = self._model(name, provider, provider.complete)
        for name, tool in (coordinator.get("tools") or {}).items():
            tool.execute = self._tool(name, tool.execute)

    def _model(
        self, name: str, provider: Any, complete: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        @wraps(complete)
        async def limited(*arguments: Any, **options: Any) -> Any:
            _end_if_cancelled()
            self.finish_reason = None
            message = f"The model did not answer within {self._model_timeout:g} s (RUN_MODEL_TIMEOUT)"
            model, started, tokens = _model_of(provider, options, *arguments), time.perf_counter(), None
            try:
                with run_traces.model_call(name, model or None) as span:
                    response = await self._limited(
                        "model", self._model_timeout, LLMTimeoutError(message), complete(*arguments, **options)
                    )
                    tokens = _tokens(response)
                    _end_if_cancelled()
                    self.finish_reason = normalised(getattr(response, "finish_reason", None))
                    run_traces.note_answer(span, response, self.finish_reason)
            finally:
                seconds = time.perf_counter() - started
                recorder.current.model_called(name, model, seconds, tokens)
                self._count_model(model or name, seconds, tokens or {})
            self.usage.update(tokens)
            return response

        return limited

    def _count_model(self, model: str, seconds: float, tokens: dict[str, int]) -> None:
        """Adds a call to the counts of its model. Beyond 20 models, to those of `others`."""
        name = "".join(filter(str.isprintable, model))[:_LONGEST_NAME] or "unknown"
        if name not in self._models and len(self._models) >= _MOST_MODELS:
            name = "others"
        self._models.setdefault(name, Counter()).update(tokens | {"model_calls": 1, "seconds": seconds})

    def _tool(self, name: str, execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(execute)
        async def limited(*arguments: Any, **options: Any) -> Any:
            error = TimeoutError(f"The tool {name} took longer than {self._tool_timeout:g} s (RUN_TOOL_TIMEOUT)")
            started = time.perf_counter()
            try:
                with run_traces.tool_call(name) as span:
                    result = await self._limited("tools", self._tool_timeout, error, execute(*arguments, **options))
                    run_traces.note_result(span, result)
                    return result
            finally:
                recorder.current.tool_called(name, time.perf_counter() - started)

        return limited

    async def _limited(self, kind: str, seconds: float, late: Exception, call: Awaitable[Any]) -> Any:
        self.usage["model_calls" if kind == "model" else "tool_calls"] += 1
        started = time.perf_counter()
        try:
            async with asyncio.timeout(seconds) as limit:
                return await call
        except TimeoutError:
            if limit.expired():
                raise late from None
            raise
        except SystemExit as error:  # it would end the service
            raise RuntimeError(f"it tried to end the process: {error}") from None
        finally:
            self.timing[kind] += time.perf_counter() - started


def _counted(numbers: Counter[str]) -> dict[str, Any]:
    return {name: count for name, count in numbers.items() if count}


def _tokens(response: Any) -> dict[str, int]:
    """Returns the tokens that a response reports, an empty dict if it reports none."""
    usage = getattr(response, "usage", None)
    return {} if usage is None else {name: getattr(usage, name, None) or 0 for name in _COUNTED}


def _model_of(provider: Any, options: dict[str, Any], request: Any = None, *_: Any) -> str:
    """Returns the name of the model that a provider calls, an empty text if it is not known."""
    asked = options.get("model") or getattr(request, "model", None)
    if not asked:
        try:
            asked = provider.get_info().defaults.get("model")
        except Exception:  # a module may lack it, or raise anything
            asked = None
    return str(asked or "")


def _end_if_cancelled() -> None:
    """Raises CancelledError if the run was cancelled and a module suppressed the cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
