"""The probe: runs queries as two tenants, and finds those that let one read or change rows of the other.

`amplifier.queries.checks.tenants` writes the tenants' rows, `probe_arguments` beside it has the arguments.
"""

import itertools
import logging
import re
from collections.abc import AsyncIterator, Collection
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from amplifier.database.outages import says_later
from amplifier.database.pool import Connection
from amplifier.queries.checks.access_rules import EXPORTING, REFUSED, SENDING
from amplifier.queries.checks.probe_arguments import TARGETS, candidates, of_caller, of_stranger
from amplifier.queries.checks.row_types import Structs, fields_of
from amplifier.queries.checks.tenants import Tenants
from amplifier.queries.findings import Finding
from amplifier.queries.query import Query

logger = logging.getLogger(__name__)

_LIMIT = 1  # seconds for a statement
_PATIENCE = 3  # seconds for the second attempt of a statement that timed out: the machine may be busy
# Plans that look rows up by key read only the tenants' rows, however large the tables are.
_PLANS = "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off"
_DATA_CLASSES = ("22", "54")  # of SQLSTATE: a bad value or size, which may be that of a row of another user
_SWEEP = "rows of others that expired are removed by queries of the service's own, see amplifier/maintenance/expiry.py"

Statement: TypeAlias = "asyncpg.prepared_stmt.PreparedStatement[Any]"


class Outcome(NamedTuple):
    """The outcome of a call: its rows, the number of rows written, and the tenants whose rows changed.

    `rows` leaves out rows of zeros and nulls, such as a count of 0.
    """

    rows: list[Any]
    changes: int
    owners: Collection[str] = ()


