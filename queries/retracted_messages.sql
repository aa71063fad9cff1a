-- name: erase(actor_id, session_id, erased_seqs)
-- Empties messages that were taken back before, and returns them in order. Owners may. Run it after retractions.create in the
-- same transaction, which holds the session's lock.
-- @param  actor_id     user_id of the caller
-- @param  session_id   the session
-- @param  erased_seqs  numbers of messages; others are ignored
-- @return Entry[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, retracted_messages_pkey
with erased_messages as (
    select messages_erase(session_id, :erased_seqs::bigint[]) as seq
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and role = 'owner'
)

select
    m.seq,
    '{}'::jsonb as message,
    m.author_user_id,
    m.author_app_id,
    m.created_at,
    m.key
from erased_messages as e
inner join retracted_messages as m
    on
        m.session_id = :session_id
        and m.seq = e.seq
order by m.seq;


-- name: list(actor_id, session_id, after, limit, max_bytes)
-- Returns a page of the messages that were taken back in a session that the caller owns, in order, with the next message's
-- number in each row. A page ends before its messages exceed max_bytes, but has at least one.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  after       seq of the last message of the page before, 0 for the beginning
-- @param  limit       messages at most
-- @param  max_bytes   bytes of message text at most
-- @return RetractedMessageRow[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, retracted_messages_pkey
select
    page.seq,
    page.message,
    page.author_user_id,
    page.author_app_id,
    page.created_at,
    page.key,
    page.retracted_at,
    page.retracted_by_user_id,
    page.retracted_by_app_id,
    page.erased_at,
    page.next_seq
from session_participants as p
inner join (
    select
        next.*,
        sum(next.size) over (order by next.seq) as bytes,
        row_number() over (order by next.seq) as number,
        lead(next.seq) over (order by next.seq) as next_seq
    from (
        select
            seq,
            message,
            author_user_id,
            author_app_id,
            created_at,
            key,
            retracted_at,
            retracted_by_user_id,
            retracted_by_app_id,
            erased_at,
            size
        from retracted_messages
        where
            session_id = :session_id
            and seq > :after
        order by seq
        limit :limit::bigint + 1
    ) as next
) as page on page.number <= :limit and (page.bytes <= :max_bytes::bigint or page.number = 1)
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and p.role = 'owner'
order by page.seq;
