"""A request to each operation of the OpenAPI document, valid unless a test changes it."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from amplifier.openapi import document

# The values of path parameters, of things that do not exist unless a test makes them. Other parameters are numbers.
PATHS = {
    "app_id": "travel-desk",
    "approval_id": "approval",
    "config_id": "c3d1c1e2-9a1f-4a53-8a7e-2f60a7c4b8e9",
    "invitation_id": "0f7c2b64-5d0e-4c1b-9d53-1f6a7e2c9b40",
    "key": "theme",
    "key_id": "app_0123456789abcdef",
    "run_id": "run",
    "session_id": "7a4e9d18-3c62-4f0a-b1d7-6e85c20f9a3d",
    "user_id": "omar",
}
_QUERIES = {"search": {"q": "flight"}, "search_session": {"q": "flight"}}  # those that are required


class Operation:
    """An operation of the committed document: its method, path, error statuses and what it takes."""

    def __init__(self, method: str, path: str, described: dict[str, Any]) -> None:
        self.name: str = described["operationId"]
        self.method, self.path = method.upper(), path
        self.statuses = {int(status) for status in described["responses"]}
        self.needs_credentials = described.get("security") != []
        self.parameters: list[dict[str, Any]] = described.get("parameters", [])
        self.body: Any = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")

    def takes(self, name: str) -> bool:
        """Returns whether the operation has a parameter of this name."""
        return name in {parameter["name"] for parameter in self.parameters}

    async def call(
        self,
        client: httpx.AsyncClient,
        ids: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Sends the request with the body of the document's example, unless `options` have `content`."""
        values = {parameter["name"]: PATHS.get(parameter["name"], "1") for parameter in self.parameters}
        path = self.path.format_map(values | (ids or {}))
        if self.body is not None and "content" not in options:
            options["content"] = json.dumps(self.body)
        headers = {"Content-Type": "application/json"} | options.pop("headers", {})
        given = _QUERIES.get(self.name, {}) | (query or {})
        return await client.request(self.method, path, params=given, headers=headers, **options)


def operations(condition: Callable[[Operation], Any] = bool) -> list[Operation]:
    """Returns the operations of the document for which the condition holds."""
    return [operation for operation in _all() if condition(operation)]


def _all() -> Iterable[Operation]:
    paths = json.loads(document.file().read_text())["paths"]
    return (Operation(method, path, described) for path, item in paths.items() for method, described in item.items())
