"""Chooses the users, sessions and configs of the profile that the cases name, and adds rows that the profile lacks."""

from datetime import datetime
from typing import Any, NamedTuple

import psycopg

# a session that has one participant of each role, and whose owner has configs and another session that is completed
_SUBJECT = """
select
    s.session_id as session,
    s.owner_user_id as owner,
    e.user_id as editor,
    v.user_id as viewer,
    s.last_seq,
    c.config_id as config,
    o.session_id as closed,
    o.last_seq as closed_seq,
    'user-1' as busy,
    (
        select count(*)
        from streams
        where
            user_id = s.owner_user_id
            and process_id <> 'process-1'
            and seen_at > now()
    ) as elsewhere,
    (select max(last_seen) + interval '1 minute' from users) as made_at
from sessions as s
inner join session_participants as e on e.session_id = s.session_id and e.role = 'editor' and e.permissions = '{}'
inner join session_participants as v on v.session_id = s.session_id and v.role = 'viewer'
inner join streams as t on t.session_id = s.session_id and t.process_id = 'process-1'
inner join configs as c on c.user_id = s.owner_user_id
inner join sessions as o on o.owner_user_id = s.owner_user_id and o.status = 'completed'
where
    s.status = 'active'
    and s.message_count > 8
    and s.owner_user_id not in (e.user_id, v.user_id)
order by s.session_id, c.config_id, o.session_id
limit 1
"""
# added to that session: participants with one right more and one less than their role, users who were removed or left,
# an invitation by a viewer; and a rare word in some sessions of a user who has many
_OTHERS = """
insert into session_participants (session_id, user_id, role, permissions)
values
    ('{session}', 'user-inviting', 'viewer', '{{"invite": true}}'),
    ('{session}', 'user-muted', 'editor', '{{"send": false}}'),
    ('{session}', 'user-kept', 'editor', '{{"export": false}}');

insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
values
    ('{session}', {last_seq} + 1, 'participant.removed', '{{"user_id": "user-removed"}}', '{owner}', '{made_at}'),
    ('{session}', {last_seq} + 2, 'participant.removed', '{{"user_id": "user-left"}}', 'user-left', '{made_at}'),
    ('{session}', {last_seq} + 3, 'participant.changed', '{{"user_id": "user-changed"}}', '{owner}', '{made_at}');

update sessions set updated_at = '{made_at}' where session_id = '{session}';

update applications set key_managers = array['{owner}'] where app_id = 'app-3';

insert into application_keys (app_id, key_id, name, api_key_hash)
values ('app-3', 'amp_second', 'second', repeat('e', 64));

insert into configs (config_id, name, config_json, user_id, created_at, updated_at)
values
    ('config-inviting', 'Config', '{{}}', 'user-inviting', '{made_at}', '{made_at}'),
    ('config-invited', 'Config', '{{}}', 'user-inviting', '{made_at}', '{made_at}'),
    ('config-kept', 'Config', '{{}}', 'user-kept', '{made_at}', '{made_at}');

-- a session without other participants and without events
insert into sessions (session_id, external_id, config_id, owner_user_id, created_by_app_id)
values ('alone', 'external', 'config-inviting', 'user-inviting', 'app-1');

insert into session_participants (session_id, user_id, role) values ('alone', 'user-inviting', 'owner');

insert into messages (session_id, message, author_user_id, author_app_id, created_at)
values ('alone', '{{"role": "user", "content": "Hello"}}', 'user-inviting', 'app-1', '{made_at}');

-- a session with messages of its owner and of a viewer who may send, with retracted ones, and with a run that ended
insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, created_at)
values ('retracting', 'config-inviting', 'user-inviting', 'app-1', '{made_at}');

insert into session_participants (session_id, user_id, role, permissions)
values
    ('retracting', 'user-inviting', 'owner', '{{}}'),
    ('retracting', 'user-editing', 'editor', '{{}}'),
    ('retracting', 'user-adding', 'viewer', '{{"send": true}}');

insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
values
    ('retracting', 1, '{{"role": "user", "content": "word3"}}', 'user-inviting', 'app-1', '{made_at}'),
    ('retracting', 2, '{{"role": "assistant", "content": "word4"}}', 'user-inviting', 'app-1', '{made_at}'),
    ('retracting', 3, '{{"role": "user", "content": "word5"}}', 'user-adding', 'app-1', '{made_at}');

insert into retracted_messages (
    session_id, seq, message, role, author_user_id, author_app_id, created_at, retracted_seq, retracted_at,
    retracted_by_user_id, retracted_by_app_id, erased_at
)
values
    (
        'retracting', 4, '{{"role": "user", "content": "word6"}}', 'user', 'user-adding', 'app-2', '{made_at}', 6,
        '{made_at}', 'user-inviting', 'app-1', null
    ),
    (
        'retracting', 5, '{{}}', 'user', 'user-adding', 'app-2', '{made_at}', 6, '{made_at}', 'user-inviting', 'app-1',
        '{made_at}'
    );

insert into runs (
    session_id, run_id, status, message, user_id, app_id, queued_at, started_at, finished_at, response
)
values (
    'retracting', 'run-over', 'completed', '{{"role": "user", "content": "word3"}}', 'user-inviting', 'app-1',
    '{made_at}', '{made_at}', '{made_at}', 'word4'
);

insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
values ('retracting', 6, 'message.retracted', '{{"seqs": [4, 5]}}', 'user-inviting', now());

-- a session with state and messages that have keys, of a user with state, and a viewer who may send
insert into user_states (user_id, app_id, document, version) values ('user-keyed', 'app-1', '{{"a": 1}}', 3);

insert into sessions (session_id, config_id, owner_user_id, created_by_app_id)
values ('keyed', 'config-inviting', 'user-keyed', 'app-1');

insert into session_participants (session_id, user_id, role, permissions)
values ('keyed', 'user-keyed', 'owner', '{{}}'), ('keyed', 'user-sending', 'viewer', '{{"send": true}}');

insert into messages (session_id, message, author_user_id, author_app_id, created_at, key)
values
    ('keyed', '{{"role": "user", "content": "Hello"}}', 'user-keyed', 'app-1', '{made_at}', 'key-1'),
    ('keyed', '{{"role": "user", "content": "Hi"}}', 'user-sending', 'app-1', '{made_at}', 'key-2');

insert into session_states (session_id, document, version, updated_at)
values ('keyed', '{{"a": 1}}', 5, '{made_at}');

-- runs, messages and searches of two days and hours in the year 2001, and processes
insert into configs (config_id, name, config_json, user_id) values ('config-used', 'Used', '{{}}', 'user-using');

insert into sessions (session_id, config_id, owner_user_id, created_by_app_id)
values ('used', 'config-used', 'user-using', 'app-1'), ('bare', null, 'user-using', 'app-2');

insert into messages (session_id, message, author_user_id, author_app_id, created_at)
select
    'used', '{{"role": "user", "content": "word3"}}', 'user-' || n % 3, 'app-' || 1 + n % 2,
    '2001-02-03T04:30:00Z'::timestamptz + n * interval '20 minutes'
from generate_series(1, 70) as n;

insert into runs (
    session_id, run_id, status, message, user_id, app_id, queued_at, started_at, finished_at, usage, timing
)
select
    (array['used', 'bare'])[1 + n % 2], 'run-used-' || n, (array['completed', 'failed', 'cancelled'])[1 + n % 3],
    '{{"role": "user", "content": "word3"}}', 'user-' || 1 + n % 3, 'app-' || 1 + n % 3,
    m.moment, m.moment, m.moment, jsonb_build_object(
        'model_calls', n, 'tool_calls', 2, 'input_tokens', 10 * n, 'output_tokens', n, 'total_tokens', 11 * n,
        'cache_read_tokens', 3, 'cache_write_tokens', 4, 'models', jsonb_build_object(
            'model-' || n % 2, jsonb_build_object(
                'model_calls', n, 'seconds', n / 4.0, 'input_tokens', 7 * n, 'output_tokens', n, 'total_tokens', 8 * n,
                'cache_read_tokens', 1, 'cache_write_tokens', 2
            )
        )
    ), jsonb_build_object('model', n / 4.0, 'tools', n / 2.0)
from generate_series(1, 12) as n
cross join lateral (select '2001-02-03T04:30:00Z'::timestamptz + n * interval '2 hours' as moment) as m;

insert into searches (user_id, app_id, day, kind, searches, unsuccessful, cancelled, seconds)
select
    'user-' || 1 + n % 3, 'app-' || 1 + n % 2, date '2001-02-03' + n % 5,
    (array['messages', 'sessions'])[1 + n % 2], n, n % 4, n % 3, n / 4.0
from generate_series(1, 30) as n
on conflict (user_id, app_id, day, kind) do nothing;

insert into processes (
    process_id, name, version, queries_hash, started_at, seen_at, is_accepting, runs, streams, connections,
    connections_in_use, most_connections
)
select
    'process-' || n, 'node:' || n, '1.0', 'hash', '{made_at}'::timestamptz - n / 2 * interval '1 minute',
    now() - case when n = 5 then interval '2 hours' else n * interval '8 minutes' end + interval '30 minutes',
    n <> 2, n, 2 * n, n, 1, 10
from generate_series(1, 5) as n;

-- imports of many users, one of which runs
insert into imports (import_id, user_id, app_id, process_id, status, format, size, created_at, seen_at, finished_at)
select
    'import-' || n, 'user-' || n % 500, 'app-1', 'process-1', case when n <= 50 then 'running' else 'done' end, 'auto',
    n, '{made_at}'::timestamptz - n * interval '1 minute', now() - interval '1 hour',
    case when n > 50 then now() end
from generate_series(1, 5000) as n;

-- an application without state
delete from application_states where app_id = 'app-9';

-- a session without a config
insert into sessions (session_id, owner_user_id, created_by_app_id) values ('plain', 'user-keyed', 'app-1');

insert into session_participants (session_id, user_id, role) values ('plain', 'user-keyed', 'owner');

-- a session with an attachment of its viewer, one whose messages refer to it, and one that has it without its content
insert into sessions (session_id, owner_user_id, created_by_app_id)
select session_id, 'user-attaching', 'app-1' from unnest(array['attached', 'referring', 'copied']) as s (session_id);

insert into session_participants (session_id, user_id, role)
select s.session_id, p.user_id, p.role
from unnest(array['attached', 'referring', 'copied']) as s (session_id)
cross join (
    values ('user-attaching', 'owner'), ('user-editing', 'editor'), ('user-adding', 'viewer')
) as p (user_id, role);

insert into attachments (
    session_id, sha256, size, content_type, created_by_user_id, created_by_app_id, created_at, checked_at,
    referenced_seq
)
select session_id, repeat('a', 64), 7, 'text/plain', 'user-adding', 'app-1', '{made_at}', '{made_at}', 2
from unnest(array['attached', 'copied']) as s (session_id);

insert into attachment_chunks (session_id, sha256, start, data) values ('attached', repeat('a', 64), 0, 'content');

insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
select
    'referring', seq, jsonb_build_object('role', 'user', 'content', content), 'user-attaching', 'app-1', '{made_at}'
from (
    values
        (1, 'amplifier:sha256/' || repeat('a', 64)),
        (2, 'Hello'),
        (3, 'amplifier:sha256/' || repeat('a', 64))
) as m (seq, content);

-- the session is imported, and another one whose messages are not there any more
insert into session_origins (session_id, tool, source_id, path, lines, digest)
select session_id, 'claude-code', session_id, '/' || session_id, 3, repeat('0', 64)
from unnest(array['referring', 'copied']) as s (session_id);

insert into session_origin_lines (session_id, first_line, numbers, message_seqs, lines)
select session_id, 1, '{{1,2,3}}', '{{1,null,2}}', array['one', 'two', 'three']::bytea[]
from unnest(array['referring', 'copied']) as s (session_id);

insert into session_origin_lines (session_id, first_line, numbers, message_seqs, lines)
values ('referring', 4, '{{4}}', '{{3}}', array['four']::bytea[]);

insert into retracted_messages (
    session_id, seq, message, role, author_user_id, author_app_id, created_at, retracted_seq, retracted_at,
    retracted_by_user_id, retracted_by_app_id
)
values (
    'referring', 4, jsonb_build_object('role', 'user', 'content', 'amplifier:sha256/' || repeat('b', 64)), 'user',
    'user-attaching', 'app-1', '{made_at}', 5, '{made_at}', 'user-attaching', 'app-1'
);

insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, parent_session_id)
values ('fork', '{config}', '{owner}', 'app-1', '{session}');

insert into session_participants (session_id, user_id, role)
values ('fork', '{owner}', 'owner'), ('fork', '{editor}', 'editor'), ('fork', 'user-kept', 'owner');

insert into streams (stream_id, process_id, session_id, user_id, opened_at, seen_at)
values ('stream-old', 'process-2', '{session}', '{editor}', '{made_at}', '{made_at}'::timestamptz - interval '1 hour');

insert into session_invitations (
    session_id, invitation_id, seq, token_hash, role, max_uses, created_by_user_id, created_at, expires_at
)
values (
    '{session}', 'invitation-orphan', 5, repeat('0', 64), 'viewer', 2, '{viewer}', '{made_at}',
    now() + interval '7 days'
);

-- sessions without runs, with queued runs, and with queued runs of users who may not send any more
insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, status, created_at)
select
    'agent-' || kind, '{config}', '{owner}', 'app-1',
    case when kind in ('closed', 'ended') then 'completed' else 'active' end, '{made_at}'
from unnest(array['busy', 'closed', 'demoted', 'ended', 'idle', 'muted', 'refused', 'viewing', 'waiting']) as kind;

-- messages of the system and of a user before the end
insert into messages (session_id, seq, message, author_user_id, author_app_id)
values
    ('agent-closed', 1, jsonb_build_object('role', 'system', 'content', repeat('a', 60)), '{owner}', 'app-1'),
    ('agent-closed', 2, jsonb_build_object('role', 'user', 'content', repeat('b', 200)), '{owner}', 'app-1'),
    ('agent-closed', 3, '{{"role": "assistant", "content": "c"}}', '{owner}', 'app-1');

update sessions set last_seq = 3, message_count = 1, messages_total = 3 where session_id = 'agent-closed';

insert into streams (stream_id, process_id, session_id, user_id, opened_at, seen_at)
values ('stream-busy', 'process-2', 'agent-busy', '{editor}', '{made_at}', now() + interval '1 hour');

insert into session_participants (session_id, user_id, role, permissions)
select 'agent-' || kind, p.user_id, p.role, p.permissions
from unnest(array['busy', 'closed', 'demoted', 'ended', 'idle', 'muted', 'refused', 'viewing', 'waiting']) as kind
cross join session_participants as p
where p.session_id = '{session}';

insert into runs (
    session_id, run_id, status, message, user_id, app_id, queued_at, started_at, finished_at, cancelled_by_user_id,
    process_id, lease_expires_at
)
select
    r.session_id, r.run_id, r.status, '{{"role": "user", "content": "word3"}}', r.user_id, 'app-1',
    '{made_at}'::timestamptz - r.age * interval '1 minute',
    case when r.status in ('running', 'completed') then '{made_at}'::timestamptz - r.age * interval '1 minute' end,
    case when r.status = 'completed' then '{made_at}'::timestamptz end,
    case when r.run_id = 'run-closed' then '{editor}' end,
    'process-1', now() + r.lease * interval '1 hour'
from (
    values
        ('agent-busy', 'run-0', 'completed', '{owner}', 9, 1),
        ('agent-busy', 'run-1', 'running', '{owner}', 8, 1),
        ('agent-busy', 'run-2', 'queued', '{editor}', 7, 1),
        ('agent-busy', 'run-3', 'queued', '{owner}', 7, 1),
        ('agent-closed', 'run-closed', 'running', '{owner}', 8, 1),
        ('agent-ended', 'run-4', 'queued', '{owner}', 7, 1),
        ('agent-waiting', 'run-5', 'queued', '{editor}', 6, 1),
        ('agent-waiting', 'run-6', 'queued', 'user-muted', 5, 1),
        ('agent-refused', 'run-7', 'queued', 'user-muted', 8, 1),
        ('agent-refused', 'run-8', 'queued', '{owner}', 7, 1),
        ('agent-muted', 'run-9', 'running', 'user-muted', 8, 1),
        ('agent-demoted', 'run-10', 'queued', '{viewer}', 8, 1),
        ('agent-viewing', 'run-11', 'running', '{viewer}', 8, 1)
) as r (session_id, run_id, status, user_id, age, lease);

insert into run_approvals (
    session_id, approval_id, run_id, prompt, options, requested_at, expires_at, granted, decision, decided_at
)
select
    'agent-busy', a.approval_id, a.run_id, 'May I?', array['Allow', 'Deny'],
    '{made_at}'::timestamptz - a.age * interval '1 minute', now() + a.lasts * interval '1 hour', a.granted,
    case when a.granted then 'Allow' end, case when a.granted is not null then '{made_at}'::timestamptz end
from (
    values
        ('approval-1', 'run-1', 5, 1, null::boolean),
        ('approval-2', 'run-1', 4, 1, null),
        ('approval-3', 'run-1', 3, 1, true),
        ('approval-4', 'run-1', 2, -1, null),
        ('approval-5', 'run-0', 1, 1, null)
) as a (approval_id, run_id, age, lasts, granted);

insert into messages (session_id, message, author_user_id, author_app_id, created_at)
select
    s.session_id,
    jsonb_build_object('role', (array['user', 'assistant', 'tool'])[1 + n % 3], 'content', 'a needle')
    || case when n % 3 = 1 then '{{"tool_calls": [{{"function": {{"name": "find_flight"}}}}]}}'::jsonb else '{{}}' end,
    case when n % 2 = 0 then '{owner}' else '{editor}' end,
    'app-1',
    '{made_at}'::timestamptz - n / 2 * interval '12 hours'
from (
    select
        p.session_id,
        row_number() over (order by s.search_language, p.session_id) as n
    from session_participants as p
    inner join sessions as s on s.session_id = p.session_id
    where p.user_id = '{busy}'
) as s
where n <= 14;

-- an agent's thinking, in a session where the searching user may write and in one where not
insert into messages (session_id, message, author_user_id, author_app_id, created_at)
select
    session_id,
    '{{"role": "assistant", "content": [{{"type": "thinking", "thinking": "secretly"}}]}}'::jsonb,
    '{owner}',
    'app-1',
    '{made_at}'::timestamptz - interval '1 hour'
from (
    select
        session_id,
        row_number() over (partition by role order by session_id) as n
    from session_participants
    where user_id = '{busy}'
) as s
where n = 1
union all
select
    '{session}',
    '{{
        "role": "assistant",
        "content": [{{"type": "thinking", "thinking": "secretly"}}],
        "tool_calls": [{{"function": {{"name": "find_flight"}}}}]
    }}'::jsonb,
    '{owner}',
    'app-1',
    '{made_at}'::timestamptz - interval '1 hour';
"""
_BUSY = """
select
    m.session_id,
    s.config_id,
    m.created_at,
    m.seq,
    0.5 + search_score(
        ts_rank('{0.1, 0.5, 0.7, 1}', m.search, search_query('english', 'needle'), 42),
        1, null, length(m.search), 0.02, 0.2, 1, 1.5, 0.75, 5, 60
    ) / 2
from messages as m
inner join sessions as s on s.session_id = m.session_id
where
    m.message ->> 'content' = 'a needle'
    and s.search_language is null
order by m.created_at, m.session_id
offset 5
"""


class Subject(NamedTuple):
    """The session that most cases name, with its participants and related rows.

    `closed` is a completed session of the same owner, `busy` a user with many sessions, `elsewhere` the number of the
    owner's streams in other processes.
    """

    session: str
    owner: str
    editor: str
    viewer: str
    last_seq: int
    config: str
    closed: str
    closed_seq: int
    busy: str
    elsewhere: int
    made_at: datetime


class Place(NamedTuple):
    """A message from the middle of the hits for a rare word, with its session's config and its rank."""

    session: str
    config: str
    created_at: datetime
    seq: int
    rank: float


def chosen(connection: "psycopg.Connection[Any]") -> tuple[Subject, Place]:
    """Adds the rows that the profile lacks, and returns the subject and the place, the same in each run."""
    row = connection.execute(_SUBJECT).fetchone()
    assert row is not None  # noqa: S101
    subject = Subject(*row)
    connection.execute(_OTHERS.format(**subject._asdict()).encode())
    place = connection.execute(_BUSY).fetchone()
    assert place is not None  # noqa: S101
    return subject, Place(*place)
