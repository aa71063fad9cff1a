-- name: list(actor_id, actor_app_id, session_id)
-- Returns the documents of the calling application, of a session that the caller takes part in, and of the caller in the
-- application. A document that was never written is empty and has version 0.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @return ScopedState[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx
select
    p.user_id,
    r.scope,
    r.document,
    r.version,
    r.updated_at
from session_participants as p
cross join lateral states_read(p.session_id, :actor_app_id, :actor_id) as r
where
    p.session_id = :session_id
    and p.user_id = :actor_id
order by r.scope;


-- name: list_own(actor_id, actor_app_id)
-- Returns the documents of the calling application and of the caller in it.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @return ScopedState[]
-- @access self
-- @shards local
-- @index  none
select
    :actor_id as user_id,
    scope,
    document,
    version,
    updated_at
from states_read(null, :actor_app_id, :actor_id)
where scope <> 'session'
order by scope;


-- name: update(actor_id, actor_app_id, state, versions)^
-- Merges patches into the documents of the calling application and of the caller in it, and returns those that it names.
-- Returns no row if a version is stale. Documents of sessions are changed by appends.create.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  state         a JSON object of patches by scope
-- @param  versions      a JSON object of the versions that the documents have, by scope, or null
-- @return PatchedDocuments | none
-- @access self
-- @shards local
-- @index  none
with locked_states as materialized (
    select states_lock(:actor_app_id, :actor_id, :state::jsonb ? 'application', :state::jsonb ? 'user') as is_locked
),

current_states as materialized (
    select case when l.is_locked then :actor_id end as user_id
    from locked_states as l
    where
        :versions::jsonb is null
        or not exists (
            select
            -- an argument from the CTE, so that it reads after the locks are acquired
            from states_read(null, :actor_app_id, case when l.is_locked then :actor_id end) as r
            where (:versions::jsonb ->> r.scope)::bigint <> r.version
        )
)

select
    c.user_id,
    coalesce(p.state, '{}') as state
from current_states as c
-- an argument from the CTE, so that it changes nothing if a version is stale
cross join lateral states_patch(null, :actor_app_id, c.user_id, :state::jsonb - 'session') as p;


-- name: copy(actor_id, session_id, fork_id)!
-- Copies the document of a session that the caller may read into a session that the caller owns.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session to copy from
-- @param  fork_id     the session to copy into
-- @return row count
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, session_states_pkey
insert into session_states (session_id, document, version, updated_at)
select
    :fork_id,
    document,
    version,
    updated_at
from session_states
where
    session_id = :session_id
    and exists (
        select 1
        from session_participants
        where
            session_id = :session_id
            and user_id = :actor_id
    )
    and exists (
        select 1
        from session_participants
        where
            session_id = :fork_id
            and user_id = :actor_id
            and role = 'owner'
    );
