-- name: list(limit, offset, after)
-- Settings of the deployment, by key. Every signed-in caller may read them.
-- @param  limit   rows at most
-- @param  offset  rows to skip
-- @param  after   the last key of the page before, or null
-- @return Setting[]
-- @access public
-- @shards local
-- @index  configuration_pkey
select
    key,
    value,
    scope,
    updated_at
from configuration
where :after::text is null or key > :after
order by key
limit :limit
offset :offset;


-- name: get(key)^
-- One setting of the deployment.
-- @param  key  its key
-- @return Setting | none
-- @access public
-- @shards local
-- @index  configuration_pkey
select
    key,
    value,
    scope,
    updated_at
from configuration
where key = :key;


-- name: put(key, value, scope)^
-- Creates or replaces a setting. One that has this value and scope already stays as it is. For admin applications.
-- @param  key    its key
-- @param  value  any JSON
-- @param  scope  what it is for
-- @return SettingChange
-- @access system
-- @shards local
-- @with   audit.add: jsonb_build_object('changed', changes) as details
-- @index  configuration_pkey
with locked_setting as (
    select *
    from configuration
    where key = :key
    for no key update
),

changes as (
    select coalesce(jsonb_object_agg(f.name, '{}'::jsonb) filter (where f.value is distinct from f.former), '{}') as data
    from (select) as new
    left join locked_setting as l on true
    cross join lateral (
        values
        ('value', :value::jsonb, l.value),
        ('scope', to_jsonb(:scope::text), to_jsonb(l.scope))
    ) as f (name, value, former)
),

written_setting as (
    insert into configuration (key, value, scope)
    select
        :key,
        :value,
        :scope
    from changes
    where data <> '{}'
    on conflict (key) do update
    set
        value = excluded.value,
        scope = excluded.scope
    returning *
),

result as (
    select * from written_setting
    union all
    select * from locked_setting
    where not exists (select from written_setting)
)

select
    r.key,
    r.value,
    r.scope,
    r.updated_at,
    c.data as changes
from result as r
cross join changes as c;


-- name: delete(key)!
-- Deletes a setting. For admin applications.
-- @param  key  its key
-- @return row count
-- @access system
-- @shards local
-- @with   audit.add
-- @index  configuration_pkey
delete from configuration
where key = :key;
