-- name: keep(process_id, name, version, queries_hash, started_at, is_accepting, runs, streams, connections, connections_in_use, most_connections)!
-- Records that a process serves, and what it does at this moment.
-- @param  process_id          the process
-- @param  name                its host and number
-- @param  version             version of the service
-- @param  queries_hash        hash of the queries that it serves
-- @param  started_at          time when it began to serve
-- @param  is_accepting        false when it is about to stop
-- @param  runs                runs that it executes
-- @param  streams             streams that it has open
-- @param  connections         connections of its pool
-- @param  connections_in_use  those that are in use
-- @param  most_connections    those that the pool may have
-- @return row count
-- @access system
-- @shards local
-- @index  processes_pkey
insert into processes (
    process_id, name, version, queries_hash, started_at, is_accepting, runs, streams, connections, connections_in_use,
    most_connections
)
values (
    :process_id, left(:name, 255), :version, :queries_hash, :started_at, :is_accepting, :runs, :streams, :connections,
    :connections_in_use, :most_connections
)
on conflict (process_id) do update
set
    queries_hash = excluded.queries_hash,
    is_accepting = excluded.is_accepting,
    runs = excluded.runs,
    streams = excluded.streams,
    connections = excluded.connections,
    connections_in_use = excluded.connections_in_use,
    most_connections = excluded.most_connections,
    seen_at = clock_timestamp();


-- name: leave(process_id)!
-- Deletes the row of a process that stops.
-- @param  process_id  the process
-- @return row count
-- @access system
-- @shards local
-- @index  none
delete from processes
where process_id = :process_id;


-- name: list(after_started_at, after_process_id, limit)
-- Lists the processes that serve, and those that stopped writing within the last hour, the latest started first, for admin
-- applications.
-- @param  after_started_at  started_at of the last row of the page before
-- @param  after_process_id  its process_id
-- @param  limit             rows at most
-- @return Process[]
-- @access system
-- @shards local
-- @index  none
select
    process_id,
    name,
    version,
    queries_hash,
    started_at,
    seen_at,
    seen_at > clock_timestamp() - interval '30 seconds' as is_alive,
    is_accepting,
    runs,
    streams,
    connections,
    connections_in_use,
    most_connections
from processes
where
    (started_at, process_id) < (:after_started_at, :after_process_id)
    and seen_at > clock_timestamp() - interval '1 hour'
order by
    started_at desc,
    process_id desc
limit :limit;


-- name: sweep(limit)!
-- Deletes processes that died more than an hour ago.
-- @param  limit  rows at most
-- @return row count
-- @access system
-- @shards local
-- @index  none
with expired_rows as (
    select process_id
    from processes
    where seen_at < now() - interval '1 hour'
    limit :limit
    for update skip locked
)

delete from processes as p
using expired_rows as e
where p.process_id = e.process_id;
