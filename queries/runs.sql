-- name: start(actor_id, actor_app_id, session_id, run_id, message, process_id, seconds)^
-- Starts a run at once if no run is running or waiting, and adds its message to the transcript. Participants who may send
-- may start runs; the session must be active and have a config. The conditions are checked under the lock of the session's
-- row, against what is committed by then: the row of an existing run is locked before the session's, that of a new run after
-- it. Returns no row if the caller may not send, the session is not active or has no config, or it is busy.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @param  run_id        a new id
-- @param  message       the message to answer, a JSON object
-- @param  process_id    the process that runs it
-- @param  seconds       how long the process's lease lasts
-- @return GoingRun | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cte    locked_participant  the caller's row, locked, if the caller may send
-- @cte    advanced_session    the session with two more numbers, if it is active and not busy
-- @cte    started_run         the new run
-- @cte    added_event         `run.started`
-- @cte    added_message       the run's message
with locked_participant as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_send(role, permissions)
    for no key update
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 2,
        message_count = s.message_count + 1,
        messages_total = s.messages_total + 1,
        last_accessed_by_app_id = :actor_app_id,
        last_accessed_at = statement_timestamp()
    from locked_participant as p
    where
        s.session_id = p.session_id
        and s.session_id = :session_id
        and s.status = 'active'
        and s.config_id is not null
        and runs_count_running(s.session_id) = 0
        and runs_count_queued(s.session_id) = 0
    returning
        s.session_id,
        s.config_id,
        s.last_seq,
        s.updated_at
),

started_run as (
    insert into runs (
        session_id, run_id, status, message, user_id, app_id, queued_at, started_at, process_id, lease_expires_at
    )
    select
        session_id,
        :run_id,
        'running',
        :message,
        :actor_id,
        :actor_app_id,
        statement_timestamp(),
        clock_timestamp(),
        :process_id,
        clock_timestamp() + make_interval(secs => :seconds)
    from advanced_session
    returning
        session_id,
        run_id,
        status,
        message,
        user_id,
        app_id,
        queued_at,
        traceparent
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        session_id,
        last_seq - 1,
        'run.started',
        jsonb_build_object('run_id', :run_id::text),
        :actor_id,
        updated_at
    from advanced_session
),

added_message as (
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select
        session_id,
        last_seq,
        :message,
        :actor_id,
        :actor_app_id,
        updated_at
    from advanced_session
)

select
    r.session_id,
    r.run_id,
    r.status,
    r.message,
    r.user_id,
    r.app_id,
    r.queued_at,
    r.traceparent,
    s.last_seq,
    -- the id that secrets are encrypted for
    coalesce(c.copied_from_config_id, c.config_id) as config_id,
    c.config_json
from started_run as r
inner join advanced_session as s on s.session_id = r.session_id
inner join configs as c on c.config_id = s.config_id;


-- name: enqueue(actor_id, actor_app_id, session_id, run_id, message, most, most_of_user, traceparent)^
-- Queues a message until the runs before it are over. Participants who may send may queue messages; the session must be
-- active and have a config. This, and how many messages wait, is checked under the lock of the session's row. Returns no row
-- if the caller may not send, the session is not active or has no config, or too many messages wait already.
-- @param  actor_id      user_id of the caller
-- @param  actor_app_id  the calling application
-- @param  session_id    the session
-- @param  run_id        a new id
-- @param  message       the message to answer, a JSON object
-- @param  most          messages of the session that may wait
-- @param  most_of_user  messages of the caller that may wait, in all sessions
-- @param  traceparent   the trace of the request, or null
-- @return QueuedRun | none
-- @access participant
-- @shards all
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
with locked_participant as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_send(role, permissions)
    for no key update
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1,
        last_accessed_by_app_id = :actor_app_id,
        last_accessed_at = statement_timestamp()
    from locked_participant as p
    where
        s.session_id = p.session_id
        and s.session_id = :session_id
        and s.status = 'active'
        and s.config_id is not null
        and runs_count_queued(s.session_id) < :most::bigint
        and runs_count_queued_of_user(:actor_id) < :most_of_user::bigint
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

