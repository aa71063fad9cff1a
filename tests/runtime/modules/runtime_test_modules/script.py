"""A provider that returns the answers of its config in order and keeps the requests."""

from typing import Any

from amplifier_core import ChatResponse


class Script:
    name = "script"

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.priority = config.get("priority", 100)
        self.answers = list(config.get("answers", [{"text": "Hello"}]))
        self.requests: list[Any] = []
        self.options: list[dict[str, Any]] = []

    async def complete(self, request: Any, **options: Any) -> ChatResponse:
        self.requests.append(request)
        self.options.append(options)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if "error" in answer:
            raise RuntimeError(answer["error"])
        text = [{"type": "text", "text": answer["text"]}] if "text" in answer else []
        content = answer.get("content", text)
        return ChatResponse(content=content, tool_calls=answer.get("calls"), metadata=answer.get("metadata"))

    def parse_tool_calls(self, response: ChatResponse) -> list[Any]:
        return response.tool_calls or []


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    await coordinator.mount("providers", Script(config), name="script")
