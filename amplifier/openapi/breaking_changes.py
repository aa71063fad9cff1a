"""Finds the changes between two OpenAPI documents that break clients of the earlier one.

The service must still accept every request of such a client, and may return only values that the earlier document
allows. In bodies and parameters the new schema must therefore allow all that the old one does, in responses the old one
all that the new one does.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

_UPPER = ("maximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "minLength", "minItems", "minProperties")
_METHODS = ("get", "post", "put", "patch", "delete")


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Returns a line for each breaking change, with its place. References must stay within their document."""
    return list(dict.fromkeys(_documents(old, new)))


def _documents(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for path, item in old["paths"].items():
        for method in (method for method in _METHODS if method in item):
            place = f"{method.upper()} {path}"
            if method not in new["paths"].get(path, {}):
                yield f"{place}: was removed"
                continue
            yield from _operations(_Documents(old, new), place, item[method], new["paths"][path][method])


class _Documents(NamedTuple):
    old: dict[str, Any]
    new: dict[str, Any]

    def resolve(self, old: Any, new: Any) -> tuple[Any, Any]:
        """Returns the values to which two references point. Values that are no references are returned as they are."""
        return _resolved(self.old, old), _resolved(self.new, new)


def _resolved(document: dict[str, Any], value: Any) -> Any:
    while isinstance(value, dict) and "$ref" in value:
        found: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found | {key: more for key, more in value.items() if key != "$ref"}
    return value


def _operations(both: _Documents, place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if old["operationId"] != new["operationId"]:
        yield f"{place}: operationId, by which clients call it, is {new['operationId']}, was {old['operationId']}"
    if old.get("security") == [] != new.get("security"):
        yield f"{place}: needs credentials now"
    yield from _parameters(both, place, old, new)
    if "requestBody" in new:
        if "requestBody" not in old:
            yield f"{place}: needs a body now"
        else:
            yield from _contents(both, f"{place}: body", old["requestBody"], new["requestBody"], sent=True)
    for status, response in old["responses"].items():
        if status not in new["responses"]:
            yield f"{place}: {status} is no longer answered"
            continue
        before, now = both.resolve(response, new["responses"][status])
        yield from _contents(both, f"{place}: {status}", before, now, sent=False)


def _parameters(both: _Documents, place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    before, now = (
        {(one["in"], one["name"]): one for one in operation.get("parameters", [])} for operation in (old, new)
    )
    for key, parameter in now.items():
        if parameter.get("required") and not before.get(key, {}).get("required"):
            yield f"{place}: the parameter {key[1]} is required now"
    for key, parameter in before.items():
        if key not in now:
            yield f"{place}: the parameter {key[1]} was removed"
        else:
            yield from _Comparison(both, True).schemas(f"{place}: {key[1]}", parameter["schema"], now[key]["schema"])


def _contents(both: _Documents, place: str, old: Any, new: Any, sent: bool) -> Iterator[str]:
    for media_type, content in old.get("content", {}).items():
        if media_type not in new.get("content", {}):
            yield f"{place}: {media_type} was removed"
        else:
            yield from _Comparison(both, sent).schemas(place, content["schema"], new["content"][media_type]["schema"])


class _Comparison:
    """Compares schemas of requests (`sent`) or of responses."""

    def __init__(self, both: _Documents, sent: bool) -> None:
        self._both, self._sent = both, sent
        self._known: set[tuple[str, str]] = set()

    def schemas(self, place: str, old: Any, new: Any) -> Iterator[str]:
        """Yields a line for each difference that breaks clients."""
        names = (str(old.get("$ref")), str(new.get("$ref")))
        if names in self._known:
            return
        if "None" not in names:
            self._known.add(names)
        old, new = self._both.resolve(old, new)
        yield from self._values(place, old, new)
        for name in old.get("properties", {}):
            if name not in new.get("properties", {}):
                yield f"{place}: {name} was removed"
            else:
                yield from self.schemas(f"{place}: {name}", old["properties"][name], new["properties"][name])
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
                yield from self.schemas(f"{place}: each", old[inner], new[inner])
        now = {one.get("$ref"): one for one in _united(new)}
        for one in _united(old):
            if "$ref" in one and one["$ref"] in now:
                yield from self.schemas(place, one, now[one["$ref"]])

    def _values(self, place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
        """Yields a line for each type or limit by which a schema allows less than it must."""
        narrow, wide = (old, new) if self._sent else (new, old)
        if _kinds(wide) and not set(_kinds(narrow) or ["anything"]) <= set(_kinds(wide)):
            yield f"{place}: may be {', '.join(_kinds(new)) or 'anything'}, was {', '.join(_kinds(old)) or 'anything'}"
        for name in sorted(set(wide.get("required", [])) - set(narrow.get("required", []))):
            yield f"{place}: {name} is {'required now' if self._sent else 'no longer always there'}"
        if "enum" in wide:
            for value in narrow.get("enum", ["any value"]):
                if value not in wide["enum"]:
                    yield f"{place}: {value!r} is {'no longer accepted' if self._sent else 'a new value'}"
        for limits, sign in ((_UPPER, 1), (_LOWER, -1)):
            for limit in limits:
                if limit in wide and (limit not in narrow or narrow[limit] * sign > wide[limit] * sign):
                    yield f"{place}: {limit} is {new.get(limit, 'none')}, was {old.get(limit, 'none')}"
        for name in ("format", "pattern"):
            if name in wide and narrow.get(name) != wide[name]:
                yield f"{place}: {name} is {new.get(name, 'none')}, was {old.get(name, 'none')}"
        if wide.get("additionalProperties") is False and narrow.get("additionalProperties", True) is not False:
            yield f"{place}: further members are {'no longer accepted' if self._sent else 'possible now'}"


def _kinds(schema: dict[str, Any]) -> list[str]:
    """Returns the types of a schema, and the names of the schemas in its unions."""
    kinds = schema.get("type", [])
    if isinstance(kinds, str):
        return [kinds]
    named = ([one["$ref"].rpartition("/")[2]] if "$ref" in one else _kinds(one) for one in _united(schema))
    return [*kinds, *(kind for names in named for kind in names)]


def _united(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [*schema.get("anyOf", []), *schema.get("oneOf", [])]
