-- name: add(counts)!
-- Adds searches to the counts in `searches`. Rows are locked in the order of their key, so that processes do not wait for
-- each other in a circle.
-- @param  counts  a JSON array of objects with the columns of `searches`
-- @return row count
-- @access system
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
