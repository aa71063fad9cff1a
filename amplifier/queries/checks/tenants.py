"""Writes the rows of the probe's two tenants, and finds those that a statement changed.

Every table has rows of both tenants. Every table whose rows expire has expired ones, so that a query that removes the
expired rows of others is found on an empty database, too. Rows of other users are never read.
"""

import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

import asyncpg

from amplifier.database.pool import Connection

TOKEN_HASH, WRONG_TOKEN_HASH = "a" * 64, "b" * 64
_LETTERS = str.maketrans("0123456789", "ghijklmnop")

_TENANT = """
insert into users (user_id) values ('{0}');

insert into applications (app_id, app_name, api_key_hash, api_key_prefix) values ('{0}', '{0}', '{1}', '{0}');

insert into configs (config_id, name, config_json, user_id, version) values ('{0}-config', '{0}', '{{}}', '{0}', 2);

insert into config_versions (config_id, version, name, config_json, tags, created_at)
values ('{0}-config', 1, 'former', '{{}}', '{{}}', now());

insert into sessions (session_id, external_id, config_id, owner_user_id, created_by_app_id, last_seq)
values
    ('{0}-session', '{0}-external', '{0}-config', '{0}', '{0}', 2),
    ('{0}-busy', null, '{0}-config', '{0}', '{0}', 2),
    ('{0}-left', null, '{0}-config', '{0}', '{0}', 2);

insert into sessions (session_id, config_id, owner_user_id, created_by_app_id)
values ('{0}-fork', '{0}-config', '{0}', '{0}');

update sessions set tags = '{{"cwd": "/home/probe"}}' where session_id = '{0}-session';

insert into session_participants (session_id, user_id, role)
values
    ('{0}-fork', '{0}', 'owner'),
    ('{0}-session', '{0}', 'owner'),
    ('{0}-session', '{0}-member', 'editor'),
    ('{0}-session', '{0}-editor', 'editor'),
    ('{0}-session', '{0}-viewer', 'viewer'),
    ('{0}-busy', '{0}', 'owner'),
    ('{0}-busy', '{0}-editor', 'editor'),
    ('{0}-busy', '{0}-viewer', 'viewer'),
    ('{0}-left', '{0}', 'owner');

insert into session_participants (session_id, user_id, role, permissions)
values
    ('{0}-session', '{0}-kept', 'editor', '{{"export": false}}'),
    ('{0}-session', '{0}-silent', 'editor', '{{"send": false}}'),
    ('{0}-busy', '{0}-silent', 'editor', '{{"send": false}}');

insert into messages (session_id, seq, message, author_user_id, author_app_id)
values ('{0}-session', 1, '{{"role": "user", "content": "{2}", "id": "{0}-item"}}', '{0}', '{0}');

insert into messages (session_id, seq, message, author_user_id, author_app_id)
values ('{0}-fork', 9, '{{"file": "amplifier:sha256/{4}"}}', '{0}', '{0}');

insert into message_embeddings (session_id, seq, created_at, due_at, embedding)
select
    '{0}-session',
    1,
    '{3}',
    '{3}',
    array_fill(1::real, array[coalesce((select dimensions from embedding_models), 2)::integer])
on conflict (session_id, seq) do update set embedding = excluded.embedding;

insert into attachments (session_id, sha256, size, content_type, created_by_user_id, created_by_app_id, checked_at)
values
    ('{0}-session', '{1}', 1, 'text/plain', '{0}', '{0}', now()),
    ('{0}-session', '{4}', 1, 'text/plain', '{0}', '{0}', now()),
    ('{0}-fork', '{1}', 1, 'text/plain', '{0}', '{0}', now()),
    ('{0}-left', '{1}', 1, 'text/plain', '{0}', '{0}', '{3}');

insert into attachment_chunks (session_id, sha256, start, data) values ('{0}-session', '{1}', 0, '{0}');

insert into attachment_removals (location, due_at) values ('{0}', '{3}');
insert into retracted_messages (
    session_id, seq, message, author_user_id, author_app_id, created_at, retracted_seq, retracted_at,
    retracted_by_user_id, retracted_by_app_id
)
values ('{0}-session', 2, '{{"content": "{2}"}}', '{0}', '{0}', now(), 2, now(), '{0}', '{0}');

insert into session_events (session_id, seq, type, actor_user_id)
values ('{0}-left', 1, 'session.created', '{0}');

insert into session_origins (session_id, tool, source_id, path, digest)
values ('{0}-session', '{0}', '{0}', '{0}', '{1}');

insert into session_origin_lines (session_id, first_line, numbers, message_seqs, lines)
values ('{0}-session', 1, '{{1}}', '{{1}}', array['{2}'::bytea]);

insert into session_states (session_id, document, version) values ('{0}-session', '{{"of": "{0}"}}', 1);

insert into user_states (user_id, app_id, document, version) values ('{0}', '{0}', '{{"of": "{0}"}}', 1);

insert into application_states (app_id, document, version) values ('{0}', '{{"of": "{0}"}}', 1);

insert into session_invitations (
    session_id, invitation_id, seq, token_hash, role, max_uses, created_by_user_id, created_at, expires_at
)
values
    ('{0}-session', '{0}-invitation', 2, '{1}', 'viewer', 1, '{0}', now(), 'infinity'),
    ('{0}-left', '{0}-expired', 2, '{1}', 'viewer', 1, '{0}', '{3}', '{3}');

insert into runs (session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at)
values
    ('{0}-busy', '{0}-run', 'running', '{{"role": "user"}}', '{0}', '{0}', now(), '{0}', 'infinity'),
    ('{0}-left', '{0}-left', 'running', '{{"role": "user"}}', '{0}', '{0}', '{3}', '{0}', '{3}');

insert into runs (session_id, run_id, status, message, user_id, app_id, finished_at)
values ('{0}-session', '{0}-run', 'completed', '{{"role": "user"}}', '{0}', '{0}', now());

insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)
values
    ('{0}-busy', '{0}-approval', '{0}-run', '{0}', '{{Allow, Deny}}', 'infinity'),
    ('{0}-left', '{0}-expired', '{0}-left', '{0}', '{{Allow, Deny}}', '{3}');

insert into streams (stream_id, process_id, session_id, user_id, seen_at)
values
    ('{0}-stream', '{0}', '{0}-session', '{0}', now()),
    ('{0}-stale', '{0}', '{0}-session', '{0}', '{3}');

insert into processes (
    process_id, name, version, queries_hash, started_at, seen_at, is_accepting, runs, streams, connections,
    connections_in_use, most_connections
)
values ('{0}', '{0}', '{0}', '{0}', '{3}', '{3}', true, 1, 1, 1, 1, 1);

insert into imports (
    import_id, user_id, app_id, process_id, status, format, size, created_at, seen_at, finished_at
)
values
    ('{0}-running', '{0}-member', '{0}', '{0}', 'running', 'auto', 1, now(), '{3}', null),
    ('{0}-import', '{0}', '{0}', '{0}', 'done', 'auto', 1, '{3}', '{3}', '{3}');

insert into stream_tickets (ticket_hash, session_id, user_id, app_id, token_expires_at, expires_at)
values
    ('{0}-ticket', '{0}-session', '{0}', '{0}', '{3}', '{3}'),
    ('{0}-hints', null, '{0}', '{0}', '{3}', '{3}');

insert into idempotency_keys (app_id, user_id, key_hash, request_hash, status, response, created_at)
values ('{0}', '{0}', '{1}', '{1}', 200, '{0}', '{3}');

insert into rate_limits (app_id, user_id, granted, full_at) values ('{0}', '{0}', 1, '{3}');

insert into searches (user_id, app_id, day, kind, searches, unsuccessful, cancelled, seconds)
values ('{0}', '{0}', '{3}', 'messages', 1, 0, 0, 1);

insert into configuration (key, value) values ('{0}', '{{}}')
"""
_LONG_AGO = "0001-01-01T00:00Z"  # older than every other row, so that a sweep with a limit removes these first

