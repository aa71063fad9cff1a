"""Distributes the tables of a database over the nodes of Citus: plans steps from the catalog, and takes all or none.

It follows what an earlier release was measured to need, see `docs/scale-out.md`; no test here has Citus itself.
"""

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from amplifier import libpq
from amplifier.database.connections import HAS_CITUS, LISTENER, ROLE
from amplifier.database.placement import ALL, DISTRIBUTED, REFERENCE
from amplifier.errors import OperatorError, one_line

logger = logging.getLogger(__name__)

_NO_CITUS = (
    "the database does not have the extension Citus, and nothing is to be distributed on one server: docs/scale-out.md "
    "says when it is enough. On a coordinator of Citus run: create extension citus"
)
_IS_COORDINATOR = "select groupid = 0 from pg_dist_local_group"
_WORKERS = "select count(*) from citus_get_active_worker_nodes()"
_PLACED = "select logicalrelid::regclass::text from pg_dist_partition"
_CLIENTS = """
select count(*)
from pg_stat_activity
where
    datname = current_database()
    and application_name in ('amplifier-api', %s)
"""
# Unique indexes of a distributed table have to contain its column, or they could only hold on each node.
_UNIQUE = """
select
    quote_ident(c.relname),
    pg_get_indexdef(i.indexrelid)
from pg_index as i
inner join pg_class as c on c.oid = i.indexrelid
where
    i.indrelid = any(%s::regclass[])
    and i.indisunique
    and not exists (
        select
        from pg_attribute as a
        where
            a.attrelid = i.indrelid
            and a.attname = 'session_id'
            and a.attnum = any(i.indkey)
    )
order by c.relname
"""
# Triggers that see all rows of a statement at once cannot exist on shards.
_OF_STATEMENTS = """
select
    quote_ident(t.tgname),
    t.tgrelid::regclass::text
from pg_trigger as t
where
    t.tgrelid = any(%s::regclass[])
    and not t.tgisinternal
    and (t.tgnewtable is not null or t.tgoldtable is not null)
order by t.tgname
"""
_FOREIGN_KEYS = """
select
    quote_ident(c.conname),
    c.conrelid::regclass::text,
    c.confrelid::regclass::text,
    pg_get_constraintdef(c.oid)
from pg_constraint as c
where
    c.contype = 'f'
    and (c.conrelid = any(%s::regclass[]) or c.confrelid = any(%s::regclass[]))
order by
    c.conrelid::regclass::text,
    c.conname
"""
# Functions that read no table, other than those of triggers, which go with their tables.
_FUNCTIONS = """
select quote_literal(p.oid::regprocedure)
from pg_proc as p
where
    p.pronamespace = 'public'::regnamespace
    and p.prokind = 'f'
    and not p.prosecdef
    and p.prorettype <> 'trigger'::regtype
    and not exists (
        select
        from pg_depend as d
        where
            d.objid = p.oid
            and d.deptype = 'e'
    )
    and not exists (
        select
        from unnest(%s::text[]) as t (name)
        where coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) ~ ('\\m' || t.name || '\\M')
    )
order by p.oid
"""
# the only unique index without session_id: what replaces it is not unique
_NOT_UNIQUE = {"sessions_external_id_idx"}
# Triggers that would change other tables than those of the row's session, and what is done without them.
_DROPPED = {
    "messages_take_number_by_hand": "messages",
    "session_events_take_number_by_hand": "session_events",
    "sessions_drop_config": "sessions",
    "sessions_drop_former_config": "sessions",
}


class Step(NamedTuple):
    """A statement, and the reason for it."""

    reason: str
    statement: str


class DistributionError(OperatorError):
    """Raised when the tables cannot be distributed. The message says why, and that nothing was changed."""


