"""Compares the columns of a query with the fields of its struct, because rows become structs by position."""

import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from amplifier.queries.checks.describe import Column
from amplifier.queries.findings import Finding
from amplifier.queries.query import Query

# The Python types that asyncpg returns for PostgreSQL's types here; JSON stays text.
PYTHON: dict[str, Any] = {
    "_int8": list[int],
    "_text": list[str],
    "bool": bool,
    "bytea": bytes,
    "float4": float,
    "float8": float,
    "int4": int,
    "int8": int,
    "jsonb": msgspec.Raw,
    "text": str,
    "timestamptz": datetime,
    "varchar": str,
    "void": type(None),
}
Structs = Mapping[str, type[msgspec.Struct]]


class Field(NamedTuple):
    """A field of a struct: its type without constraints, whether it takes None, and whether it may be left out.

    `literal` is the source text of the type if that is a Literal, else None.
    """

    name: str
    type: Any
    nullable: bool
    optional: bool
    literal: str | None


def problems(query: Query, columns: list[Column], structs: Structs) -> Iterator[Finding]:
    """Yields a finding for each difference between the columns and `@return`."""
    name = query.header.struct
    for column in columns:
        if column.type not in PYTHON:
            yield query.wrong(f"column {column.name} is of the type {column.type}", f"cast it to one of {_types()}")
    if name is None:
        yield from _value_problems(query, columns)
    elif name not in structs:
        yield query.wrong(
            f"@return {name}: there is no such struct", "name one of amplifier/api or amplifier/queries/rows.py"
        )
    else:
        fields = fields_of(structs[name])
        yield from _name_problems(query, name, [column.name for column in columns], fields)
        for column, field in zip(columns, fields, strict=False):
            if column.name == field.name:
                yield from _column_problems(query, name, column, field)


@cache
def fields_of(struct: type[msgspec.Struct]) -> list[Field]:
    """Returns the fields of a struct in order."""
    hints = get_type_hints(struct)
    return [_field(field.name, hints[field.name], not field.required) for field in msgspec.structs.fields(struct)]


def spelled(type_: Any) -> str:
    """Returns the source text of a type."""
    return str(type_) if get_origin(type_) else "None" if type_ is type(None) else str(type_.__name__)


def _field(name: str, hint: Any, optional: bool) -> Field:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = [option for option in options if option not in (type(None), msgspec.UnsetType)]
    kind = kinds[0] if len(kinds) == 1 else Any
    literal = None
    if get_origin(kind) is Literal:
        values = get_args(kind)
        kind, literal = type(values[0]), f"Literal[{', '.join(map(repr, values))}]"
    return Field(name, kind, type(None) in options, optional, literal)


def _name_problems(query: Query, struct: str, names: list[str], fields: list[Field]) -> Iterator[Finding]:
    wanted = [field.name for field in fields]
    required = [field.name for field in fields if not field.optional]
    if names[: len(wanted)] == names == wanted[: len(names)] and len(names) >= len(required):
        return
    if sorted(names) == sorted(wanted[: len(names)]):
        problem = "the columns are in another order than the fields of"
    else:
        missing, surplus = set(required) - set(names), set(names) - set(wanted)
        said = [f"lacks {', '.join(sorted(missing))}"] * bool(missing)
        said += [f"has {', '.join(sorted(surplus))}"] * bool(surplus)
        problem = f"the result {' and '.join(said) or 'repeats a column'}, compared with"
    yield query.wrong(f"{problem} {struct}", f"bring back {', '.join(wanted)}")


def _column_problems(query: Query, struct: str, column: Column, field: Field) -> Iterator[Finding]:
    if PYTHON.get(column.type) != field.type and not (column.type == "jsonb" and _is_json(field.type)):
        yield query.wrong(
            f"column {column.name} is of the type {column.type}, {struct} has {spelled(field.type)} there", "cast it"
        )
    if column.nullable and not field.nullable:
        yield query.wrong(f"column {column.name} may be null, {struct} takes no null there", "coalesce it")


def _is_json(type_: Any) -> bool:
    """Returns whether a field describes JSON, which stays text in the row: a struct, or structs in a list or dict."""
    described = get_args(type_)[-1] if get_origin(type_) in (list, dict) else type_
    return isinstance(described, type) and issubclass(described, msgspec.Struct)


def _value_problems(query: Query, columns: list[Column]) -> Iterator[Finding]:
    wanted = 0 if query.header.returns == "row count" else 1
    if len(columns) != wanted:
        yield query.wrong(f"@return {query.header.returns} means {wanted} columns, not {len(columns)}", "see @return")


def _types() -> str:
    return ", ".join(name for name in PYTHON if name != "void")