queued_run as (
    insert into runs (session_id, run_id, status, message, user_id, app_id, traceparent)
    select
        session_id,
        :run_id,
        'queued',
        :message,
        :actor_id,
        :actor_app_id,
        :traceparent
    from advanced_session
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        session_id,
        last_seq,
        'run.queued',
        jsonb_build_object('run_id', :run_id::text),
        :actor_id,
        updated_at
    from advanced_session
)

select
    session_id,
    last_seq
from advanced_session;


-- name: get_next(session_id)^
-- Returns the run of a session that has waited longest, if no run is running.
-- @param  session_id  the session
-- @return WaitingRun | none
-- @access system
-- @shards one
-- @index  runs_session_id_queued_idx, runs_session_id_running_idx
select
    session_id,
    run_id,
    user_id
from runs
where
    session_id = :session_id
    and status = 'queued'
    and not exists (
        select
        from runs
        where
            session_id = :session_id
            and status = 'running'
    )
order by
    queued_at,
    run_id
limit 1;


-- name: claim(session_id, run_id, process_id, seconds)^
-- Starts a waiting run, if no run of its session is running. If its sender may not send any more, or the session is not
-- active, the run fails instead; the row says which. Both conditions are checked under the locks of the participant, the run
-- and the session, taken in this order. Returns no row if another process was faster or the run no longer waits.
-- @param  session_id  the session
-- @param  run_id      the run, as runs.get_next or runs.list_waiting returns it
-- @param  process_id  the process that runs it
-- @param  seconds     how long the process's lease lasts
-- @return GoingRun | none
-- @access system
-- @shards one
-- @index  runs_pkey or runs_session_id_queued_idx, session_participants_pkey or session_participants_user_id_idx, sessions_pkey
-- @cte    next_run            the sender of the waiting run
-- @cte    locked_participant  the sender's row, locked, if the sender may still send
-- @cte    locked_run          the run, locked, with whether its sender may send
-- @cte    advanced_session    the session with one or two more numbers, if no run is running
-- @cte    claimed_run         the run, running or failed now
-- @cte    added_event         `run.started` or `run.failed`
-- @cte    added_message       the run's message, if it started
with next_run as (
    select user_id
    from runs
    where
        session_id = :session_id
        and run_id = :run_id
        and status = 'queued'
),

locked_participant as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = (select user_id from next_run)
        and may_send(role, permissions)
    for no key update
),

locked_run as (
    select
        session_id,
        run_id,
        statement_timestamp() as claimed_at,
        (select session_id from locked_participant) is not null as may_send
    from runs
    where
        session_id = :session_id
        and run_id = :run_id
        and status = 'queued'
    for no key update
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + case when r.may_send and s.status = 'active' then 2 else 1 end,
        message_count = s.message_count + case when r.may_send and s.status = 'active' then 1 else 0 end,
        messages_total = s.messages_total + case when r.may_send and s.status = 'active' then 1 else 0 end
    from locked_run as r
    where
        s.session_id = r.session_id
        and s.session_id = :session_id
        and runs_count_running(s.session_id) = 0
    returning
        s.session_id,
        s.config_id,
        s.last_seq,
        s.updated_at,
        r.run_id,
        r.claimed_at,
        r.may_send and s.status = 'active' as permitted
),

