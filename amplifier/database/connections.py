"""Opens connections to the database as the service needs them: role, limits, TLS, and JSON as bytes.

`pool.py` lends them to requests, and `listener.py` listens on one of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import asyncpg
from msgspec import Raw

from amplifier import json_characters, sign_in
from amplifier.database import hosts, silence, tls
from amplifier.database.outages import connecting
from amplifier.postgres_urls import Host, password_of
from amplifier.settings import Settings

LISTENER = "amplifier-api listener"  # the application_name of each process's listening connection
Verify: TypeAlias = Callable[["asyncpg.Connection[Any]"], Awaitable[None]]
ROLE = "amplifier_app"  # owns nothing and can change no schema; every login of the service must be a member of it
# The server closes connections of a host that does not answer for 25 seconds, which by default takes two hours. These
# are no parameters of the start, because poolers in session mode refuse those that they were not told to ignore.
_LOST_HOSTS = (
    "set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; "
    "set tcp_user_timeout = 25000"
)
HAS_CITUS = "select exists (select from pg_extension where extname = 'citus')"
# Citus cannot plan most statements for any arguments. It changes one shard after the other, so that statements that
# lock rows on several shards do so in the same order.
_ON_CITUS = {"plan_cache_mode": "auto", "citus.multi_shard_modify_mode": "sequential"}


async def open_pool(
    settings: Settings, dsn: str, verify: Verify | None = None, has_citus: bool = False
) -> "asyncpg.Pool[Any]":
    """Opens the pool, with other settings if the database has Citus. Raises Unavailable.

    `verify` raises an error for a new connection that must not be used.

    A pooler in transaction mode takes no settings at the start of a connection: the login has them, see `pooler.py`.
    """

    async def prepare(connection: "asyncpg.Connection[Any]") -> None:
        silence.limit(connection)
        await (_pass_json_through if settings.is_pooler(dsn) else _set_up)(connection)
        if verify is not None:
            await verify(connection)

    with connecting():
        pool: asyncpg.Pool[Any] = await asyncpg.create_pool(
            dsn,
            connect=cast(Any, _connect),
            password=_password(settings, dsn),
            min_size=settings.database_pool_min_size,
            max_size=settings.database_pool_max_size,
            timeout=settings.database_connect_timeout,
            # the server cancels first; this ends the wait when the server itself does not answer
            command_timeout=settings.database_statement_timeout + 1,
            max_inactive_connection_lifetime=300,
            statement_cache_size=1000,
            ssl=tls.context(dsn),
            server_settings=_named(settings, dsn, has_citus),
            init=prepare,
            reset=_keep,
        )
    return pool


async def open_listener(settings: Settings, dsn: str, name: str = LISTENER) -> "asyncpg.Connection[Any]":
    """Opens a connection outside the pool, for LISTEN. `name` is its application_name. Raises Unavailable."""
    with connecting():
        connection: asyncpg.Connection[Any] = await _connect(
            dsn,
            password=_password(settings, dsn),
            timeout=settings.database_connect_timeout,
            command_timeout=settings.database_statement_timeout + 1,
            ssl=tls.context(dsn),
            server_settings=_named(settings, dsn) | {"application_name": name},
        )
        await connection.execute(_LOST_HOSTS)
        silence.limit(connection)
    return connection


async def _connect(dsn: str, **options: Any) -> Any:
    """Connects as asyncpg does, with a token where the server takes tokens. Raises CredentialError if there is none.

    If the server refuses a token that was kept, tries once more with a new one.
    """
    if sign_in.scope(dsn) is None:
        return await _opened(dsn, options)
    async with asyncio.timeout(options["timeout"]):
        token = await sign_in.token_soon(dsn)
        try:
            return await _opened(dsn, options | {"password": token})
        except asyncpg.InvalidAuthorizationSpecificationError:
            if not sign_in.forget(dsn, token):
                raise
            return await _opened(dsn, options | {"password": await sign_in.token_soon(dsn)})


async def _opened(dsn: str, options: dict[str, Any]) -> Any:
    """Opens a connection at the host of an address, or at the one of several that fits."""

    async def opened(host: Host | None) -> Any:
        if host is None:
            return await asyncpg.connect(dsn, **options)
        its = {"host": host.name, "port": host.port, "ssl": tls.context(dsn, host.name)}
        return await asyncpg.connect(dsn, **options | its)

    return await hosts.connect(dsn, opened)


async def open_bare(settings: Settings, dsn: str, name: str, seconds: float) -> "asyncpg.Connection[Any]":
    """Opens a connection of the login itself, without the service's role, limits and settings. Raises asyncpg's errors.

    Poolers that refuse those settings accept it. `name` is its application_name; after `seconds` it gives up.
    """
    sign_in.use(settings)
    return await _connect(  # type: ignore[no-any-return]
        dsn,
        password=_password(settings, dsn),
        timeout=seconds,
        ssl=tls.context(dsn),
        statement_cache_size=0,
        server_settings={"application_name": name},
    )


def milliseconds(seconds: float) -> str:
    """Returns a limit for PostgreSQL in milliseconds, at least 1: 0 would mean no limit."""
    return str(max(1, round(seconds * 1000)))


def _password(settings: Settings, dsn: str) -> Callable[[], str] | None:
    """Returns a function that asyncpg calls for each new connection, so that a rotated password counts.

    Returns None where the password is that of the address: `DATABASE_LISTEN_URL` is read anew for each connection.
    """
    if dsn == settings.read_dsn:
        return lambda: password_of(settings.read_dsn or "") or ""
    if settings.password is None or (settings.database_listen_url is not None and dsn == settings.direct_dsn):
        return None
    return lambda: settings.password or ""


def _named(settings: Settings, dsn: str, has_citus: bool = False) -> dict[str, str]:
    """Returns the settings that a connection sends at its start."""
    given = {} if settings.is_pooler(dsn) else session_settings(settings, has_citus)
    return {"application_name": "amplifier-api", **given}


def session_settings(settings: Settings, has_citus: bool = False) -> dict[str, str]:
    """Returns the settings of PostgreSQL that the statements of the service need."""
    found = {
        "timezone": "UTC",
        "jit": "off",  # compilation takes longer than any of these statements
        # One plan for all calls. PostgreSQL's own choice plans some statements anew for each call, above all those with
        # arrays: 5.4 ms instead of 0.1 for streams.list_present, 1.8 instead of 0.2 for participants.touch.
        "plan_cache_mode": "force_generic_plan",
        "role": ROLE,
        "statement_timeout": milliseconds(settings.database_statement_timeout),
        "lock_timeout": milliseconds(settings.database_lock_timeout),
        "idle_in_transaction_session_timeout": "10000",
    }
    return found | _ON_CITUS if has_citus else found


async def _set_up(connection: "asyncpg.Connection[Any]") -> None:
    """Prepares a connection of the pool."""
    await connection.execute(_LOST_HOSTS)
    await _pass_json_through(connection)


async def _pass_json_through(connection: "asyncpg.Connection[Any]") -> None:
    """Sends JSON from bytes and returns it as msgspec.Raw, with the characters that PostgreSQL refuses.

    The first byte of jsonb's binary format is its version.
    """
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=_encoded,
        # the search for one byte costs a tenth of a call, and a page has a thousand messages
        decoder=lambda data: Raw(json_characters.restored(data[1:]) if json_characters.FIRST in data else data[1:]),
    )


def _encoded(value: Any) -> bytes:
    return b"\x01" + (value if type(value) is json_characters.Stored else json_characters.stored(bytes(value)))


async def _keep(_: object) -> None:
    """Replaces the pool's reset, a round trip per release. Pooled connections keep no session state here."""
