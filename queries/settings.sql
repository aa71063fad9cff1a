-- name: list(limit, offset, after)
-- Settings of the deployment, by key. Every signed-in caller may read them.
-- @param  limit   rows at most
-- @param  offset  rows to skip
-- @param  after   the last key of the page before, or null
-- @return Setting[]
-- @access public
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
-- @index  configuration_pkey
select
    key,
    value,
    scope,
    updated_at
from configuration
where key = :key;


-- name: put(key, value, scope)^
-- Creates or replaces a setting. For admin applications.
-- @param  key    its key
-- @param  value  any JSON
-- @param  scope  what it is for
-- @return Setting
-- @access system
-- @index  configuration_pkey
insert into configuration (key, value, scope)
values (:key, :value, :scope)
on conflict (key) do update
set
    value = excluded.value,
    scope = excluded.scope
returning
    key,
    value,
    scope,
    updated_at;


-- name: delete(key)!
-- Deletes a setting. For admin applications.
-- @param  key  its key
-- @return row count
-- @access system
-- @index  configuration_pkey
delete from configuration
where key = :key;
