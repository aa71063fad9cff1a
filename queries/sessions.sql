-- name: create(actor_id, actor_app_id, session_id, config_id, title, tags, metadata)^
-- A new session from a config of the caller's, who becomes its owner.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    its id
-- @param  config_id     the config it runs
-- @param  title         text or null
-- @param  tags          a JSON object of strings
-- @param  metadata      a JSON object
-- @return Session | none
-- @access owner
-- @index  configs_pkey
with owned_config as (
    select config_id
    from configs
    where
        config_id = :config_id
        and user_id = :actor_id
    for key share
),

created_session as (
    insert into sessions (
        session_id, config_id, owner_user_id, created_by_app_id, last_accessed_by_app_id, last_accessed_at,
        title, tags, metadata
    )
    select
        :session_id,
        config_id,
        :actor_id,
        :actor_app_id,
        :actor_app_id,
        now(),
        :title,
        :tags,
        :metadata
    from owned_config
    returning *
),

added_owner as (
    insert into session_participants (session_id, user_id, role)
    select
        session_id,
        :actor_id,
        'owner'
    from created_session
    returning session_id, role
),

counted_session as (
    insert into users (user_id, last_seen_app_id, total_sessions)
    select
        :actor_id,
        :actor_app_id,
        1
    from created_session
    on conflict (user_id) do update
    set total_sessions = users.total_sessions + 1
)

select
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.last_seq,
    s.created_at,
    s.updated_at
from created_session as s
inner join added_owner as p on p.session_id = s.session_id;


-- name: list(actor_id, tags, after_updated_at, after_session_id, limit, offset)
-- The sessions that the caller takes part in, last changed first.
-- @param  actor_id          user_id of the caller
-- @param  tags              a JSON object that the tags must contain
-- @param  after_updated_at  position of the last row of the page before, or null
-- @param  after_session_id  the same
-- @param  limit             rows at most
-- @param  offset            rows to skip
-- @return SessionSummary[]
-- @access participant
-- @index  session_participants_user_id_idx, sessions_pkey
select
    s.session_id,
    s.config_id,
    s.status,
    s.message_count,
    s.created_at,
    s.updated_at,
    s.title,
    s.tags,
    p.role,
    s.last_seq
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
where
    p.user_id = :actor_id
    and s.tags @> :tags
    and (
        :after_updated_at::timestamptz is null
        or (s.updated_at, s.session_id) < (:after_updated_at, :after_session_id::text)
    )
order by s.updated_at desc, s.session_id desc
limit :limit
offset :offset;


-- name: count(actor_id, tags)$
-- How many sessions the caller takes part in.
-- @param  actor_id  user_id of the caller
-- @param  tags      a JSON object that the tags must contain
-- @return value
-- @access participant
-- @index  session_participants_user_id_idx
select count(*)
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
where
    p.user_id = :actor_id
    and s.tags @> :tags;


-- name: get(actor_id, session_id)^
-- One session that the caller takes part in, with the caller's role.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return Session | none
-- @access participant
-- @index  session_participants_pkey, sessions_pkey
select
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.last_seq,
    s.created_at,
    s.updated_at
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and s.session_id = :session_id;


-- name: update(actor_id, actor_app_id, session_id, title, tags, metadata, status)^
-- Changes a session; what is null stays. Owners and editors may.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @param  title         new title or null; an empty one removes it
-- @param  tags          new tags or null
-- @param  metadata      new metadata or null
-- @param  status        new status or null
-- @return Session | none
-- @access participant
-- @index  session_participants_pkey, sessions_pkey
with locked_participant as (
    select
        session_id,
        role
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and role in ('owner', 'editor')
    for share
)

update sessions as s
set
    title = case when :title::text is null then s.title else nullif(:title, '') end,
    tags = coalesce(:tags::jsonb, s.tags),
    metadata = coalesce(:metadata::jsonb, s.metadata),
    status = coalesce(:status::text, s.status),
    last_accessed_by_app_id = :actor_app_id,
    last_accessed_at = clock_timestamp(),
    updated_at = clock_timestamp()
from locked_participant as p
where
    s.session_id = p.session_id
    and s.session_id = :session_id
returning
    s.session_id,
    s.config_id,
    s.status,
    s.title,
    s.tags,
    s.metadata,
    p.role,
    s.owner_user_id,
    s.created_by_app_id,
    s.last_accessed_by_app_id,
    s.last_accessed_at,
    s.message_count,
    s.last_seq,
    s.created_at,
    s.updated_at;


-- name: delete(actor_id, session_id)!
-- Deletes a session and its transcript. Owners may.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return row count
-- @access participant
-- @index  session_participants_pkey, sessions_pkey
delete from sessions as s
using session_participants as p
where
    s.session_id = :session_id
    and p.session_id = :session_id
    and p.user_id = :actor_id
    and p.role = 'owner';
