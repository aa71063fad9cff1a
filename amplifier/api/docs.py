"""The description of the API: the OpenAPI document as it was committed, and as pages that ask no other host."""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import litestar
from litestar import Controller, Response
from litestar.params import FromPath

from amplifier import schema
from amplifier.problems import Problem

_STATIC = Path(__file__).parent.parent / "static"
_TYPES = {
    "docs.js": "text/javascript",
    "favicon-32x32.png": "image/png",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
# `data:` because the style sheet has its arrows in it; nothing inline, and nobody else's
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
}
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


class Asset(NamedTuple):
    """A file of the pages; `version` changes with its content."""

    content: bytes
    media_type: str
    version: str


class DocsController(Controller):
    """Routes that need no credentials and are not in the document themselves."""

    include_in_schema = False

    @litestar.get("/openapi.json", sync_to_thread=False)
    def get_openapi(self) -> Response[bytes]:
        """The OpenAPI document."""
        return Response(_document(), media_type="application/json", headers={"Cache-Control": "no-cache"})

    @litestar.get(["/docs", "/redoc"], sync_to_thread=False)
    def get_page(self) -> Response[bytes]:
        """The document as a console, or to read."""
        return Response(_page(), media_type="text/html", headers=_PAGE)

    @litestar.get("/docs/assets/{name:str}", sync_to_thread=False)
    def get_asset(self, name: FromPath[str]) -> Response[bytes]:
        """A file that the pages need. Raises Problem 404."""
        if name not in _TYPES:
            raise Problem(404, "Not found: there is no such file")
        asset = _asset(name)
        return Response(asset.content, media_type=asset.media_type, headers=_FOR_EVER)


@cache
def _document() -> bytes:
    return (schema.share("openapi") / "openapi.json").read_bytes()


@cache
def _page() -> bytes:
    def address(match: re.Match[str]) -> str:
        return f"/docs/assets/{match[1]}?v={_asset(match[1]).version}"

    return re.sub(r"\{([a-z0-9.-]+)\}", address, (_STATIC / "docs.html").read_text()).encode()


@cache
def _asset(name: str) -> Asset:
    content = _found(name).read_bytes()
    return Asset(content, _TYPES[name], hashlib.sha256(content).hexdigest()[:16])


def _found(name: str) -> Any:
    own = _STATIC / name
    if own.is_file():
        return own
    from swagger_ui_bundle import swagger_ui_path  # here, because few ever look at the pages

    return swagger_ui_path / name
