-- name: repair(actor_id, actor_app_id, session_id, seqs, added, expected_seq)^
-- Reorders the end of a transcript and inserts messages there. All of them get new numbers after the session's clock; the
-- first new number is the event `transcript.repaired`, at which followers drop what they have from `from_seq` on. Messages
-- keep their authors, times and search entries; inserted ones are the caller's. Access and locks are those of
-- messages.append, but the session's row is locked against forks, too, which copy a whole transcript or wait. Changes
-- nothing and returns no row if the caller may not send, the session is not active, a run is running, or `expected_seq` is
-- stale.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @param  seqs          numbers of all messages from the first that moves, in their new order; 0 for each inserted message
-- @param  added         a JSON array of the messages to insert, in order
-- @param  expected_seq  the session's last_seq
-- @return Repair | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cost   100
-- @cte    locked_participant  the caller's row, locked, if the caller may send
-- @cte    locked_session      the session, locked, if it is active and its clock is `expected_seq`
-- @cte    places              the entries of `seqs` in order; `number` counts those that are 0
-- @cte    new_messages        the messages to insert, each with its place
-- @cte    advanced_session    the session with numbers for the event and every entry of `seqs`, if no run is running
-- @cte    repaired_session    moves the messages to their new numbers and returns how many moved
-- @cte    added_messages      the inserted messages
-- @cte    added_event         `transcript.repaired`
with locked_participant as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_send(role, permissions)
    for no key update
),

locked_session as (
    select session_id
    from sessions
    where
        session_id = :session_id
        and status = 'active'
        and last_seq = :expected_seq
        and exists (select from locked_participant)
    for update
),

places as materialized (
    select
        ordinality,
        seq,
        count(*) filter (where seq = 0) over (order by ordinality) as number
    from unnest(:seqs::bigint[]) with ordinality as t (seq, ordinality)
),

new_messages as materialized (
    select
        p.ordinality,
        a.value
    from jsonb_array_elements(:added::jsonb) with ordinality as a (value, number)
    inner join places as p on p.number = a.number and p.seq = 0
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1 + cardinality(:seqs),
        message_count = s.message_count + (select count(*) from new_messages where message_role(value) = 'user'),
        messages_total = s.messages_total + (select count(*) from new_messages),
        last_accessed_by_app_id = :actor_app_id,
        last_accessed_at = statement_timestamp()
    from locked_session as l
    where
        s.session_id = l.session_id
        and s.session_id = :session_id
        and not exists (
            select
            from runs
            where
                session_id = :session_id
                and status = 'running'
        )
    returning
        s.session_id,
        s.last_seq,
        s.last_seq - cardinality(:seqs) as event_seq,
        s.updated_at
),

repaired_session as materialized (
    select
        s.session_id,
        s.last_seq,
        s.event_seq,
        s.updated_at,
        messages_move(s.session_id, m.from_seqs, m.to_seqs) as moved,
        (select count(*) from new_messages) as added,
        coalesce(m.first_seq, s.event_seq) as from_seq
    from advanced_session as s
    cross join lateral (
        select
            array_agg(p.seq) as from_seqs,
            array_agg(s.event_seq + p.ordinality) as to_seqs,
            min(p.seq) as first_seq
        from places as p
        where p.seq > 0
    ) as m
),

added_messages as (
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select
        s.session_id,
        s.event_seq + m.ordinality,
        m.value,
        :actor_id,
        :actor_app_id,
        s.updated_at
    from repaired_session as s
    cross join new_messages as m
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        session_id,
        event_seq,
        'transcript.repaired',
        jsonb_build_object('from_seq', from_seq, 'moved', moved, 'added', added),
        :actor_id,
        updated_at
    from repaired_session
)

select
    session_id,
    last_seq,
    moved,
    added
from repaired_session;


-- name: copy(actor_id, session_id, fork_id, up_to_seq)!
-- Copies the beginning of a transcript that the caller may export into a session that the caller owns. Messages keep their
-- numbers, authors, times, keys and search entries.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session to copy from
-- @param  fork_id     the session to copy into
-- @param  up_to_seq   number of the last message to copy
-- @return row count
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, messages_pkey
-- @cost   200
insert into messages (
    session_id, seq, message, author_user_id, author_app_id, created_at, key, search, search_truncated, search_revision
)
select
    :fork_id,
    seq,
    message,
    author_user_id,
    author_app_id,
    created_at,
    key,
    search,
    search_truncated,
    search_revision
from messages
where
    session_id = :session_id
    and seq <= :up_to_seq
    and exists (
        select 1
        from session_participants
        where
            session_id = :session_id
            and user_id = :actor_id
            and may_export(role, permissions)
    )
    and exists (
        select 1
        from session_participants
        where
            session_id = :fork_id
            and user_id = :actor_id
            and role = 'owner'
    )
order by seq;
