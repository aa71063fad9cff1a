"""Renders `queries/registry.pyi`, the arguments and result of each query, and compares edited queries with it.

mypy checks the code against the stub, so a query that keeps to the stub keeps to the code.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from amplifier.queries.checks.describe import Description
from amplifier.queries.checks.row_types import PYTHON, Structs, fields_of, spelled
from amplifier.queries.findings import Finding
from amplifier.queries.query import Query

FILE = Path(__file__).parent.parent / "registry.pyi"
_HEAD = '''"""The queries as mypy sees them. Written by `amplifier-api queries stub`; do not edit."""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, overload

from msgspec import Raw

from amplifier.database.pool import Database
from amplifier.queries.query import Query

class Row:
    """A record: a column by its name, several by a slice, all by unpacking."""

    def __iter__(self) -> Any: ...
    def __len__(self) -> int: ...

class Namespace: ...

Rows = list  # some namespaces have a query of that name
'''
_TAIL = """
OVERLAY: str

def overlay_files(folder: Path) -> list[Path]: ...

class QuerySet:
    database: Database
    folder: Path
    hash: str
    overlay: dict[str, Query]
{namespaces}

    def all(self) -> list[Query]: ...
    def joined(self) -> list[Query]: ...
    def lay_over(self) -> None: ...

class Queries(QuerySet):  # not a subclass at run time: it passes on the attributes of the set in use
    def __init__(self, database: Database, folder: Path, faults: list[Any] | None = None) -> None: ...
    def snapshot(self) -> QuerySet: ...
    def adopt(self, other: Queries) -> None: ...
"""
_ROW = """
class {name}Row(Row):
{overloads}
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
"""
_OVERLOAD = """    @overload
    def __getitem__(self, key: Literal[{names}]) -> {type}: ..."""
_ARGUMENTS = {"_int8": "Sequence[int]", "_text": "Sequence[str]", "jsonb": "bytes"}


class Signature(NamedTuple):
    """The types of a query's arguments by name, and of its result, as source text."""

    arguments: dict[str, str]
    result: str


def signature(query: Query, description: Description) -> Signature:
    """Returns the signature of a query as the stub spells it."""
    arguments = {
        name: _argument(type_) + (" | None" if query.header.is_nullable(name) else "")
        for name, type_ in sorted(description.parameters.items())
    }
    return Signature(arguments, _result(query, description))


def render(queries: Iterable[Query], descriptions: Mapping[str, Description], structs: Structs) -> str:
    """Returns the text of the stub, for queries that have passed the checks."""
    queries = list(queries)
    rows = {query.header.struct: descriptions[query.name].columns for query in queries if query.header.struct}
    text = _HEAD
    for name, columns in sorted(rows.items()):
        types = [
            (field.name, _nullable(field.literal or spelled(PYTHON[column.type]), field.nullable))
            for column, field in zip(columns, fields_of(structs[name]), strict=False)
        ]
        text += _ROW.format(name=name, overloads="\n".join(_overloads(types)))
    for namespace, members in groupby(queries, lambda query: query.name.partition(".")[0]):
        text += f"\nclass {_class(namespace)}(Namespace):\n"
        for query in members:
            text += _method(query.name.partition(".")[2], signature(query, descriptions[query.name]))
    names = dict.fromkeys(query.name.partition(".")[0] for query in queries)
    return text + _TAIL.format(namespaces="\n".join(f"    {name}: {_class(name)}" for name in names))


@cache
def contract() -> dict[str, Signature]:
    """Returns the signatures in the stub of this version, which the code relies on, by the name of the query."""
    found = {}
    for node in ast.parse(FILE.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Queries") and node.name != "Queries":
            namespace = node.name.removesuffix("Queries").lower()
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.returns:
                    named = method.args.kwonlyargs
                    arguments = {one.arg: ast.unparse(one.annotation) for one in named if one.annotation}
                    result = ast.unparse(method.returns).removeprefix("Awaitable[").removesuffix("]")
                    found[f"{namespace}.{method.name}"] = Signature(arguments, result)
    return found


def broken(query: Query, description: Description) -> Iterator[Finding]:
    """Yields the differences between a query and its signature in the stub. Ignores queries that the stub lacks."""
    wanted = contract().get(query.name)
    if wanted is None:
        return
    given = signature(query, description)
    for name in sorted(wanted.arguments.keys() | given.arguments.keys()):
        before, after = wanted.arguments.get(name), given.arguments.get(name)
        if before is None:
            yield query.wrong(f"the code passes no {name}", "take the parameter out, or give it a value in the query")
        elif after is None:
            yield query.wrong(f"the code passes {name}", "declare the parameter and use it")
        elif before != after:
            yield query.wrong(f"the code passes {name} as {before}, the query takes {after}", "cast it in the query")
    if given.result != wanted.result:
        yield query.wrong(
            f"the code reads {wanted.result}, the query gives {given.result}", "set back the operator and @return"
        )


def _overloads(types: list[tuple[str, str]]) -> Iterator[str]:
    by_type: dict[str, list[str]] = {}
    for name, type_ in types:
        by_type.setdefault(type_, []).append(f'"{name}"')
    for type_, names in by_type.items():
        yield _OVERLOAD.format(names=", ".join(names), type=type_)


def _method(name: str, signature: Signature) -> str:
    arguments = "".join(f", {name}: {type_}" for name, type_ in signature.arguments.items())
    star = ", *" if arguments else ""
    return f"    def {name}(self{star}{arguments}) -> Awaitable[{signature.result}]: ...\n"


def _result(query: Query, description: Description) -> str:
    struct, returns = query.header.struct, query.header.returns or ""
    if struct is None:
        kinds = ["int"] if returns == "row count" else [_kind(column.type) for column in description.columns]
        return _nullable(kinds[0] if kinds else "None", returns.endswith(" | none"))
    return f"Rows[{struct}Row]" if returns.endswith("[]") else _nullable(f"{struct}Row", returns.endswith(" | none"))


def _argument(type_: str) -> str:
    return _ARGUMENTS.get(type_) or _kind(type_)


def _kind(type_: str) -> str:
    return spelled(PYTHON.get(type_, object))


def _nullable(type_: str, nullable: bool) -> str:
    return f"{type_} | None" if nullable else type_


def _class(namespace: str) -> str:
    return f"{namespace.capitalize()}Queries"