claimed_run as (
    update runs as r
    set
        status = case when s.permitted then 'running' else 'failed' end,
        -- not before its message, whose time is the session's
        started_at = greatest(s.claimed_at, s.updated_at),
        finished_at = case when not s.permitted then greatest(s.claimed_at, s.updated_at) end,
        error = case
            when not s.permitted
                then '{"type": "refused", "message": "Its sender may not send any more, or the session is not active"}'::jsonb
        end,
        process_id = :process_id,
        lease_expires_at = statement_timestamp() + make_interval(secs => :seconds)
    from advanced_session as s
    where
        r.session_id = :session_id
        and r.run_id = s.run_id
    returning
        r.session_id,
        r.run_id,
        r.status,
        r.message,
        r.user_id,
        r.app_id,
        r.queued_at,
        r.traceparent,
        r.error
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq - case when r.status = 'running' then 1 else 0 end,
        case when r.status = 'running' then 'run.started' else 'run.failed' end,
        jsonb_strip_nulls(jsonb_build_object('run_id', r.run_id, 'error', r.error)),
        r.user_id,
        s.updated_at
    from advanced_session as s
    inner join claimed_run as r on r.session_id = s.session_id
),

added_message as (
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select
        s.session_id,
        s.last_seq,
        r.message,
        r.user_id,
        r.app_id,
        s.updated_at
    from advanced_session as s
    inner join claimed_run as r on r.session_id = s.session_id
    where r.status = 'running'
)

select
    r.session_id,
    r.run_id,
    r.status,
    r.message,
    r.user_id,
    r.app_id,
    r.queued_at,
    r.traceparent,
    s.last_seq,
    -- the id that secrets are encrypted for
    coalesce(c.copied_from_config_id, c.config_id) as config_id,
    c.config_json
from claimed_run as r
inner join advanced_session as s on s.session_id = r.session_id
inner join configs as c on c.config_id = s.config_id;


-- name: refuse(session_id, run_id, error)^
-- Ends a waiting run that cannot start because of its stored data. Cuts a message that is too large for a transcript, so
-- that the row can be written. Returns no row if the run no longer waits.
-- @param  session_id  the session
-- @param  run_id      the run
-- @param  error       a JSON object of type and message
-- @return RefusedRun | none
-- @access system
-- @shards one
-- @index  runs_pkey or runs_session_id_queued_idx, sessions_pkey
with waiting_run as (
    select
        run_id,
        case
            when octet_length(message::text) > 1048576
                then jsonb_build_object('role', 'user', 'content', left(message ->> 'content', 100000))
            else message
        end as message
    from runs
    where
        session_id = :session_id
        and run_id = :run_id
),

failed_run as (
    update runs as r
    set
        status = 'failed',
        message = w.message,
        error = :error,
        finished_at = statement_timestamp()
    from waiting_run as w
    where
        r.session_id = :session_id
        and r.run_id = w.run_id
        and r.status = 'queued'
    returning
        r.session_id,
        r.run_id,
        r.user_id,
        r.error
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1
    from failed_run as r
    where
        s.session_id = r.session_id
        and s.session_id = :session_id
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq,
        'run.failed',
        jsonb_build_object('run_id', r.run_id, 'error', r.error),
        r.user_id,
        s.updated_at
    from advanced_session as s
    inner join failed_run as r on r.session_id = s.session_id
)

select
    session_id,
    run_id
from failed_run;


-- name: get_history(session_id, after, up_to_seq, limit, max_bytes)^
-- Returns the end of a transcript for the agent, in order: as many messages as the agent may read, as one JSON array, which
-- takes half the time of as many rows. Of the messages before them it returns those of the system, unless they have more
-- than `max_bytes` together, and the user's newest one if the end has none.
-- @param  session_id  the session
-- @param  after       of the end, only messages after this number
-- @param  up_to_seq   number of the last message
-- @param  limit       messages of the end at most
-- @param  max_bytes   bytes of message text of the end at most
-- @return History
-- @access system
-- @shards one
-- @index  messages_pkey, messages_session_id_system_idx
-- @cost   1000
-- @cte    page            the end of the transcript
-- @cte    system_size     bytes of the messages of the system before it
-- @cte    older_messages  what is returned of the messages before it
with page as (
    select
        max(seq) as last_seq,
        coalesce(min(seq), :up_to_seq::bigint + 1) as first_seq,
        count(*) filter (where role = 'user') as from_users,
        '[' || string_agg(message::text, ',' order by seq) || ']' as messages
    from (
        select
            m.seq,
            m.role,
            m.message,
            sum(m.size) over (order by m.seq desc) as bytes
        from (
            select
                seq,
                role,
                message,
                size
            from messages
            where
                session_id = :session_id
                and seq > :after
                and seq <= :up_to_seq
            order by seq desc
            limit :limit
        ) as m
    ) as newest
    where bytes <= :max_bytes::bigint
),

