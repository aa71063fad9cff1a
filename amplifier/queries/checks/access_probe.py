"""Runs queries as two tenants and shows which of them let one see or change what is the other's.

The tenants' rows are in `amplifier.queries.checks.tenants`. No other row decides: see `Probe`.
"""

import itertools
import logging
from collections.abc import AsyncIterator, Collection, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from amplifier.database.outages import says_later
from amplifier.database.pool import Connection
from amplifier.queries.checks.access_rules import REFUSED
from amplifier.queries.checks.row_types import Structs, fields_of
from amplifier.queries.checks.tenants import TOKEN_HASH, WRONG_TOKEN_HASH, Tenants
from amplifier.queries.findings import Finding
from amplifier.queries.query import Query

logger = logging.getLogger(__name__)

_LIMIT = 1  # seconds for a statement
_PATIENCE = 3  # seconds for one that was stopped, at the second attempt: the machine may be busy
# Plans that look rows up by their keys read the tenants' rows only, however large and odd the tables are otherwise.
_PLANS = "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off"
_TARGETS = ("session_id", "config_id", "user_id", "invitation_id", "run_id", "approval_id")

_DATA_CLASSES = ("22", "54")  # of SQLSTATE: a value or its size, which may be another row's
_SWEEP = "rows of others that expired are removed by queries of the service's own, see amplifier/maintenance/expiry.py"
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
    "token_hash": TOKEN_HASH,
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
    "timestamptz": datetime.max.replace(tzinfo=UTC),
}


Statement: TypeAlias = "asyncpg.prepared_stmt.PreparedStatement[Any]"


class Outcome(NamedTuple):
    """The rows that came back, a count of zero left out, how many were written, and the tenants whose rows changed."""

    rows: list[Any]
    changes: int
    owners: Collection[str] = ()


