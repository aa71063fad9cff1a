-- name: list_by_time(unit, created_after, created_before, before_count, before_key, limit)
-- Sums up runs and messages by day or hour (UTC), the latest first, for admin applications. Times without either are left out.
-- @param  unit            day or hour
-- @param  created_after   the first moment of the period
-- @param  created_before  the end of the period
-- @param  before_count    the count of the last row of the page before, by which rows are sorted
-- @param  before_key      its key
-- @param  limit           rows at most
-- @return UsageRow[]
-- @access system
-- @shards all
-- @index  messages_created_at_idx, runs_queued_at_idx
with counted_runs as (
    select
        date_trunc(:unit, queued_at, 'UTC') as moment,
        count(*) as runs,
        count(*) filter (where status = 'completed') as runs_completed,
        count(*) filter (where status = 'failed') as runs_failed,
        count(*) filter (where status = 'cancelled') as runs_cancelled,
        sum(model_calls)::bigint as model_calls,
        sum(tool_calls)::bigint as tool_calls,
        sum(input_tokens)::bigint as input_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(total_tokens)::bigint as total_tokens,
        sum(cache_read_tokens)::bigint as cache_read_tokens,
        sum(cache_write_tokens)::bigint as cache_write_tokens,
        sum(model_seconds)::double precision as model_seconds,
        sum(tool_seconds)::double precision as tool_seconds
    from run_usage
    where
        queued_at >= :created_after
        and queued_at < :created_before
    group by moment
),

counted_messages as (
    select
        date_trunc(:unit, created_at, 'UTC') as moment,
        count(*) as messages
    from messages
    where
        created_at >= :created_after
        and created_at < :created_before
    group by moment
)

select
    k.key,
    null::text as name,
    coalesce(r.runs, 0) as runs,
    coalesce(r.runs_completed, 0) as runs_completed,
    coalesce(r.runs_failed, 0) as runs_failed,
    coalesce(r.runs_cancelled, 0) as runs_cancelled,
    coalesce(m.messages, 0) as messages,
    coalesce(r.model_calls, 0) as model_calls,
    coalesce(r.tool_calls, 0) as tool_calls,
    coalesce(r.input_tokens, 0) as input_tokens,
    coalesce(r.output_tokens, 0) as output_tokens,
    coalesce(r.total_tokens, 0) as total_tokens,
    coalesce(r.cache_read_tokens, 0) as cache_read_tokens,
    coalesce(r.cache_write_tokens, 0) as cache_write_tokens,
    coalesce(r.model_seconds, 0) as model_seconds,
    coalesce(r.tool_seconds, 0) as tool_seconds
from counted_runs as r
full join counted_messages as m on m.moment = r.moment
cross join lateral (
    select
        to_char(
            coalesce(r.moment, m.moment) at time zone 'UTC',
            case :unit when 'day' then 'YYYY-MM-DD' else 'YYYY-MM-DD"T"HH24:00:00"Z"' end
        ) as key
) as k
where (0, k.key) < (:before_count::bigint, :before_key::text)
order by k.key desc
limit :limit;


-- name: list_by_caller(by, sort, created_after, created_before, before_count, before_key, limit)
-- Sums up runs and messages by user or application, the most first, for admin applications.
-- @param  by              user or application
-- @param  sort            total_tokens, runs or messages
-- @param  created_after   the first moment of the period
-- @param  created_before  the end of the period
-- @param  before_count    the count of the last row of the page before, by which rows are sorted
-- @param  before_key      its key
-- @param  limit           rows at most
-- @return UsageRow[]
-- @access system
-- @shards all
-- @index  messages_created_at_idx, runs_queued_at_idx
with counted_runs as (
    select
        case :by when 'user' then user_id else app_id end as caller_id,
        count(*) as runs,
        count(*) filter (where status = 'completed') as runs_completed,
        count(*) filter (where status = 'failed') as runs_failed,
        count(*) filter (where status = 'cancelled') as runs_cancelled,
        sum(model_calls)::bigint as model_calls,
        sum(tool_calls)::bigint as tool_calls,
        sum(input_tokens)::bigint as input_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(total_tokens)::bigint as total_tokens,
        sum(cache_read_tokens)::bigint as cache_read_tokens,
        sum(cache_write_tokens)::bigint as cache_write_tokens,
        sum(model_seconds)::double precision as model_seconds,
        sum(tool_seconds)::double precision as tool_seconds
    from run_usage
    where
        queued_at >= :created_after
        and queued_at < :created_before
    group by caller_id
),

counted_messages as (
    select
        case :by when 'user' then author_user_id else author_app_id end as caller_id,
        count(*) as messages
    from messages
    where
        created_at >= :created_after
        and created_at < :created_before
    group by caller_id
)

select
    k.key,
    a.app_name as name,
    coalesce(r.runs, 0) as runs,
    coalesce(r.runs_completed, 0) as runs_completed,
    coalesce(r.runs_failed, 0) as runs_failed,
    coalesce(r.runs_cancelled, 0) as runs_cancelled,
    coalesce(m.messages, 0) as messages,
    coalesce(r.model_calls, 0) as model_calls,
    coalesce(r.tool_calls, 0) as tool_calls,
    coalesce(r.input_tokens, 0) as input_tokens,
    coalesce(r.output_tokens, 0) as output_tokens,
    coalesce(r.total_tokens, 0) as total_tokens,
    coalesce(r.cache_read_tokens, 0) as cache_read_tokens,
    coalesce(r.cache_write_tokens, 0) as cache_write_tokens,
    coalesce(r.model_seconds, 0) as model_seconds,
    coalesce(r.tool_seconds, 0) as tool_seconds
from counted_runs as r
full join counted_messages as m on m.caller_id = r.caller_id
cross join lateral (
    select
        coalesce(r.caller_id, m.caller_id) as key,
        coalesce(case :sort when 'runs' then r.runs when 'messages' then m.messages else r.total_tokens end, 0) as count
) as k
left join applications as a on a.app_id = k.key and :by = 'application'
where (k.count, k.key) < (:before_count::bigint, :before_key::text)
order by
    k.count desc,
    k.key desc
limit :limit;
