"""Renders structs as JSON schemas. In requests fields with a default are optional; in responses all are present."""

import inspect
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct

from amplifier.web.bodies import LenientBody
from amplifier.web.types import MessageRole, Role, Status

PREFIX = "#/components/schemas/"
INT32 = 2**31

_ENUMS = {
    "MessageRole": (MessageRole, "The role of a message, derived from it for filters and counts."),
    "Role": (Role, "A participant's role: owners may do everything, editors also write, viewers only read."),
    "Status": (Status, "A session's state. Only an active one takes messages; `resume` makes the others active again."),
}
_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
_SECTION = {"type": "array", "items": _OBJECT}
# schemas, by name, of fields whose type is unspecific; a field of another name is an object
_UNTYPED: dict[str, dict[str, Any]] = {
    "includes": _SECTION,
    "message": {"$ref": f"{PREFIX}Message"},
    "messages": {"$ref": f"{PREFIX}Message"},
    "permissions": {"$ref": f"{PREFIX}Permissions"},
    "providers": _SECTION,
    "tags": {"type": "object", "additionalProperties": {"type": "string"}},
    "tools": _SECTION,
    "value": {},
}
MESSAGE = {
    "description": "A message in any format, returned as it came. The service derives its role for filters and counts.",
    "type": "object",
    "properties": {"role": {"type": ["string", "null"], "minLength": 1, "maxLength": 64}},
    "additionalProperties": True,
}


