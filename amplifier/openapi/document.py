"""Renders the OpenAPI document: Litestar's own for routes and parameters, completed with what Litestar cannot derive.

A handler lists with `errors=(403, 409)` the problems of its own that it may return. The general ones follow from its
parameters and its route (`operations.py`). Examples are in `openapi/examples.json`, by operation,
those of errors in `openapi/errors.json`.
"""

import json
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.routes import HTTPRoute

from amplifier import __version__, paths
from amplifier.api.routes import routes
from amplifier.openapi import descriptions, texts
from amplifier.openapi.event_types import DOCUMENTS, STREAMS
from amplifier.openapi.operations import Operation
from amplifier.openapi.problems import Errors, Problems
from amplifier.openapi.schemas import components
from amplifier.settings import Settings

NAME = "openapi.json"
ERRORS = "errors.json"
_METHODS = ("get", "post", "put", "patch", "delete")  # HEAD is GET without a body


def text() -> str:
    """Returns the document as it is committed and served."""
    return json.dumps(document(examples(), errors()), indent=2, ensure_ascii=False) + "\n"


def file() -> Path:
    """Returns the path of the document."""
    return paths.folder("openapi") / NAME


def examples() -> dict[str, Any]:
    """Returns the examples by operation: each has a `request`, and `responses` by status."""
    return json.loads((paths.folder("openapi") / "examples.json").read_text())  # type: ignore[no-any-return]


def errors() -> Errors:
    """Returns the examples of errors."""
    return json.loads((paths.folder("openapi") / ERRORS).read_text())  # type: ignore[no-any-return]


def document(shown: dict[str, Any], errors: Errors) -> dict[str, Any]:
    """Returns the document with these examples. Raises ValueError if the description of a handler is incomplete."""
    problems = Problems(errors)
    config = OpenAPIConfig(title=texts.TITLE, version=__version__, use_handler_docstrings=True)
    app = routes(Settings(), config)
    generated = app.openapi_schema.to_schema()
    operations = {
        handler.operation_id: Operation(handler, shown.get(str(handler.operation_id), {}), problems)
        for handler in _handlers(app)
    }
    paths: dict[str, Any] = {}
    for path, item in generated["paths"].items():
        paths[path] = {
            method: operations[item[method]["operationId"]].described(path, item[method])
            for method in _METHODS
            if method in item
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": texts.TITLE,
            "version": __version__,
            "summary": texts.SUMMARY,
            "description": texts.DESCRIPTION,
        },
        "servers": [{"url": "/", "description": "The service that this document comes from"}],
        "security": texts.CREDENTIALS,
        "tags": [{"name": name, "description": text} for name, text in texts.TAGS.items()],
        "paths": dict(sorted(paths.items(), key=_place)),
        "components": {
            "schemas": _schemas(operations.values()),
            "responses": problems.responses(),
            "examples": problems.examples(),
            "headers": texts.HEADERS,
            "securitySchemes": texts.SECURITY,
        },
    }


def _handlers(app: Litestar) -> list[HTTPRouteHandler]:
    handlers = {
        handler.operation_id: handler
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.operation_id and handler.resolve_include_in_schema()
    }
    return list(handlers.values())


def _place(path: tuple[str, dict[str, Any]]) -> tuple[int, int, str]:
    """Returns the place of a path in the document: by tag, then as `texts.FIRST_PATHS` says, then by the alphabet."""
    address, item = path
    tags, first = list(texts.TAGS), texts.FIRST_PATHS
    tag = min(tags.index(operation["tags"][0]) for operation in item.values())
    return tag, first.index(address) if address in first else len(first), address


def _schemas(operations: Any) -> dict[str, Any]:
    taken = [type_ for operation in operations for type_ in (operation.body, operation.patch)]
    sent = [type_ for type_ in taken if type_ is not None]
    given = [type_ for operation in operations for type_ in operation.answers.values()]
    events = [type_ for stream in STREAMS.values() for type_ in stream.values()]
    return descriptions.described(components(sent, [*given, *events, *DOCUMENTS]), descriptions.texts())