_DIMENSIONS = "select coalesce((select dimensions from embedding_models), 2)"

# All tables, and the first column of the primary key if that is text.
_TABLES = """
select
    c.oid,
    c.oid::regclass::text as name,
    quote_ident(a.attname) as key
from pg_class as c
left join pg_index as i on i.indrelid = c.oid and i.indisprimary and has_table_privilege(c.oid, 'select')
left join pg_attribute as a
    on a.attrelid = c.oid and a.attnum = i.indkey[0] and a.atttypid in ('text'::regtype, 'varchar'::regtype)
where
    c.relkind in ('r', 'p')
    and c.relnamespace = 'public'::regnamespace
order by c.oid
"""
# The rows that this transaction wrote, including those rolled back since: `changed` counts updates and deletions in
# the tables $2, `written` everything else.
_WRITTEN = """
select
    coalesce(sum(inserted) + sum(changed) filter (where not id = any($2)), 0)::bigint as written,
    coalesce(sum(changed) filter (where id = any($2)), 0)::bigint as changed
from (
    select
        id,
        pg_stat_get_xact_tuples_inserted(id) as inserted,
        pg_stat_get_xact_tuples_updated(id) + pg_stat_get_xact_tuples_deleted(id) as changed
    from unnest($1::oid[]) as id
) as counted
"""


