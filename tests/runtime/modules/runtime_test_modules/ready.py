"""A module whose entry point is a Python module. It is called when all modules are mounted."""

from typing import Any


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    coordinator.register_capability("test.order", ["mounted"])


async def on_session_ready(coordinator: Any) -> None:
    coordinator.get_capability("test.order").append(sorted(coordinator.get("tools")))
