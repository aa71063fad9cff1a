"""The errors in the OpenAPI document: a response for each status, with examples that the tests recorded.

The examples are in `openapi/errors.json`, by operation and status. `python -m tests.openapi.error_examples` writes it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeAlias

from amplifier.openapi import texts
from amplifier.openapi.schemas import PREFIX
from amplifier.web.problems import MEDIA_TYPE

# by operation and status: problem documents without the members that follow from the status
Errors: TypeAlias = dict[str, dict[str, list[dict[str, Any]]]]
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORDS = range(6, 13)  # of a detail, in the name of its example: as many as tell it from others


class Problems:
    """The responses of errors. The response that most operations have for a status is a component, as is each example.

    An operation of which no example was recorded has a response without any.
    """

    def __init__(self, errors: Errors) -> None:
        self._errors = errors
        self._names = _named(errors)
        self._shared = {status: self._most_frequent(status) for status in texts.PROBLEMS}

    def response(self, operation: str, status: int) -> dict[str, Any]:
        """Returns the response of an operation for a status."""
        if status in texts.NO_BODY:
            return _reference(texts.NO_BODY[status][0])
        names = self._shown(operation, status)
        return _reference(texts.PROBLEMS[status][0]) if names == self._shared[status] else self._response(status, names)

    def responses(self) -> dict[str, Any]:
        """Returns the components that responses refer to, by name."""
        shared = {name: self._response(status, self._shared[status]) for status, (name, _) in texts.PROBLEMS.items()}
        headers = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
        return shared | {name: {"description": text, "headers": headers} for name, text in texts.NO_BODY.values()}

    def examples(self) -> dict[str, Any]:
        """Returns the components that examples refer to, by name."""
        return {
            name: {"value": texts.problem(status) | json.loads(members)}
            for (status, members), name in sorted(self._names.items(), key=lambda one: one[1])
        }

    def _shown(self, operation: str, status: int) -> tuple[str, ...]:
        recorded = self._errors.get(operation, {}).get(str(status), ())
        return tuple(self._names[status, _text(members)] for members in recorded)

    def _most_frequent(self, status: int) -> tuple[str, ...]:
        found = Counter(names for operation in sorted(self._errors) if (names := self._shown(operation, status)))
        return min(found, key=lambda names: (-found[names], names), default=())

    def _response(self, status: int, names: tuple[str, ...]) -> dict[str, Any]:
        headers = ["X-Request-ID", *([texts.WITH_HEADER[status]] if status in texts.WITH_HEADER else [])]
        examples = {name: {"$ref": f"#/components/examples/{name}"} for name in names}
        content = {"schema": {"$ref": f"{PREFIX}Problem"}} | ({"examples": examples} if examples else {})
        return {
            "description": texts.PROBLEMS[status][1],
            "headers": {header: {"$ref": f"#/components/headers/{header}"} for header in headers},
            "content": {MEDIA_TYPE: content},
        }


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/{name}"}


def _text(members: dict[str, Any]) -> str:
    return json.dumps(members, sort_keys=True)


def _named(errors: Errors) -> dict[tuple[int, str], str]:
    """Returns the name of each example, by status and members: the first words of its detail."""
    known = {
        (int(status), _text(members))
        for statuses in errors.values()
        for status, recorded in statuses.items()
        for members in recorded
    }
    words = {one: re.findall(r"[a-z]+", _ID.sub("", json.loads(one[1])["detail"].lower())) for one in known}
    used: Counter[str] = Counter()
    names: dict[tuple[int, str], str] = {}
    for one in sorted(known):
        beginnings = ("_".join(words[one][:length]) for length in _WORDS)
        name = next(
            (text for text in beginnings if _is_unique(text, words.values())), "_".join(words[one][: _WORDS[-1]])
        )
        used[name] += 1
        names[one] = name if used[name] == 1 else f"{name}_{used[name]}"
    return names


def _is_unique(beginning: str, texts: Iterable[list[str]]) -> bool:
    return sum("_".join(words).startswith(beginning) for words in texts) == 1
