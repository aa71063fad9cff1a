"""Fills the profile: a database like one in use, the same in each run, on which plans and results are compared.

It has a thousand users with one to hundreds of sessions each, and 5,000 sessions of some ten messages, each with an
owner, an editor and a viewer. Times count back from the moment it is filled.
"""

import hashlib
from typing import Any

import psycopg

_SLOW_INDEX = "messages_search_idx"  # created after the rows: filling it row by row takes most of the time
_WITHOUT_TRIGGERS = ("sessions", "messages", "session_events")
# `{u}`, `{v}` and `{w}` are three numbers from 0 to 1 that depend on n alone
_SEED = """
insert into applications (app_id, app_name, api_key_hash, api_key_prefix, is_admin, created_at, updated_at)
select 'app-' || n, 'App ' || n, md5(n::text) || md5(n::text), 'amp_' || n, n = 1, moment, moment
from (select n, now() - n * interval '1 day' as moment from generate_series(1, 5000) as n) as a;

insert into users (user_id, last_seen_app_id, total_sessions, first_seen, last_seen)
select 'user-' || n, 'app-' || 1 + n % 20, 5, now() - n * interval '1 hour', now() - n * interval '1 minute'
from generate_series(1, 1000) as n;

insert into configs (config_id, name, config_json, user_id, tags, created_at, updated_at)
select
    'config-' || n, 'Config ' || n, '{{"bundle": {{"name": "bench"}}}}', 'user-' || 1 + (n - 1) % 200,
    jsonb_build_object('team', n % 7), now() - n * interval '1 hour', now() - n * interval '1 hour'
from generate_series(1, 1000) as n;

insert into configuration (key, value, updated_at)
select 'key-' || n, to_jsonb(n), now() - n * interval '1 hour' from generate_series(1, 500) as n;

insert into sessions (
    session_id, config_id, owner_user_id, created_by_app_id, status, title, tags, message_count, messages_total,
    last_seq, created_at, updated_at, search, search_language, search_revision
)
select
    'session-' || n, 'config-' || 1 + (n * 13) % 1000, 'user-' || 1 + floor(1000 * {u} * {u}), 'app-' || 1 + n % 20,
    (array['active', 'active', 'active', 'completed'])[1 + n % 4], 'Word' || n % 500 || ' session',
    jsonb_build_object('team', n % 7), 1 + n * 37 % 19, 1 + n * 37 % 19, 3 + n * 37 % 19,
    now() - (n + 600) * interval '1 minute', now() - n * interval '1 minute',
    format('''word%s'':1A ''session'':2A', n % 500)::tsvector,
    case when n % 50 = 0 then 'german' end, search_revision(case when n % 50 = 0 then 'german' else 'english' end)
from generate_series(1, 5000) as n;

insert into session_participants (session_id, user_id, role, permissions, joined_at, last_active_at, last_read_seq)
select distinct on (session_id, user_id)
    session_id, user_id, role, permissions, joined_at, joined_at + interval '5 minutes', last_seq / 2
from (
    select
        session_id, 1 as place, owner_user_id as user_id, 'owner' as role, '{{}}'::jsonb as permissions, last_seq,
        created_at as joined_at
    from sessions
    union all
    select
        'session-' || n, 2, 'user-' || 1 + floor(1000 * {v} * {v}), 'editor',
        case when n % 20 = 0 then '{{"send": false}}'::jsonb else '{{}}' end, 10, now() - n * interval '1 minute'
    from generate_series(1, 5000) as n
    union all
    select
        'session-' || n, 3, 'user-' || 1 + floor(1000 * {w}), 'viewer', '{{}}', 10, now() - n * interval '1 minute'
    from generate_series(1, 5000) as n
) as p
order by session_id, user_id, place;

insert into messages (
    session_id, seq, message, author_user_id, author_app_id, created_at, search, search_revision
)
select
    'session-' || n, k,
    jsonb_build_object(
        'role', (array['user', 'assistant', 'assistant', 'tool'])[1 + k % 4],
        'content', format('Some word%s and word%s of word%s.', k % 7, (n * k) % 500, (n * 31 + k * 7) % 20000)
    ),
    s.owner_user_id, 'app-' || 1 + n % 20, s.created_at + k * interval '1 minute',
    format('''word%s'':2A ''word%s'':4A ''word%s'':6A', k % 7, (n * k) % 500, (n * 31 + k * 7) % 20000)::tsvector,
    s.search_revision
from generate_series(1, 5000) as n
inner join sessions as s on s.session_id = 'session-' || n
cross join lateral generate_series(1, s.message_count) as k;

insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
select
    session_id, last_seq - k, (array['participant.added', 'session.updated'])[1 + k],
    jsonb_build_object('user_id', owner_user_id), owner_user_id, created_at
from sessions
cross join generate_series(0, 1) as k;

insert into retracted_messages (
    session_id, seq, message, role, author_user_id, author_app_id, created_at, retracted_seq, retracted_at,
    retracted_by_user_id, retracted_by_app_id
)
select
    session_id, 1000 + k, '{{"role": "user", "content": "word3"}}', 'user', owner_user_id, 'app-1', now(), 1,
    now(), owner_user_id, 'app-1'
from sessions
cross join generate_series(1, 4) as k;

insert into session_invitations (
    session_id, invitation_id, seq, token_hash, role, max_uses, uses, created_by_user_id, created_at, expires_at,
    revoked_at
)
select
    'session-' || n, 'invitation-' || n || '-' || k, k, md5(n || '/' || k) || md5(n::text), 'viewer', 2,
    case when k = 2 then 2 else 0 end, s.owner_user_id, now() - interval '1 hour',
    now() + case when k = 3 then interval '-1 minute' else interval '7 days' end,
    case when k = 4 then now() - interval '30 minutes' end
from generate_series(1, 500) as n
inner join sessions as s on s.session_id = 'session-' || n
cross join generate_series(1, 4) as k;

-- for each session's owner: two open streams in different processes, and one that expired
insert into streams (stream_id, process_id, session_id, user_id, opened_at, seen_at)
select
    'stream-' || n || '-' || k, 'process-' || k, case when n % 5 > 0 then s.session_id end, s.owner_user_id,
    now() - interval '1 hour', now() + case when k < 3 then interval '1 hour' else interval '-1 hour' end
from generate_series(1, 500) as n
inner join sessions as s on s.session_id = 'session-' || n
cross join generate_series(1, 3) as k;

insert into stream_tickets (ticket_hash, session_id, user_id, app_id, token_expires_at, expires_at)
select
    md5(n::text) || md5(n::text), case when n % 5 > 0 then s.session_id end, s.owner_user_id, 'app-1',
    now() + interval '1 hour', now() + case when n % 51 > 0 then interval '1 hour' else interval '-1 hour' end
from generate_series(1, 5000) as n
inner join sessions as s on s.session_id = 'session-' || n;

insert into config_versions (config_id, version, name, description, config_json, tags, created_at)
select config_id, v, 'Former ' || v, 'Version ' || v, jsonb_build_object('former', v), tags, created_at
from configs
cross join generate_series(1, 2) as v;

update configs set version = 3, updated_at = updated_at + interval '1 second';

-- for each session's owner: a valid key, an expired one, and one each whose response shows a deleted session, config
-- or application
insert into idempotency_keys (
    app_id, user_id, key_hash, request_hash, status, response, etag, created_at, session_ids, config_ids, app_ids
)
select
    'app-1', s.owner_user_id, k || '-' || n, 'asked', 201, 'answer', '1', now() - greatest(k, 0) * interval '20 hours',
    array[case when k = 0 then 'gone' else s.session_id end], case when k = -1 then array['gone'] else array(
        select c.config_id from configs as c where c.user_id = s.owner_user_id order by c.config_id limit 1
    ) end,
    array[case when k = -2 then 'gone' else 'app-1' end]
from generate_series(1, 1000) as n
inner join sessions as s on s.session_id = 'session-' || n
cross join generate_series(-2, 2) as k
where k > 0 or n <= 100;

insert into audit_log (user_id, app_id, action, target_type, target_id, details, address, created_at)
select
    'user-' || n % 50, 'app-' || n % 20, (array['update_session', 'delete_config'])[1 + n % 2],
    (array['session', 'config'])[1 + n % 2], 'target-' || n % 400, '{{}}', '127.0.0.1', now() - n * interval '1 hour'
from generate_series(1, 5000) as n;

insert into searches (user_id, app_id, day, kind, searches, unsuccessful, cancelled, seconds)
select 'user-' || n, 'app-1', current_date - k * 10, 'messages', 3, 1, 0, 0.5
from generate_series(1, 500) as n
cross join generate_series(1, 30) as k;

-- half of the buckets are full again, the others will be empty for days
insert into rate_limits (app_id, user_id, granted, full_at)
select 'app-1', 'user-' || n, 1, now() + case when n % 2 = 0 then interval '10 days' else interval '-1 hour' end
from generate_series(1, 1000) as n;

-- a user may have an empty bucket in one application and a full one in another
insert into rate_limits (app_id, user_id, granted, full_at) values ('app-2', 'user-1', 1, now() + interval '10 days');

-- for each session two finished runs; for some a running one, with a valid or an expired lease, and queued ones
insert into runs (
    session_id, run_id, status, message, user_id, app_id, queued_at, started_at, finished_at, response, process_id,
    lease_expires_at
)
select
    s.session_id, format('run-%s-%s', n, k),
    case when k < 2 then 'completed' when n % 3 = 0 then 'running' else 'queued' end,
    '{{"role": "user", "content": "word3"}}', s.owner_user_id, 'app-1', s.created_at + k * interval '1 minute',
    case when k < 2 or n % 3 = 0 then s.created_at + k * interval '1 minute' end,
    case when k < 2 then s.created_at + k * interval '2 minutes' end,
    case when k < 2 then 'word3' end, 'process-1', now() + case when n % 2 = 0 then 1 else -1 end * interval '1 hour'
from generate_series(1, 5000) as n
inner join sessions as s on s.session_id = 'session-' || n
cross join generate_series(0, 3) as k
where k < 2 or (n > 4800 and (k = 2 or n % 3 > 0));

insert into run_approvals (
    session_id, approval_id, run_id, prompt, options, requested_at, expires_at, granted, decision, decided_at
)
select
    session_id, 'approval-' || run_id, run_id, 'May I?', array['Allow', 'Deny'], queued_at,
    queued_at + interval '5 minutes', true, 'Allow', queued_at
from runs
where status = 'completed';

-- documents of sessions, of users in an application, and of applications
insert into session_states (session_id, document, version) select session_id, '{{"b": 1}}', 2 from sessions;

insert into user_states (user_id, app_id, document, version) select user_id, 'app-1', '{{"a": 1}}', 3 from users;

insert into application_states (app_id, document, version) select app_id, '{{"c": 1}}', 4 from applications;

insert into attachments (
    session_id, sha256, size, content_type, name, location, created_by_user_id, created_by_app_id, created_at,
    checked_at
)
select
    'session-' || n, md5(n::text) || md5(n::text), 1000, 'image/png', 'file-' || n,
    case when n % 3 = 0 then 'blob-' || n end, 'user-' || 1 + n % 1000, 'app-1', now() - n * interval '1 minute',
    now() - n * interval '1 minute'
from generate_series(1, 5000) as n;

insert into attachment_chunks (session_id, sha256, start, data)
select session_id, sha256, 0, 'content' from attachments where location is null;

insert into attachment_removals (location, due_at)
select 'gone-' || n, now() - n * interval '1 minute' from generate_series(-2000, 2000) as n;

-- files that sessions were imported from; a third of each is no message
insert into session_origins (session_id, tool, source_id, path, lines, digest, imported_at, updated_at)
select
    'session-' || n, 'claude-code', 'session-' || n, '/session-' || n, 3, md5(n::text) || md5(n::text), moment, moment
from (select n, now() - n * interval '1 minute' as moment from generate_series(1, 5000) as n) as o;

insert into session_origin_lines (session_id, first_line, numbers, message_seqs, lines)
select 'session-' || n, k, array[k, k + 1], array[case when k = 1 then 1 end, 2], array['one', 'two']::bytea[]
from generate_series(1, 5000) as n
cross join (values (1), (3)) as l (k);

-- vectors of two numbers; the first message of each session waits for one
insert into message_embeddings (session_id, seq, created_at, due_at, digest, embedding)
select
    'session-' || n, k, m.created_at,
    case when k = 1 then '2020-01-01T00:00Z'::timestamptz + n * interval '1 minute' end,
    case when k > 1 then decode(md5(n || '-' || k), 'hex') end,
    case when k > 1 then array[1 + n % 50, k] end
from generate_series(1, 5000) as n
inner join sessions as s on s.session_id = 'session-' || n
cross join lateral generate_series(1, s.message_count) as k
inner join messages as m on m.session_id = s.session_id and m.seq = k;

insert into embedding_models (model, dimensions, is_indexed) values ('model', 2, false);

-- a config of a user who was never seen
insert into configs (config_id, name, config_json, user_id) values ('config-new-user', 'Config', '{{}}', 'user-new');
"""
_RANDOM = "(({} * 2654435761) % 4294967296 / 4294967296.0)"


