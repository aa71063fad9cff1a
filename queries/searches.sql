-- name: add(counts)!
-- Adds searches to the counts in `searches`. Rows are locked in the order of their key, so that processes do not wait for
-- each other in a circle.
-- @param  counts  a JSON array of objects with the columns of `searches`
-- @return row count
-- @access system
-- @shards local
-- @index  searches_pkey
insert into searches (user_id, app_id, day, kind, searches, unsuccessful, cancelled, seconds)
select
    user_id,
    app_id,
    day,
    kind,
    searches,
    unsuccessful,
    cancelled,
    seconds
from jsonb_to_recordset(:counts) as c (
    user_id text, app_id text, day date, kind text, searches bigint, unsuccessful bigint, cancelled bigint,
    seconds double precision
)
order by user_id, app_id, day, kind
on conflict (user_id, app_id, day, kind) do update
set
    searches = searches.searches + excluded.searches,
    unsuccessful = searches.unsuccessful + excluded.unsuccessful,
    cancelled = searches.cancelled + excluded.cancelled,
    seconds = searches.seconds + excluded.seconds;


-- name: list(by, created_after, created_before, before_count, before_key, limit)
-- Sums up searches by day (UTC, the latest first), or by user, application or kind (the most first), for admin applications.
-- @param  by              day, user, application or kind
-- @param  created_after   the first day of the period
-- @param  created_before  the end of the period, a day that is in it unless it begins then
-- @param  before_count    the count of the last row of the page before, by which rows are sorted; 0 for days
-- @param  before_key      its key
-- @param  limit           rows at most
-- @return SearchUsage[]
-- @access system
-- @shards local
-- @index  searches_day_idx
with used as (
    select
        case :by
            when 'user' then user_id
            when 'application' then app_id
            when 'kind' then kind
            else to_char(day, 'YYYY-MM-DD')
        end as key,
        sum(searches)::bigint as searches,
        sum(unsuccessful)::bigint as unsuccessful,
        sum(cancelled)::bigint as cancelled,
        sum(seconds) as seconds
    from searches
    where
        day >= (:created_after::timestamptz at time zone 'UTC')::date
        and day < :created_before::timestamptz at time zone 'UTC'
    group by key
)

select
    u.key,
    a.app_name as name,
    u.searches,
    u.unsuccessful,
    u.cancelled,
    u.seconds
from used as u
cross join lateral (select case :by when 'day' then 0 else u.searches end as count) as k
left join applications as a on a.app_id = u.key and :by = 'application'
where (k.count, u.key) < (:before_count::bigint, :before_key::text)
order by
    k.count desc,
    u.key desc
limit :limit;
