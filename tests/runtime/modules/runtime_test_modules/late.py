"""A module that mounts, and fails when all modules are mounted."""

from typing import Any


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    coordinator.register_capability("test.late", True)


async def on_session_ready(coordinator: Any) -> None:
    raise LookupError("too late")