class Probe:
    """Runs queries as the users of `Tenants`.

    Only the tenants' rows and rows that a query inserts decide, so the verdict does not depend on what else is stored:
    rows of others that a background job changes, locks or deletes meanwhile are not counted, ids and words are random,
    and statements are planned to find rows by key. A query of `proven` texts whose verdict other rows prevent (it is
    stopped for its time, or meets a value that it cannot convert) passes with a warning.
    """

    def __init__(self, connection: Connection, structs: Structs, proven: Collection[str] = ()) -> None:
        self._connection = connection
        self._structs = structs
        self._proven = proven
        self._tenants = Tenants(connection)
        self._owner, self._neighbour = self._tenants.owner, self._tenants.neighbour
        self._nobody = self._tenants.nobody
        self._limit = _LIMIT

    async def build(self) -> None:
        """Writes what the users own; the caller rolls it back."""
        # each statement runs a few times: planned once it takes half as long
        await self._connection.execute(f"set local plan_cache_mode = force_generic_plan; {_PLANS}")
        await self._tenants.build()
        await self._set_limit(_LIMIT)

    async def _set_limit(self, seconds: int) -> None:
        self._limit = seconds
        await self._connection.execute(f"set local statement_timeout = '{seconds}s'; savepoint probe")

    async def findings(self, query: Query) -> list[Finding]:
        """What is wrong with the access of a query that serves a user, or with what its rows lack."""
        if query.header.access in ("public", "system"):
            return []
        try:
            return await self._findings(query)
        except asyncpg.QueryCanceledError:  # of the query, or of one of the probe's own where the machine is busy
            await self._take_back()
            await self._set_limit(_PATIENCE)
        try:
            return await self._findings(query)
        except asyncpg.QueryCanceledError:
            await self._take_back()
            problem = f"it takes longer than {_PATIENCE} s on a handful of rows"
            remedy = "look for a join without a condition, or a recursion without an end"
            return self._undecided(query, query.wrong(problem, remedy))
        finally:
            await self._set_limit(_LIMIT)

    async def _findings(self, query: Query) -> list[Finding]:
        statement = await self._connection.prepare(query.statement)
        arguments, failure = await self._working_arguments(query, statement)
        if arguments is None:
            return failure
        leak = await self._leak(query, statement, arguments)
        found = [query.wrong(leak, f"a join or predicate on :{_actor(query)} is missing")] if leak else []
        if query.header.access != "self" and not leak:
            found += [finding async for finding in self._wrong_roles(query, statement, arguments)]
        outcome = await self._run(query, statement, arguments)
        if self._is_foreign(arguments, outcome):
            found.append(query.wrong("an owner changes what is not theirs", _SWEEP))
        return found + self._nulls(query, outcome.rows)

    def _undecided(self, query: Query, finding: Finding) -> list[Finding]:
        """The finding; no finding for a text that is known to be sound, which rows of others kept from being tried."""
        if query.text not in self._proven:
            return [finding]
        logger.warning("not tried on this database, used as it was released: %s", finding)
        return []

    async def _leak(self, query: Query, statement: "Statement", arguments: dict[str, Any]) -> str | None:
        """Who is served and should not be."""
        strangers = (("somebody with nothing", self._nobody), ("an owner of other things", self._neighbour))
        for (name, stranger), others in itertools.product(strangers, self._others(arguments)):
            theirs = arguments | others | _as(stranger)
            if self._leaks(query, theirs, await self._attempt(query, statement, theirs)):
                return f"{name} gets or changes what is not theirs"
        if "actor_ids" in arguments:
            both = await self._run(query, statement, arguments | {"actor_ids": [self._owner, self._nobody]})
            if self._nobody in repr(both.rows):
                return "somebody with nothing is served beside its owner"
        return None

    async def _wrong_roles(
        self, query: Query, statement: "Statement", arguments: dict[str, Any]
    ) -> AsyncIterator[Finding]:
        """Roles of participants that are served otherwise than the code says; nobody of them owns the config."""
        refused = ("editor", "viewer") if query.header.access == "owner" else REFUSED.get(query.name, ())
        for role in ("editor", "viewer"):
            theirs = arguments | _as(f"{self._owner}-{role}") | {"own_config_id": None}
            outcome = await self._attempt(query, statement, theirs)
            if bool(outcome.rows or outcome.changes) == (role in refused):
                said = ("gets or changes what it may not", "gets and changes nothing")[role not in refused]
                yield query.wrong(f"a session's {role} {said}", "set back what the query asks of the caller's role")

    async def _attempt(self, query: Query, statement: "Statement", arguments: dict[str, Any]) -> Outcome:
        """As `_run`; what the database refuses gives and changes nothing, but for a row that is there already: it would
        have been written, where not everybody may make their own."""
        try:
            return await self._run(query, statement, arguments)
        except asyncpg.UniqueViolationError:
            return Outcome([], int(query.header.access != "self"))
        except asyncpg.PostgresError as error:
            if says_later(error.sqlstate):
                raise
            return Outcome([], 0)

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
        token = {"token_hash": WRONG_TOKEN_HASH} if "token_hash" in arguments else {}
        yield token
        if "user_id" in arguments:
            yield token | {"user_id": self._owner}

    async def _working_arguments(
        self, query: Query, statement: Statement
    ) -> tuple[dict[str, Any] | None, list[Finding]]:
        """Arguments with which the owner gets or changes something; else none, and the findings."""
        remedy = "compare it with the query as it was"
        failure = [query.wrong("whoever owns what it asks for gets and changes nothing", remedy)]
        for arguments in self._candidates(query, statement):
            try:
                outcome = await self._run(query, statement, arguments)
            except asyncpg.UniqueViolationError:  # it makes something: another id will do
                continue
            except asyncpg.PostgresError as error:
                if says_later(error.sqlstate):
                    raise
                failure = [query.wrong(f"it fails for whoever owns what it asks for: {error.args[0]}", remedy)]
                if error.sqlstate is not None and error.sqlstate.startswith(_DATA_CLASSES):
                    failure = self._undecided(query, failure[0])
                continue
            if outcome.rows or outcome.changes:
                return arguments, []
        return None, failure

    def _candidates(self, query: Query, statement: Statement) -> Iterator[dict[str, Any]]:
        """The arguments for what exists, then with one or two new ids, for what is to be made."""
        named = _BY_NAME | {name: f"{self._owner}-{name.removesuffix('_id')}" for name in _TARGETS}
        named |= _as(self._owner) | {"user_id": f"{self._owner}-member"}
        named |= {"session_ids": [f"{self._owner}-session"], "q": self._tenants.word}
        by_type = _BY_TYPE | dict.fromkeys(("text", "varchar"), self._tenants.prefix)
        arguments = {
            name: named.get(name, "" if name.startswith("after_") and type_.name == "text" else by_type.get(type_.name))
            for name, type_ in zip(query.parameters, statement.get_parameters(), strict=True)
        }
        new = {"token_hash": "c" * 64} | dict.fromkeys(_TARGETS, f"{self._owner}-new")
        names = [name for name in arguments if name in new]
        for count in range(3):
            for chosen in itertools.combinations(names, count):
                yield arguments | {name: new[name] for name in chosen}
        yield arguments | {"session_id": f"{self._owner}-busy"}  # where a run goes on

    async def _run(self, query: Query, statement: Statement, arguments: dict[str, Any]) -> Outcome:
        """Runs a query, returns its rows and changes, and takes the changes back."""
        try:
            # the driver's limit is later than the server's, which says why
            rows = await statement.fetch(*(arguments[name] for name in query.parameters), timeout=self._limit + 1)
        except BaseException:
            await self._take_back()
            raise
        change = await self._tenants.change()
        return Outcome([row for row in rows if not row or any(row)], change.rows, change.owners)

    async def _take_back(self) -> None:
        await self._tenants.take_back()
        await self._tenants.settle()  # what failed had written something, too

    def _leaks(self, query: Query, arguments: dict[str, Any], outcome: Outcome) -> bool:
        rows = outcome.rows
        if self._is_foreign(arguments, outcome):
            return True
        if not rows and not outcome.changes:
            return False
        if query.header.access == "self":  # a stranger's own things may be made or shown, and come back with their name
            return arguments["actor_id"] not in repr(rows)
        if arguments["actor_id"] == self._neighbour and not any(name in arguments for name in _TARGETS):
            return self._owner in repr(rows)  # a list: the neighbour's own things may be in it
        return True

    def _is_foreign(self, arguments: dict[str, Any], outcome: Outcome) -> bool:
        """Returns whether rows of another tenant than the caller's changed."""
        caller = arguments.get("actor_id") or arguments["actor_ids"][0]
        return any(owner != self._tenants.of(caller) for owner in outcome.owners)


def _as(user_id: str) -> dict[str, Any]:
    """The arguments that say who calls, and what only they themselves own."""
    own = {"own_config_id": f"{user_id}-config", "fork_id": f"{user_id}-fork"}
    return {"actor_id": user_id, "actor_ids": [user_id], **own}


def _actor(query: Query) -> str:
    return "actor_ids" if "actor_ids" in query.parameters else "actor_id"
