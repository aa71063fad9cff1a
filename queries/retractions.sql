-- name: create(actor_id, actor_app_id, session_id, seqs, last, after, most, erases, expected_seq, max_bytes)
-- Takes messages back: moves them to retracted_messages, and adds the event `message.retracted`. Give one of `seqs`, `last`
-- and `after`. Owners and editors may take back any message, others who may send only their own; `erases` is for owners.
-- Access and locks are those of messages.append, but the session's row is locked against forks, too, which copy a whole
-- transcript or wait. The messages are chosen under this lock, so that two callers never get the same one. Returns no row if
-- the caller may not send, or not erase, the session is not active, a run is running or waits, or `expected_seq` is stale.
-- Otherwise each row has the numbers of the session and one message, as many as `max_bytes` allows, but at least one; if
-- there is no message to take back, or one that the caller may not, nothing changes and one row has no message.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @param  seqs          numbers of messages; others are ignored; or null
-- @param  last          how many of the newest messages, or null
-- @param  after         number after which all messages are taken back, or null
-- @param  most          messages at most: with more nothing is taken back
-- @param  erases        whether the text of the messages is erased, too
-- @param  expected_seq  the session's last_seq, or null
-- @param  max_bytes     bytes of message text in the result at most
-- @return RetractedRow[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cost   2000
-- @cte    locked_participant  the caller's row, locked, if the caller may send, or erase
-- @cte    locked_session      the session, locked, if it is active and no run is running or waits
-- @cte    chosen_messages     the numbers of the messages, how many they are, and how many of them are of others
-- @cte    moved_messages      the messages that were moved, if the caller may take back all of them
-- @cte    counted_messages    how many they are, and how many of them are from users
-- @cte    advanced_session    the session with a number for the event and fewer messages
-- @cte    added_event         `message.retracted`
with locked_participant as (
    select role
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_send(role, permissions)
        and (not :erases::boolean or role = 'owner')
    for no key update
),

locked_session as (
    select
        session_id,
        last_seq,
        message_count,
        messages_total,
        (select role from locked_participant) as role
    from sessions
    where
        session_id = :session_id
        and status = 'active'
        and (:expected_seq::bigint is null or last_seq = :expected_seq)
        and runs_count_running(session_id) = 0
        and runs_count_queued(session_id) = 0
        and exists (select from locked_participant)
    for update
),

chosen_messages as materialized (
    select
        array_agg(c.seq) as seqs,
        count(*) as found,
        count(*) filter (where c.author_user_id <> :actor_id) as of_others
    from locked_session as s
    cross join lateral messages_choose(
        s.session_id, :seqs::bigint[], :last::bigint, :after::bigint, :most::bigint + 1
    ) as c
),

moved_messages as materialized (
    select
        r.seq,
        r.message,
        r.role,
        r.size,
        r.author_user_id,
        r.author_app_id,
        r.created_at,
        r.key
    from locked_session as s
    inner join chosen_messages as c
        on
            c.found <= :most
            and (s.role in ('owner', 'editor') or c.of_others = 0)
    cross join lateral messages_retract(
        s.session_id, c.seqs, s.last_seq + 1, :actor_id, :actor_app_id, :erases
    ) as r
),

counted_messages as (
    select
        count(*) as messages,
        count(*) filter (where role = 'user') as from_users,
        jsonb_agg(seq order by seq) as seqs
    from moved_messages
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1,
        message_count = greatest(s.message_count - m.from_users, 0),
        messages_total = greatest(s.messages_total - m.messages, 0),
        last_accessed_by_app_id = :actor_app_id,
        last_accessed_at = statement_timestamp()
    from locked_session as l
    inner join counted_messages as m on m.messages > 0
    where
        s.session_id = l.session_id
        and s.session_id = :session_id
    returning
        s.session_id,
        s.last_seq,
        s.message_count,
        s.messages_total,
        s.updated_at
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq,
        'message.retracted',
        jsonb_build_object('seqs', m.seqs),
        :actor_id,
        s.updated_at
    from advanced_session as s
    cross join counted_messages as m
)

select
    l.session_id,
    coalesce(s.last_seq, l.last_seq) as last_seq,
    coalesce(s.message_count, l.message_count) as message_count,
    coalesce(s.messages_total, l.messages_total) as messages_total,
    c.found,
    c.of_others,
    m.messages as retracted,
    r.seq,
    r.message,
    r.author_user_id,
    r.author_app_id,
    r.created_at,
    r.key
from locked_session as l
cross join chosen_messages as c
cross join counted_messages as m
left join advanced_session as s on s.session_id = l.session_id
left join (
    select
        seq,
        message,
        author_user_id,
        author_app_id,
        created_at,
        key,
        sum(size) over (order by seq) as bytes,
        row_number() over (order by seq) as number
    from moved_messages
) as r on r.bytes <= :max_bytes::bigint or r.number = 1
order by r.seq;
