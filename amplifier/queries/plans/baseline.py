"""How PostgreSQL runs each query, and what it gives and changes, on the profile: compared with `queries/plans.json`.

Two plans are looked at: the generic one, for any arguments, which the service uses, and the custom one for these.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier, Literal

from amplifier.database.connections import ROLE
from amplifier.queries.checks.describe import Description, describe
from amplifier.queries.findings import Finding
from amplifier.queries.plans import dataset
from amplifier.queries.plans.arguments import Cases
from amplifier.queries.query import Query
from amplifier.queries.registry import Queries

_LARGE = ("messages", "session_events", "session_participants", "sessions")
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
# what this transaction wrote, without numbers from a sequence, which are never the same again
_NEW = """
select to_jsonb(t) - array(
    select a.attname::text from pg_attribute as a where a.attrelid = t.tableoid and a.attidentity <> ''
)
from {} as t where t.xmin = pg_current_xact_id()::xid order by t::text
"""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d")  # as it stands in jsonb
_COMPARED = re.compile(r"(?:\w+\.)?(\w+)\)?(?:::\w+)?\)? (?:[<>=@&]+)")  # columns in the condition of an index
_TOLERANCE = 1.25  # a cost that differs by less is the same


class Plan(msgspec.Struct):
    """A plan: its nodes, indented, and the planner's estimate of its cost."""

    cost: float
    nodes: list[str]


class Observed(msgspec.Struct):
    """A query on the profile. `results` has for each case how many rows came back and were written, and a digest."""

    generic: Plan
    custom: Plan
    results: dict[str, str]


class Baseline(msgspec.Struct):
    """What was observed and reviewed, with the major version of PostgreSQL it was observed on."""

    postgresql: int
    queries: dict[str, Observed]


class Line(msgspec.Struct):
    """A query in the table: the costs of its plans, what changed since the baseline."""

    query: str
    generic: float
    custom: float
    changes: list[str]


def compare(dsn: str, queries: Queries, update: bool) -> tuple[list[Line], list[Finding]]:
    """Fills a migrated, empty database and compares all queries on it with `plans.json` in their folder.

    With `update` that is written anew instead, if the rules hold.
    """
    file, lines, findings = queries.folder / "plans.json", list[Line](), list[Finding]()
    described, _ = describe(dsn, queries.all())
    with psycopg.connect(dsn, autocommit=True) as connection:
        cases = prepared(connection)
        version = connection.info.server_version // 10_000
        before, now = read(file) or Baseline(version, {}), Baseline(version, {})
        for query in queries.all():
            try:
                plans = planned(connection, query, described[query.name], cases)
                observed = Observed(*plans, dict(results(connection, query, described[query.name], cases)))
            except psycopg.Error as error:
                findings.append(query.wrong(f"it fails on the profile: {error}", "try it with the arguments there"))
                continue
            now.queries[query.name] = observed
            changed = list(changes(before.queries.get(query.name), observed, before.postgresql == version))
            lines.append(Line(query.name, observed.generic.cost, observed.custom.cost, changed))
            findings += rules(query, observed)
            if not update:
                findings += [query.wrong(one, "if that is meant: queries check --plans --update") for one in changed]
    if update and not findings:
        write(file, now)
    return lines, findings


def rules(query: Query, observed: Observed) -> Iterator[Finding]:
    """What a plan must never be."""
    for kind, plan in (("generic", observed.generic), ("custom", observed.custom)):
        for node in plan.nodes:
            table = re.match(r" *(Parallel )?Seq Scan on (\w+)$", node)
            if table and table[2] in _LARGE:
                yield query.wrong(
                    f"the {kind} plan reads all of {table[2]}", f"let an index find the rows:\n{_shown(plan)}"
                )
        used = {name for node in plan.nodes for name in re.findall(r"\w+", node)}
        for names in query.header.indexes:
            if not used.intersection(names):
                problem = f"the {kind} plan does not use {' or '.join(names)}, its @index"
                yield query.wrong(problem, f"its plan:\n{_shown(plan)}")
        if query.header.cost is not None and plan.cost > float(query.header.cost):
            yield query.wrong(
                f"the {kind} plan costs {plan.cost:.0f}, its @cost is {query.header.cost}", f"its plan:\n{_shown(plan)}"
            )


