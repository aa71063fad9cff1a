-- name: renew(process_id, session_ids, run_ids, seconds)
-- Renews the leases of a process, as the query of the folder above does. It locks no rows before: the change asks for what it relies on.
-- @param  process_id   the process
-- @param  session_ids  the session of each run, in the same order
-- @param  run_ids      its runs
-- @param  seconds      how long the leases last
-- @return RenewedRun[]
-- @access system
-- @shards all
-- @index  runs_pkey or runs_session_id_running_idx, streams_session_id_idx
with kept_runs as materialized (
    select
        session_id,
        run_id
    from unnest(:session_ids::text[], :run_ids::text[]) as kept (session_id, run_id)
),

renewed_runs as (
    update runs as r
    set lease_expires_at = statement_timestamp() + make_interval(secs => :seconds)
    from kept_runs as k
    where
        r.session_id = k.session_id
        and r.run_id = k.run_id
        and r.process_id = :process_id
        and r.status = 'running'
    returning
        r.session_id,
        r.run_id,
        r.cancelled_by_user_id is not null as cancelled
)

select
    r.session_id,
    r.run_id,
    r.cancelled,
    (
        select count(*) > 0
        from streams as t
        where
            t.session_id = r.session_id
            and t.process_id <> :process_id
            and t.seen_at > now() - interval '15 seconds'
    ) as followed_elsewhere
from renewed_runs as r
order by
    r.session_id,
    r.run_id;


-- name: reap(process_id, seconds, limit)
-- Takes over runs whose process stopped renewing its lease, as the query of the folder above does. It locks no rows before: of several
-- processes that chose the same run, the first one takes it, and the others return it to nobody.
-- @param  process_id  the process that takes them over
-- @param  seconds     how long its leases last
-- @param  limit       runs at most
-- @return ReapedRun[]
-- @access system
-- @shards all
-- @index  runs_session_id_running_idx
with expired_runs as materialized (
    select
        session_id,
        run_id
    from runs
    where
        status = 'running'
        and lease_expires_at < statement_timestamp()
    order by
        lease_expires_at,
        session_id,
        run_id
    limit :limit
)

update runs as r
set
    process_id = :process_id,
    lease_expires_at = statement_timestamp() + make_interval(secs => :seconds)
from expired_runs as e
where
    r.session_id = e.session_id
    and r.run_id = e.run_id
    and r.status = 'running'
    and r.lease_expires_at < statement_timestamp()
returning
    r.session_id,
    r.run_id,
    r.user_id,
    r.cancelled_by_user_id is not null as cancelled;
