-- name: open(actor_id, session_id, stream_id, process_id, after, most_elsewhere)^
-- Opens a stream of a session's events for a participant, unless too many are open already or `after` is beyond the clock;
-- the row says which. Returns no row for strangers. Streams that were not touched for 15 seconds do not count.
-- @param  actor_id        user_id of the caller
-- @param  session_id      the session
-- @param  stream_id       a new id
-- @param  process_id      the process, which counts its own streams itself
-- @param  after           seq from which on the caller wants events, or null for now
-- @param  most_elsewhere  streams that the caller may have open in other processes
-- @return OpenedStream | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey, streams_user_id_idx
with permitted as (
    select
        s.session_id,
        s.last_seq,
        may_send(p.role, p.permissions) as may_send,
        (
            select count(*)
            from streams as t
            where
                t.user_id = :actor_id
                and t.process_id <> :process_id
                and t.seen_at > now() - interval '15 seconds'
        ) as open_elsewhere
    from session_participants as p
    inner join sessions as s on s.session_id = p.session_id
    where
        p.session_id = :session_id
        and p.user_id = :actor_id
        and s.session_id = :session_id
),

opened_stream as (
    insert into streams (stream_id, process_id, session_id, user_id)
    select
        :stream_id,
        :process_id,
        session_id,
        :actor_id
    from permitted
    where
        open_elsewhere <= :most_elsewhere::bigint
        and (:after::bigint is null or :after <= last_seq)
)

select
    last_seq,
    may_send,
    open_elsewhere
from permitted;


-- name: open_hints(actor_id, stream_id, process_id, most_elsewhere)^
-- Opens a stream of hints about all sessions of a user, unless too many are open already.
-- @param  actor_id        user_id of the caller
-- @param  stream_id       a new id
-- @param  process_id      the process, which counts its own streams itself
-- @param  most_elsewhere  streams that the caller may have open in other processes
-- @return OpenedHints | none
-- @access self
-- @shards local
-- @index  streams_user_id_idx
insert into streams (stream_id, process_id, user_id)
select
    :stream_id,
    :process_id,
    :actor_id
from (
    select count(*) as open_elsewhere
    from streams
    where
        user_id = :actor_id
        and process_id <> :process_id
        and seen_at > now() - interval '15 seconds'
) as t
where t.open_elsewhere <= :most_elsewhere::bigint
returning
    stream_id,
    user_id;


-- name: keep(process_id, stream_ids, session_ids, user_ids)!
-- Records that these streams are still open, also after a crash emptied the table.
-- @param  process_id   the process
-- @param  stream_ids   its streams
-- @param  session_ids  the session of each or null, in the same order
-- @param  user_ids     the user of each, in the same order
-- @return row count
-- @access system
-- @shards local
-- @index  streams_pkey
insert into streams (stream_id, process_id, session_id, user_id)
select
    kept.stream_id,
    :process_id,
    kept.session_id,
    kept.user_id
from unnest(:stream_ids::text[], :session_ids::text[], :user_ids::text[]) as kept (stream_id, session_id, user_id)
order by kept.stream_id
on conflict (stream_id) do update
set seen_at = excluded.seen_at;


-- name: close(stream_ids)!
-- Deletes streams that ended.
-- @param  stream_ids  the streams
-- @return row count
-- @access system
-- @shards local
-- @index  streams_pkey
delete from streams
where stream_id = any(:stream_ids::text[]);


-- name: list(actor_id, session_id, after_user_id, limit)
-- Lists the users who follow a session now, and since when, by user_id. Every participant may; users who no longer take part
-- are left out.
-- @param  actor_id       user_id of the caller
-- @param  session_id     the session
-- @param  after_user_id  the last user_id of the page before, empty for the beginning
-- @param  limit          rows at most
-- @return Present[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey, streams_session_id_idx
select
    p.user_id,
    min(t.opened_at) as since
from session_participants as actor
inner join session_participants as p on p.session_id = actor.session_id
inner join streams as t on t.user_id = p.user_id
where
    actor.session_id = :session_id
    and actor.user_id = :actor_id
    and p.session_id = :session_id
    and p.user_id > :after_user_id
    and t.session_id = :session_id
    and t.seen_at > now() - interval '15 seconds'
group by p.user_id
order by p.user_id
limit :limit;


-- name: list_present(session_ids)
-- Lists the same for watched sessions, for all their watchers.
-- @param  session_ids  the sessions
-- @return PresentIn[]
-- @access system
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, streams_session_id_idx
select
    t.session_id,
    t.user_id,
    min(t.opened_at) as since
from streams as t
inner join session_participants as p on p.session_id = t.session_id and p.user_id = t.user_id
where
    t.session_id = any(:session_ids::text[])
    and t.seen_at > now() - interval '15 seconds'
group by
    t.session_id,
    t.user_id
order by
    t.session_id,
    t.user_id;


-- name: sweep(limit)!
-- Deletes streams that dead processes left. A live process that was late writes its own again.
-- @param  limit  rows at most
-- @return row count
-- @access system
-- @shards local
-- @index  none
with expired_rows as (
    select stream_id
    from streams
    where seen_at < now() - interval '1 minute'
    limit :limit
    for update skip locked
)

delete from streams as t
using expired_rows as e
where t.stream_id = e.stream_id;
