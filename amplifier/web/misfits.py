"""Names what does not fit in bodies and parameters: the place, and what would fit there.

msgspec and PostgreSQL find the errors. What they leave out is looked up afterwards, in the types and in the request.
"""

import itertools
import json
import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import ValidationException
from litestar.typing import FieldDefinition
from msgspec import inspect

from amplifier.errors import Problem

# how msgspec says where something does not fit, and what is not there
_PLACE = " - at `"
_ENTRY = " - at `key` in `"
_MISSING = "Object missing required field `"
UNKNOWN = "Object contains unknown field `"
_ENUM = "Invalid enum value "
_NO_NUMBER = ("Expected `int`, got `str`", "Integer value out of range")
_NO_BOOL = "Expected `bool`, got `str`"
TOO_DEEP = (422, "The JSON is nested too deeply")

_LONGEST_DETAIL = 1000  # characters of what msgspec says, which may repeat a value
_LONGEST_NAME = 100  # characters of a key that the client chose
_SEARCHED = 256 * 1024  # bytes of a body; to search more for the place of an error would delay other requests
_MOST_ENTRIES = 1000
_ENDLESS = 2**31 - 1  # a bound that nobody reaches, which a detail does not name
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_ODD = re.compile("[\x00\ud800-\udfff]")


def invalid_json(error: Exception, type_: Any = Any, body: bytes = b"", fixed: Collection[str] = ()) -> Problem:
    """Returns the problem for a body that msgspec refused. `fixed` are fields that exist and cannot be changed."""
    if isinstance(error, msgspec.ValidationError):
        return misfit(error, type_, body, fixed)
    if isinstance(error, RecursionError):
        return Problem(*TOO_DEEP)
    if isinstance(error, UnicodeDecodeError):
        return Problem(422, "The body is not valid UTF-8")
    return odd_characters(body) or Problem(422, f"The body is not valid JSON: {error}")


def misfit(error: msgspec.ValidationError, type_: Any = Any, body: bytes = b"", fixed: Collection[str] = ()) -> Problem:
    """Returns 422 for JSON of another shape than declared; `errors` has the place as `messages[0].role`."""
    said = str(error)
    detail, at, place = said.rpartition(_PLACE)
    if not place.endswith("`") or not at:
        detail, at, place = said, "", ""
    if len(detail) > _LONGEST_DETAIL:
        detail = f"{detail[:_LONGEST_DETAIL]}…"
    path = place.removesuffix("`").removeprefix("$").removeprefix(".")
    if detail.startswith(UNKNOWN):
        return _unknown(detail.removeprefix(UNKNOWN).removesuffix("`"), path, type_, fixed)
    if "[...]" in path or said.rpartition(_ENTRY)[1]:
        entry = _entry(said, type_, body)
        if entry is not None:
            return Problem(422, f"{entry[0]}: {entry[1]}", errors=[{"field": entry[0], "detail": entry[1]}])
    if detail.startswith(_ENUM):
        detail += allowed(_types(type_, path))
    missing = detail.removeprefix(_MISSING).removesuffix("`") if detail.startswith(_MISSING) else ""
    field = ".".join(filter(None, (path, missing)))
    return Problem(422, f"{detail}{at}{place}", errors=[{"field": field, "detail": detail}])


def parameters(error: ValidationException, request: Request[Any, Any, Any]) -> Problem:
    """Returns Litestar's findings about parameters, as one sentence and as a list."""
    extra = [item for item in error.extra if isinstance(item, dict)] if isinstance(error.extra, list) else []
    if any(item.get("key") == "data" for item in extra):
        return Problem(422, "The request needs a JSON body")
    fields = request.route_handler.parsed_fn_signature.parameters
    given: dict[str, Any] = dict(request.query_params) | request.path_params
    errors = []
    for item in extra:
        key, detail = str(item.get("key")), str(item.get("message"))
        if key in fields:
            detail = _wanted(fields[key], detail, given)
        errors.append({"field": key, "detail": detail})
    detail = "; ".join(f"{one['field']}: {one['detail']}" for one in errors) or error.detail
    return Problem(422, detail, errors=errors) if errors else Problem(422, detail)


def _wanted(field: FieldDefinition, detail: str, given: dict[str, Any]) -> str:
    """Returns the detail about a parameter, with what it may be where msgspec does not say so."""
    if detail.startswith(_ENUM):
        return detail + allowed(list(_alternatives(_described(field.annotation))))
    definition: Any = field.kwarg_definition
    value = _shortened(str(given.get(definition.name or field.name)))
    if detail in _NO_NUMBER:
        least, most = definition.ge, definition.le
        bounds = f", {least:g} or more" if most is None or most >= _ENDLESS else f" from {least} to {most}"
        return f"Expected a whole number{bounds}, got '{value}'"
    if detail == _NO_BOOL:
        return f"Expected true or false, got '{value}'"
    return detail


def allowed(types: list[Any]) -> str:
    """Returns the end of a sentence about a wrong value: the values that literals among the types allow."""
    values = [value for one in types if isinstance(one, inspect.LiteralType) for value in one.values]
    return f": allowed are {', '.join(map(str, values))}" if values else ""


