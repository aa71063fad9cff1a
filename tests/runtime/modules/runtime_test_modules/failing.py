"""Modules that fail to mount."""

from typing import Any


async def silent(coordinator: Any, config: dict[str, Any]) -> None:
    """Mounts nothing and does not raise."""


async def broken(coordinator: Any, config: dict[str, Any]) -> None:
    raise ValueError(f"{config['api_key']} is no key, see https://x.test/?key={config['api_key']}")


async def forbidden(coordinator: Any, config: dict[str, Any]) -> None:
    raise AssertionError("a module that is not allowed was mounted")
