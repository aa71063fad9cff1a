"""The SQL of imports, run by `store.py` as the service's role."""

ROLE = "set role amplifier_app"
LOCK = "select pg_advisory_lock(hashtextextended('amplifier import ' || %s, 0))"
UNLOCK = "select pg_advisory_unlock(hashtextextended('amplifier import ' || %s, 0))"
KNOWN = """
select
    s.session_id, s.external_id, o.lines, o.digest, o.title,
    coalesce(s.metadata @> '{"import": {"redacted": true}}', false)
from sessions as s
inner join session_origins as o on o.session_id = s.session_id
where
    s.created_by_app_id = %(app)s
    and s.owner_user_id = %(user)s
    and (s.external_id = %(id)s or s.external_id > %(id)s || '#' and s.external_id < %(id)s || '$')
"""
BY_KEY = "select session_id from sessions where created_by_app_id = %s and owner_user_id = %s and external_id = %s"
LOCKED = "select session_id, last_seq from sessions where session_id = any(%s) order by session_id for no key update"
LAST_TIME = """
select created_at from messages
where session_id = %s and (%s::bigint is null or seq <= %s::bigint)
order by seq desc limit 1
"""
SEQ_OF_LINE = """
select coalesce(max(l.seq), (select forked_at_seq from sessions where session_id = %(id)s), 0)
from session_origin_lines as o
cross join unnest(o.numbers, o.message_seqs) as l (number, seq)
where
    o.session_id = %(id)s
    and o.first_line <= %(line)s
    and l.number <= %(line)s
"""
COUNTED = """
update sessions as s
set
    last_seq = c.last_seq,
    message_count = s.message_count + c.from_users,
    messages_total = s.messages_total + c.messages,
    last_accessed_at = statement_timestamp(),
    last_accessed_by_app_id = %(app)s,
    updated_at = greatest(c.newest, s.updated_at)
from (
    select
        a.session_id,
        a.last_seq,
        (
            select count(*) from messages as m
            where m.session_id = a.session_id and m.seq > a.after and m.seq <= a.last_seq and m.role = 'user'
        ) as from_users,
        a.last_seq - a.after as messages,
        a.newest
    from unnest(%(ids)s::text[], %(after)s::bigint[], %(last)s::bigint[], %(newest)s::timestamptz[])
        as a (session_id, after, last_seq, newest)
) as c
where s.session_id = c.session_id
"""
FORKED = """
insert into messages (
    session_id, seq, message, author_user_id, author_app_id, created_at, search, search_truncated, search_revision
)
select %(new)s, seq, message, author_user_id, author_app_id, created_at, search, search_truncated, search_revision
from messages
where session_id = %(id)s and seq <= %(seq)s
order by seq
"""
FORK_COUNTED = """
update sessions as s
set
    last_seq = %(seq)s,
    messages_total = c.messages,
    message_count = c.from_users,
    updated_at = coalesce(c.newest, s.updated_at)
from (
    select count(*) as messages, count(*) filter (where role = 'user') as from_users, max(created_at) as newest
    from messages where session_id = %(new)s
) as c
where s.session_id = %(new)s
"""
ORIGIN = """
insert into session_origins (
    session_id, tool, tool_version, source_id, path, title, lines, digest, is_whole, files
)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (session_id) do update
set
    tool_version = excluded.tool_version,
    path = excluded.path,
    title = excluded.title,
    lines = excluded.lines,
    digest = excluded.digest,
    is_whole = excluded.is_whole,
    files = excluded.files
"""
RENAMED = "update sessions set title = %s where session_id = %s and title is not distinct from %s"
DESCRIBED = """
update sessions
set tags = tags || %(tags)s, metadata = metadata || %(metadata)s, updated_at = updated_at + interval '1 microsecond'
where session_id = %(id)s and not (tags @> %(tags)s and metadata @> %(metadata)s)
"""
USER = """
insert into users (user_id, last_seen_app_id, total_sessions) values (%s, %s, %s)
on conflict (user_id) do update set total_sessions = users.total_sessions + excluded.total_sessions
"""
SESSIONS = """
copy sessions (
    session_id, external_id, config_id, config_version, owner_user_id, created_by_app_id, last_accessed_by_app_id,
    title, tags, metadata, created_at, updated_at, forked_from_session_id, forked_at_seq, parent_session_id
) from stdin (format binary)
"""
SESSION_TYPES = ["text"] * 3 + ["int8"] + ["text"] * 4 + ["jsonb"] * 2 + ["timestamptz"] * 2 + ["text", "int8", "text"]
PARTICIPANTS = """
copy session_participants (session_id, user_id, role, joined_at, last_active_at, last_read_seq)
from stdin (format binary)
"""
MESSAGES = """
copy messages (session_id, seq, message, author_user_id, author_app_id, created_at) from stdin (format binary)
"""
LINES = """
copy session_origin_lines (session_id, first_line, numbers, message_seqs, lines) from stdin (format binary)
"""
# the other session may have been imported later, or again after it was deleted
LINKED = """
update sessions as s set parent_session_id = p.session_id
from sessions as p
where
    s.created_by_app_id = %(app)s
    and s.owner_user_id = %(user)s
    and s.metadata -> 'import' ? 'parent'
    and not exists (select from sessions as o where o.session_id = s.parent_session_id)
    and p.created_by_app_id = %(app)s
    and p.owner_user_id = %(user)s
    and p.external_id = s.metadata #>> '{import,parent}'
    and p.session_id <> s.session_id
"""
FORK_LINKED = """
update sessions as s set forked_from_session_id = p.session_id
from sessions as p
where
    s.created_by_app_id = %(app)s
    and s.owner_user_id = %(user)s
    and s.metadata -> 'import' ? 'forked_from'
    and not exists (select from sessions as o where o.session_id = s.forked_from_session_id)
    and p.created_by_app_id = %(app)s
    and p.owner_user_id = %(user)s
    and p.external_id = s.metadata #>> '{import,forked_from}'
    and p.session_id <> s.session_id
"""
NOTED = """
insert into audit_log (user_id, app_id, action, target_type, target_id, details)
values (%s, %s, 'import_sessions', 'user', %s, %s)
"""
