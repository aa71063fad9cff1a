-- name: list_by_config(sort, created_after, created_before, before_count, before_key, limit)
-- Sums up runs by the config that their session has now, the most first, for admin applications. Runs of sessions whose config
-- was deleted have an empty key.
-- @param  sort            total_tokens or runs
-- @param  created_after   the first moment of the period
-- @param  created_before  the end of the period
-- @param  before_count    the count of the last row of the page before, by which rows are sorted
-- @param  before_key      its key
-- @param  limit           rows at most
-- @return UsageRow[]
-- @access system
-- @shards all
-- @index  runs_queued_at_idx, sessions_pkey
with used as (
    select
        coalesce(s.config_id, '') as key,
        count(*) as runs,
        count(*) filter (where r.status = 'completed') as runs_completed,
        count(*) filter (where r.status = 'failed') as runs_failed,
        count(*) filter (where r.status = 'cancelled') as runs_cancelled,
        sum(r.model_calls)::bigint as model_calls,
        sum(r.tool_calls)::bigint as tool_calls,
        sum(r.input_tokens)::bigint as input_tokens,
        sum(r.output_tokens)::bigint as output_tokens,
        sum(r.total_tokens)::bigint as total_tokens,
        sum(r.cache_read_tokens)::bigint as cache_read_tokens,
        sum(r.cache_write_tokens)::bigint as cache_write_tokens,
        sum(r.model_seconds)::double precision as model_seconds,
        sum(r.tool_seconds)::double precision as tool_seconds
    from run_usage as r
    -- a subquery for each run: a join would read all sessions
    cross join lateral (select config_id from sessions where session_id = r.session_id limit 1) as s
    where
        r.queued_at >= :created_after
        and r.queued_at < :created_before
    group by key
)

select
    u.key,
    c.name,
    u.runs,
    u.runs_completed,
    u.runs_failed,
    u.runs_cancelled,
    null::bigint as messages,
    u.model_calls,
    u.tool_calls,
    u.input_tokens,
    u.output_tokens,
    u.total_tokens,
    u.cache_read_tokens,
    u.cache_write_tokens,
    u.model_seconds,
    u.tool_seconds
from used as u
left join configs as c on c.config_id = u.key
cross join lateral (select case :sort when 'runs' then u.runs else u.total_tokens end as count) as k
where (k.count, u.key) < (:before_count::bigint, :before_key::text)
order by
    k.count desc,
    u.key desc
limit :limit;


-- name: list_by_model(sort, created_after, created_before, before_count, before_key, limit)
-- Sums up runs by the models that they called, the most first, for admin applications. A run counts for each of its models.
-- Runs of releases that did not record models are left out.
-- @param  sort            total_tokens or runs
-- @param  created_after   the first moment of the period
-- @param  created_before  the end of the period
-- @param  before_count    the count of the last row of the page before, by which rows are sorted
-- @param  before_key      its key
-- @param  limit           rows at most
-- @return UsageRow[]
-- @access system
-- @shards local
-- @index  runs_queued_at_idx
with used as (
    select
        m.key,
        count(*) as runs,
        count(*) filter (where r.status = 'completed') as runs_completed,
        count(*) filter (where r.status = 'failed') as runs_failed,
        count(*) filter (where r.status = 'cancelled') as runs_cancelled,
        sum(usage_number(m.value, 'model_calls'))::bigint as model_calls,
        sum(usage_number(m.value, 'input_tokens'))::bigint as input_tokens,
        sum(usage_number(m.value, 'output_tokens'))::bigint as output_tokens,
        sum(usage_number(m.value, 'total_tokens'))::bigint as total_tokens,
        sum(usage_number(m.value, 'cache_read_tokens'))::bigint as cache_read_tokens,
        sum(usage_number(m.value, 'cache_write_tokens'))::bigint as cache_write_tokens,
        sum(usage_number(m.value, 'seconds'))::double precision as model_seconds
    from run_usage as r
    cross join lateral jsonb_each(r.models) as m
    where
        r.queued_at >= :created_after
        and r.queued_at < :created_before
    group by m.key
)

select
    u.key,
    null::text as name,
    u.runs,
    u.runs_completed,
    u.runs_failed,
    u.runs_cancelled,
    null::bigint as messages,
    u.model_calls,
    null::bigint as tool_calls,
    u.input_tokens,
    u.output_tokens,
    u.total_tokens,
    u.cache_read_tokens,
    u.cache_write_tokens,
    u.model_seconds,
    null::double precision as tool_seconds
from used as u
cross join lateral (select case :sort when 'runs' then u.runs else u.total_tokens end as count) as k
where (k.count, u.key) < (:before_count::bigint, :before_key::text)
order by
    k.count desc,
    u.key desc
limit :limit;