def distribute(dsn: str, dry_run: bool) -> list[Step]:
    """Takes the steps in one transaction and returns them, none if everything is distributed already.

    With `dry_run` it only returns them. Raises DistributionError, after which the database is as it was.
    """
    step: Step | None = None
    try:
        with libpq.connect(dsn, connect_timeout=5) as connection:
            _refuse_elsewhere(connection)
            steps = list(_planned(connection))
            if steps and not dry_run:
                _refuse_while_serving(connection)
                for step in steps:
                    logger.info("%s", step.statement)
                    connection.execute(step.statement.encode())
            return steps
    except psycopg.Error as error:
        place = "" if step is None else f" at: {step.statement}"
        raise DistributionError(
            f"nothing was changed: {error.diag.message_primary or one_line(error)}{place}"
        ) from error


def _refuse_elsewhere(connection: "psycopg.Connection[Any]") -> None:
    """Raises DistributionError unless the connection leads to a coordinator with workers."""
    if not _value(connection, HAS_CITUS):
        raise DistributionError(_NO_CITUS)
    if not _value(connection, _IS_COORDINATOR):
        raise DistributionError("this is a worker of Citus: set DATABASE_URL to its coordinator")
    if not _value(connection, _WORKERS):
        raise DistributionError("the coordinator has no workers: add them with citus_add_node")


def _refuse_while_serving(connection: "psycopg.Connection[Any]") -> None:
    """Raises DistributionError if processes of the service are connected, which hold plans for one server."""
    count = _value(connection, _CLIENTS, LISTENER)
    if count:
        raise DistributionError(f"the service has {count} connections to this database: stop it first")


def _planned(connection: "psycopg.Connection[Any]") -> Iterator[Step]:
    """Yields the steps for the tables that are not placed yet."""
    placed = {name for (name,) in connection.execute(_PLACED)}
    distributed = [table for table in DISTRIBUTED if table not in placed]
    references = [table for table in REFERENCE if table not in placed]
    if not distributed and not references:
        return
    yield Step("triggers of shards are allowed", "set local citus.enable_unsafe_triggers = on")
    yield Step("one shard after the other", "set local citus.multi_shard_modify_mode = 'sequential'")
    keys = connection.execute(_FOREIGN_KEYS, ([*distributed, *references],) * 2).fetchall()
    for name, table, _, _ in keys:
        yield Step("both tables have to be placed first", f"alter table {table} drop constraint {name}")
    yield from _without_triggers(connection, distributed)
    yield from _without_unique_indexes(connection, distributed)
    for table in references:
        yield Step("every node has a copy", f"select create_reference_table('{table}')")
    for table in distributed:
        beside = "" if table == DISTRIBUTED[0] else f", colocate_with => '{DISTRIBUTED[0]}'"
        yield Step("rows stay with their session", f"select create_distributed_table('{table}', 'session_id'{beside})")
    for name, table, target, definition in keys:
        if not (table in REFERENCE and target in DISTRIBUTED):  # a copy on every node cannot refer to rows of one
            yield Step("as it was", f"alter table {table} add constraint {name} {definition}")
    for (function,) in connection.execute(_FUNCTIONS, (list(ALL),)).fetchall():
        yield Step("shards call it", f"select create_distributed_function({function})")
    yield Step("nodes connect to each other as the role of the statement", f"alter role {ROLE} login")


def _without_triggers(connection: "psycopg.Connection[Any]", tables: list[str]) -> Iterator[Step]:
    for name, table in connection.execute(_OF_STATEMENTS, (tables,)).fetchall():
        yield Step("shards have no triggers that see all rows of a statement", f"drop trigger {name} on {table}")
    for name, table in _DROPPED.items():
        if table in tables:
            yield Step("it would change rows of other nodes", f"drop trigger if exists {name} on {table}")


def _without_unique_indexes(connection: "psycopg.Connection[Any]", tables: list[str]) -> Iterator[Step]:
    for name, definition in connection.execute(_UNIQUE, (tables,)).fetchall():
        if name not in _NOT_UNIQUE:
            raise DistributionError(f"nothing was changed: {name} is unique without session_id, which Citus refuses")
        yield Step("no node can check it for the others", f"drop index {name}")
        yield Step("finds the same rows", definition.replace("CREATE UNIQUE INDEX", "create index", 1))


def _value(connection: "psycopg.Connection[Any]", query: str, *arguments: object) -> Any:
    row = connection.execute(query.encode(), arguments or None).fetchone()
    return None if row is None else row[0]
