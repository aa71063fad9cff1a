"""Checks of the sign-in: the login itself, the role that the service works as, and the connections of its pool."""

import asyncio
import contextlib
import uuid
from typing import Any

import asyncpg

from amplifier import sign_in as entra
from amplifier.cli.doctor.findings import Fault, Outcome, failed, ok, skipped, warning
from amplifier.cli.doctor.refusals import POOLING, ROLES, quoted, refusal
from amplifier.cli.doctor.target import Target
from amplifier.database.connections import ROLE, open_bare
from amplifier.database.pool import Database
from amplifier.database.pooler import PoolerError
from amplifier.errors import OperatorError, Unavailable, one_line
from amplifier.schema.service_login import EXCESS

_CONNECTING = 4.0  # seconds, less than a check may take: the finding should tell of the sign-in
_TOKEN = 9.0  # seconds to wait for a token; the Azure CLI takes a few
_ARRIVING = 3.0  # seconds to wait for a notification
_NAME = "amplifier-api doctor"  # the application_name of its connections


async def token(target: Target) -> Outcome:
    """Gets a token of Microsoft Entra for the server, if that is its password."""
    if target.settings.database_auth != "entra":
        return skipped("because DATABASE_AUTH is password")
    entra.use(target.settings)
    endpoint = "see the identity of this machine, and whether its endpoint can be reached: docs/azure.md"
    try:
        async with asyncio.timeout(_TOKEN):
            await entra.token_soon(target.dsn)
    except TimeoutError as error:
        raise Fault(
            f"no token within {_TOKEN:.0f} s", "the endpoint of the identity does not answer", endpoint
        ) from error
    except OperatorError as error:
        raise Fault("Microsoft Entra gives no token", str(error), endpoint) from error
    return ok(f"Microsoft Entra gives one for {target.user}")


async def sign_in(target: Target) -> Outcome:
    """Signs in as the configured login, without the service's role, and begins the transaction of all other checks."""
    if not target.is_chosen:
        target.remote_hosts()
    try:
        target.connection = await _opened(target)
    except Exception as error:
        raise refusal(target, error) from error
    target.is_signed_in = True
    await target.connection.transaction(readonly=True).start()
    backend = await target.connection.fetchval("select pg_backend_pid()")
    # a pooler gives its clients numbers of its own
    target.is_behind_pooler = backend != target.connection.get_server_pid()
    through = ", through a connection pooler" if target.is_behind_pooler else ""
    return ok(f"as {await target.connection.fetchval('select session_user')}{through}")


async def _opened(target: Target, direct: bool = False) -> "asyncpg.Connection[Any]":
    """Opens a connection of the login itself, which a pooler accepts: it has none of the service's settings."""
    dsn = target.settings.direct_dsn if direct else None
    try:
        return await open_bare(target.settings, dsn or target.dsn, _NAME, _CONNECTING)
    except Exception as error:
        if dsn in (None, target.dsn):
            raise
        problem = "PostgreSQL itself cannot be reached, where notifications come from"
        raise Fault(one_line(error) or type(error).__name__, problem, "correct DATABASE_LISTEN_URL") from error


async def confine(target: Target) -> Outcome:
    """Takes the service's role, and sees whether the login may do more."""
    login = await target.connection.fetchval("select session_user")
    try:
        async with target.connection.transaction():
            await target.connection.execute(f"set local role {ROLE}")
            excess = await target.connection.fetchval(EXCESS)
    except asyncpg.InvalidParameterValueError as error:
        remedy = "as the owner of the database: amplifier-api migrate"
        raise Fault(f"there is no role {ROLE}", "the server was never migrated", remedy) from error
    except asyncpg.InsufficientPrivilegeError as error:
        remedy = f"as an administrator:\ngrant {ROLE} to {quoted(str(login))};"
        raise Fault(f"{login} is no member of {ROLE}", "the service cannot work as its role", remedy) from error
    if excess is not None:
        return warning(
            f"{login} is a member of {ROLE}, and {excess}",
            "the role of the service does not confine this login",
            f"give the service a login of its own ({ROLES}), as the owner of the database:\n"
            "DATABASE_SERVICE_PASSWORD=... amplifier-api migrate",
        )
    return ok(f"{login} is a member of {ROLE}, and no more")


async def open_pool(target: Target) -> Outcome:
    """Opens a pool as the service does: with its role, its limits and its settings at the start of each connection."""
    import msgspec

    settings = msgspec.structs.replace(target.settings, database_pool_min_size=1, database_pool_max_size=2)
    target.pool = Database(settings, target.dsn)
    target.has_pool = True
    try:
        await target.pool.connect()
    except Unavailable as error:
        raise refusal(target, error) from error
    except PoolerError as error:
        raise Fault("the pooler is not fit for the service", error.problem, error.remedy) from error
    if (user := await target.pool.fetchval("select current_user")) != ROLE:
        return failed(
            f"statements run as {user}",
            f"a connection pooler drops the role {ROLE} and the limits that the service asks for",
            f"let the service connect to PostgreSQL itself; the service pools its connections. {POOLING}",
        )
    through = ", through a pooler that prepares statements" if target.is_through_pooler else ""
    return ok(f"with the role, the limits and the settings of the service{through}")


async def listen(target: Target) -> Outcome:
    """Listens on one connection and notifies on another."""
    channel, arrived = f"amplifier_doctor_{uuid.uuid4().hex}", asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        listening, other = await _opened(target, direct=True), await _opened(target)
        stack.callback(listening.terminate)
        stack.callback(other.terminate)
        await listening.add_listener(channel, lambda *_: arrived.set())
        await other.execute(f"notify {channel}")
        if not await _set(arrived, _ARRIVING):
            raise _unheard(target)
    used = await target.connection.fetchval("select pg_notification_queue_usage()")
    if used > 0.5:  # as the service's own warning
        return warning(
            f"a notification arrives; the queue is {used:.0%} full",
            "a connection that listens does not read: when the queue is full, nobody can notify",
            "end the oldest transaction of a connection that listens: select pid, xact_start, query from "
            "pg_stat_activity where query ilike 'listen%' order by xact_start;",
        )
    return ok("a notification arrives")


async def _set(event: asyncio.Event, seconds: float) -> bool:
    """Returns whether an event is set within so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def _unheard(target: Target) -> Fault:
    if target.is_through_pooler:
        return Fault(
            f"a notification does not arrive within {_ARRIVING:.0f} s",
            "DATABASE_LISTEN_URL is not the address of the server that the pooler connects to",
            "set it to the address of PostgreSQL itself: see [databases] of the pooler, on Azure port 5432, not 6432",
        )
    if target.is_behind_pooler:
        return Fault(
            f"a notification does not arrive within {_ARRIVING:.0f} s",
            "a connection pooler in transaction mode is in between: LISTEN has no effect through it",
            "let the service connect to PostgreSQL itself (on Azure: port 5432, not 6432), or set pool_mode = session "
            f"in the pooler; the service pools its connections itself. {POOLING}",
        )
    return Fault(
        f"a notification does not arrive within {_ARRIVING:.0f} s",
        "events would reach the followers of other processes late",
        "see the load of the server, and: select pg_notification_queue_usage();",
    )
