"""Limits the time of model and tool calls, and counts the calls, their tokens and their time."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from amplifier_core import LLMTimeoutError

from amplifier.runtime.finish_reasons import normalised

_COUNTED = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)


class Meter:
    """Limits and counts the calls of one run.

    `usage` holds numbers of tokens and calls; `timing` and the timeouts are seconds. `finish_reason` is that of the
    last model call, None while it lasts and if it failed.
    """

    def __init__(self, model_timeout: float, tool_timeout: float) -> None:
        self._model_timeout, self._tool_timeout = model_timeout, tool_timeout
        self.usage: Counter[str] = Counter(model_calls=0, tool_calls=0)
        self.timing = {"model": 0.0, "tools": 0.0}
        self._left_out: dict[str, int] = {}
        self.finish_reason: str | None = None

    def leave_out(self, messages: Any, limit: Any) -> None:
        """Counts messages of the transcript that models are not sent because of this limit. The last number counts."""
        if isinstance(messages, int):
            self._left_out[str(limit)] = messages
            self.usage["messages_left_out"] = sum(self._left_out.values())

    def watch(self, coordinator: Any) -> None:
        """Wraps the mounted providers and tools, so that their calls are limited and counted."""
        for provider in (coordinator.get("providers") or {}).values():
            provider.complete = self._model(provider.complete)
        for name, tool in (coordinator.get("tools") or {}).items():
            tool.execute = self._tool(name, tool.execute)

    def _model(self, complete: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(complete)
        async def limited(*arguments: Any, **options: Any) -> Any:
            _end_if_cancelled()
            self.finish_reason = None
            message = f"The model did not answer within {self._model_timeout:g} s (RUN_MODEL_TIMEOUT)"
            response = await self._limited(
                "model", self._model_timeout, LLMTimeoutError(message), complete(*arguments, **options)
            )
            _end_if_cancelled()
            self.finish_reason = normalised(getattr(response, "finish_reason", None))
            usage = getattr(response, "usage", None)
            self.usage.update({name: getattr(usage, name, None) or 0 for name in _COUNTED if usage is not None})
            return response

        return limited

    def _tool(self, name: str, execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(execute)
        async def limited(*arguments: Any, **options: Any) -> Any:
            error = TimeoutError(f"The tool {name} took longer than {self._tool_timeout:g} s (RUN_TOOL_TIMEOUT)")
            return await self._limited("tools", self._tool_timeout, error, execute(*arguments, **options))

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


def _end_if_cancelled() -> None:
    """Raises CancelledError if the run was cancelled and a module suppressed the cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
