"""The files of the console as `make console` builds them: read once, with their types and their compressed forms."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from litestar.types import Receive, Send

from amplifier import paths
from amplifier.web.responses import is_known, takes

ASSETS = "assets/"  # what is below it has a hash of its content in its name
PAGE = "index.html"
_TYPES = {  # by suffix; other files are not served
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    ".webmanifest": b"application/manifest+json",
    ".woff2": b"font/woff2",
}
_CODINGS = {"br": ".br", "gzip": ".gz"}  # the smallest first
_POLICY = b"default-src 'none'; frame-ancestors 'none'"  # of a worker, which has not that of the page
_FOR_EVER, _CHECKED = b"public, max-age=31536000, immutable", b"no-cache"


class File:
    """A file as an answer: compressed as the client accepts it, and 304 if the client has it.

    The ETag is weak, because it is the same for each coding.
    """

    def __init__(self, content: bytes, media_type: bytes, coded: dict[str, bytes], lasts: bool) -> None:
        self.content, self.coded = content, coded
        self.tag = hashlib.sha256(content).hexdigest()[:16]
        self._type = (b"content-type", media_type)
        self._kept = [
            (b"cache-control", _FOR_EVER if lasts else _CHECKED),
            (b"content-security-policy", _POLICY),
            (b"etag", f'W/"{self.tag}"'.encode()),
            *([(b"vary", b"Accept-Encoding")] if coded else []),
        ]

    async def __call__(self, scope: Any, _receive: Receive, send: Send) -> None:
        body, status, headers = self.content, 200, [self._type, *self._kept]
        if is_known(scope, self.tag):
            body, status, headers = b"", 304, self._kept
        elif coding := next((one for one in self.coded if takes(scope, one)), None):
            body = self.coded[coding]
            headers = [*headers, (b"content-encoding", coding.encode())]
        if status == 200:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


@cache
def read(folder: Path = paths.CONSOLE) -> dict[str, File]:
    """Returns the files of a build by their path in it; none if there is no build."""
    found = sorted(file for file in folder.rglob("*") if file.suffix in _TYPES and file.is_file())
    return {str(file.relative_to(folder).as_posix()): _file(file, folder) for file in found}


def page(files: dict[str, File], root: str) -> bytes | None:
    """Returns the page with the addresses of its files below ROOT_PATH, or None without a build.

    They are absolute: the page is answered at every depth of addresses. Chunks find each other relative to themselves.
    """
    if PAGE not in files:
        return None
    return files[PAGE].content.replace(b'="./', f'="{root}/console/'.encode())


def _file(file: Path, folder: Path) -> File:
    coded = {
        coding: other.read_bytes()
        for coding, suffix in _CODINGS.items()
        if (other := file.with_name(file.name + suffix)).is_file()
    }
    lasts = file.is_relative_to(folder / ASSETS)
    return File(file.read_bytes(), _TYPES[file.suffix], coded, lasts)