system_size as (
    select sum(size) as bytes
    from messages
    where
        session_id = :session_id
        and seq < (select first_seq from page)
        and role in ('system', 'developer')
),

older_messages as (
    select
        seq,
        message
    from messages
    where
        (select bytes from system_size) <= :max_bytes
        and session_id = :session_id
        and seq < (select first_seq from page)
        and role in ('system', 'developer')

    union all

    (
        select
            seq,
            message
        from messages
        where
            (select from_users from page) = 0
            and session_id = :session_id
            and seq < (select first_seq from page)
            and role = 'user'
            and size <= :max_bytes
        order by seq desc
        limit 1
    )
)

select
    p.last_seq,
    p.first_seq,
    p.messages,
    o.older_messages,
    (select bytes from system_size) as system_bytes,
    case
        when
            exists (
                select
                from messages
                where
                    session_id = :session_id
                    and seq < p.first_seq
            )
            then (
                select s.messages_total - (select count(*) from messages where session_id = :session_id and seq >= p.first_seq)
                from sessions as s
                where s.session_id = :session_id
            )
        else 0
    end as left_out
from page as p
cross join (
    select '[' || string_agg(message::text, ',' order by seq) || ']' as older_messages
    from older_messages
) as o;


-- name: get_newer_history(session_id, after, up_to_seq, known, known_hash, limit, max_bytes)^
-- Returns the messages of a transcript that a process has not read yet, if those that it has read are still the same: their
-- versions, which every change of a row replaces, are counted and hashed. `messages` is null if they are not the same, or if
-- there are more newer ones than the agent may read; then `runs.get_history` reads all.
-- @param  session_id  the session
-- @param  after       number up to which the process has read, or 0
-- @param  up_to_seq   number of the last message
-- @param  known       how many messages it has read
-- @param  known_hash  their hash, 0 for none
-- @param  limit       newer messages at most
-- @param  max_bytes   bytes of text of newer messages at most
-- @return NewerHistory
-- @access system
-- @shards one
-- @index  messages_pkey
-- @cost   1000
-- @cte    known_messages  number and hash of those up to `after`
-- @cte    newer           number, size and hash of the others
with known_messages as (
    select
        count(*) as number,
        -- with the time, because a standby that is promoted uses ids of lost transactions again
        coalesce(bit_xor(hash_record_extended(row(seq, xmin, created_at), 0)), 0) as hash
    from messages
    where
        session_id = :session_id
        and seq <= :after
),

newer as (
    select
        count(*) as number,
        coalesce(sum(size), 0)::bigint as bytes,
        coalesce(bit_xor(hash_record_extended(row(seq, xmin, created_at), 0)), 0) as hash
    from (
        select
            seq,
            xmin,
            created_at,
            size
        from messages
        where
            session_id = :session_id
            and seq > :after
            and seq <= :up_to_seq
        order by seq
        limit :limit + 1
    ) as m
)

select
    n.number::bigint as number,
    n.bytes,
    n.hash,
    case
        when
            k.number = :known::bigint
            and k.hash = :known_hash::bigint
            and n.number <= :limit
            and n.bytes <= :max_bytes::bigint
            then (
                select '[' || coalesce(string_agg(message::text, ',' order by seq), '') || ']'
                from messages
                where
                    session_id = :session_id
                    and seq > :after
                    and seq <= :up_to_seq
            )
    end as messages
