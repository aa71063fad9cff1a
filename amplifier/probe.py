"""Runs queries as two tenants and shows which of them let one see or change what is the other's."""

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

import asyncpg

from amplifier.database import Connection
from amplifier.queries import Query

_TENANT = """
insert into users (user_id) values ('{0}');

insert into configs (config_id, name, config_json, user_id) values ('{0}-config', '{0}', '{{}}', '{0}');

insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, last_seq)
values ('{0}-session', '{0}-config', '{0}', 'probe', 2);

insert into session_participants (session_id, user_id, role)
values ('{0}-session', '{0}', 'owner'), ('{0}-session', '{0}-member', 'editor');

insert into messages (session_id, seq, message, author_user_id, author_app_id)
values ('{0}-session', 1, '{{"role": "user", "content": "{0}"}}', '{0}', 'probe');

insert into session_invitations (
    session_id, invitation_id, seq, token_hash, role, max_uses, created_by_user_id, expires_at
)
values ('{0}-session', '{0}-invitation', 2, '{1}', 'viewer', 1, '{0}', 'infinity');

insert into streams (stream_id, process_id, session_id, user_id) values ('{0}-stream', 'probe', '{0}-session', '{0}');
"""
# How many rows this transaction wrote so far, including what was rolled back.
_WRITTEN = """
select sum(
    pg_stat_get_xact_tuples_inserted(id) + pg_stat_get_xact_tuples_updated(id) + pg_stat_get_xact_tuples_deleted(id)
)::bigint
from unnest($1::oid[]) as id
"""
_TABLES = """
select array_agg(oid) from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
"""
_TOKEN_HASH, _WRONG_TOKEN_HASH = "a" * 64, "b" * 64
_TARGETS = ("session_id", "config_id", "user_id", "invitation_id")

# Arguments come from the parameters' names, else from their types.
_BY_NAME: dict[str, Any] = {
    "after": 0,
    "author_user_id": None,
    "before_seq": 2**62,
    "expected_seq": None,
    "limit": 10,
    "max_bytes": 1000,
    "message_role": None,
    "most_elsewhere": 10,
    "messages": b'[{"role": "user", "content": "probe"}]',
    "offset": 0,
    "role": "viewer",
    "since": None,
    "status": "active",
    "token_hash": _TOKEN_HASH,
    "tool": None,
}
_BY_TYPE: dict[str, Any] = {
    "bool": False,
    "float4": 2.0,
    "float8": 60.0,
    "int4": 1,
    "int8": 1,
    "jsonb": b"{}",
    "text": "probe",
    "timestamptz": datetime.max.replace(tzinfo=UTC),
    "varchar": "probe",
}


def says_later(error: asyncpg.PostgresError) -> bool:
    """Whether an error speaks of the server or a lock, and says nothing about the query."""
    return error.sqlstate is None or error.sqlstate[:2] in ("08", "25", "40", "53", "55", "57")


Statement: TypeAlias = "asyncpg.prepared_stmt.PreparedStatement[Any]"


