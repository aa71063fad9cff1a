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
    "import_id": "5d0c9b1e-7c42-4a59-9a1b-0f4f6d8e2b73",
    "invitation_id": "0f7c2b64-5d0e-4c1b-9d53-1f6a7e2c9b40",
    "key": "theme",
    "key_id": "app_0123456789abcdef",
    "run_id": "run",
    "session_id": "7a4e9d18-3c62-4f0a-b1d7-6e85c20f9a3d",
    "sha256": "0" * 64,
    "user_id": "omar",
}
_QUERIES = {name: {"q": "flight"} for name in ("search", "search_session", "count_search_facets")}  # required ones


class Operation:
    """An operation of the committed document: its method, path, error statuses and what it takes."""

    def __init__(self, method: str, path: str, described: dict[str, Any]) -> None:
        self.name: str = described["operationId"]
        self.method, self.path = method.upper(), path
        self.statuses = {int(status) for status in described["responses"]}
        self.needs_credentials = described.get("security") != []
        self.parameters: list[dict[str, Any]] = described.get("parameters", [])
        contents: dict[str, Any] = described.get("requestBody", {}).get("content", {})
        self.media_type, content = next(iter(contents.items()), ("application/json", {}))
        self.body: Any = content.get("example")
        self.takes_file = content.get("schema", {}).get("format") == "binary"

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
        """Sends the request with the body of the document's example, or a small file, unless `options` have `content`.

        A conversation in the body is that of the session in `ids`.
        """
        values = {parameter["name"]: PATHS.get(parameter["name"], "1") for parameter in self.parameters}
        path = self.path.format_map(values | (ids or {}))
        if self.body is not None and "content" not in options:
            options["content"] = json.dumps(self._body(ids or {}))
        if self.takes_file:
            options.setdefault("content", b"a file")
        headers = {"Content-Type": self.media_type} | options.pop("headers", {})
        given = _QUERIES.get(self.name, {}) | (query or {})
        return await client.request(self.method, path, params=given, headers=headers, **options)

    def _body(self, ids: dict[str, str]) -> Any:
        if "session_id" in ids and "conversation" in self.body:
            return self.body | {"conversation": f"conv_{ids['session_id']}"}
        return self.body


def operations(condition: Callable[[Operation], Any] = bool) -> list[Operation]:
    """Returns the operations of the document for which the condition holds."""
    return [operation for operation in _all() if condition(operation)]


def _all() -> Iterable[Operation]:
    paths = json.loads(document.file().read_text())["paths"]
    return (Operation(method, path, described) for path, item in paths.items() for method, described in item.items())
