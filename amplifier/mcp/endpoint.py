"""The answer to a request to /mcp, with the package `mcp` imported at the first one."""

import asyncio
import importlib
from typing import Any

import uvicorn
from litestar.types import ASGIApp, Message

from amplifier.errors import Problem
from amplifier.web.request import Request

_MISSING = (
    "MCP is not installed here: whoever runs the service installs the extra `mcp` "
    "(pip install 'amplifier-api[mcp]') and starts it again"
)


async def answer(request: Request) -> ASGIApp:
    """Returns the application that answers the request. Raises Problem 413, 415, and 501 if the extra is missing."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "Send the body as Content-Type: application/json")
    body = await request.body()
    serve = await _server()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            """Receives the body, which was read within the limits of every request, and then what comes after it."""
            return parts.pop() if parts else await receive()  # type: ignore[return-value]

        await serve(scope, again, send)

    return app


async def _server() -> Any:
    try:
        return (await asyncio.to_thread(load)).serve  # in a thread: the import takes half a second
    except ModuleNotFoundError as error:
        if error.name not in ("mcp", "mcp_types"):
            raise
        raise Problem(501, _MISSING) from error


def load() -> Any:
    """Returns the module with the server. Raises ModuleNotFoundError if the extra is missing."""
    handle_exit = uvicorn.Server.handle_exit
    try:
        return importlib.import_module("amplifier.mcp.server")
    finally:
        uvicorn.Server.handle_exit = handle_exit  # type: ignore[method-assign] # sse_starlette replaces it
