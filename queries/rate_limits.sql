-- name: take(actor_id, actor_app_id, per_minute, wanted)^
-- Takes requests from a bucket that holds a minute's worth and fills steadily: as many as wanted, or as many as are left.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  per_minute    requests that the bucket holds, and gains in a minute
-- @param  wanted        requests, at least one and at most per_minute
-- @return RateLimit
-- @access system
-- @shards local
-- @index  rate_limits_pkey
insert into rate_limits as r (app_id, user_id, granted, full_at)
values (:actor_app_id, :actor_id, :wanted::integer, now() + interval '1 minute' * :wanted::integer / :per_minute::integer)
on conflict on constraint rate_limits_pkey do update
set (granted, full_at) = (
    select
        b.granted,
        b.full_at + interval '1 minute' * b.granted / :per_minute::integer
    from (
        select
            greatest(r.full_at, now()) as full_at,
            least(
                :wanted::integer,
                greatest(0, floor(:per_minute * (1 - extract(epoch from greatest(r.full_at, now()) - now()) / 60))::integer)
            ) as granted
    ) as b
)
returning
    granted,
    greatest(0, floor(:per_minute * (1 - extract(epoch from full_at - now()) / 60))::integer) as remaining,
    now() as asked_at,
    full_at;


-- name: sweep(limit)!
-- Deletes full buckets.
-- @param  limit  rows at most
-- @return row count
-- @access system
-- @shards local
-- @index  none
with expired_rows as (
    select
        app_id,
        user_id
    from rate_limits
    where full_at < now()
    limit :limit
    for update skip locked
)

delete from rate_limits as t
using expired_rows as e
where
    t.app_id = e.app_id
    and t.user_id = e.user_id;
