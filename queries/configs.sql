-- name: create(actor_id, config_id, name, description, config_json, tags)^
-- A new config of the caller's.
-- @param  actor_id     user_id of the caller, its owner
-- @param  config_id    its id
-- @param  name         its name for people
-- @param  description  text or null
-- @param  config_json  the config, secrets encrypted
-- @param  tags         a JSON object of strings
-- @return StoredConfig
-- @access self
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


-- name: list(actor_id, tags, after_updated_at, after_config_id, limit, offset)
-- The caller's own configs, last changed first.
-- @param  actor_id          user_id of the caller
-- @param  tags              a JSON object that the tags must contain
-- @param  after_updated_at  position of the last row of the page before
-- @param  after_config_id   the same
-- @param  limit             rows at most
-- @param  offset            rows to skip
-- @return ConfigSummary[]
-- @access owner
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
    and tags @> :tags
    and (updated_at, config_id) < (:after_updated_at, :after_config_id::text)
order by updated_at desc, config_id desc
limit :limit
offset :offset;


-- name: count(actor_id, tags)$
-- How many configs the caller owns.
-- @param  actor_id  user_id of the caller
-- @param  tags      a JSON object that the tags must contain
-- @return value
-- @access owner
-- @index  configs_user_id_idx
select count(*)
from configs
where
    user_id = :actor_id
    and tags @> :tags;


-- name: get(actor_id, config_id)^
-- One config of the caller's.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return StoredConfig | none
-- @access owner
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


-- name: update(actor_id, config_id, name, description, config_json, sections, tags, if_versions)^
-- Changes a config of the caller's. What is null stays; sections are merged in the same statement, so that concurrent
-- changes of different sections all hold. The table's trigger keeps the former version.
-- @param  actor_id     user_id of the caller
-- @param  config_id    the config
-- @param  name         new name or null
-- @param  description  new text or null
-- @param  config_json  replaces the whole config, or null
-- @param  sections     a JSON object, laid over the top level of the config
-- @param  tags         new tags or null
-- @param  if_versions  what the version must be one of, or null
-- @return StoredConfig | none
-- @access owner
-- @index  configs_pkey
update configs
set
    name = coalesce(:name::text, name),
    description = coalesce(:description::text, description),
    config_json = coalesce(:config_json::jsonb, config_json) || :sections::jsonb,
    tags = coalesce(:tags::jsonb, tags)
where
    config_id = :config_id
    and user_id = :actor_id
    and (:if_versions::bigint[] is null or version = any(:if_versions))
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


-- name: lock(actor_id, config_id)!
-- Locks all participants' rows of the sessions made from a config of the caller's, in the order that all statements use.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return row count
-- @access owner
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
-- Locks the sessions made from a config of the caller's: from then on nobody joins them, begins a run or hands them over. The rows of
-- the participants, then of unfinished runs, are locked before the sessions', in the order that all statements use: the other way
-- round two would wait for each other. It follows configs.lock in the same transaction, so that it sees who was added while that
-- waited.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return row count
-- @access owner
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
-- How many sessions were made from a config of the caller's, and in how many of them other people take part.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return ConfigUse | none
-- @access owner
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
-- Deletes a config of the caller's, and with it the sessions made from it, which configs.lock and configs.lock_sessions have locked in
-- the same transaction.
-- @param  actor_id     user_id of the caller
-- @param  config_id    the config
-- @param  if_versions  what the version must be one of, or null
-- @return row count
-- @access owner
-- @index  configs_pkey
delete from configs
where
    config_id = :config_id
    and user_id = :actor_id
    and (:if_versions::bigint[] is null or version = any(:if_versions));


-- name: restore(actor_id, config_id, version, if_versions)^
-- Makes a former version of a config of the caller's the present one, as a new version.
-- @param  actor_id     user_id of the caller
-- @param  config_id    the config
-- @param  version      the former version
-- @param  if_versions  what the present version must be one of, or null
-- @return StoredConfig | none
-- @access owner
-- @index  configs_pkey, config_versions_pkey
update configs as c
set
    name = v.name,
    description = v.description,
    config_json = v.config_json,
    tags = v.tags
from config_versions as v
where
    c.config_id = :config_id
    and c.user_id = :actor_id
    and (:if_versions::bigint[] is null or c.version = any(:if_versions))
    and v.config_id = :config_id
    and v.version = :version
returning
    c.config_id,
    c.name,
    c.description,
    c.user_id,
    c.created_at,
    c.updated_at,
    c.tags,
    c.version,
    c.config_json;


-- name: list_versions(actor_id, config_id, before_version, limit)
-- The versions of a config of the caller's, the present one first.
-- @param  actor_id        user_id of the caller
-- @param  config_id       the config
-- @param  before_version  version of the last row of the page before
-- @param  limit           rows at most
-- @return ConfigVersionSummary[]
-- @access owner
-- @index  configs_pkey, config_versions_pkey
select
    v.version,
    v.name,
    v.description,
    v.tags,
    v.created_at
from configs as c
cross join lateral (
    select
        c.version,
        c.name,
        c.description,
        c.tags,
        c.updated_at as created_at
    union all
    select
        version,
        name,
        description,
        tags,
        created_at
    from config_versions
    where config_id = :config_id
) as v
where
    c.config_id = :config_id
    and c.user_id = :actor_id
    and v.version < :before_version
order by v.version desc
limit :limit;


-- name: get_version(actor_id, config_id, version)^
-- One version of a config of the caller's, the present one or a former.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @param  version    its number
-- @return StoredConfigVersion | none
-- @access owner
-- @index  configs_pkey, config_versions_pkey
select
    v.version,
    v.name,
    v.description,
    v.tags,
    v.created_at,
    v.config_json
from configs as c
cross join lateral (
    select
        c.version,
        c.name,
        c.description,
        c.tags,
        c.updated_at as created_at,
        c.config_json
    union all
    select
        version,
        name,
        description,
        tags,
        created_at,
        config_json
    from config_versions
    where config_id = :config_id
) as v
where
    c.config_id = :config_id
    and c.user_id = :actor_id
    and v.version = :version;