def fill(connection: "psycopg.Connection[Any]") -> None:
    """Fills a migrated, empty database. `connection` is its owner's, in autocommit mode."""
    numbers = {"u": _RANDOM.format("n"), "v": _RANDOM.format("(n + 70001)"), "w": _RANDOM.format("(n + 350003)")}
    definition = connection.execute("select pg_get_indexdef(%s::regclass)", (_SLOW_INDEX,)).fetchone()
    assert definition is not None  # noqa: S101
    # vacuum marks pages as all visible only after their commit is flushed; plans depend on it
    connection.execute("set synchronous_commit = on")
    with connection.transaction():
        connection.execute("set local max_parallel_maintenance_workers = 0")
        connection.execute(f"drop index {_SLOW_INDEX}".encode())
        for table in _WITHOUT_TRIGGERS:
            connection.execute(f"alter table {table} disable trigger user".encode())
        connection.execute(_SEED.format(**numbers).encode())
        for table in _WITHOUT_TRIGGERS:
            connection.execute(f"alter table {table} enable trigger user".encode())
        connection.execute(definition[0])
    # a target that reads all rows, so that statistics do not depend on a sample
    connection.execute("set default_statistics_target = 1000")
    connection.execute("vacuum analyze")


def md5(text: str) -> str:
    """Returns the hash that PostgreSQL's `md5` gives, which the profile has in place of random tokens."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
