-- name: list(actor_id, tags, name, by_creation, ascending, after_moment, after_config_id, limit, offset)
-- Lists the caller's own configs in another order than configs.list. All of the caller's configs are read and sorted.
-- @param  actor_id         user_id of the caller
-- @param  tags             a JSON object that the tags must contain, or an array of objects, one of which they must
-- @param  name             only with this in the name, in any case, or null
-- @param  by_creation      true for the order of creation, false for that of the last change
-- @param  ascending        true for the oldest first
-- @param  after_moment     position of the last row of the page before
-- @param  after_config_id  the same
-- @param  limit            rows at most
-- @param  offset           rows to skip
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
from (
    select
        *,
        case when :by_creation::boolean then created_at else updated_at end as moment
    from configs
    where user_id = :actor_id
) as c
where
    tags @> any(array(select jsonb_path_query(:tags, '$[*]')))
    and (:name::text is null or strpos(lower(name), lower(:name)) > 0)
    and case
        when :ascending::boolean then (moment, config_id) > (:after_moment::timestamptz, :after_config_id::text)
        else (moment, config_id) < (:after_moment, :after_config_id)
    end
order by
    case when :ascending then moment end,
    case when :ascending then config_id end,
    moment desc,
    config_id desc
limit :limit
offset :offset;