def odd_characters(body: bytes | None, parameters: Any = None) -> Problem | None:
    """Returns 422 with the place of the first NUL character or half surrogate pair, in JSON or in parameters by name.

    Returns None if there is none, or if the body is so large that the search would delay other requests.
    """
    found = _odd(parameters or {})
    if found is None and body is not None and len(body) <= _SEARCHED:
        try:
            found = _odd(json.loads(body))
        except (ValueError, RecursionError):
            return None
    if found is None:
        return None
    place, character = found
    place = place.removeprefix(".")[: 2 * _LONGEST_NAME] or "The body"
    text = "a NUL character (\\u0000)" if character == "\x00" else f"half of a surrogate pair (\\u{ord(character):x})"
    detail = f"{place}: contains {text}, which is no text"
    return Problem(422, detail, errors=[{"field": place, "detail": detail.removeprefix(f"{place}: ")}])


def odd_body(body: bytes) -> Problem:
    """Returns 422 for a body with a NUL character or half a surrogate pair, with its place unless the body is large."""
    detail = "The body contains a NUL character (\\u0000) or half of a surrogate pair, which is no text"
    return odd_characters(body) or Problem(422, detail)


def _unknown(name: str, path: str, type_: Any, fixed: Collection[str]) -> Problem:
    """Returns 422 for a field that the struct at `path` does not have."""
    structs = [one for one in _types(type_, path) if isinstance(one, inspect.StructType)]
    known = ", ".join(field.encode_name for one in structs for field in one.fields if not _is_read_only(field.type))
    field = ".".join(filter(None, (path, _shortened(name))))
    said = f"Field '{field}' cannot be changed" if not path and name in fixed else f"Unknown field '{field}'"
    detail = f"{said}: known are {known}" if known else f"{said}: no fields are known here"
    return Problem(422, detail, errors=[{"field": field, "detail": said}])


def _is_read_only(type_: Any) -> bool:
    if isinstance(type_, inspect.UnionType):
        return any(_is_read_only(one) for one in type_.types)
    return isinstance(type_, inspect.Metadata) and bool((type_.extra_json_schema or {}).get("readOnly"))


def _entry(said: str, type_: Any, body: bytes) -> tuple[str, str] | None:
    """Returns name and error of the first entry that does not fit in an object of free keys, a field of the body."""
    match = re.search(r" - at (?:`key` in )?`\$\.(\w+)(?:\[\.\.\.\])?`\Z", said)
    if match is None or len(body) > _SEARCHED or not hasattr(type_, "__struct_fields__"):
        return None
    name, sent = match[1], msgspec.json.decode(body)
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(type_)}
    entries = sent.get(name) if name in kinds and isinstance(sent, dict) else None
    for key, value in itertools.islice(entries.items() if isinstance(entries, dict) else (), _MOST_ENTRIES):
        try:
            msgspec.convert({key: value}, kinds[name])
        except msgspec.ValidationError as error:
            return f"{name}.{_shortened(key)}", str(error).partition(" - at ")[0]
    return None


@cache
def _described(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


def _types(type_: Any, path: str) -> list[Any]:
    """Returns the types that are possible at a place such as `messages[0].role` of a value of the type."""
    found = list(_alternatives(_described(type_)))
    for match in _STEP.finditer(f".{path}" if path and path[0] != "[" else path):
        found = [one for outer in found for inner in _inside(outer, match[1]) for one in _alternatives(inner)]
    return found


def _alternatives(type_: inspect.Type) -> Iterator[inspect.Type]:
    """Yields the types of a union, without their metadata."""
    if isinstance(type_, inspect.Metadata):
        yield from _alternatives(type_.type)
    elif isinstance(type_, inspect.UnionType):
        for one in type_.types:
            yield from _alternatives(one)
    else:
        yield type_


def _inside(type_: Any, name: str | None) -> list[inspect.Type]:
    """Returns the type of a field, or of the items if `name` is None."""
    if isinstance(type_, inspect.StructType):
        return [field.type for field in type_.fields if field.encode_name == name]
    if name is None and isinstance(type_, inspect.ListType):
        return [type_.item_type]
    return [type_.value_type] if name is None and isinstance(type_, inspect.DictType) else []


def _odd(value: Any) -> tuple[str, str] | None:
    """Returns the place of the first text in a value that contains a character that is no text, and the character.

    The place is put together on the way back: to make it for each value took five times as long at 300 levels.
    """
    if isinstance(value, str):
        odd = _ODD.search(value)
        return None if odd is None else ("", odd[0])
    if isinstance(value, dict):
        for key in value:
            if (odd := _ODD.search(key)) is not None:
                return "", odd[0]
        for key, one in value.items():
            if (found := _odd(one)) is not None:
                return f".{_shortened(key)}{found[0]}", found[1]
    elif isinstance(value, list):
        for number, one in enumerate(value):
            if (found := _odd(one)) is not None:
                return f"[{number}]{found[0]}", found[1]
    return None


def _shortened(key: str) -> str:
    return key if len(key) <= _LONGEST_NAME else f"{key[:_LONGEST_NAME]}…"
