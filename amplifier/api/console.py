"""The console: a page where people see, search and join sessions. Its source is in `console/`."""

import hashlib
from typing import Any
from urllib.parse import urlsplit

from litestar import Controller
from litestar.params import FromPath

from amplifier.errors import Problem
from amplifier.settings import Settings
from amplifier.web import console_files
from amplifier.web.console_files import ASSETS
from amplifier.web.problems import NO_ROUTE
from amplifier.web.request import Request
from amplifier.web.responses import Answer
from amplifier.web.routing import get

# `data:` and `blob:` for icons in the style sheet and for images of attachments, which are fetched with credentials
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src {sources}; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types amplifier dompurify"
)
_HTML = b"text/html; charset=utf-8"
_PAGE = (
    (b"cache-control", b"no-cache"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_NO_BUILD = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Amplifier</title>
  </head>
  <body>
    <h1>The console is not built</h1>
    <p>The service runs from a checkout whose page has not been built. Run <code>make console</code> there and start the
    service again; the first build downloads packages from PyPI and npm. The wheel and the image contain the page.</p>
    <p>The API works without it: <a href="{root}/docs">try its operations</a>.</p>
  </body>
</html>
"""


class ConsoleController(Controller):
    """Routes that need no credentials and are not in the OpenAPI document."""

    include_in_schema = False

    @get(["/console", "/console/{path:path}"])
    async def get_console(self, request: Request, path: FromPath[str] = "") -> Any:
        """A file of the build by its path, else the page, which reads the address itself. Raises Problem 404."""
        state, name = request.app.state, path.removeprefix("/")
        root: str = request.app.root_path  # type: ignore[attr-defined]
        if not state.settings.console:
            raise Problem(404, NO_ROUTE)
        if name in state.console and name != console_files.PAGE:
            return state.console[name]
        if name.startswith(ASSETS):
            raise Problem(404, "Not found: there is no such file; load the page again after an update")
        text = console_files.page(state.console, root)
        if text is None:
            return Answer(503, _NO_BUILD.replace("{root}", root).encode(), media_type=_HTML)
        headers = (*_PAGE, (b"content-security-policy", _policy(state.settings)))
        return Answer(200, text, hashlib.sha256(text).hexdigest()[:16], headers, _HTML)


def _policy(settings: Settings) -> bytes:
    """Returns the policy of the page, which calls the service and where people sign in, and nobody else."""
    sources = "'self'"
    if settings.console_oidc_issuer is not None:
        issuer = urlsplit(settings.console_oidc_issuer)
        sources += f" {issuer.scheme}://{issuer.netloc}"
    return _POLICY.replace("{sources}", sources).encode()
