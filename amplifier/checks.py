"""What the queries have to pass before they serve: they fit the database, and show nobody what is not theirs."""

import asyncpg

from amplifier.database import ROLE
from amplifier.probe import Probe, Statement, says_later
from amplifier.queries import Queries, QueriesError, Query

# What is not bound to something that the caller owns or takes part in. A query comes onto this list by a change of the
# code, not of its header.
UNBOUND = {
    "applications.create": "system",
    "applications.delete": "system",
    "applications.find_by_id": "system",
    "applications.find_by_prefix": "system",
    "applications.get": "system",
    "applications.list": "system",
    "applications.list_versions": "system",
    "applications.update_key": "system",
    "configs.create": "self",
    "events.list_existing": "system",
    "events.notify": "system",
    "invitations.claim": "self",
    "invitations.find": "system",
    "invitations.lock": "system",
    "participants.touch": "system",
    "search.get_languages": "system",
    "search.get_terms": "public",
    "service.ping": "public",
    "settings.count": "public",
    "settings.delete": "system",
    "settings.get": "public",
    "settings.list": "public",
    "settings.put": "system",
    "streams.close": "system",
    "streams.keep": "system",
    "streams.list_present": "system",
    "streams.open_hints": "self",
    "tickets.claim": "system",
    "tickets.create_for_hints": "self",
    "users.get": "self",
    "users.touch": "system",
}


async def check(queries: Queries) -> None:
    """Prepares every query in the service's role, and probes it as two tenants in a transaction that is rolled back.

    Raises QueriesError with every finding, one a line, and Unavailable.
    """
    findings = [
        query.wrong(f"@access {query.access} is not for a query of this name: who may see its rows? (see UNBOUND)")
        for query in queries.all()
        if query.access in ("public", "system", "self") and UNBOUND.get(query.name) != query.access
    ]
    async with queries.database.connection() as connection:
        if (user := await connection.fetchval("select current_user")) != ROLE:
            raise QueriesError(
                f"the service works as {user} instead of {ROLE}: if a pooler drops the parameters of new connections, "
                f"run: alter role {user} set role to {ROLE}"
            )
        prepared: dict[Query, Statement] = {}
        for query in queries.all():
            try:
                prepared[query] = await connection.prepare(query.statement)
            except asyncpg.PostgresError as error:
                if says_later(error):
                    raise
                findings.append(_finding(query, error))
        transaction = connection.transaction()
        await transaction.start()
        try:
            probe = Probe(connection)
            await probe.build()
            for query, statement in prepared.items():
                if query.access not in ("public", "system") and (reason := await probe.finding(query, statement)):
                    findings.append(query.wrong(reason))
        finally:
            await transaction.rollback()
    if findings:
        raise QueriesError("\n".join(map(str, findings)))


def _finding(query: Query, error: asyncpg.PostgresError) -> QueriesError:
    position = getattr(error, "position", None)
    reason = f"{error.args[0]}" + (f" ({error.hint})" if getattr(error, "hint", None) else "")
    return query.wrong(reason, query.line_of(int(position)) if position else None)
