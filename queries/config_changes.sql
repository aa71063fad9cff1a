-- name: lock(actor_id, config_id)$
-- Returns a config of the caller's as it is stored, and locks it until the transaction ends. Otherwise two requests that bring the
-- same new secret at once would each encrypt it, and store two versions.
-- @param  actor_id   user_id of the caller
-- @param  config_id  the config
-- @return value
-- @access owner
-- @shards local
-- @index  configs_pkey
-- @cost   20
select config_json
from configs
where
    config_id = :config_id
    and user_id = :actor_id
for no key update;


-- name: update(actor_id, config_id, name, has_description, description, config_json, sections, tags, merges, if_versions)^
-- Changes a config of the caller's; null leaves a value as it is. Sections are merged in the same statement, so that
-- concurrent changes of different sections all persist. The table's trigger keeps the former version. Without a difference
-- the row stays as it is, and there is no new version.
-- @param  actor_id         user_id of the caller
-- @param  config_id        the config
-- @param  name             the new name, or null
-- @param  has_description  whether the description is replaced
-- @param  description      the new text, or null for none
-- @param  config_json      replaces the whole config, or is merged into it, or null
-- @param  sections         a JSON object, laid over the top level of the config
-- @param  tags             the new tags, or null
-- @param  merges           whether `config_json` and `tags` are JSON merge patches: members that they do not name stay
-- @param  if_versions      the versions that the config may have, or null
-- @return ConfigChange | none
-- @access owner
-- @shards local
-- @index  configs_pkey
with locked_config as (
    select *
    from configs
    where
        config_id = :config_id
        and user_id = :actor_id
        and (:if_versions::bigint[] is null or version = any(:if_versions))
    for no key update
),

new_values as (
    select
        config_id,
        coalesce(:name::text, name) as name,
        case when :has_description::boolean then :description::text else description end as description,
        case
            when :merges::boolean then merge_patch(config_json, :config_json)
            else coalesce(:config_json::jsonb, config_json) || :sections::jsonb
        end as config_json,
        case
            when :merges then coalesce(nullif(merge_patch(tags, :tags), 'null'), '{}')
            else coalesce(:tags::jsonb, tags)
        end as tags
    from locked_config
),

changes as (
    select coalesce(jsonb_object_agg(f.name, '{}'::jsonb) filter (where f.value is distinct from f.former), '{}') as data
    from locked_config as l
    inner join new_values as n on n.config_id = l.config_id
    cross join lateral (
        values
        ('name', to_jsonb(n.name), to_jsonb(l.name)),
        ('description', to_jsonb(n.description), to_jsonb(l.description)),
        ('config_data', n.config_json, l.config_json),
        ('tags', n.tags, l.tags)
    ) as f (name, value, former)
),

changed_config as (
    update configs as c
    set
        name = n.name,
        description = n.description,
        config_json = n.config_json,
        tags = n.tags
    from new_values as n
    inner join changes as h on h.data <> '{}'
    where
        c.config_id = :config_id
        and n.config_id = c.config_id
    returning c.*
),

result as (
    select * from changed_config
    union all
    select * from locked_config
    where not exists (select from changed_config)
)

select
    r.config_id,
    r.name,
    r.description,
    r.user_id,
    r.created_at,
    r.updated_at,
    r.tags,
    r.version,
    r.config_json,
    h.data as changes
from result as r
cross join changes as h;


-- name: restore(actor_id, config_id, version, if_versions)^
-- Makes a former version of a config of the caller's the current one, as a new version. Without a difference the row stays as
-- it is.
-- @param  actor_id     user_id of the caller
-- @param  config_id    the config
-- @param  version      the former version
-- @param  if_versions  the versions that the config may have, or null
-- @return ConfigChange | none
-- @access owner
-- @shards local
-- @index  configs_pkey, config_versions_pkey
with locked_config as (
    select c.*
    from configs as c
    inner join config_versions as v on v.config_id = c.config_id
    where
        c.config_id = :config_id
        and c.user_id = :actor_id
        and (:if_versions::bigint[] is null or c.version = any(:if_versions))
        and v.version = :version
    for no key update of c
),

new_values as (
    select
        v.config_id,
        v.name,
        v.description,
        v.config_json,
        v.tags
    from config_versions as v
    inner join locked_config as l on l.config_id = v.config_id
    where
        v.config_id = :config_id
        and v.version = :version
),

changes as (
    select coalesce(jsonb_object_agg(f.name, '{}'::jsonb) filter (where f.value is distinct from f.former), '{}') as data
    from locked_config as l
    inner join new_values as n on n.config_id = l.config_id
    cross join lateral (
        values
        ('name', to_jsonb(n.name), to_jsonb(l.name)),
        ('description', to_jsonb(n.description), to_jsonb(l.description)),
        ('config_data', n.config_json, l.config_json),
        ('tags', n.tags, l.tags)
    ) as f (name, value, former)
),

changed_config as (
    update configs as c
    set
        name = n.name,
        description = n.description,
        config_json = n.config_json,
        tags = n.tags
    from new_values as n
    inner join changes as h on h.data <> '{}'
    where
        c.config_id = :config_id
        and n.config_id = c.config_id
    returning c.*
),

result as (
    select * from changed_config
    union all
    select * from locked_config
    where not exists (select from changed_config)
)

select
    r.config_id,
    r.name,
    r.description,
    r.user_id,
    r.created_at,
    r.updated_at,
    r.tags,
    r.version,
    r.config_json,
    h.data as changes
from result as r
cross join changes as h;