def changes(before: Observed | None, now: Observed, same_version: bool) -> Iterator[str]:
    """How a query differs from what was reviewed. Another version of PostgreSQL plans, and orders rows, as it likes."""
    if before is None:
        yield "new"
        return
    if not same_version:
        return
    for kind, old, new in (("generic", before.generic, now.generic), ("custom", before.custom, now.custom)):
        if old.nodes != new.nodes:
            yield f"the {kind} plan is another"
        elif not 1 / _TOLERANCE <= (new.cost + 1) / (old.cost + 1) <= _TOLERANCE:
            yield f"the {kind} plan costs {new.cost:.0f} instead of {old.cost:.0f}"
    cases = [label for label in now.results if now.results[label] != before.results.get(label)]
    if cases or now.results.keys() != before.results.keys():
        yield f"it gives or changes something else ({', '.join(cases[:3]) or 'fewer cases'})"


def read(file: Path) -> Baseline | None:
    """The baseline, or none where there is no file."""
    return msgspec.json.decode(file.read_bytes(), type=Baseline) if file.exists() else None


def write(file: Path, baseline: Baseline) -> None:
    """Writes a baseline so that a review sees what changed, line by line."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(baseline), indent=1) + b"\n")


def prepared(connection: "psycopg.Connection[Any]") -> Cases:
    """The cases to try, after a migrated, empty database was filled and the connection set up for them."""
    connection.prepare_threshold = None  # it would count on statements that are deallocated here
    dataset.fill(connection)
    cases = Cases(connection)
    connection.execute(_SETTINGS.encode())
    return cases


def planned(
    connection: "psycopg.Connection[Any]", query: Query, description: Description, cases: Cases
) -> tuple[Plan, Plan]:
    """The generic and the custom plan of a query for usual arguments."""
    call = _call(query, next(cases.of(query, description.parameters))[1])
    connection.execute("deallocate all")
    connection.execute(f"prepare q as {query.statement}".encode())
    return _explain(connection, "force_generic_plan", call), _explain(connection, "force_custom_plan", call)


def results(
    connection: "psycopg.Connection[Any]", query: Query, description: Description, cases: Cases
) -> Iterator[tuple[str, str]]:
    """What each case gives and changes, by its label, of a query that was planned; nothing stays."""
    connection.execute("set plan_cache_mode = force_generic_plan")
    for label, arguments in cases.of(query, description.parameters):
        yield label, _result(connection, _call(query, arguments), cases.made_at)


def _call(query: Query, arguments: dict[str, Any]) -> Any:
    values = SQL(", ").join(Literal(arguments[name]) for name in query.parameters)
    return SQL("execute q({})").format(values) if query.parameters else SQL("execute q")


def _explain(connection: "psycopg.Connection[Any]", mode: str, call: Any) -> Plan:
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
    """How many rows came back and were written, and a digest of them; nothing stays."""
    rows: list[Any] = []
    try:
        with connection.transaction(force_rollback=True):
            before = _written(connection)
            cursor = connection.execute(call)
            rows = cursor.fetchall() if cursor.description else []
            written = {table: count - before[table] for table, count in _written(connection).items()}
            for table in (table for table, count in written.items() if count):
                rows += connection.execute(SQL(_NEW).format(Identifier(table))).fetchall()
    except psycopg.Error as error:
        return f"error {error.sqlstate}"
    digest = hashlib.sha256("\n".join(repr(_steady(row, made_at)) for row in rows).encode()).hexdigest()
    return f"{cursor.rowcount} rows, {sum(written.values())} written, {digest[:8]}"


def _written(connection: "psycopg.Connection[Any]") -> dict[str, int]:
    """How many rows of each table this transaction wrote."""
    return dict(connection.execute(_WRITTEN.encode()).fetchall())


def _steady(value: Any, made_at: datetime) -> Any:
    """A value that is the same in each run: times as the distance from when the profile was made."""
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


def _shown(plan: Plan) -> str:
    return "\n".join(f"    {node}" for node in plan.nodes)
