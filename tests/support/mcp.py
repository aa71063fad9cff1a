"""Clients of MCP, of the package `mcp`, and what their calls return."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent, TextResourceContents

from tests.conftest import Api

LATEST = "auto"  # the protocol of 2026-07-28; "legacy" is that of 2025-11-25, with `initialize`


@contextlib.asynccontextmanager
async def connected(api: Api, user_id: str, mode: str = LATEST) -> AsyncIterator[Client]:
    """Yields a client of a user, connected to the application in this process."""
    headers = dict((await api.as_user(user_id)).headers)
    credentials = {name: headers[name] for name in ("x-api-key", "authorization")}
    transport = httpx2.ASGITransport(app=api.app)  # type: ignore[arg-type]
    async with (
        httpx2.AsyncClient(transport=transport, headers=credentials) as http,
        Client(streamable_http_client("http://test/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    """Returns the structured result of a tool, which its text repeats."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result.content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Returns the text of a tool's error."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error, result.content
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


async def resource(client: Client, uri: str) -> str:
    """Returns the text of a resource."""
    result = await client.read_resource(uri)
    [contents] = result.contents
    assert isinstance(contents, TextResourceContents)
    assert contents.mime_type == "text/markdown"
    return contents.text
