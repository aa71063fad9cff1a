"""A context manager of another package, which returns new message objects on each call."""

from typing import Any


class Context:
    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def add_message(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    async def get_messages(self) -> list[dict[str, Any]]:
        return [dict(message) for message in self.messages]

    async def get_messages_for_request(self, token_budget: Any = None, provider: Any = None) -> list[dict[str, Any]]:
        return await self.get_messages()

    async def set_messages(self, messages: list[dict[str, Any]]) -> None:
        self.messages = list(messages)

    async def clear(self) -> None:
        self.messages = []


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    await coordinator.mount("context", Context())
