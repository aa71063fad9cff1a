"""The OpenAPI document as a page to read: HTML without scripts. The API explorer is Swagger UI."""

import json
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any

from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_LARGEST = 2**53  # bounds beyond it are those of the type
_BOUNDS = (
    ("minLength", "maxLength", " characters"),
    ("minimum", "maximum", ""),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " members"),
)


def page(document: dict[str, Any], root: str, address: Callable[[str], str]) -> str:
    """Returns the page: contents, the operations in the order of the document, then the schemas.

    `root` is the path of the service, and `address` returns the address of a file that the page needs.
    """
    info = document["info"]
    return f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{escape(info["title"])} API</title>
    <link rel="icon" type="image/png" href="{escape(address("favicon-32x32.png"))}">
    <link rel="stylesheet" href="{escape(address("reference.css"))}">
  </head>
  <body>
    <header>
      <h1>{escape(info["title"])} <small>{escape(info["version"])}</small></h1>
      <p>{escape(info["summary"])}. Try it in the <a href="{root}/docs">API explorer</a>; programs read
        <a href="{root}/openapi.json">openapi.json</a>.</p>
    </header>
    <nav><details><summary>Contents</summary>{"".join(_contents(document))}</details></nav>
    <main>{_MARKDOWN.render(info["description"])}{"".join(_Reference(document).sections())}</main>
  </body>
</html>
"""


def _operations(document: dict[str, Any], tag: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _contents(document: dict[str, Any]) -> Iterator[str]:
    for tag in document["tags"]:
        rows = (
            f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></li>'
            for *_, operation in _operations(document, tag["name"])
        )
        yield f'<h2><a href="#{tag["name"]}">{tag["name"].capitalize()}</a></h2><ul>{"".join(rows)}</ul>'
    yield '<h2><a href="#schemas">Schemas</a></h2>'


class _Reference:
    """The sections of a document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas: dict[str, Any] = document["components"]["schemas"]

    def sections(self) -> Iterator[str]:
        """Yields a section for each tag, and one of all schemas."""
        for tag in self._document["tags"]:
            yield f'<section id="{tag["name"]}"><h2>{tag["name"].capitalize()}</h2>'
            yield _MARKDOWN.render(tag["description"])
            for method, path, operation in _operations(self._document, tag["name"]):
                yield from self._operation(method, path, operation)
            yield "</section>"
        yield '<section id="schemas"><h2>Schemas</h2>'
        for name, schema in self._schemas.items():
            values = f"<p>{_type(schema)}</p>" if "enum" in schema else ""
            yield f'<article id="{name}"><h3>{name}</h3>{_text(schema)}{values}{_members(schema)}</article>'
        yield "</section>"

    def _operation(self, method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
        yield f'<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>'
        yield f'<p class="route"><b class="{method.lower()}">{method}</b> <code>{escape(path)}</code></p>'
        yield _text(operation)
        if parameters := operation.get("parameters"):
            yield "<h4>Parameters</h4>" + _list(_parameter(one) for one in parameters)
        if body := operation.get("requestBody"):
            for media_type, content in body["content"].items():
                kind = "" if media_type == "application/json" else f" as <code>{media_type}</code>"
                yield f"<h4>Body: {_type(content['schema'])}{kind}</h4>"
                yield _members(self._resolved(content["schema"])) + _example(content)
        answers = {status: self._resolved(answer) for status, answer in operation["responses"].items()}
        for status, answer in answers.items():
            if status.startswith("2"):
                yield from self._answer(status, answer)
        others = [(status, "", self._other(answer)) for status, answer in answers.items() if not status.startswith("2")]
        named = ", ".join(status for status, *_ in others)
        yield f"<details><summary>Other answers: {named}</summary>{_list(others)}</details></article>"

    def _answer(self, status: str, answer: dict[str, Any]) -> Iterator[str]:
        for media_type, content in answer.get("content", {}).items():
            events = content.get("x-events", {})
            yield f"<h4>Answer {status}: {escape(media_type) if events else _type(content['schema'])}</h4>"
            if events:
                yield _list((name, _type(schema), _text(self._resolved(schema))) for name, schema in events.items())
            yield _example(content)

    def _other(self, answer: dict[str, Any]) -> str:
        contents = answer.get("content", {}).values()
        shown = [self._resolved(one)["value"] for content in contents for one in content.get("examples", {}).values()]
        return _text(answer) + "".join(f"<p><q>{escape(one['detail'])}</q></p>" for one in shown)

    def _resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in value:
            _, _, kind, name = value["$ref"].split("/")
            value = self._document["components"][kind][name]
        return value


def _text(described: dict[str, Any]) -> str:
    return str(_MARKDOWN.render(described.get("description", "")))


def _list(rows: Iterable[tuple[str, str, str]]) -> str:
    """Returns a list of names, each with its type and its text, all of them HTML."""
    return (
        "<dl>"
        + "".join(f"<dt><code>{name}</code> <small>{kind}</small></dt><dd>{text}</dd>" for name, kind, text in rows)
        + "</dl>"
    )


def _parameter(parameter: dict[str, Any]) -> tuple[str, str, str]:
    place = parameter["in"] if parameter["in"] != "query" or parameter.get("required") else "query, optional"
    return parameter["name"], f"{_type(parameter['schema'])}, {place}", _text(parameter)


def _members(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    return _list(
        (escape(name), _type(member) + ("" if name in required else ", optional"), _text(member))
        for name, member in schema.get("properties", {}).items()
    )


def _example(content: dict[str, Any]) -> str:
    if "example" not in content:
        return ""
    shown = content["example"]
    text = shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)
    return f"<details><summary>Example</summary><pre>{escape(text)}</pre></details>"


def _type(schema: dict[str, Any]) -> str:
    """Returns a schema's type and bounds as HTML. Schemas with names are links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if united := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(_type, united))
    kinds = schema.get("type", "any JSON")
    text = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    if "items" in schema:
        text = f"{text} of {_type(schema['items'])}"
    if "enum" in schema:
        text = ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    return ", ".join([text, *_bounds(schema)])


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    if schema.get("format") == "date-time":
        yield "RFC 3339"
    for low, high, unit in _BOUNDS:
        least, most = schema.get(low), schema.get(high, _LARGEST)
        if most < _LARGEST:
            yield f"{least or 0:,} to {most:,}{unit}"
        elif least is not None:
            yield f"at least {least:,}{unit}"
    if "pattern" in schema:
        yield f"<code>{escape(schema['pattern'])}</code>"
    if "default" in schema:
        yield f"by default <code>{escape(json.dumps(schema['default']))}</code>"
