"""A server on 127.0.0.1 that answers as one container of Azure Blob Storage does, as far as attachments need it."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

_STAMP = "Mon, 01 Jun 2026 10:00:00 GMT"
_ERROR = '<?xml version="1.0"?><Error><Code>{0}</Code><Message>{0}</Message></Error>'


class BlobServer:
    """The blobs by name. While `refuses` is set, every request is answered with that status."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.blocks: dict[tuple[str, str], bytes] = {}
        self.refuses: int | None = None
        self.url = ""
        self.largest = 0  # bytes of a body


@contextlib.contextmanager
def running() -> Iterator[BlobServer]:
    """Runs the server in a thread."""
    state = BlobServer()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_port}/account/files"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ClassVar[BlobServer]

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""

    def do_PUT(self) -> None:
        """Put Blob, Put Block and Put Block List."""
        body = self.rfile.read(int(self.headers["content-length"]))
        name, query = self._asked()
        self.state.largest = max(self.state.largest, len(body))
        if self._refused():
            return
        if query.get("comp") == ["block"]:
            self.state.blocks[name, query["blockid"][0]] = body
        elif query.get("comp") == ["blocklist"]:
            ids = re.findall(r"<Latest>(.*?)</Latest>", body.decode())
            self.state.blobs[name] = b"".join(self.state.blocks[name, one] for one in ids)
        else:
            self.state.blobs[name] = body
        self._answer(201)

    def do_GET(self) -> None:
        """Get Blob, with or without a range."""
        name, _ = self._asked()
        if self._refused():
            return
        content = self.state.blobs.get(name)
        if content is None:
            self._answer(404, _ERROR.format("BlobNotFound").encode(), {"x-ms-error-code": "BlobNotFound"})
            return
        asked = self.headers.get("x-ms-range") or self.headers.get("range")
        start, end = 0, len(content) - 1
        if asked:
            first, last = asked.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last or end), end)
        span = {"content-range": f"bytes {start}-{end}/{len(content)}"} if asked else {}
        self._answer(206 if asked else 200, content[start : end + 1], span | {"x-ms-blob-type": "BlockBlob"})

    def do_DELETE(self) -> None:
        """Delete Blob."""
        name, _ = self._asked()
        if self._refused():
            return
        if self.state.blobs.pop(name, None) is None:
            self._answer(404, _ERROR.format("BlobNotFound").encode(), {"x-ms-error-code": "BlobNotFound"})
        else:
            self._answer(202)

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path).removeprefix("/account/files/"), parse_qs(parts.query)

    def _refused(self) -> bool:
        if self.state.refuses is None:
            return False
        self._answer(self.state.refuses, _ERROR.format("AuthorizationFailure").encode())
        return True

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        known = {"etag": '"1"', "last-modified": _STAMP, "x-ms-version": "2025-01-05", "x-ms-request-id": "1"}
        for name, value in (known | (headers or {}) | {"content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
