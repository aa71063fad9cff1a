-- name: create(actor_id, actor_app_id, session_id, external_id, config_id, title, tags, metadata)^
-- A new session of the caller's, as the query of the folder above creates it. No unique index spans the nodes: of requests with the same
-- `external_id` at the same time each creates a session. The config's row is locked by the foreign key alone.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    its id
-- @param  external_id   the caller's own key of it, or null
-- @param  config_id     the config it runs, which is the caller's, or null
-- @param  title         text or null
-- @param  tags          a JSON object of strings
-- @param  metadata      a JSON object
-- @return Session | none
-- @access owner
-- @shards all
-- @index  configs_pkey
with owned_config as (
    select
        config_id,
        version
    from configs
    where
        config_id = :config_id
        and user_id = :actor_id
),

keyed_sessions as materialized (
    select session_id
    from sessions
    where
        created_by_app_id = :actor_app_id
        and owner_user_id = :actor_id
        and external_id = :external_id::text
),

created_session as (
    insert into sessions (
        session_id, external_id, config_id, config_version, owner_user_id, created_by_app_id, last_accessed_by_app_id,
        last_accessed_at, title, tags, metadata
    )
    select
        :session_id,
        :external_id,
        c.config_id,
        c.version,
        :actor_id,
        :actor_app_id,
        :actor_app_id,
        now(),
        :title,
        :tags,
        :metadata
    from (values (:config_id::text)) as given (config_id)
    left join owned_config as c on true
    where
        (given.config_id is null or c.config_id is not null)
        and not exists (
            select 1
            from keyed_sessions
        )
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
    s.messages_total,
    s.last_seq,
    s.created_at,
    s.updated_at,
    s.config_version,
    s.forked_from_session_id,
    s.forked_at_seq,
    s.external_id,
    s.parent_session_id
from created_session as s
inner join added_owner as p on p.session_id = s.session_id;
