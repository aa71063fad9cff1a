-- name: ping()$
-- One, when the database answers.
-- @return value
-- @access public
-- @shards local
-- @index  none
select 1;

-- name: list_missing_migrations(migrations)$
-- The ids of those migrations that the database lacks.
-- @param  migrations  ids of all migrations of this release
-- @return value
-- @access public
-- @shards local
-- @index  none
select coalesce(array_agg(known.migration_id order by known.migration_id), '{}')
from unnest(:migrations::text[]) as known (migration_id)
where known.migration_id not in (select migration_id from _yoyo_migration);