from known_messages as k
cross join newer as n;


-- name: append(session_id, run_id, process_id, messages)^
-- Adds messages of an agent to the transcript, in the name of the user whom it answers. Returns no row if the process has
-- lost its lease, the run is over, the user may not send any more, or the session is not active; then the run has to end.
-- @param  session_id  the session
-- @param  run_id      the run
-- @param  process_id  the process that runs it
-- @param  messages    a JSON array of messages
-- @return AppendedByRun | none
-- @access system
-- @shards one
-- @index  runs_pkey, session_participants_pkey or session_participants_user_id_idx, sessions_pkey
with going_run as (
    select user_id
    from runs
    where
        session_id = :session_id
        and run_id = :run_id
),

locked_participant as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = (select user_id from going_run)
        and may_send(role, permissions)
    for no key update
),

locked_run as (
    select
        session_id,
        user_id,
        app_id
    from runs
    where
        session_id = :session_id
        and run_id = :run_id
        and process_id = :process_id
        and status = 'running'
        and exists (select from locked_participant)
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
        messages_total = s.messages_total + jsonb_array_length(:messages)
    from locked_run as r
    where
        s.session_id = r.session_id
        and s.session_id = :session_id
        and s.status = 'active'
    returning
        s.session_id,
        s.last_seq,
        s.updated_at,
        r.user_id,
        r.app_id
),

added_messages as (
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select
        s.session_id,
        s.last_seq - jsonb_array_length(:messages) + m.ordinality,
        m.value,
        s.user_id,
        s.app_id,
        s.updated_at
    from advanced_session as s
    cross join new_messages as m
)

select
    session_id,
    last_seq
from advanced_session;


-- name: renew(process_id, session_ids, run_ids, seconds)
-- Renews the leases of a process, in the order in which all statements lock several runs. A run that is not returned was
-- taken over by another process or is over.
-- @param  process_id   the process
-- @param  session_ids  the session of each run, in the same order
-- @param  run_ids      its runs
-- @param  seconds      how long the leases last
-- @return RenewedRun[]
-- @access system
-- @shards all
-- @index  runs_pkey or runs_session_id_running_idx, streams_session_id_idx
with locked_runs as (
    select
        r.session_id,
        r.run_id
    from unnest(:session_ids::text[], :run_ids::text[]) as kept (session_id, run_id)
    inner join runs as r on r.session_id = kept.session_id and r.run_id = kept.run_id
    where
        r.process_id = :process_id
        and r.status = 'running'
    order by
        r.session_id,
        r.run_id
    for no key update of r
),

renewed_runs as (
    update runs as r
    set lease_expires_at = statement_timestamp() + make_interval(secs => :seconds)
    from locked_runs as l
    where
        r.session_id = l.session_id
        and r.run_id = l.run_id
    returning
        r.session_id,
        r.run_id,
        r.cancelled_by_user_id is not null as cancelled
)

select
    r.session_id,
    r.run_id,
    r.cancelled,
    coalesce(
        (
            select true
            from streams as t
            where
                t.session_id = r.session_id
                and t.process_id <> :process_id
                and t.seen_at > now() - interval '15 seconds'
            limit 1
        ), false
    ) as followed_elsewhere
from renewed_runs as r;


