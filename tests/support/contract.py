"""Every answer that a test gets is one that the OpenAPI document tells of: its status, and the first ones' shape."""

import re
from collections import Counter
from functools import cache
from typing import Any

import httpx
import msgspec
from jsonschema import Draft202012Validator

from amplifier.openapi import document

_SHAPES = 10  # answers of an operation and a status that are compared with their schema; it takes a while
_LARGE = 50_000  # bytes
_seen: Counter[tuple[str, int]] = Counter()


async def check(response: httpx.Response) -> None:
    """A hook for clients. Fails where the document does not tell of the answer; other routes are not its matter."""
    path = response.request.url.path
    found = _operation(response.request.method, path)
    if found is None or "event-stream" in response.headers.get("content-type", ""):
        return
    name, statuses = found
    if response.status_code == 400 and "must be UTF-8" in (await response.aread()).decode():
        return  # the document says so for all operations at once
    assert response.status_code in statuses, f"{name} answers {response.status_code}: say so in errors=(...)"
    await response.aread()
    key = (name, response.status_code)
    if _seen[key] < _SHAPES and len(response.content) < _LARGE:
        _seen[key] += 1
        if not statuses[response.status_code]:
            assert response.content == b"", name
            return
        media_type = response.headers.get("content-type", "").partition(";")[0]
        assert media_type in statuses[response.status_code], f"{name} answers with {media_type}"
        validator = statuses[response.status_code][media_type]
        faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(response.json())]
        assert not faults, f"{name} answers {response.status_code} with {faults}"


def forget() -> None:
    """Compares answers again that were compared often enough."""
    _seen.clear()


@cache
def _document() -> Any:
    return msgspec.json.decode(document.file().read_bytes())


@cache
def _operations() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    """The method, the form of the path and the operation of each; a path's last part may have slashes."""
    found = []
    for path, item in _document()["paths"].items():
        form = re.sub(r"\\\{\w+\\\}(?=.)", "[^/]+", re.escape(path))
        form = re.sub(r"\\\{\w+\\\}", ".+" if "participants" in path else "[^/]+", form)
        found += [(method.upper(), re.compile(f"{form}/?"), operation) for method, operation in item.items()]
    return found


@cache
def _operation(method: str, path: str) -> tuple[str, dict[int, dict[str, Draft202012Validator]]] | None:
    """The operation's name, and validators by status and media type."""
    matching = [one for wanted, form, one in _operations() if wanted == method and form.fullmatch(path)]
    # the most literal path is the route's
    matching.sort(key=lambda one: [parameter["in"] for parameter in one.get("parameters", [])].count("path"))
    return _answers(matching[0]["operationId"]) if matching else None


@cache
def _answers(name: str) -> tuple[str, dict[int, dict[str, Draft202012Validator]]]:
    [operation] = [one for *_, one in _operations() if one["operationId"] == name]
    components = _document()["components"]
    answers = {}
    for status, response in operation["responses"].items():
        described = components["responses"][response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        answers[int(status)] = {
            media_type: Draft202012Validator({**content["schema"], "components": components})
            for media_type, content in described.get("content", {}).items()
        }
    return name, answers