class Probe:
    """Runs queries as the users of `Tenants`.

    Only the tenants' rows and rows that a query inserts count, so that the verdict does not depend on the other rows of
    the database: those may change during the probe, ids and words of the tenants are random, and statements are planned
    to find rows by key. `proven` are texts of queries that pass with a warning when other rows prevent a verdict: when
    the query times out, or meets a value that it cannot convert.
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
        """Writes the tenants' rows. The caller rolls the transaction back."""
        # each statement runs a few times: planned once, it takes half as long
        await self._connection.execute(f"set local plan_cache_mode = force_generic_plan; {_PLANS}")
        await self._tenants.build()
        await self._set_limit(_LIMIT)

    async def _set_limit(self, seconds: int) -> None:
        self._limit = seconds
        await self._connection.execute(f"set local statement_timeout = '{seconds}s'; savepoint probe")

    async def findings(self, query: Query) -> list[Finding]:
        """Returns the findings for a query: wrong access, failures, and null where its struct takes none.

        The list is empty for `@access public` and `system`: such queries are not tied to a user.
        """
        if query.header.access in ("public", "system"):
            return []
        try:
            return await self._findings(query)
        except asyncpg.QueryCanceledError:  # of the query, or of a statement of the probe on a busy machine
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
        statement = await self._connection.prepare(set_apart(query))
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
        """Returns the finding in a list. If the query's text is proven, logs it and returns an empty list."""
        if query.text not in self._proven:
            return [finding]
        logger.warning("not tried on this database, used as it was released: %s", finding)
        return []

    async def _leak(self, query: Query, statement: "Statement", arguments: dict[str, Any]) -> str | None:
        """Returns the problem if a stranger gets or changes something, else None."""
        strangers = (("somebody with nothing", self._nobody), ("an owner of other things", self._neighbour))
        for (name, stranger), others in itertools.product(strangers, of_stranger(arguments, self._owner)):
            theirs = arguments | of_caller(stranger) | others
            if self._leaks(query, theirs, await self._attempt(query, statement, theirs)):
                return f"{name} gets or changes what is not theirs"
        if "own_config_id" in arguments:
            borrowed = arguments | {"own_config_id": f"{self._neighbour}-config"}
            if (await self._attempt(query, statement, borrowed)).changes:
                return "an owner uses the config of somebody else"
        if "actor_ids" in arguments:
            both = await self._run(query, statement, arguments | {"actor_ids": [self._owner, self._nobody]})
            if self._nobody in repr(both.rows):
                return "somebody with nothing is served beside its owner"
        return None

    async def _wrong_roles(
        self, query: Query, statement: "Statement", arguments: dict[str, Any]
    ) -> AsyncIterator[Finding]:
        """Yields a finding for each role that is served although the code refuses it, or the other way round, and for
        editors without the permission `send` or `export` who are served where they must not be.

        The participants pass no config of their own, because some queries serve the owner of one.
        """
        refused = ("editor", "viewer") if query.header.access == "owner" else REFUSED.get(query.name, ())
        for role in ("editor", "viewer"):
            theirs = arguments | of_caller(f"{self._owner}-{role}") | {"own_config_id": None}
            outcome = await self._attempt(query, statement, theirs)
            if bool(outcome.rows or outcome.changes) == (role in refused):
                said = ("gets or changes what it may not", "gets and changes nothing")[role not in refused]
                yield query.wrong(f"a session's {role} {said}", "set back what the query asks of the caller's role")
        for right, editor, asking in (("send", "silent", SENDING), ("export", "kept", EXPORTING)):
            if query.name not in asking:
                continue
            outcome = await self._attempt(query, statement, arguments | of_caller(f"{self._owner}-{editor}"))
            if outcome.rows or outcome.changes:
                problem = f"a session's editor who may not {right} gets or changes what only {right}ers may"
                yield query.wrong(problem, f"set back what the query asks of may_{right}")

    async def _attempt(self, query: Query, statement: "Statement", arguments: dict[str, Any]) -> Outcome:
        """Runs a query as `_run` does, and returns an empty outcome if the database refuses the statement.

        A unique violation counts as a change unless `@access` is self: the row would have been written.
        """
        try:
            return await self._run(query, statement, arguments)
        except asyncpg.UniqueViolationError:
            return Outcome([], int(query.header.access != "self"))
        except asyncpg.PostgresError as error:
            if says_later(error.sqlstate):
                raise
            return Outcome([], 0)

    def _nulls(self, query: Query, rows: list[Any]) -> list[Finding]:
        """Returns a finding for each column that is null although its field takes no null."""
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

    async def _working_arguments(
        self, query: Query, statement: Statement
    ) -> tuple[dict[str, Any] | None, list[Finding]]:
        """Returns the first arguments with which the owner gets or changes something, or None and the findings."""
        remedy = "compare it with the query as it was"
        failure = [query.wrong("whoever owns what it asks for gets and changes nothing", remedy)]
        parameters = zip(query.parameters, statement.get_parameters(), strict=True)
        for arguments in candidates({name: type_.name for name, type_ in parameters}, self._tenants):
            try:
                outcome = await self._run(query, statement, arguments)
            except asyncpg.UniqueViolationError:  # the query creates a row: it needs a new id
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

    async def _run(self, query: Query, statement: Statement, arguments: dict[str, Any]) -> Outcome:
        """Runs a query, returns its outcome, and rolls its changes back."""
        try:
            # the server's timeout comes first, because its error says what was cancelled
            rows = await statement.fetch(*(arguments[name] for name in query.parameters), timeout=self._limit + 1)
        except BaseException:
            await self._take_back()
            raise
        change = await self._tenants.change()
        return Outcome([row for row in rows if not row or any(row)], change.rows, change.owners)

    async def _take_back(self) -> None:
        await self._tenants.take_back()
        await self._tenants.settle()  # the failed statement may have written rows, too

    def _leaks(self, query: Query, arguments: dict[str, Any], outcome: Outcome) -> bool:
        rows = outcome.rows
        if self._is_foreign(arguments, outcome):
            return True
        if not rows and not outcome.changes:
            return False
        if query.header.access == "self":  # strangers may create and read rows of their own, which contain their name
            return arguments["actor_id"] not in repr(rows)
        if arguments["actor_id"] == self._neighbour and not any(name in arguments for name in TARGETS):
            return self._owner in repr(rows)  # a list: it may contain the neighbour's own rows
        return True

    def _is_foreign(self, arguments: dict[str, Any], outcome: Outcome) -> bool:
        """Returns whether rows of another tenant than the caller's changed."""
        caller = arguments.get("actor_id") or arguments["actor_ids"][0]
        return any(owner != self._tenants.of(caller) for owner in outcome.owners)


def set_apart(query: Query) -> str:
    """Returns a query's statement in a form that pg_stat_statements counts by itself, so that it shows no probes.

    That compares parsed statements, without comments. A common table expression that nothing reads makes another one of
    them, and PostgreSQL neither plans nor executes it.
    """
    verb, _, rest = query.statement.partition(f" /* {query.name} */")
    head = f"with /* probe of {query.name} */"
    if verb.lower() != "with":
        return f"{head} probe as (select) {verb}{rest}"
    recursive, rest = re.match(r"(\s+recursive\b)?(.*)", rest, re.DOTALL | re.IGNORECASE).groups("")  # type: ignore[union-attr]
    return f"{head}{recursive} probe as (select),{rest}"


def _actor(query: Query) -> str:
    return "actor_ids" if "actor_ids" in query.parameters else "actor_id"
