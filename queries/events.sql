-- name: list(actor_ids, session_id, after, limit, max_bytes)
-- Lists what happened in a session after a number: messages and events by the session's clock, for several readers at once.
-- Each row names the readers who take part now, and how far the clock is, in the same snapshot; it is for them alone.
-- Returns one row without seq if nothing is new, and no row if no reader takes part. Only owners may see invitations, so
-- their events come without data. A page ends before it exceeds max_bytes, but has at least one row. Data of more than 8,192
-- bytes, which only events from before the bound have, comes as `bounded_event` returns it; data that takes more than 2,000
-- bytes in storage counts as 8,192, so that few such rows are read for a page.
-- @param  actor_ids   user_ids of the readers
-- @param  session_id  the session
-- @param  after       seq of the last row that they know
-- @param  limit       rows at most
-- @param  max_bytes   bytes of messages and data as text at most
-- @return LoggedEvent[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey, messages_pkey, session_events_pkey
-- @cost   200
select
    reader.user_ids,
    s.last_seq,
    page.seq,
    page.type,
    case
        when page.type = 'message.created' then page.data
        when octet_length(page.data::text) > 8192 then bounded_event(page.data)
        -- the `detail` of an error is stored as `message`
        when page.type in ('run.failed', 'run.cancelled') and page.data #> '{error,message}' is not null
            then jsonb_set(page.data #- '{error,message}', '{error,detail}', page.data #> '{error,message}')
        else page.data
    end as data,
    page.user_id,
    page.app_id,
    page.created_at,
    page.key
from sessions as s
inner join (
    select array_agg(user_id) as user_ids
    from session_participants
    where
        session_id = :session_id
        and user_id = any(:actor_ids::text[])
) as reader on reader.user_ids is not null
left join lateral (
    select
        next.*,
        sum(next.size) over (order by next.seq) as bytes,
        row_number() over (order by next.seq) as number
    from (
        (
            select
                m.seq,
                'message.created' as type,
                m.message as data,
                m.author_user_id as user_id,
                m.author_app_id as app_id,
                m.created_at,
                m.key,
                m.size
            from messages as m
            where
                m.session_id = :session_id
                and m.seq > :after
            order by m.seq
            limit :limit
        )
        union all
        (
            select
                e.seq,
                e.type,
                case when e.type like 'invitation.%' then '{}' else e.data end,
                e.actor_user_id,
                null,
                e.created_at,
                null,
                case when pg_column_size(e.data) > 2000 then 8192 else octet_length(e.data::text) end
            from session_events as e
            where
                e.session_id = :session_id
                and e.seq > :after
            order by e.seq
            limit :limit
        )
        order by seq
        limit :limit
    ) as next
) as page on page.bytes <= :max_bytes::bigint or page.number = 1
where s.session_id = :session_id
order by page.seq;


-- name: list_clocks(actor_ids, session_ids)
-- Returns the clocks of watched sessions. Watchers who no longer take part get no row: their streams end.
-- @param  actor_ids    user_ids of the watchers
-- @param  session_ids  the session that each watches, in the same order
-- @return Clock[]
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
select
    p.session_id,
    p.user_id,
    s.last_seq,
    may_send(p.role, p.permissions) as may_send
from unnest(:session_ids::text[], :actor_ids::text[]) as watched (session_id, user_id)
inner join session_participants as p on p.session_id = watched.session_id and p.user_id = watched.user_id
inner join sessions as s on s.session_id = p.session_id;


-- name: list_existing(session_ids)
-- Returns which of these sessions exist, to tell a deleted session from a removed participant when a stream ends.
-- @param  session_ids  the sessions
-- @return ExistingSession[]
-- @access system
-- @shards all
-- @index  sessions_pkey
select session_id
from sessions
where session_id = any(:session_ids::text[]);


-- name: list_hints(actor_ids, session_ids)
-- Returns what happened last in changed sessions, for users who follow all of theirs.
-- @param  actor_ids    user_ids of the followers
-- @param  session_ids  the sessions that changed
-- @return HintFor[]
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx or session_participants_pkey, sessions_pkey, session_events_pkey
select
    p.user_id,
    s.session_id,
    s.last_seq,
    case when s.last_seq = 0 then 'session.created' else coalesce(e.type, 'message.created') end as type
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
left join session_events as e on e.session_id = s.session_id and e.seq = s.last_seq
where
    p.user_id = any(:actor_ids::text[])
    and p.session_id = any(:session_ids::text[]);


-- name: list_changed(actor_ids, seconds)
-- Lists the followers' sessions that changed in the last seconds, because notifications can be lost. `offset 0` keeps it at
-- these sessions; a plain join is planned through everybody's, because `updated_at` is in no index.
-- @param  actor_ids  user_ids of the followers
-- @param  seconds    how long ago at most
-- @return ChangedSession[]
-- @access participant
-- @shards all
-- @index  session_participants_user_id_idx or session_participants_last_active_at_idx, sessions_pkey
select distinct
    s.session_id,
    s.last_seq
from session_participants as p
cross join lateral (
    select
        session_id,
        last_seq,
        updated_at
    from sessions
    where session_id = p.session_id
    offset 0
) as s
where
    p.user_id = any(:actor_ids::text[])
    and s.updated_at > now() - make_interval(secs => :seconds);


-- name: notify(payload)$
-- Wakes the other processes by a signed notification; they ignore any other. Never run it in a transaction that changes
-- something: commits that notify wait for each other in the whole cluster.
-- @param  payload  at most 7,900 bytes
-- @return value
-- @access system
-- @shards local
-- @index  none
select announce(:payload);
