"""amplifier-api mcp: MCP over stdin and stdout, for clients that start programs, passed on to the /mcp of a service."""

import argparse
import base64
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from amplifier.errors import OperatorError
from amplifier.settings import Settings

_URL = "http://127.0.0.1:8765"
_LIMIT = 60.0  # seconds for an answer
_AT_ONCE = 8  # messages under way
_PARSE_ERROR, _FAILED = -32700, -32000  # codes of JSON-RPC
_VERSION = "io.modelcontextprotocol/protocolVersion"  # in `_meta` of each request since 2026-07-28
_NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_DESCRIPTION = f"""\
Serves MCP on stdin and stdout, for clients that start programs. Environment: AMPLIFIER_URL, the address of the service
({_URL} without it); AMPLIFIER_API_KEY and AMPLIFIER_TOKEN, or AMPLIFIER_USER_ID for applications that may act for
users; API_KEY_HEADER, if the service has another one."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command. It reads no settings of a service: clients start it in any folder."""
    command = commands.add_parser("mcp", help="serve MCP over stdio, from a running service", description=_DESCRIPTION)
    command.add_argument("--url", metavar="URL", help="the address of the service")
    command.set_defaults(run=_mcp, needs_settings=False)


def _mcp(_: Settings, arguments: argparse.Namespace) -> None:
    import httpx

    url = (arguments.url or os.environ.get("AMPLIFIER_URL") or _URL).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise OperatorError(f"AMPLIFIER_URL must be the address of a service, such as {_URL}")
    credentials = dict(_credentials())
    if not all(map(str.isprintable, credentials.values())):
        raise OperatorError("AMPLIFIER_API_KEY, AMPLIFIER_TOKEN and AMPLIFIER_USER_ID must be one line each")
    headers = {name.encode(): value.encode() for name, value in credentials.items()}
    headers |= {b"Accept": b"application/json, text/event-stream", b"Content-Type": b"application/json"}
    with httpx.Client(headers=headers, timeout=_LIMIT) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
        bridge = Bridge(client, f"{url}/mcp")
        for line in sys.stdin.buffer:
            if line.strip():
                pool.submit(bridge.pass_on, line)


def _credentials() -> Iterator[tuple[str, str]]:
    named = {os.environ.get("API_KEY_HEADER") or "X-API-Key": "AMPLIFIER_API_KEY", "X-User-ID": "AMPLIFIER_USER_ID"}
    for header, variable in named.items():
        if value := os.environ.get(variable, "").strip():
            yield header, value
    if token := os.environ.get("AMPLIFIER_TOKEN", "").strip():
        yield "Authorization", f"Bearer {token}"


class Bridge:
    """Sends each message of the client to the service, and writes the answers as they come."""

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url = client, url
        self._version: str | None = None  # agreed by `initialize`
        self._writing = threading.Lock()

    def pass_on(self, line: bytes) -> None:
        """Sends one message and writes the answer to it, if it is a request."""
        try:
            message = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._fail(None, "This is not JSON", _PARSE_ERROR)
        is_request = isinstance(message, dict) and "method" in message and "id" in message
        answer, detail = self._post(line, message if isinstance(message, dict) else {})
        if answer is None:
            return self._fail(message["id"], detail) if is_request else None
        if is_request and message["method"] == "initialize":
            self._version = _member(msgspec.json.decode(answer), "result", "protocolVersion")
        return self._write(answer) if answer else None

    def _post(self, line: bytes, message: dict[str, Any]) -> tuple[bytes | None, str]:
        """Returns the answer, empty for none, or None and what went wrong."""
        import httpx

        try:
            response = self._client.post(self._url, content=line, headers=self._headers(message))
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            return None, f"The service at {self._url} does not answer ({reason}): start it, or set AMPLIFIER_URL"
        media_type = response.headers.get("content-type", "").partition(";")[0]
        if media_type == "application/json" or response.is_success:
            return response.content.strip().replace(b"\n", b" "), ""
        return None, f"{_detail(response.content)} (HTTP {response.status_code} of {self._url})"

    def _headers(self, message: dict[str, Any]) -> dict[str, str]:
        """Returns the headers that repeat what is in the message, as Streamable HTTP demands."""
        version = _member(message, "params", "_meta", _VERSION)
        if version is None:
            return {"MCP-Protocol-Version": self._version} if self._version else {}
        method = str(message.get("method"))
        name = _member(message, "params", _NAMES[method]) if method in _NAMES else None
        headers = {"MCP-Protocol-Version": version, "Mcp-Method": method}
        headers |= {"Mcp-Name": name} if name is not None else {}
        return {header: _safe(text) for header, text in headers.items()}

    def _fail(self, identifier: Any, detail: str, code: int = _FAILED) -> None:
        error = {"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": detail}}
        self._write(msgspec.json.encode(error))

    def _write(self, line: bytes) -> None:
        with self._writing:
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()


def _member(value: Any, *path: str) -> str | None:
    """Returns the text at a path in JSON, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _detail(content: bytes) -> str:
    """Returns the detail of a problem document."""
    try:
        return _member(msgspec.json.decode(content), "detail") or "The service gives no reason"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "The answer is no JSON: is this the address of the service?"


def _safe(text: str) -> str:
    """Returns a text as the value of a header; base64 of what a header cannot have, as MCP defines it."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="
