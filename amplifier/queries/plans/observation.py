"""Observes a query on the profile: its two plans, and the rows that it returns and writes for each case.

The generic plan, for any arguments, is the one that the service uses; the custom plan is for the usual arguments.
`amplifier.queries.plans.baseline` compares observations with the reviewed ones.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier, Literal

from amplifier.database.connections import ROLE
from amplifier.queries.checks.describe import Description
from amplifier.queries.plans import dataset
from amplifier.queries.plans.arguments import Cases
from amplifier.queries.query import Query

_SETTINGS = f"""
set role {ROLE};
set jit = off;
set timezone = 'UTC';
set max_parallel_workers_per_gather = 0;
set random_page_cost = 4;
set effective_cache_size = '4GB';
set work_mem = '4MB';
set statement_timeout = '5s';
"""
_WRITTEN = """
select
    relname,
    pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid) + pg_stat_get_xact_tuples_deleted(oid)
from pg_class
where
    relkind = 'r'
    and relnamespace = 'public'::regnamespace
order by relname
"""
# the rows that this transaction wrote, without identity columns: sequences never repeat a number
_NEW = """
select to_jsonb(t) - array(
    select a.attname::text from pg_attribute as a where a.attrelid = t.tableoid and a.attidentity <> ''
)
from {} as t where t.xmin = pg_current_xact_id()::xid order by t::text
"""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d")  # a timestamptz in jsonb
_COMPARED = re.compile(r"(?:\w+\.)?(\w+)\)?(?:::\w+)?\)? (?:[<>=@&]+)")  # a column in an index condition


class Plan(msgspec.Struct):
    """A plan: its nodes, indented by depth, and its total cost as the planner estimates it."""

    cost: float
    nodes: list[str]


class Observation(msgspec.Struct):
    """The plans of a query, and for the label of each case the rows returned and written, with a digest of them."""

    generic: Plan
    custom: Plan
    results: dict[str, str]


def prepare(connection: "psycopg.Connection[Any]") -> Cases:
    """Fills a migrated, empty database, sets the connection up for observations, and returns the cases."""
    connection.prepare_threshold = None  # psycopg would rely on prepared statements that `explain` deallocates
    dataset.fill(connection)
    cases = Cases(connection)
    connection.execute(_SETTINGS.encode())
    return cases


def explain(
    connection: "psycopg.Connection[Any]", query: Query, description: Description, cases: Cases
) -> tuple[Plan, Plan]:
    """Prepares a query and returns its generic and its custom plan for the usual arguments."""
    call = _call(query, next(cases.of(query, description.parameters))[1])
    connection.execute("deallocate all")
    connection.execute(f"prepare q as {query.statement}".encode())
    return _plan(connection, "force_generic_plan", call), _plan(connection, "force_custom_plan", call)


def results(
    connection: "psycopg.Connection[Any]", query: Query, description: Description, cases: Cases
) -> Iterator[tuple[str, str]]:
    """Yields the label and the result of each case of a query, after `explain` prepared it. Rolls every case back."""
    connection.execute("set plan_cache_mode = force_generic_plan")
    for label, arguments in cases.of(query, description.parameters):
        yield label, _result(connection, _call(query, arguments), cases.made_at)


def _call(query: Query, arguments: dict[str, Any]) -> Any:
    values = SQL(", ").join(Literal(arguments[name]) for name in query.parameters)
    return SQL("execute q({})").format(values) if query.parameters else SQL("execute q")


def _plan(connection: "psycopg.Connection[Any]", mode: str, call: Any) -> Plan:
    connection.execute(f"set plan_cache_mode = {mode}".encode())
    row = connection.execute(SQL("explain (format json) {}").format(call)).fetchone()
    assert row is not None  # noqa: S101
    root = row[0][0]["Plan"]
    return Plan(root["Total Cost"], list(_nodes(root, 0)))


def _nodes(node: dict[str, Any], depth: int) -> Iterator[str]:
    kind = f"{node.get('Join Type', '')} {node['Node Type']}".replace("Inner ", "").strip()
    if node["Node Type"] == "ModifyTable":
        kind = node["Operation"]
    names = [node[key] for key in ("Index Name", "Relation Name", "CTE Name", "Function Name") if key in node]
    names += node.get("Conflict Arbiter Indexes", [])
    subplan = f"{node['Subplan Name']}: " if "Subplan Name" in node else ""
    by = sorted(set(_COMPARED.findall(node.get("Index Cond", ""))))
    on = f" on {', '.join(names)}" if names else ""
    yield "  " * depth + subplan + kind + on + (f" by {', '.join(by)}" if by else "")
    for child in node.get("Plans", []):
        yield from _nodes(child, depth + 1)


def _result(connection: "psycopg.Connection[Any]", call: Any, made_at: datetime) -> str:
    """Runs a case, rolls it back, and returns the numbers of rows returned and written, with a digest of the rows."""
    try:
        with connection.transaction(force_rollback=True):
            before = _written(connection)
            cursor = connection.execute(call)
            found = cursor.fetchall() if cursor.description else []
            rows = [row for row in found if row[0] != "month"]  # counts by month follow the date of the run
            left_out = len(found) - len(rows)
            written = {table: count - before[table] for table, count in _written(connection).items()}
            for table in (table for table, count in written.items() if count):
                rows += connection.execute(SQL(_NEW).format(Identifier(table))).fetchall()
    except psycopg.Error as error:
        return f"error {error.sqlstate}"
    digest = hashlib.sha256("\n".join(repr(_steady(row, made_at)) for row in rows).encode()).hexdigest()
    return f"{cursor.rowcount - left_out} rows, {sum(written.values())} written, {digest[:8]}"


def _written(connection: "psycopg.Connection[Any]") -> dict[str, int]:
    """Returns the number of rows that this transaction wrote, by table."""
    return dict(connection.execute(_WRITTEN.encode()).fetchall())


_SMALLEST_HASH = 2**40  # one of 64 bits is smaller once in eight million times


def _steady(value: Any, made_at: datetime) -> Any:
    """Returns a value that is the same in each run: times become distances from the time the profile was made.

    Hashes of row versions differ, and are the only numbers of this size.
    """
    if isinstance(value, int) and abs(value) >= _SMALLEST_HASH:
        return "hash"
    if isinstance(value, datetime):
        minutes = (value - made_at) / timedelta(minutes=1)
        return round(minutes) if minutes < -0.5 else f"{round(minutes / 30)} half hours later"
    if isinstance(value, tuple | list):
        return [_steady(one, made_at) for one in value]
    if isinstance(value, dict):
        return {key: _steady(one, made_at) for key, one in value.items()}
    if isinstance(value, str) and _TIME.fullmatch(value):
        return _steady(datetime.fromisoformat(value), made_at)
    return value
