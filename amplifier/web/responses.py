"""Answers as ASGI callables, with ETag, Link and compression. Headers of every response: response_headers.py."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from litestar.types import Receive, Scope, Send

_COMPRESSED_FROM = 2048  # bytes; compressing less costs more than it saves
_IN_THREAD_FROM = 128 * 1024  # bytes; compressing more in the event loop would delay other requests
_LEVEL = 1  # of zlib: JSON gets a fifth of its size, at 100 MB/s
_WITHOUT_BODY = (204, 304)
_GZIP = 31  # zlib's wbits for the format
_TAG = re.compile(r'(W/)?"([^"]*)"\s*(?:,|\Z)')
_NUMBER = re.compile(r"(\d{1,19})(?:-gzip)?\Z")
_BR_REFUSED = re.compile(r"(?:br|\*)\s*;\s*q=0(?:\.0*)?\s*(?:,|\Z)")
_GZIP_REFUSED = re.compile(r"(?:gzip|\*)\s*;\s*q=0(?:\.0*)?\s*(?:,|\Z)")
REPLAYED = "replayed"  # in a scope's state: the work was done by an earlier request with this Idempotency-Key
IGNORED = "ignored"  # in a scope's state: the warnings about fields of the body that were ignored

Headers = Iterable[tuple[bytes, bytes]]
JSON = b"application/json"


class Answer:
    """An answer, JSON by default: 304 if the client has it, gzip if it is large and the client accepts that.

    JSON ends with a line break, so that a shell's prompt after it begins a line. `body` is without it.
    """

    __slots__ = ("body", "etag", "headers", "media_type", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        etag: str | None = None,
        headers: Headers = (),
        media_type: bytes = JSON,
    ) -> None:
        self.status, self.body, self.etag, self.headers, self.media_type = status, body, etag, headers, media_type

    async def __call__(self, scope: Any, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", self.media_type), *self.headers]
        body, etag, status = self.body, self.etag, self.status
        if status == HTTPStatus.NO_CONTENT:
            headers = [*self.headers]
        elif etag is not None and scope["method"] == "GET" and is_known(scope, etag):
            status, body, headers = 304, b"", [*self.headers]
        elif body and self.media_type == JSON:
            body = ended(body)
        if len(body) >= _COMPRESSED_FROM:
            headers.append((b"vary", b"Accept-Encoding"))
            if takes_gzip(scope):
                body = await _compressed(body)
                headers.append((b"content-encoding", b"gzip"))
                etag = etag and f"{etag}-gzip"
        if etag is not None:
            headers.append((b"etag", f'"{etag}"'.encode()))
        if status not in _WITHOUT_BODY:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class JsonStream:
    """JSON that is made while it is sent. Stops when the client disconnects."""

    def __init__(self, chunks: AsyncIterator[bytes], etag: str) -> None:
        self._chunks, self._etag = chunks, etag

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_known(scope, self._etag):
            return await Answer(304, b"", self._etag)(scope, receive, send)
        gzip, etag = takes_gzip(scope), self._etag
        headers = [(b"content-type", JSON), (b"vary", b"Accept-Encoding")]
        if gzip:
            headers.append((b"content-encoding", b"gzip"))
            etag += "-gzip"
        headers.append((b"etag", f'"{etag}"'.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        absent = asyncio.create_task(gone(receive))
        try:
            chunks = _ended(self._chunks)
            async for chunk in _gzip(chunks) if gzip else chunks:
                if absent.done():
                    return None
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            absent.cancel()
        return await send({"type": "http.response.body", "body": b"", "more_body": False})


async def gone(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def ended(body: bytes) -> bytes:
    """Returns a JSON document with a line break at its end."""
    return body if body.endswith(b"\n") else body + b"\n"


def answered(status: int, data: Any, scope: Any, following: str | None = None) -> Answer:
    """Returns the answer that carries `data`, with its `etag` and a Link to the page `following` or of its `next`, if
    it has these. A 204 carries nothing.

    The answer to a body with fields that were ignored names them in its `warnings`.
    """
    if status == HTTPStatus.NO_CONTENT:
        return Answer(204, b"")
    if IGNORED in scope["state"] and hasattr(data, "warnings"):
        data.warnings = scope["state"][IGNORED]
    following = following or (getattr(data, "next", None) if scope["method"] == "GET" else None)
    headers = () if following is None else ((b"link", _link(scope, data, following)),)
    return Answer(status, encoder.encode(data), getattr(data, "etag", None), headers)


def if_match(headers: Mapping[str, str]) -> list[int] | None:
    """Returns the versions of If-Match (RFC 9110), or None if any will do. Other tags match nothing."""
    wanted = headers.get("if-match")
    if wanted is None or wanted.strip() == "*":
        return None
    numbers = [_NUMBER.match(tag) for weak, tag in _TAG.findall(wanted) if not weak]
    return [int(number[1]) for number in numbers if number and int(number[1]) < 2**63]


def takes(scope: Scope, coding: str) -> bool:
    """Returns whether the client's Accept-Encoding names `br` or `gzip`, or `*`, and does not refuse it."""
    accepted = (header(scope, b"accept-encoding") or "").lower()
    refused = _BR_REFUSED.search(accepted) if coding == "br" else _GZIP_REFUSED.search(accepted)
    return (coding in accepted or "*" in accepted) and refused is None


def takes_gzip(scope: Scope) -> bool:
    """Returns whether the client takes gzip."""
    return takes(scope, "gzip")


def header(scope: Scope, wanted: bytes) -> str | None:
    """Returns the value of a request header, or None if it is missing."""
    for name, value in scope["headers"]:
        if name == wanted:
            return value.decode("latin-1")
    return None


def is_known(scope: Scope, etag: str) -> bool:
    """Returns whether If-None-Match names the ETag; weak comparison (RFC 9110, 13.1.2)."""
    known = header(scope, b"if-none-match")
    if known is None:
        return False
    return known.strip() == "*" or any(tag.removesuffix("-gzip") == etag for _, tag in _TAG.findall(known))


def _link(scope: Scope, data: Any, following: Any) -> bytes:
    """Returns the Link to the next page: this address, with the path of `request_target.read` and another cursor."""
    parameter = getattr(data, "next_parameter", "cursor")
    replaced = ("cursor", "after", "offset") if parameter == "cursor" else (parameter,)
    query = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1"), True) if pair[0] not in replaced]
    root = scope["litestar_app"].root_path  # type: ignore[attr-defined]
    address = f"{root}{quote(scope['path'], safe='/%')}?{urlencode([*query, (parameter, following)])}"
    return f'<{address}>; rel="next"'.encode()


async def _compressed(body: bytes) -> bytes:
    return _gzipped(body) if len(body) < _IN_THREAD_FROM else await asyncio.to_thread(_gzipped, body)


def _gzipped(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL, wbits=_GZIP)


async def _ended(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
    yield b"\n"


async def _gzip(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    async for chunk in chunks:
        if len(chunk) < _IN_THREAD_FROM:
            yield compressor.compress(chunk)
        else:
            yield await asyncio.to_thread(compressor.compress, chunk)
    yield compressor.flush()


encoder = msgspec.json.Encoder()


def answer(status: int, data: Any, etag: str | None = None) -> Any:
    """Returns an answer with another status than the route's, for a handler to return."""
    return Answer(status, encoder.encode(data), etag)