-- name: finish(session_id, run_id, process_id, status, response, finish_reason, error, usage, timing, messages, answers)^
-- Ends a run and adds the messages of its turn that the transcript lacks. `others_wait` is true, too, if the session's clock
-- advanced after the beginning of this statement, which does not see what was committed while it waited for the session's
-- row. Returns no row if the process has lost its lease or the run is over, and with `answers`, if the run may not add
-- messages any more, as runs.append.
-- @param  session_id     the session
-- @param  run_id         the run
-- @param  process_id     the process that runs it
-- @param  status         completed, failed or cancelled
-- @param  response       the answer, or null
-- @param  finish_reason  why the model ended its last answer, or null
-- @param  error          a JSON object of type and message, or null
-- @param  usage          a JSON object of numbers
-- @param  timing         a JSON object of seconds
-- @param  messages       a JSON array of messages, which may be empty
-- @param  answers        whether the user must be able to send, and the session be active
-- @return FinishedRun | none
-- @access system
-- @shards one
-- @index  runs_pkey, session_participants_pkey or session_participants_user_id_idx, sessions_pkey, runs_session_id_queued_idx
-- @cte    known_session       the session's clock before the statement changes anything, and whether messages wait
-- @cte    going_run           the user whom it answers
-- @cte    locked_participant  the user's row, locked, if the user may send; with `answers` only
-- @cte    locked_run          the run, locked, if the process still holds it
-- @cte    new_messages        the messages to add, in order
-- @cte    advanced_session    the session with numbers for the messages and the event
-- @cte    finished_run        the run, ended
-- @cte    added_messages      the messages
-- @cte    added_event         `run.completed`, `run.failed` or `run.cancelled`
with known_session as materialized (
    select
        last_seq,
        (
            select count(*) > 0
            from runs
            where
                session_id = :session_id
                and status = 'queued'
        ) as others_wait
    from sessions
    where session_id = :session_id
),

going_run as (
    select user_id
    from runs
    where
        session_id = :session_id
        and run_id = :run_id
        and :answers
),

locked_participant as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = (select user_id from going_run)
        and may_send(role, permissions)
    for no key update
),

locked_run as (
    select session_id
    from runs
    where
        session_id = :session_id
        and run_id = :run_id
        and process_id = :process_id
        and status = 'running'
        and (not :answers or exists (select from locked_participant))
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
        last_seq = s.last_seq + jsonb_array_length(:messages) + 1,
        messages_total = s.messages_total + jsonb_array_length(:messages)
    from locked_run as r
    where
        s.session_id = r.session_id
        and s.session_id = :session_id
        and (not :answers or s.status = 'active')
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

finished_run as (
    update runs as r
    set
        status = :status,
        response = left(:response, 4000000),
        finish_reason = :finish_reason,
        error = :error,
        usage = :usage,
        timing = :timing,
        -- not before its messages, whose time is the session's
        finished_at = greatest(statement_timestamp(), s.updated_at)
    from advanced_session as s
    where
        r.session_id = s.session_id
        and r.session_id = :session_id
        and r.run_id = :run_id
    returning
        r.session_id,
        r.run_id,
        r.status,
        r.user_id,
        r.app_id,
        r.error,
        r.cancelled_by_user_id
),

added_messages as (
    insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)
    select
        s.session_id,
        s.last_seq - 1 - jsonb_array_length(:messages) + m.ordinality,
        m.value,
        r.user_id,
        r.app_id,
        s.updated_at
    from advanced_session as s
    inner join finished_run as r on r.session_id = s.session_id
    cross join new_messages as m
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq,
        'run.' || r.status,
        jsonb_strip_nulls(jsonb_build_object('run_id', r.run_id, 'error', r.error)),
        coalesce(case when r.status = 'cancelled' then r.cancelled_by_user_id end, r.user_id),
        s.updated_at
    from advanced_session as s
    inner join finished_run as r on r.session_id = s.session_id
)

select
    s.session_id,
    s.last_seq,
    k.others_wait or k.last_seq <> s.last_seq - jsonb_array_length(:messages) - 1 as others_wait
from advanced_session as s
cross join known_session as k;


-- name: reap(process_id, seconds, limit)
-- Takes over runs whose process stopped renewing its lease, to end them. Those whose lease ended first come first, so that a
-- run that could not be ended lately comes after the others.
-- @param  process_id  the process that takes them over
-- @param  seconds     how long its leases last
-- @param  limit       runs at most
-- @return ReapedRun[]
-- @access system
-- @shards all
-- @index  runs_session_id_running_idx, runs_pkey
with expired_runs as (
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
    for no key update skip locked
)

