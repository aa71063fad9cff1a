-- name: list(actor_id, config_id, before_version, limit)
-- Lists the versions of a config of the caller's, the current one first.
-- @param  actor_id        user_id of the caller
-- @param  config_id       the config
-- @param  before_version  version of the last row of the page before
-- @param  limit           rows at most
-- @return ConfigVersionSummary[]
-- @access owner
-- @shards local
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


-- name: get(actor_id, config_id, version)^
-- Returns one version of a config of the caller's, the current one or a former one.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @param  version    its number
-- @return StoredConfigVersion | none
-- @access owner
-- @shards local
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
