"""Tools that return, fail, give up and wait for each other. They keep their inputs."""

import asyncio
from datetime import date
from typing import Any

from amplifier_core import ToolResult


class Tool:
    input_schema = {"type": "object", "properties": {"text": {"type": "string"}}}

    def __init__(self, name: str, shared: dict[str, Any]) -> None:
        self.name, self.description, self.shared = name, f"The tool {name}", shared
        self.given: list[dict[str, Any]] = []

    async def execute(self, input: dict[str, Any]) -> Any:
        self.given.append(input)
        return await getattr(self, f"_{self.name}")(input)

    async def _say(self, input: dict[str, Any]) -> ToolResult:
        return ToolResult(output=input.get("text", ""))

    async def _fail(self, input: dict[str, Any]) -> ToolResult:
        raise TimeoutError(input.get("text", ""))

    async def _give_up(self, input: dict[str, Any]) -> ToolResult:
        raise asyncio.CancelledError

    async def _date(self, input: dict[str, Any]) -> dict[str, Any]:
        return {"date": date(2026, 1, 2)}

    async def _hang(self, input: dict[str, Any]) -> ToolResult:
        self.shared["hanging"] = self.shared.get("hanging", 0) + 1
        try:
            await asyncio.Event().wait()
        finally:
            self.shared["hanging"] -= 1
        return ToolResult()

    async def _meet(self, input: dict[str, Any]) -> ToolResult:
        """Returns when as many calls run at once as `text` says."""
        here = self.shared["here"] = self.shared.get("here", 0) + 1
        self.shared["most"] = max(self.shared.get("most", 0), here)
        met = self.shared.setdefault("met", asyncio.Event())
        if here >= int(input["text"]):
            met.set()
        await met.wait()
        await asyncio.sleep(0)
        self.shared["here"] -= 1
        return ToolResult(output=f"met {input['number']}")


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    shared: dict[str, Any] = {}
    for name in ("say", "fail", "give_up", "date", "hang", "meet"):
        await coordinator.mount("tools", Tool(name, shared), name=name)