class Probe:
    """Three users: an owner, a neighbour who owns the same things elsewhere, and one who has nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        run = f"probe-{uuid.uuid4().hex}"
        self._written = 0
        self._tables: list[int] = []
        self._owner, self._neighbour, self._nobody = f"{run}-a", f"{run}-b", f"{run}-c"

    async def build(self) -> None:
        """Writes what the users own; the caller rolls it back."""
        for tenant in (self._owner, self._neighbour):
            await self._connection.execute(_TENANT.format(tenant, _TOKEN_HASH))
        # each statement runs a few times: planned once it takes half as long
        await self._connection.execute("set local plan_cache_mode = force_generic_plan; savepoint probe")
        self._tables = await self._connection.fetchval(_TABLES)
        self._written = await self._count_written()

    async def finding(self, query: Query, statement: Statement) -> str | None:
        """What is wrong with the access of a query, prepared on this connection."""
        arguments, failure = await self._working_arguments(query, statement)
        if arguments is None:
            return failure
        strangers = (("somebody with nothing", self._nobody), ("an owner of other things", self._neighbour))
        for (name, stranger), others in itertools.product(strangers, self._others(arguments)):
            theirs = arguments | others | {"actor_id": stranger, "actor_ids": [stranger]}
            try:
                rows, changes = await self._run(query, statement, theirs)
            except asyncpg.PostgresError as error:
                if says_later(error):
                    raise
                continue  # refused by the database, which is no leak
            if self._leaks(query, theirs, rows, changes):
                return f"{name} gets or changes what is not theirs: a join or predicate on :actor_id is missing"
        if "actor_ids" in arguments:
            rows, _ = await self._run(query, statement, arguments | {"actor_ids": [self._owner, self._nobody]})
            if self._nobody in repr(rows):
                return "somebody with nothing is served beside its owner: a join or predicate on :actor_ids is missing"
        return None

    def _others(self, arguments: dict[str, Any]) -> Iterator[dict[str, str]]:
        """What strangers pass instead: a wrong token, and whomever they know of."""
        token = {"token_hash": _WRONG_TOKEN_HASH} if "token_hash" in arguments else {}
        yield token
        if "user_id" in arguments:
            yield token | {"user_id": self._owner}

    async def _working_arguments(self, query: Query, statement: Statement) -> tuple[dict[str, Any] | None, str]:
        """Arguments with which the owner gets or changes something; else none, and the finding."""
        failure = "whoever owns what it asks for gets and changes nothing"
        for arguments in self._candidates(query, statement):
            try:
                rows, changes = await self._run(query, statement, arguments)
            except asyncpg.UniqueViolationError:  # it makes something: another id will do
                continue
            except asyncpg.PostgresError as error:
                if says_later(error):
                    raise
                failure = f"it fails for whoever owns what it asks for: {error.args[0]}"
                continue
            if rows or changes:
                return arguments, ""
        return None, failure

    def _candidates(self, query: Query, statement: Statement) -> Iterator[dict[str, Any]]:
        """The arguments for what exists, then with one or two new ids, for what is to be made."""
        named = _BY_NAME | {name: f"{self._owner}-{name.removesuffix('_id')}" for name in _TARGETS}
        named |= {"actor_id": self._owner, "user_id": f"{self._owner}-member"}
        named |= {"actor_ids": [self._owner], "session_ids": [f"{self._owner}-session"]}
        arguments = {
            name: named.get(
                name, "" if name.startswith("after_") and type_.name == "text" else _BY_TYPE.get(type_.name)
            )
            for name, type_ in zip(query.parameters, statement.get_parameters(), strict=True)
        }
        new = {"token_hash": uuid.uuid4().hex * 2} | dict.fromkeys(_TARGETS, f"{self._owner}-new")
        names = [name for name in arguments if name in new]
        for count in range(3):
            for chosen in itertools.combinations(names, count):
                yield arguments | {name: new[name] for name in chosen}

    async def _run(self, query: Query, statement: Statement, arguments: dict[str, Any]) -> tuple[list[Any], int]:
        """The rows that come back, a count of zero left out, and how many were written; nothing stays."""
        try:
            rows = await statement.fetch(*(arguments[name] for name in query.parameters))
        except BaseException:
            await self._connection.execute("rollback to savepoint probe")
            self._written = await self._count_written()  # what failed had written something, too
            raise
        written = await self._count_written()
        changes, self._written = written - self._written, written
        if changes:
            await self._connection.execute("rollback to savepoint probe")
        return [row for row in rows if not row or any(row)], changes

    async def _count_written(self) -> int:
        return int(await self._connection.fetchval(_WRITTEN, self._tables))

    def _leaks(self, query: Query, arguments: dict[str, Any], rows: list[Any], changes: int) -> bool:
        if not rows and not changes:
            return False
        if query.access == "self":  # a stranger's own things may be made or shown, and come back with their name
            return arguments["actor_id"] not in repr(rows)
        if arguments["actor_id"] == self._neighbour and not any(name in arguments for name in _TARGETS):
            return self._owner in repr(rows)  # a list: the neighbour's own things may be in it
        return True
