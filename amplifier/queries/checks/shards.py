"""The static check of a query's `@shards`: on which nodes it runs where sessions are divided between nodes.

`amplifier-api queries check` runs it; a start and a reload do not, because it takes half a second. It needs the parser
`pgparse`, which only development installs: without it nothing is found. The rules are those of Citus, which
`queries/README.md` explains. Queries that break one so far are pinned in `shard_rules`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from amplifier.database.placement import DISTRIBUTED, LOCAL, REFERENCE
from amplifier.queries.checks.query_levels import KEY, Fields, Level, nodes
from amplifier.queries.checks.session_bindings import bound, inserts_bound
from amplifier.queries.checks.shard_rules import FUNCTIONS, PINNED, RULES, SPANNING, STABLE, VOLATILE
from amplifier.queries.findings import Finding
from amplifier.queries.query import Query
from amplifier.queries.registry import OVERLAY

_AGGREGATES = {"count", "max", "min", "sum", "bool_or", "bool_and"}


class Breach(NamedTuple):
    """A rule that a statement breaks, the table or function that breaks it, and its place, a byte from 0."""

    rule: str
    subject: str
    place: int


def is_available() -> bool:
    """Returns whether the parser is installed."""
    try:
        import pgparse  # noqa: F401
    except ImportError:
        return False
    return True


def findings(queries: Iterable[Query]) -> list[Finding]:
    """Returns the findings about the shards of queries that PostgreSQL can parse; none without the parser."""
    if not is_available():
        return []
    return [finding for query in queries for finding in _findings(query)]


def _findings(query: Query) -> Iterator[Finding]:
    level = parse(query.statement)
    if level is None:
        return  # PostgreSQL says why
    number = query.parameters.index(KEY) + 1 if KEY in query.parameters else None
    declared, found = query.header.shards, placement(level, number)
    if declared == "one" and found == "all":
        for table, place in unbound(level, number):
            problem = f"@shards one, but {table} is not bound to :{KEY} where it is named"
            yield query.wrong(problem, f"compare its {KEY} with :{KEY}, or say @shards all", _line(query, place))
    elif declared != found:
        yield query.wrong(f"@shards {declared}, but it is {found}", f"say: @shards {found}")
    pinned = () if query.file.parent.name == OVERLAY else PINNED.get(query.name, ())
    for breach in breaches(level, number):
        if breach.rule not in pinned:
            problem, remedy = RULES[breach.rule]
            problem = problem.format(breach.subject) + f" (rule {breach.rule})"
            yield query.wrong(problem, remedy, _line(query, breach.place))


def parse(statement: str) -> Level | None:
    """Returns the outermost level of a statement, or None if PostgreSQL cannot parse it."""
    import pgparse

    try:
        [one] = pgparse.parse(statement)
    except (pgparse.PGQueryError, ValueError):
        return None
    [(tag, fields)] = one["stmt"].items()
    return Level(tag, fields, None, {}, None)


def placement(level: Level, number: int | None) -> str:
    """Returns `one`, `all` or `local` for a statement whose parameter session_id has this number, if it has one."""
    called = {name for one in level.all() for name, _ in _calls(one)}
    if called & SPANNING or any(unbound(level, number)):
        return "all"
    tables = _tables(level)
    if number is not None:
        tables |= {table for name in called for table in FUNCTIONS.get(name, ())}
    return "one" if tables & set(DISTRIBUTED) else "local"


def unbound(level: Level, number: int | None) -> Iterator[tuple[str, int]]:
    """Yields the distributed tables that are not bound to the parameter session_id in their level, and their places."""
    for one in level.all():
        known = bound(one, number)
        for alias, item in one.items.items():
            if item.table not in DISTRIBUTED:
                continue
            is_bound = inserts_bound(one, number) if one.tag == "InsertStmt" else (id(one), alias, KEY) in known
            if not is_bound:
                yield str(item.table), _place(one.fields)


def breaches(level: Level, number: int | None) -> Iterator[Breach]:
    """Yields each rule that a statement breaks, except for `@shards` itself."""
    tables = _tables(level)
    changed: set[str] = set()
    for one in level.all():
        yield from _functions(one, bool(tables & set(DISTRIBUTED)))
        yield from _locks(one, number)
        for alias, item in one.items.items():
            if item.table in changed and not (one.target == item.table and alias == _target_alias(one)):
                yield Breach("snapshot", item.table, _place(one.fields))
        if one.target is not None and one.target not in LOCAL:
            yield from _changes(one)
            changed.add(one.target)
        if one.tag == "SelectStmt" and "fromClause" not in one.fields and not tables <= set(LOCAL):
            yield from _counts(one)


def _changes(level: Level) -> Iterator[Breach]:
    """Yields the breaches in a statement that changes a table of several nodes."""
    if level.tag == "InsertStmt":
        for source in level.inner:
            yield from _empty_exists(source)
        for name, place in _calls(level, "onConflictClause"):
            if name in VOLATILE or name in STABLE:
                yield Breach("case", name, place)
    else:
        for name, place in _calls(level, "targetList", "whereClause"):
            if name in VOLATILE:
                yield Breach("volatile", name, place)
        for tag, fields in level.expressions("targetList", "whereClause"):
            if tag in ("CaseExpr", "CoalesceExpr"):
                for called, inner in nodes(fields):
                    if called == "FuncCall" and (name := _name(inner)) in VOLATILE | STABLE:
                        yield Breach("case", name, inner.get("location", 0))
    for tag, fields in level.expressions("returningList"):
        if tag == "SubLink":
            yield Breach("returning", "a subquery", fields.get("location", 0))
        elif tag == "FuncCall" and (name := _name(fields)) in VOLATILE | STABLE | FUNCTIONS.keys():
            yield Breach("returning", name, fields.get("location", 0))


def _functions(level: Level, among_sessions: bool) -> Iterator[Breach]:
    for name, place in _calls(level):
        tables = FUNCTIONS.get(name, ())
        if tables and (among_sessions or not set(tables) <= set(LOCAL)):
            yield Breach("function", name, place)


def _locks(level: Level, number: int | None) -> Iterator[Breach]:
    """Yields the breaches in the row locks of a `select`."""
    clauses = [fields for tag, fields in level.expressions("lockingClause") if tag == "LockingClause"]
    named = [one["RangeVar"]["relname"] for clause in clauses for one in clause.get("lockedRels", [])]
    locked = {alias: item for alias, item in level.items.items() if clauses and alias in (named or level.items)}
    place = _place(level.fields)
    reads_cte = any(item.table is None and item.level for item in level.items.values()) or _in_cte(level)
    for alias, item in locked.items():
        if item.table in REFERENCE:
            yield Breach("lock-reference", item.table, place)
        elif item.table in DISTRIBUTED and (id(level), alias, KEY) not in bound(level, number):
            yield Breach("lock-several", item.table, place)
        elif item.table in DISTRIBUTED and reads_cte:
            yield Breach("lock-joined", item.table, place)


def _in_cte(level: Level) -> bool:
    """Returns whether a condition says `in (select ... from` a common table expression."""
    sublinks = [fields for tag, fields in level.expressions("whereClause") if tag == "SubLink"]
    if not any(fields.get("subLinkType") == "ANY_SUBLINK" for fields in sublinks):
        return False
    return any(item.table is None and item.level for one in level.inner for item in one.items.values())


def _empty_exists(level: Level) -> Iterator[Breach]:
    for one in level.all():
        for tag, fields in one.expressions():
            if tag == "SubLink" and fields.get("subLinkType") == "EXISTS_SUBLINK":
                [(_, select)] = fields["subselect"].items()
                if "targetList" not in select:
                    yield Breach("exists", "an empty select list", fields.get("location", 0))


def _counts(level: Level) -> Iterator[Breach]:
    for tag, fields in level.expressions("whereClause"):
        if tag == "SubLink":
            [(_, select)] = fields["subselect"].items()
            for called, inner in nodes(select.get("targetList", [])):
                if called == "FuncCall" and _name(inner) in _AGGREGATES:
                    yield Breach("count", _name(inner), fields.get("location", 0))


def _tables(level: Level) -> set[str]:
    return {item.table for one in level.all() for item in one.items.values() if item.table is not None}


def _target_alias(level: Level) -> str:
    relation = level.fields["relation"]
    return str(relation.get("alias", {}).get("aliasname", relation["relname"]))


def _calls(level: Level, *parts: str) -> Iterator[tuple[str, int]]:
    """Yields the names of the functions that a level calls in some parts or in all, with their places."""
    for tag, fields in level.expressions(*parts):
        if tag == "FuncCall":
            yield _name(fields), fields.get("location", 0)


def _name(fields: Fields) -> str:
    return str(fields["funcname"][-1]["String"]["sval"])


def _place(fields: Fields) -> int:
    """Returns the first place that a part of the tree names."""
    return min((inner["location"] for _, inner in nodes(fields) if "location" in inner), default=0)


def _line(query: Query, place: int) -> int:
    return query.line_of(len(query.statement.encode()[:place].decode(errors="ignore")) + 1)