def components(sent: Iterable[Any], given: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Returns the schemas of all structs in these types, by name. Raises ValueError if two structs share a name.

    `sent` has the types of requests, `given` those of responses. A struct in both is described as in a response.
    """
    answers = {struct for type_ in given for struct in structs(type_)}
    known = answers | {struct for type_ in sent for struct in structs(type_)}
    by_name = {struct.__name__: struct for struct in known}
    if len(by_name) < len(known):
        twice = {struct.__name__ for struct in known if by_name[struct.__name__] is not struct}
        raise ValueError(f"structs of one name: {', '.join(sorted(twice))}")
    _, found = msgspec.json.schema_components(by_name.values(), ref_template=PREFIX + "{name}")
    schemas = {name: _struct(schema, by_name[name], by_name[name] in answers) for name, schema in found.items()}
    enums = {
        name: {"description": text, "type": "string", "enum": list(get_args(type_))}
        for name, (type_, text) in _ENUMS.items()
    }
    return dict(sorted((schemas | enums | {"Message": MESSAGE}).items()))


def structs(type_: Any) -> Iterator[type[Struct]]:
    """Yields all structs that a type mentions, also through fields of other structs."""
    seen: set[Any] = set()
    todo = [type_]
    while todo:
        current = todo.pop()
        if isinstance(current, type) and issubclass(current, Struct):
            if current not in seen:
                seen.add(current)
                yield current
                todo += [field.type for field in msgspec.structs.fields(current)]
        else:
            todo += get_args(current)


def reference(type_: Any) -> dict[str, Any]:
    """Returns a reference to a struct, or an array of references for a list. Raises ValueError for other types."""
    if get_origin(type_) is list:
        return {"type": "array", "items": reference(get_args(type_)[0])}
    if not isinstance(type_, type) or not issubclass(type_, Struct):
        raise ValueError(f"{type_} is neither a struct nor a list of structs")
    return {"$ref": PREFIX + type_.__name__}


def tidied(schema: dict[str, Any], nullable: bool) -> dict[str, Any]:
    """Returns a schema with named enums, sizes of integers, and null only if `nullable` is true."""
    schema = dict(schema)
    for union in ("anyOf", "oneOf"):
        if union in schema:
            schema = _united(schema, union, nullable)
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        schema["type"] = [*kinds, "null"] if nullable else kinds[0] if len(kinds) == 1 else kinds
    if "enum" in schema:
        schema = _named(schema, nullable)
    if schema.get("type") in ("integer", ["integer", "null"]):
        _size(schema)
    if schema.get("type") == "object" and not schema.keys() & {"properties", "additionalProperties"}:
        schema["additionalProperties"] = True
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            schema[inner] = tidied(schema[inner], nullable=True)
    return schema


def _struct(schema: dict[str, Any], struct: type[Struct], is_answer: bool) -> dict[str, Any]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    properties: dict[str, dict[str, Any]] = {}
    for name, given in schema["properties"].items():
        field = fields[name]
        if (is_answer or given.get("default", UNSET) is None) and "default" in given:
            given = {key: value for key, value in given.items() if key != "default"}
        if _mentions(field.type, datetime):
            given = _with_format(given)
        shows_null = is_answer and not _is_left_out(struct, field)
        properties[name] = tidied(_typed(name, given), nullable=shows_null or _is_cleared_by_null(field))
    required = [
        name for name, field in fields.items() if (is_answer and not _is_left_out(struct, field)) or field.required
    ]
    described: dict[str, Any] = {
        "description": " ".join(inspect.cleandoc(struct.__doc__ or "").split()),
        "type": "object",
    }
    described |= {"properties": properties} | ({"required": required} if required else {})
    if "additionalProperties" in schema and not issubclass(struct, LenientBody):
        described["additionalProperties"] = schema["additionalProperties"]
    return described


def _typed(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a field, completed by its name if its type is unspecific."""
    known = _UNTYPED.get(name, _OBJECT)
    if schema == {}:
        return known
    if schema.get("items") == {}:
        return {**schema, "items": known}
    if "anyOf" in schema:
        return {
            **schema,
            "anyOf": [one if "null" in str(one.get("type")) else _typed(name, one) for one in schema["anyOf"]],
        }
    return schema


def _is_left_out(struct: type[Struct], field: Any) -> bool:
    """Returns whether an answer may lack a field."""
    return field.default is UNSET or (struct.__struct_config__.omit_defaults and not field.required)


def _is_cleared_by_null(field: Any) -> bool:
    """Returns whether null means something else in a request than a missing field."""
    return field.default is UNSET and type(None) in get_args(field.type)


def _mentions(type_: Any, wanted: type) -> bool:
    if get_origin(type_) is Annotated:
        return _mentions(get_args(type_)[0], wanted)
    return type_ is wanted or any(_mentions(inner, wanted) for inner in get_args(type_))


def _with_format(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "string":
        return {**schema, "format": "date-time"}
    return {**schema, "anyOf": [_with_format(one) if one != {"type": "null"} else one for one in schema["anyOf"]]}


def _united(schema: dict[str, Any], union: str, nullable: bool) -> dict[str, Any]:
    """Returns a union of one type and null as a single type, or without null. Other unions stay unions."""
    rest = {key: value for key, value in schema.items() if key != union}
    kinds = [tidied(one, nullable) for one in schema[union] if one != {"type": "null"}]
    has_null = len(kinds) < len(schema[union])
    if len(kinds) > 1 or (nullable and has_null and "type" not in kinds[0]):
        return {**rest, union: [*kinds, {"type": "null"}] if nullable and has_null else kinds}
    only = kinds[0]
    return {**only, **rest, "type": [only["type"], "null"]} if nullable and has_null else {**only, **rest}


def _named(schema: dict[str, Any], nullable: bool) -> dict[str, Any]:
    """Returns a reference to the named enum with these values, or the enum itself if there is none."""
    values = [value for value in schema["enum"] if value is not None]
    rest = {key: value for key, value in schema.items() if key not in ("enum", "type")}
    for name, (type_, _) in _ENUMS.items():
        if set(values) == set(get_args(type_)):
            named = {"$ref": PREFIX + name}
            has_null = nullable and len(values) < len(schema["enum"])
            return {"anyOf": [named, {"type": "null"}], **rest} if has_null else {**named, **rest}
    return {"type": "string", **{key: value for key, value in schema.items() if key != "type"}, "enum": values}


def _size(schema: dict[str, Any]) -> None:
    for bound in ("minimum", "maximum"):
        if bound in schema:  # Litestar returns floats, which are exact up to 2**53
            schema[bound] = min(int(schema[bound]), 2**63 - 1)
    small = schema.get("minimum", -INT32 - 1) >= -INT32 and schema.get("maximum", INT32) < INT32
    schema["format"] = "int32" if small else "int64"
