-- name: list(actor_id, session_id, last, as_of, max_bytes)
-- Returns the newest messages of a transcript, in order. Otherwise like messages.list. The clock as a bound keeps the planner
-- from reading and sorting the whole transcript where it expects few messages in a session.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  last        messages at most
-- @param  as_of       only messages that existed at this time, or null
-- @param  max_bytes   bytes of message text at most
-- @return TranscriptRow[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey, messages_pkey
-- @cost   150
select
    case
        when :as_of::timestamptz is null then s.last_seq
        else greatest(
            (select max(seq) from messages where session_id = :session_id and created_at <= :as_of),
            (select max(seq) from session_events where session_id = :session_id and created_at <= :as_of),
            (select max(retracted_seq) from retracted_messages where session_id = :session_id and created_at <= :as_of),
            case when s.created_at <= :as_of then coalesce(s.forked_at_seq, 0) else 0 end
        )
    end as last_seq,
    page.next_seq,
    page.seq,
    page.message,
    page.author_user_id,
    page.author_app_id,
    page.created_at,
    page.key
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
left join lateral (
    select
        next.seq,
        next.message,
        next.author_user_id,
        next.author_app_id,
        next.created_at,
        next.key,
        sum(next.size) over (order by next.seq) as bytes,
        row_number() over (order by next.seq) as number,
        lead(next.seq) over (order by next.seq) as next_seq
    from (
        select
            m.seq,
            m.message,
            m.author_user_id,
            m.author_app_id,
            m.created_at,
            m.key,
            m.size
        from messages as m
        where
            m.session_id = :session_id
            and m.seq <= s.last_seq
            and (:as_of::timestamptz is null or m.created_at <= :as_of)
        order by m.seq desc
        limit :last::bigint
    ) as next
) as page on page.bytes <= :max_bytes::bigint or page.number = 1
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and s.session_id = :session_id
order by page.seq;
