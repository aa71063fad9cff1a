-- name: create(actor_id, config_id, name, description, config_json, tags)^
-- Creates a config of the caller's.
-- @param  actor_id     user_id of the caller, its owner
-- @param  config_id    its id
-- @param  name         its name for people
-- @param  description  text or null
-- @param  config_json  the config, secrets encrypted
-- @param  tags         a JSON object of strings
-- @return StoredConfig
-- @access self
-- @shards local
-- @with   audit.add
-- @index  none
insert into configs (config_id, name, description, config_json, user_id, tags)
values (:config_id, :name, :description, :config_json, :actor_id, :tags)
returning
    config_id,
    name,
    description,
    user_id,
    created_at,
    updated_at,
    tags,
    version,
    config_json;


-- name: list(actor_id, tags, name, after_updated_at, after_config_id, limit, offset)
-- Lists the caller's own configs, the last changed first.
-- @param  actor_id          user_id of the caller
-- @param  tags              a JSON object that the tags must contain, or an array of objects, one of which they must
-- @param  name              only with this in the name, in any case, or null
-- @param  after_updated_at  position of the last row of the page before
-- @param  after_config_id   the same
-- @param  limit             rows at most
-- @param  offset            rows to skip
-- @return ConfigSummary[]
-- @access owner
-- @shards local
-- @index  configs_user_id_idx
select
    config_id,
    name,
    description,
    user_id,
    created_at,
    updated_at,
    tags,
    version
from configs
where
    user_id = :actor_id
    and tags @> any(array(select jsonb_path_query(:tags, '$[*]')))
    and (:name::text is null or strpos(lower(name), lower(:name)) > 0)
    and (updated_at, config_id) < (:after_updated_at, :after_config_id::text)
order by updated_at desc, config_id desc
limit :limit
offset :offset;


-- name: count(actor_id, tags, name)$
-- Counts the configs that the caller owns.
-- @param  actor_id  user_id of the caller
-- @param  tags      a JSON object that the tags must contain, or an array of objects, one of which they must
-- @param  name      only with this in the name, in any case, or null
-- @return value
-- @access owner
-- @shards local
-- @index  configs_user_id_idx
select count(*)
from configs
where
    user_id = :actor_id
    and tags @> any(array(select jsonb_path_query(:tags, '$[*]')))
    and (:name::text is null or strpos(lower(name), lower(:name)) > 0);


-- name: get(actor_id, config_id)^
-- Returns a config of the caller's.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return StoredConfig | none
-- @access owner
-- @shards local
-- @index  configs_pkey
-- @cost   20
select
    config_id,
    name,
    description,
    user_id,
    created_at,
    updated_at,
    tags,
    version,
    config_json
from configs
where
    config_id = :config_id
    and user_id = :actor_id;


-- name: lock(actor_id, config_id)!
-- Locks the rows of all participants in sessions made from a config of the caller's, in the order that all statements use.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return row count
-- @access owner
-- @shards all
-- @index  configs_pkey, sessions_config_id_idx, session_participants_pkey
select
from configs as c
inner join sessions as s on s.config_id = c.config_id
inner join session_participants as p on p.session_id = s.session_id
where
    c.config_id = :config_id
    and c.user_id = :actor_id
order by p.session_id, p.user_id
for update of p;


-- name: lock_sessions(actor_id, config_id)!
-- Locks the sessions made from a config of the caller's: from then on nobody joins them, starts a run or transfers them. The
-- rows of participants, then of unfinished runs, are locked before the sessions', in the order that all statements use; in
-- another order two statements would wait for each other. Run it after configs.lock in the same transaction, so that it sees
-- participants added while that waited.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return row count
-- @access owner
-- @shards all
-- @index  configs_pkey, sessions_config_id_idx, session_participants_pkey, runs_session_id_queued_at_idx or runs_pkey
with locked_participants as (
    select p.session_id
    from configs as c
    inner join sessions as s on s.config_id = c.config_id
    inner join session_participants as p on p.session_id = s.session_id
    where
        c.config_id = :config_id
        and c.user_id = :actor_id
    order by p.session_id, p.user_id
    for update of p
),

locked_runs as (
    select r.run_id
    from configs as c
    inner join sessions as s on s.config_id = c.config_id
    inner join runs as r on r.session_id = s.session_id
    where
        c.config_id = :config_id
        and c.user_id = :actor_id
        and r.status in ('queued', 'running')
        and (select count(*) from locked_participants) >= 0
    order by r.session_id, r.run_id
    for update of r
)

select
from configs as c
inner join sessions as s on s.config_id = c.config_id
where
    c.config_id = :config_id
    and c.user_id = :actor_id
    and (select count(*) from locked_runs) >= 0
order by s.session_id
for update of s;


-- name: count_sessions(actor_id, config_id)^
-- Counts the sessions made from a config of the caller's, and those in which other users take part.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return ConfigUse | none
-- @access owner
-- @shards all
-- @index  configs_pkey, sessions_config_id_idx, session_participants_pkey
select
    c.version,
    u.sessions,
    u.shared
from configs as c
cross join lateral (
    select
        count(*) as sessions,
        count(*) filter (
            where exists (
                select
                from session_participants as p
                where
                    p.session_id = s.session_id
                    and p.user_id <> :actor_id
            )
        ) as shared
    from sessions as s
    where s.config_id = c.config_id
) as u
where
    c.config_id = :config_id
    and c.user_id = :actor_id;


-- name: delete(actor_id, config_id, if_versions)!
-- Deletes a config of the caller's and the sessions made from it, which configs.lock and configs.lock_sessions have locked
-- in the same transaction.
-- @param  actor_id     user_id of the caller
-- @param  config_id    the config
-- @param  if_versions  the versions that the config may have, or null
-- @return row count
-- @access owner
-- @shards local
-- @index  configs_pkey
delete from configs
where
    config_id = :config_id
    and user_id = :actor_id
    and (:if_versions::bigint[] is null or version = any(:if_versions));
