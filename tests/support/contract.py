"""Checks that the OpenAPI document has the status of every response in a test, and the schema of the first ones."""

import re
from collections import Counter
from functools import cache
from typing import Any

import httpx
import msgspec
from jsonschema import Draft202012Validator

from amplifier.openapi import document
from amplifier.web.problems import MEDIA_TYPE
from tests.support import problem_recorder
from tests.support.log_leaks import leaks

_SHAPES = 10  # responses per operation and status that are compared with their schema, which is slow
_LARGE = 50_000  # bytes
_SECRET = (b'"ticket"', b'"api_key"', b'"token"')  # members of answers that are secrets
_seen: Counter[tuple[str, int]] = Counter()


async def check(response: httpx.Response) -> None:
    """A hook for clients. Fails if the document does not have the response. Ignores routes outside the document."""
    path = response.request.url.path
    found = _operation(response.request.method, path)
    if found is None or "event-stream" in response.headers.get("content-type", ""):
        return
    name, statuses = found
    if response.status_code == 400 and "must be UTF-8" in (await response.aread()).decode():
        return  # documented for all operations in the general description
    assert response.status_code in statuses, f"{name} answers {response.status_code}: say so in errors=(...)"
    await response.aread()
    if response.headers.get("content-type") == MEDIA_TYPE:
        problem_recorder.record(name, response.status_code, response.json())
    if response.status_code in (200, 201) and any(mark in response.content for mark in _SECRET):
        leaks.add_answer(response.json())
    key = (name, response.status_code)
    if _seen[key] < _SHAPES and len(response.content) < _LARGE:
        _seen[key] += 1
        if not statuses[response.status_code]:
            assert response.content == b"", name
            return
        if "application/octet-stream" in statuses[response.status_code]:
            return  # a file, of whatever type
        media_type = response.headers.get("content-type", "").partition(";")[0]
        assert media_type in statuses[response.status_code], f"{name} answers with {media_type}"
        if path.rstrip("/").endswith("/export") and media_type != "application/json":
            return  # a file that is described as a string
        validator = statuses[response.status_code][media_type]
        faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(response.json())]
        assert not faults, f"{name} answers {response.status_code} with {faults}"


def forget() -> None:
    """Forgets how often responses were compared, so that they are compared again."""
    _seen.clear()


@cache
def _document() -> Any:
    return msgspec.json.decode(document.file().read_bytes())


@cache
def _operations() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    """Returns method, pattern of the path and operation of each route. The last part of a path may have slashes."""
    found = []
    for path, item in _document()["paths"].items():
        form = re.sub(r"\\\{\w+\\\}(?=.)", "[^/]+", re.escape(path))
        form = re.sub(r"\\\{\w+\\\}", ".+" if "participants" in path else "[^/]+", form)
        found += [(method.upper(), re.compile(f"{form}/?"), operation) for method, operation in item.items()]
    return found


@cache
def _operation(method: str, path: str) -> tuple[str, dict[int, dict[str, Draft202012Validator]]] | None:
    """Returns the operation's name, and validators by status and media type."""
    matching = [(_names(one), wanted, one) for wanted, form, one in _operations() if form.fullmatch(path)]
    fewest = min((names for names, *_ in matching), default=0)  # the most literal path wins, whatever its methods
    found = [one for names, wanted, one in matching if names == fewest and wanted == method]
    return _answers(found[0]["operationId"]) if found else None


def _names(operation: dict[str, Any]) -> int:
    """Returns how many parts of an operation's path are parameters."""
    return [parameter["in"] for parameter in operation.get("parameters", [])].count("path")


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