update runs as r
set
    process_id = :process_id,
    lease_expires_at = statement_timestamp() + make_interval(secs => :seconds)
from expired_runs as e
where
    r.session_id = e.session_id
    and r.run_id = e.run_id
returning
    r.session_id,
    r.run_id,
    r.user_id,
    r.cancelled_by_user_id is not null as cancelled;


-- name: list_waiting(full_user_ids, served_user_ids, failed_session_ids, limit)
-- Lists the next run of each session in which messages wait and no run is running. Users take turns: first one run of each
-- user, then the second of each. In each turn the users who were not served lately come first, then those served longest
-- ago; of one user, the oldest run comes first. Sessions that failed come last.
-- @param  full_user_ids       users for whom no further run may start: theirs are left out
-- @param  served_user_ids     users for whom a run started lately, longest ago first
-- @param  failed_session_ids  sessions whose next run could not be started lately
-- @param  limit               runs at most
-- @return WaitingRun[]
-- @access system
-- @shards all
-- @index  runs_session_id_queued_idx or runs_user_id_queued_idx, runs_session_id_running_idx
with next_runs as (
    select distinct on (q.session_id)
        q.session_id,
        q.run_id,
        q.user_id,
        q.queued_at,
        q.session_id = any(:failed_session_ids) as has_failed
    from runs as q
    where
        q.status = 'queued'
        and not exists (
            select
            from runs as r
            where
                r.session_id = q.session_id
                and r.status = 'running'
        )
    order by
        q.session_id,
        q.queued_at,
        q.run_id
)

select
    n.session_id,
    n.run_id,
    n.user_id
from next_runs as n
left join unnest(:served_user_ids::text[]) with ordinality as t (user_id, turn) on t.user_id = n.user_id
where n.user_id <> all(:full_user_ids)
order by
    n.has_failed,
    row_number() over (
        partition by n.has_failed, n.user_id
        order by n.queued_at, n.session_id
    ),
    coalesce(t.turn, 0),
    n.queued_at,
    n.session_id
limit :limit;


-- name: count_queued()^
-- Counts the queued runs of all sessions, for the metrics.
-- @return QueueLength
-- @access system
-- @shards all
-- @index  runs_session_id_queued_idx or runs_user_id_queued_idx
select
    count(*) as queued,
    min(queued_at) as oldest_queued_at
from runs
where status = 'queued';


-- name: cancel(actor_id, session_id, run_id)^
-- Requests that a run be cancelled: the one with that id, or the running one, or else the next one. A waiting run is over at
-- once; the process of a running one is notified. Participants who may cancel may. Returns no row if the caller may not or
-- there is no such run.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  run_id      the run, or null
-- @return CancelledRun | none
-- @access participant
-- @shards one
-- @with   audit.add: jsonb_build_object('run_id', run_id) as details
-- @index  session_participants_pkey or session_participants_user_id_idx, sessions_pkey
with permitted as (
    select session_id
    from session_participants
    where
        session_id = :session_id
        and user_id = :actor_id
        and may_cancel(role, permissions)
    for no key update
),

chosen_run as (
    select
        r.session_id,
        r.run_id,
        statement_timestamp() as cancelled_at
    from runs as r
    inner join permitted as p on p.session_id = r.session_id
    where
        r.session_id = :session_id
        and r.status in ('queued', 'running')
        and (:run_id::text is null or r.run_id = :run_id)
    order by
        r.status desc,
        r.queued_at,
        r.run_id
    limit 1
),

cancelled_run as (
    update runs as r
    set
        status = case when r.status = 'queued' then 'cancelled' else r.status end,
        finished_at = case when r.status = 'queued' then c.cancelled_at end,
        cancelled_by_user_id = coalesce(r.cancelled_by_user_id, :actor_id)
    from chosen_run as c
    where
        r.session_id = :session_id
        and r.run_id = c.run_id
        and r.status in ('queued', 'running')
    returning
        r.session_id,
        r.run_id,
        r.status
),

