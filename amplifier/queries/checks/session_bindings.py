"""Finds the columns of a statement that equal its parameter session_id, and so the tables that stay on one node."""

from collections.abc import Iterator

from amplifier.database.placement import DISTRIBUTED
from amplifier.queries.checks.query_levels import KEY, Fields, Item, Level, column, parameter

Column = tuple[int, str, str]  # the level, the name in its `from` list, and the column


def bound(level: Level, number: int | None, with_expressions: bool = False) -> set[Column]:
    """Returns the columns that equal the parameter session_id in a level.

    With `with_expressions`, a column of a common table expression counts if it is the session's there. Such a value
    routes an inserted row; it does not tell in advance on which node a table is read.
    """
    known: set[Column] = set()
    pairs: list[tuple[Column, Column]] = []
    one: Level | None = level
    while one is not None:
        for condition in one.conditions:
            for left, right in _equalities(condition):
                places = [_resolved(one, side) for side in (left, right)]
                numbers = [parameter(side) for side in (left, right)]
                for place, other in ((places[0], numbers[1]), (places[1], numbers[0])):
                    if place is not None and number is not None and other == number:
                        known.add(place)
                if places[0] is not None and places[1] is not None:
                    pairs.append((places[0], places[1]))
        one = one.parent
    if with_expressions:
        known |= {
            (id(level), alias, KEY)
            for alias, item in level.items.items()
            if item.level and _returns(item.level, number)
        }
        if level.tag == "InsertStmt" and inserts_bound(level, number):
            known |= {(id(level), alias, KEY) for alias in level.items}
    while added := {side for pair in pairs if known & set(pair) for side in pair} - known:
        known |= added
    return known


def _equalities(condition: Fields) -> Iterator[tuple[Fields, Fields]]:
    expression = condition.get("A_Expr", {})
    if expression.get("kind") != "AEXPR_OP" or expression["name"] != [{"String": {"sval": "="}}]:
        return
    left, right = expression["lexpr"], expression["rexpr"]
    if "RowExpr" in left and "RowExpr" in right:
        yield from zip(left["RowExpr"]["args"], right["RowExpr"]["args"], strict=True)
    else:
        yield left, right


def _resolved(level: Level, node: Fields) -> Column | None:
    """Returns the place of a column session_id, or None for another expression."""
    found = column(node)
    if found is None or found[1] != KEY:
        return None
    qualifier = found[0]
    if qualifier is not None:
        place = level.find(qualifier)
        return (id(place[0]), qualifier, KEY) if place else None
    one: Level | None = level
    while one is not None:
        if alias := next((alias for alias, item in one.items.items() if _has_key(item)), None):
            return id(one), alias, KEY
        one = one.parent
    return None


def _has_key(item: Item) -> bool:
    return item.table in DISTRIBUTED or item.table in ("streams", "stream_tickets") or item.level is not None


def _returns(level: Level, number: int | None) -> bool:
    """Returns whether the column session_id that a level returns is the parameter."""
    if level.is_union:
        return all(_returns(one, number) for one in level.inner[-2:])
    part = "targetList" if level.tag == "SelectStmt" else "returningList"
    return any(
        _is_key(level, target["ResTarget"].get("val"), number)
        for target in level.fields.get(part, [])
        if target["ResTarget"].get("name") in (None, KEY)
    )


def inserts_bound(level: Level, number: int | None) -> bool:
    """Returns whether an `insert` gives every row the session of the parameter."""
    columns = [one["ResTarget"]["name"] for one in level.fields.get("cols", [])]
    if KEY not in columns or not level.inner:
        return False
    return all(_selects_bound(one, columns.index(KEY), number) for one in level.inner[-1:])


def _selects_bound(level: Level, index: int, number: int | None) -> bool:
    if level.is_union:
        return all(_selects_bound(one, index, number) for one in level.inner[-2:])
    lists = [one["List"]["items"] for one in level.fields.get("valuesLists", [])]
    targets = [one["ResTarget"]["val"] for one in level.fields.get("targetList", [])]
    return all(_is_key(level, values[index], number) for values in (lists or [targets]))


def _is_key(level: Level, node: Fields | None, number: int | None) -> bool:
    """Returns whether an expression, or what `*` stands for, is the session of the parameter."""
    if number is not None and parameter(node) == number:
        return True
    found = column(node)
    known = bound(level, number, with_expressions=True)
    if found is not None and found[1] == "*":
        aliases = [found[0]] if found[0] else list(level.items)
        return any((id(level), alias, KEY) in known for alias in aliases)
    place = _resolved(level, node) if node else None
    return place in known
