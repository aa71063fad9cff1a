-- name: append(actor_id, actor_app_id, session_id, messages, expected_seq)^
-- Adds messages to the end of a transcript, all or none. Participants who may send may append; the session must be active.
-- Locks the participant's row first, so that a removal waits for appends in progress and stops later ones; not `for share`,
-- which would let new appends in before a waiting removal without end. Takes numbers under the lock of the session's row;
-- a trigger sets `updated_at` after the lock is acquired, so that numbers, times and commits have one order. Returns no row if
-- the caller may not send, the session is not active, or `expected_seq` is stale.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @param  messages      a JSON array of messages
-- @param  expected_seq  the session's last_seq, or null
-- @return AppendedMessages | none
-- @access participant
-- @shards one
-- @with   idempotency.keep: row_to_json(returned_rows)::text as answer
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cost   60
with locked_participant as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_send(role, permissions)
    for no key update
),

new_messages as materialized (
    select
        ordinality,
        value
    from jsonb_array_elements(:messages::jsonb) with ordinality
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + jsonb_array_length(:messages),
        message_count = s.message_count + (select count(*) from new_messages where message_role(value) = 'user'),
        messages_total = s.messages_total + jsonb_array_length(:messages),
        last_accessed_by_app_id = :actor_app_id,
        last_accessed_at = statement_timestamp()
    from locked_participant as p
    where
        s.session_id = p.session_id
        and s.session_id = :session_id
        and s.status = 'active'
        and (:expected_seq::bigint is null or s.last_seq = :expected_seq)
    returning
        s.session_id,
        s.last_seq,
        s.message_count,
        s.messages_total,
        s.updated_at
),

added_messages as (
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select
        s.session_id,
        s.last_seq - jsonb_array_length(:messages) + m.ordinality,
        m.value,
        :actor_id,
        :actor_app_id,
        s.updated_at
    from advanced_session as s
    cross join new_messages as m
)

select
    session_id,
    last_seq - jsonb_array_length(:messages) + 1 as first_seq,
    last_seq,
    message_count,
    messages_total
from advanced_session;


-- name: list(actor_id, session_id, after, as_of, limit, max_bytes)
-- Returns a page of a transcript, in order, with the session's clock and the next message's number in each row. With `as_of`,
-- the clock is that of its time, or of a later retraction of messages from before it. For a session without further messages
-- it returns one row in which only last_seq is set; for a session that the caller takes no part in, none. A page ends before
-- its messages exceed max_bytes, but has at least one.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  after       seq of the last message of the page before, 0 for the beginning
-- @param  as_of       only messages that existed at this time, or null
-- @param  limit       messages at most
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
            and m.seq > :after
            and (:as_of::timestamptz is null or m.created_at <= :as_of)
        order by m.seq
        limit :limit::bigint + 1
    ) as next
) as page on page.number <= :limit and (page.bytes <= :max_bytes::bigint or page.number = 1)
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and s.session_id = :session_id
order by page.seq;


-- name: list_backwards(actor_id, session_id, before, as_of, limit, max_bytes)
-- Returns a page of a transcript, the newest message first. Otherwise like messages.list.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  before      seq of the last message of the page before, or a number after the end
-- @param  as_of       only messages that existed at this time, or null
-- @param  limit       messages at most
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
        sum(next.size) over (order by next.seq desc) as bytes,
        row_number() over (order by next.seq desc) as number,
        lead(next.seq) over (order by next.seq desc) as next_seq
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
            and m.seq < :before
            and (:as_of::timestamptz is null or m.created_at <= :as_of)
        order by m.seq desc
        limit :limit::bigint + 1
    ) as next
) as page on page.number <= :limit and (page.bytes <= :max_bytes::bigint or page.number = 1)
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and s.session_id = :session_id
order by page.seq desc;


-- name: get(actor_id, session_id, seq)^
-- One message of a session that the caller takes part in.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  seq         number of the message
-- @return Entry | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, messages_pkey
-- @cost   40
select
    m.seq,
    m.message,
    m.author_user_id,
    m.author_app_id,
    m.created_at,
    m.key
from session_participants as p
inner join messages as m on m.session_id = p.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and m.session_id = :session_id
    and m.seq = :seq;