advanced_session as (
    update sessions as s
    set
        last_seq = s.last_seq + 1
    from cancelled_run as r
    where
        s.session_id = r.session_id
        and s.session_id = :session_id
    returning
        s.session_id,
        s.last_seq,
        s.updated_at
),

added_event as (
    insert into session_events (session_id, seq, type, data, actor_user_id, created_at)
    select
        s.session_id,
        s.last_seq,
        case when r.status = 'cancelled' then 'run.cancelled' else 'run.cancelling' end,
        jsonb_build_object('run_id', r.run_id),
        :actor_id,
        s.updated_at
    from advanced_session as s
    inner join cancelled_run as r on r.session_id = s.session_id
)

select
    session_id,
    run_id
from cancelled_run;


-- name: get(actor_id, session_id, run_id)^
-- One run of a session that the caller takes part in.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @param  run_id      the run
-- @return Run | none
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, runs_pkey
select
    r.run_id,
    r.session_id,
    r.status,
    r.message,
    r.user_id,
    r.app_id,
    r.queued_at,
    r.started_at,
    r.finished_at,
    r.response,
    r.finish_reason,
    -- stored as `message`, which processes of earlier releases read, too
    r.error - 'message' || jsonb_build_object('detail', r.error -> 'message') as error,
    r.usage,
    r.timing,
    r.cancelled_by_user_id,
    -- a session with runs has a config
    coalesce(s.config_id, '') as config_id
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
inner join runs as r on r.session_id = s.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and s.session_id = :session_id
    and r.session_id = :session_id
    and r.run_id = :run_id;


-- name: list(actor_id, session_id, run_status, before_queued_at, before_run_id, limit)
-- The runs of a session that the caller takes part in, newest first.
-- @param  actor_id          user_id of the caller
-- @param  session_id        the session
-- @param  run_status        only runs in this state, or null
-- @param  before_queued_at  position of the last row of the page before
-- @param  before_run_id     the same
-- @param  limit             rows at most
-- @return Run[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, runs_session_id_queued_at_idx or runs_pkey
select
    r.run_id,
    r.session_id,
    r.status,
    r.message,
    r.user_id,
    r.app_id,
    r.queued_at,
    r.started_at,
    r.finished_at,
    r.response,
    r.finish_reason,
    -- stored as `message`, which processes of earlier releases read, too
    r.error - 'message' || jsonb_build_object('detail', r.error -> 'message') as error,
    r.usage,
    r.timing,
    r.cancelled_by_user_id,
    -- a session with runs has a config
    coalesce(s.config_id, '') as config_id
from session_participants as p
inner join sessions as s on s.session_id = p.session_id
inner join runs as r on r.session_id = s.session_id
where
    p.session_id = :session_id
    and p.user_id = :actor_id
    and s.session_id = :session_id
    and r.session_id = :session_id
    and (:run_status::text is null or r.status = :run_status)
    and (r.queued_at, r.run_id) < (:before_queued_at, :before_run_id::text)
order by
    r.queued_at desc,
    r.run_id desc
limit :limit;


-- name: list_going(actor_id, session_id)
-- Lists the unfinished runs of a session that the caller takes part in, in the order in which they run.
-- @param  actor_id    user_id of the caller
-- @param  session_id  the session
-- @return UnfinishedRun[]
-- @access participant
-- @shards one
-- @index  session_participants_pkey or session_participants_user_id_idx, runs_session_id_queued_at_idx or runs_pkey
select
    r.run_id,
    r.status
from session_participants as p
cross join lateral (
    select
        run_id,
        status,
        queued_at
    from runs
    where
        session_id = :session_id
        and status in ('queued', 'running')
) as r
where
    p.session_id = :session_id
    and p.user_id = :actor_id
order by
    r.status desc,
    r.queued_at,
    r.run_id;
