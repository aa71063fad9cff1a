"""Executes the tools that a model calls, in parallel, with the decisions of hooks and a result for every call."""

import asyncio
import json
from typing import Any

from amplifier_core import ToolResult
from pydantic_core import to_jsonable_python

from amplifier.runtime.hooks import Hooks
from amplifier.runtime.transcript_writer import cleaned
from amplifier.telemetry import run_traces
from amplifier.transcripts.parts import Message

_AT_ONCE = 8
_PLAIN = (str, int, float, type(None))
_SHOWN = 500  # characters of invalid arguments that an error repeats
_CUT = (
    "The tool was not run: the limit of tokens of your answer was reached within its arguments. "
    "Call it again with shorter arguments, in several calls if need be."
)


class Toolbox:
    """The tools of a session, by the names that the model uses."""

    def __init__(self, tools: list[Any], hooks: Hooks) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._hooks = hooks

    async def run(self, calls: list[Any]) -> list[Message]:
        """Executes the calls and returns the messages with their results, in order.

        The result of a call that fails is an error.
        """
        slots = asyncio.Semaphore(_AT_ONCE)

        async def answer(call: Any) -> Message:
            async with slots:
                text = await self._guarded(call)
            return {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": text}

        tasks = [asyncio.ensure_future(answer(call)) for call in calls]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()  # if one raised, the others must not continue alone

    async def _guarded(self, call: Any) -> str:
        try:
            return await self._answer(call)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return await self._failed(call, error)  # the tool raised it; the turn was not cancelled
        except Exception as error:
            return await self._failed(call, error)

    async def _answer(self, call: Any) -> str:
        if call.name not in self._tools:
            return _error(f"There is no tool {call.name!r}. There are: {', '.join(sorted(self._tools)) or 'none'}")
        raw = getattr(call, "raw_arguments", None)
        if getattr(call, "is_cut", False):
            return _error(_CUT)
        if raw is not None:
            return _error(f"The tool was not run: its arguments are no JSON object: {str(raw)[:_SHOWN]}")
        asked = _payload(call)
        decision = await self._hooks.ask("tool:pre", asked)
        if decision.denied is not None:
            return _error(f"Denied: {decision.denied or 'the call is not allowed'}")
        given = decision.data.get("tool_input")
        arguments = given if isinstance(given, dict) else call.arguments
        run_traces.call_id.set(call.id)  # the call is a task of its own
        result = _result(await self._tools[call.name].execute(arguments))
        return await self._after({**asked, "tool_input": arguments}, result)

    async def _after(self, asked: dict[str, Any], result: ToolResult) -> str:
        text = str(result.get_serialized_output())
        if self._hooks.has("tool:post"):
            shown = result.safe_hook_presentation()
            decision = await self._hooks.ask("tool:post", {**asked, "result": shown})
            if decision.denied is not None:
                return _error(f"The result is withheld: {decision.denied or 'a hook denied it'}")
            changed = decision.data.get("result", shown)
            if changed != shown:
                return str(_result(changed).get_serialized_output())
        return text

    async def _failed(self, call: Any, error: BaseException) -> str:
        kind, text = type(error).__name__, str(error)
        await self._hooks.ask("tool:error", {**_payload(call), "error": {"type": kind, "msg": text}})
        return _error(f"{kind}: {text}" if text else kind)


def _payload(call: Any) -> dict[str, Any]:
    return {"tool_name": call.name, "tool_call_id": call.id, "tool_input": call.arguments}


def _result(given: Any) -> ToolResult:
    """Returns the result of a tool with an output that JSON can hold; a date, for example, becomes text."""
    if isinstance(given, dict) and "success" in given and given.keys() <= ToolResult.model_fields.keys():
        given = ToolResult(**given)
    result = given if isinstance(given, ToolResult) else ToolResult(output=given)
    written = result.output
    if not isinstance(written, _PLAIN):
        written = to_jsonable_python(written, bytes_mode="base64", fallback=str)
    result.output = cleaned(written)  # amplifier-core refuses lone surrogates, which names of files may contain
    return result


def _error(text: str) -> str:
    return json.dumps({"error": text}, ensure_ascii=False)
