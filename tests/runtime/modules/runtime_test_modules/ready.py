"""A module, not a function, is the entry point; it is told when everything is mounted."""

from typing import Any


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    coordinator.register_capability("test.order", ["mounted"])


async def on_session_ready(coordinator: Any) -> None:
    coordinator.get_capability("test.order").append(sorted(coordinator.get("tools")))
