"""Verifies that a pooler in transaction mode serves the statements of this service.

There each transaction may run on another connection to the server. So the settings of a session have to be those of the
login, and the pooler has to prepare a client's named statements on every connection, as PgBouncer does since 1.21.
"""

import asyncio
import contextlib
import uuid
from typing import Any

import asyncpg

from amplifier.database.connections import open_bare, session_settings
from amplifier.database.outages import connecting
from amplifier.errors import OperatorError
from amplifier.settings import Settings

_NAME = "amplifier-api pooler"  # the application_name of the connections that verify
_ATTEMPTS = 20  # to meet a connection of the server that tells; two clients in turn mostly get the same one at once
_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_STATE = """
select
    current_user::text as role,
    session_user::text as login,
    current_database()::text as database,
    array(
        select array[lower(name), setting]
        from pg_settings
        where lower(name) = any($1::text[])
    ) as found,
    array(
        select unnest(setconfig)
        from pg_db_role_setting
        where
            setrole in (0, (select oid from pg_roles where rolname = session_user))
            and setdatabase in (0, (select oid from pg_database where datname = current_database()))
    ) as own,
    exists (select from pg_extension where extname = 'citus') as has_citus,
    coalesce(
        (
            select pg_has_role(session_user, relowner, 'member')
            from pg_class
            where oid = to_regclass('public.sessions')
        ),
        false
    ) as owns
"""


class PoolerError(OperatorError):
    """Raised when a pooler is not fit for the service. The message says why, and what mends it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n{remedy}")
        self.problem, self.remedy = problem, remedy


async def verify(settings: Settings, dsn: str) -> None:
    """Verifies prepared statements and the login's settings through the pooler. Raises PoolerError and Unavailable."""
    limit = settings.database_connect_timeout
    with connecting():
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for _ in range(2):
                clients.append(await open_bare(settings, dsn, _NAME, limit))
                stack.callback(clients[-1].terminate)
            async with asyncio.timeout(limit + settings.database_statement_timeout):
                try:
                    await _prepare(*clients)
                except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError) as error:
                    raise PoolerError(
                        "the pooler keeps no prepared statements of its clients in transaction mode",
                        "use PgBouncer 1.21 or newer with max_prepared_statements = 200 (on Azure "
                        "pgbouncer.max_prepared_statements), or connect to PostgreSQL itself with DATABASE_POOLER=none",
                    ) from error
                await _compare(settings, clients[0])


def statements(login: str, database: str, wanted: dict[str, str]) -> list[str]:
    """Returns the statements that give a login the settings of the service."""
    from psycopg.sql import SQL, Identifier, Literal

    form = SQL("alter role {} in database {} set {} = {}")
    return [
        form.format(Identifier(login), Identifier(database), SQL(name), Literal(value)).as_string(None)
        for name, value in wanted.items()
    ]


async def _prepare(one: "asyncpg.Connection[Any]", other: "asyncpg.Connection[Any]") -> None:
    """Prepares a statement, and uses it on another connection of the server, or its name for another statement.

    asyncpg raises the error of a server that does not know the statement, or knows another one by its name. Never holds
    two connections of the server, of which the pooler may have only one.
    """
    name = f"amplifier_{uuid.uuid4().hex}"
    async with one.transaction():
        statement = await one.prepare("select pg_backend_pid()", name=name)
        prepared_on = await statement.fetchval()
    for _ in range(_ATTEMPTS):
        async with other.transaction():
            if await _backend(other) == prepared_on:
                await other.prepare("select current_database()", name=name)
                return
        for _ in range(2):  # an odd number of transactions, or two connections in turn would never meet
            async with one.transaction():
                if await _backend(one) != prepared_on:
                    await statement.fetchval()
                    return
    # each client has a connection of its own: the pooler is in session mode


async def _backend(connection: "asyncpg.Connection[Any]") -> int:
    return await connection.fetchval("select pg_backend_pid()")  # type: ignore[no-any-return]


async def _compare(settings: Settings, connection: "asyncpg.Connection[Any]") -> None:
    """Raises PoolerError if a connection of the server lacks a setting of the service."""
    async with connection.transaction():
        state = await connection.fetchrow(_STATE, list(session_settings(settings, has_citus=True)))
    assert state is not None  # noqa: S101
    wanted = session_settings(settings, state["has_citus"])
    found = {"role": state["role"], **dict(state["found"])}
    missing = {name: value for name, value in wanted.items() if not _fits(name, found.get(name, ""), value)}
    if not missing:
        return
    login = state["login"]
    seen = ", ".join(f"{name} is {found.get(name)}, not {value}" for name, value in missing.items())
    problem = f"the pooler's connections do not have the settings of the service: {seen}"
    anew = "then let the pooler open its connections anew: RECONNECT in PgBouncer's console, or a restart"
    own = {name.lower(): value for name, _, value in (entry.partition("=") for entry in state["own"])}
    if all(_fits(name, own.get(name, ""), value) for name, value in missing.items()):
        raise PoolerError(problem, f"the login {login} has them: {anew.removeprefix('then ')}")
    if state["owns"]:
        remedy = (
            f"the login {login} owns the tables, and migrates with other settings: give the service a login of its own"
        )
        raise PoolerError(problem, f"{remedy}, as migrations/README.md says under Roles")
    commands = ";\n".join(statements(login, state["database"], wanted))
    raise PoolerError(
        problem,
        f"run as the owner of the database: DATABASE_POOLER=transaction amplifier-api migrate\n"
        f"or as {login} itself or an administrator:\n{commands};\n{anew}",
    )


def _fits(name: str, value: str, wanted: str) -> bool:
    """Returns whether a setting does. Limits may be lower, so that they can be changed before the service's own."""
    if name in _LIMITS:
        return value.isdigit() and 0 < int(value) <= int(wanted)
    return value.casefold() == wanted.casefold()
