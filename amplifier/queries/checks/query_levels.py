"""Divides a statement into its levels: each `select`, `insert`, `update` and `delete` with the tables that it names.

Reads the tree of PostgreSQL's own grammar as `pgparse` returns it: dictionaries whose tags begin with a capital.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

Fields = dict[str, Any]
STATEMENTS = ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt")
KEY = "session_id"
_OWN = {"withClause", "larg", "rarg", "relation"}  # parts that `Level` reads by itself


class Item(NamedTuple):
    """An entry of a `from` list: a table, an expression or subquery with a `level` of its own, or a function."""

    table: str | None
    level: "Level | None"


class Level:
    """One query level. `name` is the common table expression it stands in, if any."""

    def __init__(
        self, tag: str, fields: Fields, parent: "Level | None", ctes: dict[str, "Level"], name: str | None
    ) -> None:
        self.tag, self.fields, self.parent, self.name = tag, fields, parent, name
        self.ctes = dict(ctes)
        self.items: dict[str, Item] = {}
        self.conditions: list[Fields] = []
        self.inner: list[Level] = []  # in the order of the text
        for one in fields.get("withClause", {}).get("ctes", []):
            cte = one["CommonTableExpr"]
            self.ctes[cte["ctename"]] = self._add(cte["ctequery"], None, cte["ctename"])
        if self.is_union:
            self.inner += [Level("SelectStmt", fields[side], parent, self.ctes, name) for side in ("larg", "rarg")]
            return
        if "relation" in fields:
            self._add_table(fields["relation"])
        for one in (*fields.get("fromClause", []), *fields.get("usingClause", [])):
            self._add_item(one)
        self.conditions += _conjuncts(fields.get("whereClause"))
        for part, value in fields.items():
            if part not in (*_OWN, "fromClause", "usingClause"):
                self._add_inner(value)

    @property
    def is_union(self) -> bool:
        """True if the level combines two others, as `union` does."""
        return "larg" in self.fields

    @property
    def target(self) -> str | None:
        """The table that the level changes."""
        return self.fields["relation"]["relname"] if "relation" in self.fields else None

    def all(self) -> Iterator["Level"]:
        """Yields the level and those within it, in the order of execution: expressions before what reads them."""
        for one in self.inner:
            yield from one.all()
        yield self

    def find(self, alias: str) -> "tuple[Level, Item] | None":
        """Returns the item of a name, and the level in whose `from` list it is: this one, or one around it."""
        if alias in self.items:
            return self, self.items[alias]
        return self.parent.find(alias) if self.parent else None

    def expressions(self, *parts: str) -> Iterator[tuple[str, Fields]]:
        """Yields the nodes of some parts of the level, or of all, without those of other levels."""
        for part, value in self.fields.items():
            if (part in parts) if parts else (part not in _OWN):
                yield from nodes(value)

    def _add(self, wrapped: Fields, parent: "Level | None", name: str | None) -> "Level":
        [(tag, fields)] = wrapped.items()
        level = Level(tag, fields, parent, self.ctes, name)
        self.inner.append(level)
        return level

    def _add_inner(self, value: Any) -> None:
        for tag, fields in nodes(value):
            if tag in STATEMENTS:
                self._add({tag: fields}, self, self.name)

    def _add_table(self, relation: Fields) -> None:
        name = relation["relname"]
        cte = self.ctes.get(name)
        self.items[relation.get("alias", {}).get("aliasname", name)] = Item(None if cte else name, cte)

    def _add_item(self, wrapped: Fields) -> None:
        [(tag, fields)] = wrapped.items()
        alias = fields.get("alias", {}).get("aliasname", "")
        if tag == "RangeVar":
            self._add_table(fields)
        elif tag == "RangeSubselect":
            self.items[alias] = Item(None, self._add(fields["subquery"], self, self.name))
        elif tag == "JoinExpr":
            self._add_item(fields["larg"])
            self._add_item(fields["rarg"])
            self.conditions += _conjuncts(fields.get("quals"))
            self._add_inner(fields.get("quals"))
        else:
            self.items[alias] = Item(None, None)
            self._add_inner(fields)


def nodes(value: Any) -> Iterator[tuple[str, Fields]]:
    """Yields the tag and the fields of each node in a part of the tree. Statements are yielded, and not entered."""
    if isinstance(value, list):
        for one in value:
            yield from nodes(one)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key[0].isupper():
                yield key, inner
            if key not in STATEMENTS:
                yield from nodes(inner)


def column(node: Fields | None) -> tuple[str | None, str] | None:
    """Returns the qualifier and the name of a column, through casts. The name of `*` is `*`."""
    while node and "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    if not node or "ColumnRef" not in node:
        return None
    names = [one["String"]["sval"] if "String" in one else "*" for one in node["ColumnRef"]["fields"]]
    return (names[-2] if len(names) > 1 else None), names[-1]


def parameter(node: Fields | None) -> int | None:
    """Returns the number of a parameter, through casts."""
    while node and "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    return node["ParamRef"]["number"] if node and "ParamRef" in node else None


def _conjuncts(node: Fields | None) -> list[Fields]:
    """Returns the conditions that `and` joins."""
    if node is None:
        return []
    if "BoolExpr" in node and node["BoolExpr"]["boolop"] == "AND_EXPR":
        return [one for each in node["BoolExpr"]["args"] for one in _conjuncts(each)]
    return [node]