class Change(NamedTuple):
    """The number of rows that a statement inserted or changed, and the tenants whose rows it changed."""

    rows: int
    owners: frozenset[str]


class Tenants:
    """Two tenants with the same kinds of rows, `owner` and `neighbour`, and `nobody`, a user without any rows.

    The owner's sessions have an editor, a viewer, an editor who may not send, and one who may not export. Every name
    and key begins with a prefix of 128 random bits.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.word = "x" + uuid.uuid4().hex.translate(_LETTERS)  # letters only: one word for the search
        self.prefix = f"probe-{self.word}"
        self.owner, self.neighbour, self.nobody = (f"{self.prefix}-{one}" for one in "abc")
        self.dimensions = 2  # of the vectors of the tenants' rows
        self._tables: list[int] = []
        self._tracked: list[int] = []
        self._rows: dict[tuple[int, Any], str] = {}
        self._written = self._changed = 0
        self._looked: asyncpg.prepared_stmt.PreparedStatement[Any] | None = None

    async def build(self) -> None:
        """Writes the tenants' rows and sets a savepoint after them. The caller rolls the transaction back."""
        for tenant in (self.owner, self.neighbour):
            await self._connection.execute(_TENANT.format(tenant, TOKEN_HASH, self.word, _LONG_AGO, WRONG_TOKEN_HASH))
        self.dimensions = await self._connection.fetchval(_DIMENSIONS)
        tables = await self._connection.fetch(_TABLES)
        self._tables = [table["oid"] for table in tables]
        self._tracked = [table["oid"] for table in tables if table["key"] is not None]
        self._looked = await self._connection.prepare(
            "\nunion all\n".join(
                f"select tableoid, ctid, {table['key']}::text from {table['name']} "  # noqa: S608 - names of the catalog
                f"where {table['key']} like '{self.prefix}-%'"
                for table in tables
                if table["key"] is not None
            )
        )
        self._rows = await self._look()
        await self._connection.execute("savepoint probe")
        await self.settle()

    @property
    def tables(self) -> frozenset[int]:
        """The tables in which the tenants have rows."""
        return frozenset(table for table, _ in self._rows)

    def of(self, user_id: str) -> str:
        """Returns the tenant that a user belongs to."""
        return user_id[: len(self.owner)]

    async def settle(self) -> None:
        """Makes the next call of `change` count from here."""
        self._written, self._changed = await self._count()

    async def take_back(self) -> None:
        """Rolls back to the savepoint after `build`."""
        await self._connection.execute("rollback to savepoint probe")

    async def change(self) -> Change:
        """Returns the changes since the last call, and rolls them back."""
        before = self._written, self._changed
        self._written, self._changed = await self._count()
        rows, owners = self._written - before[0], frozenset[str]()
        changed = self._changed > before[1]
        if changed:
            gone = self._rows.keys() - (await self._look()).keys()
            rows, owners = rows + len(gone), frozenset(self.of(self._rows[row]) for row in gone)
        if changed or rows:
            await self.take_back()
        return Change(rows, owners)

    async def _count(self) -> Iterable[int]:
        return await self._connection.fetchrow(_WRITTEN, self._tables, self._tracked)  # type: ignore[return-value]

    async def _look(self) -> dict[tuple[int, Any], str]:
        """Returns the keys of the tenants' rows by table and ctid. An updated row has a new ctid."""
        assert self._looked is not None  # noqa: S101
        return {(table, place): key for table, place, key in await self._looked.fetch()}
