"""The route of the Model Context Protocol, whose messages are not described as JSON of this API."""

from typing import Any

from litestar import Controller

from amplifier.mcp import endpoint
from amplifier.web.request import Request
from amplifier.web.routing import post


class McpController(Controller):
    """Streamable HTTP of MCP. GET and DELETE get 405: there are no streams and no sessions to end."""

    include_in_schema = False

    @post("/mcp", status_code=200, audited=False, commits_itself=True, ignores_body=True)
    async def serve_mcp(self, request: Request) -> Any:
        """Answers one message of MCP with the caller's own rights."""
        return await endpoint.answer(request)
