"""The description of the API: the OpenAPI document as it was committed, and as pages that ask no other host."""

import hashlib
import json
import re
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Controller
from litestar.params import FromPath

from amplifier import paths
from amplifier.errors import Problem
from amplifier.web.request import Request
from amplifier.web.responses import Answer
from amplifier.web.routing import get

_STATIC = Path(__file__).parent.parent / "static"
_TYPES = {
    "docs.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
    "reference.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
# `data:` because the style sheet has its arrows in it; nothing inline, and nobody else's
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CHECKED = ((b"cache-control", b"no-cache"),)
_PAGE = (*_CHECKED, (b"content-security-policy", _POLICY.encode()))
_FOR_EVER = ((b"cache-control", b"public, max-age=31536000, immutable"),)


class Asset(NamedTuple):
    """A file of the pages; `version` changes with its content."""

    content: bytes
    media_type: str
    version: str


class DocsController(Controller):
    """Routes that need no credentials and are not in the document themselves."""

    include_in_schema = False

    @get("/openapi.json")
    async def get_openapi(self, request: Request) -> Any:
        """The OpenAPI document."""
        text = _document(_root(request))
        return Answer(200, text, _version(text), _CHECKED)

    @get("/docs")
    async def get_explorer(self, request: Request) -> Any:
        """The document as a page to try the operations on."""
        return _page(_explorer(_root(request)))

    @get("/redoc")
    async def get_reference(self, request: Request) -> Any:
        """The document as a page to read."""
        return _page(_reference(_root(request)))

    @get("/docs/assets/{name:str}")
    async def get_asset(self, name: FromPath[str]) -> Any:
        """A file that the pages need. Raises Problem 404."""
        if name not in _TYPES:
            raise Problem(404, "Not found: there is no such file")
        asset = _asset(name)
        return Answer(200, asset.content, asset.version, _FOR_EVER, asset.media_type.encode())


def _root(request: Request) -> str:
    return request.app.root_path  # type: ignore[attr-defined,no-any-return]


@cache
def _document(root: str) -> bytes:
    """Returns the committed document, with the address of the service below ROOT_PATH."""
    text = (paths.folder("openapi") / "openapi.json").read_bytes()
    return text.replace(b'"url": "/"', f'"url": "{root or "/"}"'.encode(), 1)


def _page(text: bytes) -> Answer:
    return Answer(200, text, _version(text), _PAGE, b"text/html; charset=utf-8")


@cache
def _explorer(root: str) -> bytes:
    text = (_STATIC / "docs.html").read_text().replace("{document}", f"{root}/openapi.json")
    return re.sub(r"\{([a-z0-9.-]+)\}", lambda match: _address(root, match[1]), text).encode()


@cache
def _reference(root: str) -> bytes:
    from amplifier.web.reference_page import page  # here, because few ever look at the pages

    return page(json.loads(_document(root)), root, partial(_address, root)).encode()


def _address(root: str, name: str) -> str:
    return f"{root}/docs/assets/{name}?v={_asset(name).version}"


@cache
def _asset(name: str) -> Asset:
    content = _found(name).read_bytes()
    return Asset(content, _TYPES[name], _version(content))


@cache
def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _found(name: str) -> Any:
    own = _STATIC / name
    if own.is_file():
        return own
    from swagger_ui_bundle import swagger_ui_path  # here for the same reason

    return swagger_ui_path / name
