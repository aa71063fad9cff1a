"""Runs queries as two tenants and shows which of them let one see or change what is the other's."""

import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

import asyncpg

from amplifier.access import REFUSED
from amplifier.database import Connection
from amplifier.findings import Finding
from amplifier.outages import says_later
from amplifier.query import Query
from amplifier.shapes import Structs, fields_of

_TENANT = """
insert into users (user_id) values ('{0}');

insert into configs (config_id, name, config_json, user_id, version) values ('{0}-config', '{0}', '{{}}', '{0}', 2);

insert into config_versions (config_id, version, name, config_json, tags, created_at)
values ('{0}-config', 1, 'former', '{{}}', '{{}}', now());

insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, last_seq)
values ('{0}-session', '{0}-config', '{0}', 'probe', 2);

insert into sessions (session_id, config_id, owner_user_id, created_by_app_id)
values ('{0}-fork', '{0}-config', '{0}', 'probe');

insert into session_participants (session_id, user_id, role)
values
    ('{0}-fork', '{0}', 'owner'),
    ('{0}-session', '{0}', 'owner'),
    ('{0}-session', '{0}-member', 'editor'),
    ('{0}-session', '{0}-editor', 'editor'),
    ('{0}-session', '{0}-viewer', 'viewer');

insert into messages (session_id, seq, message, author_user_id, author_app_id)
values ('{0}-session', 1, '{{"role": "user", "content": "{0}"}}', '{0}', 'probe');

insert into session_invitations (
    session_id, invitation_id, seq, token_hash, role, max_uses, created_by_user_id, expires_at
)
values ('{0}-session', '{0}-invitation', 2, '{1}', 'viewer', 1, '{0}', 'infinity');

insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, last_seq)
values ('{0}-busy', '{0}-config', '{0}', 'probe', 2);

insert into session_participants (session_id, user_id, role)
values
    ('{0}-busy', '{0}', 'owner'),
    ('{0}-busy', '{0}-editor', 'editor'),
    ('{0}-busy', '{0}-viewer', 'viewer');

insert into runs (session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at)
values ('{0}-busy', '{0}-run', 'running', '{{"role": "user"}}', '{0}', 'probe', now(), 'probe', 'infinity');

insert into runs (session_id, run_id, status, message, user_id, app_id, finished_at)
values ('{0}-session', '{0}-run', 'completed', '{{"role": "user"}}', '{0}', 'probe', now());

insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)
values ('{0}-busy', '{0}-approval', '{0}-run', '{0}', '{{Allow, Deny}}', 'infinity');

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
_LIMIT = 2  # seconds for a statement
_TARGETS = ("session_id", "config_id", "user_id", "invitation_id", "run_id", "approval_id")

# Arguments come from the parameters' names, else from their types.
_BY_NAME: dict[str, Any] = {
    "added": b"[]",
    "after": 0,
    "author_user_id": None,
    "before_seq": 2**62,
    "expected_seq": 2,
    "before_version": 2**62,
    "if_seqs": None,
    "if_versions": None,
    "limit": 10,
    "as_of": None,
    "max_bytes": 1000,
    "message_role": None,
    "most": 10,
    "most_elsewhere": 10,
    "message": b'{"role": "user", "content": "probe"}',
    "messages": b'[{"role": "user", "content": "probe"}]',
    "offset": 0,
    "role": "viewer",
    "seqs": [1],
    "since": None,
    "status": "active",
    "token_hash": _TOKEN_HASH,
    "tool": None,
}
_BY_TYPE: dict[str, Any] = {
    "bool": False,
    "bytea": b"probe",
    "float4": 2.0,
    "float8": 60.0,
    "int4": 1,
    "int8": 1,
    "jsonb": b"{}",
    "text": "probe",
    "timestamptz": datetime.max.replace(tzinfo=UTC),
    "varchar": "probe",
}


Statement: TypeAlias = "asyncpg.prepared_stmt.PreparedStatement[Any]"


class Probe:
    """An owner with an editor and a viewer, a neighbour who owns the same things elsewhere, and one who has nothing."""

    def __init__(self, connection: Connection, structs: Structs) -> None:
        self._connection = connection
        self._structs = structs
        run = f"probe-{uuid.uuid4().hex}"
        self._written = 0
        self._tables: list[int] = []
        self._owner, self._neighbour, self._nobody = f"{run}-a", f"{run}-b", f"{run}-c"

    async def build(self) -> None:
        """Writes what the users own; the caller rolls it back."""
        for tenant in (self._owner, self._neighbour):
            await self._connection.execute(_TENANT.format(tenant, _TOKEN_HASH))
        # each statement runs a few times: planned once it takes half as long
        await self._connection.execute("set local plan_cache_mode = force_generic_plan")
        await self._connection.execute(f"set local statement_timeout = '{_LIMIT}s'; savepoint probe")
        self._tables = await self._connection.fetchval(_TABLES)
        self._written = await self._count_written()

    async def findings(self, query: Query) -> list[Finding]:
        """What is wrong with the access of a query that serves a user, or with what its rows lack."""
        if query.header.access in ("public", "system"):
            return []
        try:
            return await self._findings(query)
        except asyncpg.QueryCanceledError:
            problem = f"it takes longer than {_LIMIT} s on a handful of rows"
            return [query.wrong(problem, "look for a join without a condition, or a recursion without an end")]

    async def _findings(self, query: Query) -> list[Finding]:
        statement = await self._connection.prepare(query.statement)
        arguments, failure = await self._working_arguments(query, statement)
        if arguments is None:
            return [query.wrong(failure, "compare it with the query as it was")]
        leak = await self._leak(query, statement, arguments)
        found = [query.wrong(leak, f"a join or predicate on :{_actor(query)} is missing")] if leak else []
        if query.header.access != "self" and not leak:
            found += [finding async for finding in self._wrong_roles(query, statement, arguments)]
        rows, _ = await self._run(query, statement, arguments)
        return found + self._nulls(query, rows)

    async def _leak(self, query: Query, statement: "Statement", arguments: dict[str, Any]) -> str | None:
        """Who is served and should not be."""
        strangers = (("somebody with nothing", self._nobody), ("an owner of other things", self._neighbour))
        for (name, stranger), others in itertools.product(strangers, self._others(arguments)):
            theirs = arguments | others | _as(stranger)
            if self._leaks(query, theirs, *await self._attempt(query, statement, theirs)):
                return f"{name} gets or changes what is not theirs"
        if "actor_ids" in arguments:
            rows, _ = await self._run(query, statement, arguments | {"actor_ids": [self._owner, self._nobody]})
            if self._nobody in repr(rows):
                return "somebody with nothing is served beside its owner"
        return None

    async def _wrong_roles(
        self, query: Query, statement: "Statement", arguments: dict[str, Any]
    ) -> AsyncIterator[Finding]:
        """Roles of participants that are served otherwise than the code says; nobody of them owns the config."""
        refused = ("editor", "viewer") if query.header.access == "owner" else REFUSED.get(query.name, ())
        for role in ("editor", "viewer"):
            theirs = arguments | _as(f"{self._owner}-{role}") | {"own_config_id": None}
            rows, changes = await self._attempt(query, statement, theirs)
            if bool(rows or changes) == (role in refused):
                said = ("gets or changes what it may not", "gets and changes nothing")[role not in refused]
                yield query.wrong(f"a session's {role} {said}", "set back what the query asks of the caller's role")

    async def _attempt(self, query: Query, statement: "Statement", arguments: dict[str, Any]) -> tuple[list[Any], int]:
        """As `_run`; what the database refuses gives and changes nothing, but for a row that is there already: it would
        have been written, where not everybody may make their own."""
        try:
            return await self._run(query, statement, arguments)
        except asyncpg.UniqueViolationError:
            return [], int(query.header.access != "self")
        except asyncpg.PostgresError as error:
            if says_later(error.sqlstate):
                raise
            return [], 0

    def _nulls(self, query: Query, rows: list[Any]) -> list[Finding]:
        """Columns that are null where the struct takes none."""
        struct = self._structs.get(query.header.struct or "")
        if struct is None:
            return []
        fields = fields_of(struct)
        empty = {field.name for row in rows for value, field in zip(row, fields, strict=False) if value is None}
        return [
            query.wrong(f"column {field.name} is null, {struct.__name__} takes no null there", "coalesce it")
            for field in fields
            if field.name in empty and not field.nullable
        ]

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
                if says_later(error.sqlstate):
                    raise
                failure = f"it fails for whoever owns what it asks for: {error.args[0]}"
                continue
            if rows or changes:
                return arguments, ""
        return None, failure

    def _candidates(self, query: Query, statement: Statement) -> Iterator[dict[str, Any]]:
        """The arguments for what exists, then with one or two new ids, for what is to be made."""
        named = _BY_NAME | {name: f"{self._owner}-{name.removesuffix('_id')}" for name in _TARGETS}
        named |= _as(self._owner) | {"user_id": f"{self._owner}-member"}
        named |= {"session_ids": [f"{self._owner}-session"]}
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
        yield arguments | {"session_id": f"{self._owner}-busy"}  # where a run goes on

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
        if query.header.access == "self":  # a stranger's own things may be made or shown, and come back with their name
            return arguments["actor_id"] not in repr(rows)
        if arguments["actor_id"] == self._neighbour and not any(name in arguments for name in _TARGETS):
            return self._owner in repr(rows)  # a list: the neighbour's own things may be in it
        return True


def _as(user_id: str) -> dict[str, Any]:
    """The arguments that say who calls, and what only they themselves own."""
    own = {"own_config_id": f"{user_id}-config", "fork_id": f"{user_id}-fork"}
    return {"actor_id": user_id, "actor_ids": [user_id], **own}


def _actor(query: Query) -> str:
    return "actor_ids" if "actor_ids" in query.parameters else "actor_id"
